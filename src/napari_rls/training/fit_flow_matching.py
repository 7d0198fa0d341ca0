"""Train flow matching beside a bundle's field encoder: the job behind the command line."""

from __future__ import annotations

from collections.abc import Generator as Iterating
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import ConfigDict
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.flow_matching import FlowMatching
from napari_rls.models.part import Count
from napari_rls.training import loop
from napari_rls.training.dataset import Crops
from napari_rls.training.flow_matching_settings import FlowMatchingSettings
from napari_rls.training.flow_matching_step import FlowMatchingTrainer
from napari_rls.training.loop_parts import Kind


@dataclass(frozen=True)
class Report:
    """Mean squared error of the velocity since the last report, and a look at held-out crops.

    ``held_out_l1`` is that of an image drawn of each, of -1 to 1.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    steps: Count
    images_per_second: float
    velocity: float
    held_out_l1: float


Progress: TypeAlias = loop.Progress[FlowMatching, Report]


def train(
    crops: Crops, held_out: Tensor, settings: FlowMatchingSettings, folder: Path, bundle: Bundle
) -> Iterating[Progress, None, None]:
    """Train on HR crops, as random microscopes see them; yield after every step.

    See :func:`~napari_rls.training.loop.train_network`, also for what is raised. ``bundle`` is
    the one whose field encoder expects images.
    """
    known_by = {"bundle": bundle.digest("field_encoder.")[:16], "noise": "coloured"}
    return loop.train_network(
        lambda device: FlowMatchingTrainer(settings, bundle, device),
        crops,
        held_out,
        settings,
        folder,
        Kind("napari-rls-flow-matching", Report, known_by),
    )
