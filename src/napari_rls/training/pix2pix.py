"""Train a Pix2Pix network: the job behind the command line and the recipes."""

from __future__ import annotations

from collections.abc import Generator as Iterating
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import ConfigDict
from torch import Tensor

from napari_rls.models.part import Count
from napari_rls.models.pix2pix import UNet
from napari_rls.training import loop
from napari_rls.training.dataset import Crops
from napari_rls.training.loop_parts import Kind
from napari_rls.training.pix2pix_settings import Pix2PixSettings
from napari_rls.training.pix2pix_step import Pix2PixTrainer


@dataclass(frozen=True)
class Report:
    """Means since the last report, and the error on held-out crops, all of -1 to 1.

    ``l1`` is with dropout on training pairs, ``held_out_l1`` without on held-out ones.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    steps: Count
    images_per_second: float
    discriminator_loss: float
    generator_loss: float
    l1: float
    held_out_l1: float


Progress: TypeAlias = loop.Progress[UNet, Report]


def train(
    crops: Crops, held_out: Tensor, settings: Pix2PixSettings, folder: Path
) -> Iterating[Progress, None, None]:
    """Train on HR crops and their degraded images; yield after every step.

    See :func:`~napari_rls.training.loop.train_network`, also for what is raised.
    """
    _, channels, size, _ = crops.data.shape
    return loop.train_network(
        lambda device: Pix2PixTrainer(settings, channels, size, device),
        crops,
        held_out,
        settings,
        folder,
        Kind("napari-rls-pix2pix", Report),
    )
