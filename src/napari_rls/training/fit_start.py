"""Train the half of a field encoder that estimates W+ against a discriminator: the job's loop."""

from __future__ import annotations

from collections.abc import Generator as Iterating
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import ConfigDict
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.models.part import Count
from napari_rls.training import loop
from napari_rls.training.dataset import Crops
from napari_rls.training.drawn_optics import middle
from napari_rls.training.loop_parts import Kind
from napari_rls.training.nuclear_ratio import Nuclear, log_ratios
from napari_rls.training.start_settings import StartSettings
from napari_rls.training.start_step import StartTrainer


@dataclass(frozen=True)
class Report:
    """Means since the last report, and the error on held-out crops, of -1 to 1.

    ``l1`` is of the images drawn of W+; ``nuclear_ratio`` is the error of log2 of nucleus over
    ring in them and ``evenness`` the power of what of it the true ratio tells; ``own`` and
    ``common`` are mean squares of what each row of standardised W+ has of its own, and of what all
    share. Both losses are those of GANs: the discriminator's is 1.386 where it cannot tell.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    steps: Count
    images_per_second: float
    l1: float
    nuclear_ratio: float
    evenness: float
    own: float
    common: float
    generator_loss: float
    discriminator_loss: float
    held_out_l1: float


Progress: TypeAlias = loop.Progress[FieldEncoder, Report]


def train(
    crops: Crops,
    held_out: Tensor,
    settings: StartSettings,
    folder: Path,
    bundle: Bundle,
    nuclear: Nuclear,
) -> Iterating[Progress, None, None]:
    """Train on HR crops, as random microscopes see them; yield after every step.

    See :func:`~napari_rls.training.loop.train_network`, also for what is raised. ``bundle`` has the
    generator and the field encoder, ``nuclear`` tells of the crops' nuclei.
    """
    ratios = log_ratios(middle(crops.data, bundle.manifest.hr_size), nuclear)
    known_by = {
        "bundle": bundle.digest("generator.", "flow.mean", "field_encoder.", "discriminator.")[:16],
        "nuclei": f"{nuclear.channel} {nuclear.settings.model_dump_json()}",
    }
    return loop.train_network(
        lambda device: StartTrainer(settings, bundle, ratios, nuclear, device),
        crops,
        held_out,
        settings,
        folder,
        Kind("napari-rls-start", Report, known_by),
    )
