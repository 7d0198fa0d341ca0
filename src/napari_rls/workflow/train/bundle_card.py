"""What a trained bundle says of itself: the user's words, the crops, how good it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_rls.errors import InputError
from napari_rls.models.manifest import Channel, EncoderSpec, FlowFit, FlowSpec, Manifest, Training
from napari_rls.search.settings import FACTORS, first_problem
from napari_rls.training.grid import PALETTE
from napari_rls.training.training_settings import TrainSettings
from napari_rls.version import __version__

if TYPE_CHECKING:
    from napari_rls.training.run_folder import Score
    from napari_rls.workflow.train.cut_crops import TrainingCrops

_ENCODED = range(2, 17)
"""Sides of the LR images, in pixels, for which a bundle gets an encoder; a larger LR image
needs more memory than the better start of the search is worth."""


@dataclass(frozen=True)
class Card:
    """What the user says of a bundle; the title and the pixel size may be left open."""

    name: str
    title: str
    licence: str
    attribution: str
    pixel_size_um: float | None


def draft_manifest(card: Card, settings: TrainSettings, samples: int) -> Manifest:
    """Fill in all of a manifest that is known before the images have been looked at.

    Parameters
    ----------
    card
        What the user says.
    settings
        How the generator is trained.
    samples
        Number of generated samples that flow and encoders are to be fitted to.

    Raises
    ------
    InputError
        If the user's words cannot stand in a manifest.
    """
    size, names = settings.size, ", ".join(settings.channels)
    factors = tuple(f for f in FACTORS if size % f == 0 and size // f in _ENCODED)
    encoder = EncoderSpec(
        factors=factors, samples=samples, seed=settings.seed, held_out_error=(1.0,) * len(factors)
    )
    try:
        return Manifest(
            name=card.name,
            title=card.title or f"{names}, {size} x {size} pixels",
            architecture=settings.architecture,
            channels=tuple(
                Channel(name=name, colour=PALETTE[k % len(PALETTE)])
                for k, name in enumerate(settings.channels)
            ),
            pixel_size_um=card.pixel_size_um,
            flow=FlowSpec(hidden=256),
            flow_fit=FlowFit(
                samples=samples, seed=settings.seed, epochs=0, held_out_nats=0, ks_distance=1
            ),
            encoder=encoder if factors else None,
            training=Training(data="fields of the user's own"),
            licence=card.licence,
            attribution=card.attribution,
            intended_use=f"Nucleus-centred crops ({names}) like those that it was trained on: same "
            "cells, staining, microscope and pixel size.",
            limits="SR pixels are generated: details finer than the LR image are plausible, not "
            "measured.",
            created_by=f"napari-rls {__version__}",
        )
    except ValidationError as error:
        raise InputError(f"The bundle cannot be described so: {first_problem(error)}.") from None


def with_crops(draft: Manifest, crops: TrainingCrops) -> Manifest:
    """Add what is known once the crops have been cut; words on intensities stay."""
    own, found = draft.intensity, crops.intensity
    same = bool(own.note) and (own.low, own.high) == (found.low, found.high)
    numbers = {"images": len(crops.training), "validation": len(crops.validation)}
    return draft.model_copy(
        update={
            "pixel_size_um": draft.pixel_size_um or crops.training.pixel_size_um,
            "intensity": own if same else found,
            "training": draft.training.model_copy(update=numbers),
        }
    )


def with_training(draft: Manifest, images: int, score: Score | None) -> Manifest:
    """Add how long the generator was trained and, if it was scored, how far it is from real."""
    update: dict[str, object] = {"kimg": images / 1000}
    if score is not None:
        update |= {"kid": score.kid, "fid": score.fid, "features": score.features}
    return draft.model_copy(update={"training": draft.training.model_copy(update=update)})
