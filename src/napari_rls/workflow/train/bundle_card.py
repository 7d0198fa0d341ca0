"""What a trained bundle says of itself: the user's words, and what follows from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from napari_rls.errors import InputError
from napari_rls.models.blueprint import Blueprint
from napari_rls.models.field_notes import MICROMETRES
from napari_rls.models.manifest import Channel, EncoderShape, FlowSpec
from napari_rls.models.part import Checked, Line, Name, Text
from napari_rls.search.settings import FACTORS, first_problem
from napari_rls.training.grid import PALETTE
from napari_rls.training.training_settings import TrainSettings
from napari_rls.version import __version__

Made = TypeVar("Made")

HIDDEN = 256
"""Width of the flow's layers."""

NOT_STATED = "not stated"

_ENCODED = range(2, 17)
"""Sides of the LR images, in pixels, for which a bundle gets an encoder; a larger LR image
needs more memory than the better start of the search is worth."""

_LIMITS = "SR pixels are generated: details finer than the LR image are plausible, not measured."


class Words(Checked):
    """What a user may say of a bundle, whichever way it is made; all may be left open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Line = Field(
        default="", title="Title", description="Title of the bundle; empty: channels and size."
    )
    licence: Text = Field(
        default=NOT_STATED, title="Licence", description="Licence of the bundle, as CC-BY-4.0."
    )
    attribution: Text = Field(
        default=NOT_STATED, title="Attribution", description="Whom to name for the images."
    )
    intended_use: Text = Field(
        default="",
        title="Intended use",
        description="What the bundle is for; empty: cells like those that it was trained on.",
    )
    limits: Text = Field(
        default="", title="Limits", description="What the bundle is known to do badly."
    )


class Card(Words):
    """What the user says of a bundle that is trained."""

    name: Name = Field(title="Name", description="Name of the bundle.")
    pixel_size_um: Annotated[float | None, MICROMETRES] = Field(
        default=None,
        ge=1e-6,
        le=1e6,
        title="Pixel size",
        description="Side of a pixel; else what the files say.",
    )

    @classmethod
    def of(cls, **said: Any) -> Card:
        """Return the card with these words.

        Raises
        ------
        InputError
            If one of them cannot stand in a manifest.
        """
        return described(lambda: cls(**said))

    def but(self, **said: Any) -> Card:
        """Return the card with other words.

        Raises
        ------
        InputError
            If one of them cannot stand in a manifest.
        """
        return self.of(**(dict(self) | said))


def described(make: Callable[[], Made]) -> Made:
    """Return what is made of a user's words.

    Raises
    ------
    InputError
        If they cannot stand in a manifest.
    """
    try:
        return make()
    except ValidationError as error:
        raise InputError(f"The bundle cannot be described so: {first_problem(error)}.") from None


def blueprint_of(card: Card, settings: TrainSettings, samples: int) -> Blueprint:
    """Return what a bundle will be, before the images have been looked at.

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
    return described(
        lambda: Blueprint(
            name=card.name,
            title=card.title or f"{names}, {size} x {size} pixels",
            architecture=settings.architecture,
            channels=coloured(settings.channels),
            pixel_size_um=card.pixel_size_um,
            flow=FlowSpec(hidden=HIDDEN),
            encoder=encoder_shape(size, samples, settings.seed),
            data="fields of the user's own",
            licence=card.licence,
            attribution=card.attribution,
            intended_use=card.intended_use or usual_use(settings.channels),
            limits=card.limits or _LIMITS,
            created_by=f"napari-rls {__version__}",
        )
    )


def coloured(names: tuple[str, ...]) -> tuple[Channel, ...]:
    """Return channels of these names in the colours of the package."""
    return tuple(
        Channel(name=name, colour=PALETTE[k % len(PALETTE)]) for k, name in enumerate(names)
    )


def encoder_shape(size: int, samples: int, seed: int) -> EncoderShape | None:
    """Return the encoders for HR images of a size, None if no scale factor needs one."""
    factors = tuple(f for f in FACTORS if size % f == 0 and size // f in _ENCODED)
    return EncoderShape(factors=factors, samples=samples, seed=seed) if factors else None


def usual_use(channels: tuple[str, ...]) -> str:
    """Return what a bundle is for, where the user does not say it."""
    return (
        f"Nucleus-centred crops ({', '.join(channels)}) like those that it was trained on: same "
        "cells, staining, microscope and pixel size."
    )


def unknown_limits() -> str:
    """Return the limits of a bundle whose generator was trained elsewhere."""
    return f"How good its images are is not known. {_LIMITS}"
