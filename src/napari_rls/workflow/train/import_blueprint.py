"""What an imported generator's bundle says of itself, as far as the user tells it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from napari_rls.errors import InputError
from napari_rls.models.architecture import Architecture
from napari_rls.models.blueprint import Blueprint
from napari_rls.models.field_notes import MICROMETRES
from napari_rls.models.manifest import FlowSpec, Intensity, Training
from napari_rls.training.fit_settings import FitSettings
from napari_rls.version import __version__
from napari_rls.workflow.train.bundle_card import (
    HIDDEN,
    NOT_STATED,
    Words,
    coloured,
    described,
    encoder_shape,
    unknown_limits,
    usual_use,
)

_FEWEST = 100


class ImportSettings(Words, FitSettings):
    """What a checkpoint does not say of its generator, and how the rest of a bundle is fitted.

    The pixel size, the side of an HR pixel, is in micrometres.
    """

    name: str = Field(default="", description="Name of the bundle.")
    intensity_low: float = Field(
        default=0.0, description="Intensity that the training took as -1; 0 for 8-bit images."
    )
    intensity_high: float = Field(
        default=255.0, description="Intensity that the training took as 1; 255 for 8-bit images."
    )
    intensity_unit: str = Field(default="grey levels", description="Unit of the intensities.")
    pixel_size: Annotated[float | None, MICROMETRES] = Field(
        default=None, gt=0, description="Side of an HR pixel."
    )
    trained_on: str = Field(default=NOT_STATED, description="Images that it was trained on.")
    images: int | None = Field(default=None, ge=0, description="Number of these images.")
    kimg: float | None = Field(
        default=None, ge=0, description="Length of the training, in thousands of images."
    )
    fit_images: int = Field(
        default=100_000,
        ge=0,
        description=(
            "Generated images that the encoders, the start of a search, are fitted to; fewer for a "
            "large generator, which takes long to draw them; 0 leaves the encoders out."
        ),
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed of all random numbers.")

    @field_validator("fit_images")
    @classmethod
    def _none_or_enough(cls, images: int) -> int:
        if 0 < images < _FEWEST:
            raise ValueError(f"give at least {_FEWEST}, or 0")
        return images


def imported_blueprint(
    settings: ImportSettings, architecture: Architecture, channels: tuple[str, ...], origin: str
) -> Blueprint:
    """Return what the bundle of an imported generator will be.

    Parameters
    ----------
    settings
        What the user says.
    architecture
        What the checkpoint says.
    channels
        Names of the image channels, in the generator's order.
    origin
        Which checkpoint of which program it is.

    Raises
    ------
    InputError
        If there are more or fewer names than channels, or the user's words cannot stand in a
        manifest.
    """
    if len(channels) != architecture.image_channels:
        raise InputError(
            f"The generator has {architecture.image_channels} image channel(s), but --channels "
            f"names {len(channels)}; give a name for each, in the order in which it was trained."
        )
    size, images = architecture.resolution, settings.fit_images
    return described(
        lambda: Blueprint(
            name=settings.name,
            title=settings.title or f"{', '.join(channels)}, {size} x {size} pixels",
            architecture=architecture,
            channels=coloured(channels),
            pixel_size_um=settings.pixel_size,
            intensity=Intensity(
                low=settings.intensity_low,
                high=settings.intensity_high,
                unit=settings.intensity_unit,
            ),
            # Twice the dimensions of w: in a narrower MAF some of them are not heard at all.
            flow=FlowSpec(hidden=max(HIDDEN, 2 * architecture.w_dim)),
            encoder=encoder_shape(size, images, settings.seed) if images else None,
            data=f"{settings.trained_on}; {origin}",
            licence=settings.licence,
            attribution=settings.attribution,
            intended_use=settings.intended_use or usual_use(channels),
            limits=settings.limits or unknown_limits(),
            created_by=f"napari-rls {__version__}",
        )
    )


def imported_training(settings: ImportSettings, blueprint: Blueprint) -> Training:
    """Return what the manifest says of a training elsewhere.

    Raises
    ------
    InputError
        If the user's words cannot stand in a manifest.
    """
    return described(
        lambda: Training(data=blueprint.data, images=settings.images, kimg=settings.kimg)
    )
