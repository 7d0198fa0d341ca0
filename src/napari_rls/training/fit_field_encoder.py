"""Train a field encoder through a frozen generator: the job behind the command line."""

from __future__ import annotations

from collections.abc import Generator as Iterating
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import ConfigDict
from torch import Tensor

from napari_rls.measure.nuclear_ratio import Nuclear, log_ratios
from napari_rls.models.bundle import Bundle
from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.models.part import Count
from napari_rls.training import loop
from napari_rls.training.dataset import Crops
from napari_rls.training.drawn_optics import middle
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.training.field_encoder_step import FieldEncoderTrainer
from napari_rls.training.loop_parts import Kind


@dataclass(frozen=True)
class Report:
    """Means since the last report, and the error on held-out crops, of -1 to 1.

    ``l1`` is of the images drawn of W+, ``expected_l1`` of the expected ones, 0 without them;
    ``nuclear_ratio`` is the error of log2 of nucleus over ring in the former; ``own`` and
    ``common`` are mean squares of what each row of standardised W+ has of its own, and of what all
    share.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    steps: Count
    images_per_second: float
    l1: float
    expected_l1: float
    nuclear_ratio: float
    own: float
    common: float
    held_out_l1: float


Progress: TypeAlias = loop.Progress[FieldEncoder, Report]


def train(
    crops: Crops,
    held_out: Tensor,
    settings: FieldEncoderSettings,
    folder: Path,
    bundle: Bundle,
    nuclear: Nuclear,
) -> Iterating[Progress, None, None]:
    """Train on HR crops, as random microscopes see them; yield after every step.

    See :func:`~napari_rls.training.loop.train_network`, also for what is raised. ``bundle`` is
    the one whose generator draws, ``nuclear`` tells of the crops' nuclei.
    """
    ratios = log_ratios(middle(crops.data, bundle.manifest.hr_size), nuclear)
    known_by = {
        "bundle": bundle.digest("generator.", "flow.mean", "flow.std")[:16],
        "nuclei": f"{nuclear.channel} {nuclear.settings.model_dump_json()}",
    }
    return loop.train_network(
        lambda device: FieldEncoderTrainer(settings, bundle, ratios, nuclear, device),
        crops,
        held_out,
        settings,
        folder,
        Kind("napari-rls-field-encoder", Report, known_by),
    )
