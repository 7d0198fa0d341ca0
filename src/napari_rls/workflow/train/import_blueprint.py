"""What an imported generator's bundle says of itself, as far as the user tells it."""

from __future__ import annotations

from pydantic import ConfigDict, Field, ValidationError, field_validator

from napari_rls.errors import InputError
from napari_rls.models.architecture import Architecture
from napari_rls.models.manifest import FlowSpec, Intensity, Manifest
from napari_rls.models.part import Checked
from napari_rls.search.settings import first_problem
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.bundle_card import Card, draft_manifest

_HIDDEN = 256
_FEWEST = 100


class ImportSettings(Checked):
    """What a checkpoint does not say of its generator, and how the rest of a bundle is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", description="Name of the bundle.")
    title: str = Field(default="", description="Title of the bundle.")
    intensity_low: float = Field(
        default=0.0, description="Intensity that the training took as -1; 0 for 8-bit images."
    )
    intensity_high: float = Field(
        default=255.0, description="Intensity that the training took as 1; 255 for 8-bit images."
    )
    intensity_unit: str = Field(default="grey levels", description="Unit of the intensities.")
    pixel_size: float | None = Field(
        default=None, gt=0, description="Side of an HR pixel in micrometres."
    )
    trained_on: str = Field(default="not stated", description="Images that it was trained on.")
    images: int | None = Field(default=None, ge=0, description="Number of these images.")
    kimg: float | None = Field(
        default=None, ge=0, description="Length of the training, in thousands of images."
    )
    licence: str = Field(default="not stated", description="Licence of the generator.")
    attribution: str = Field(
        default="not stated", description="Whom to name for the generator and its images."
    )
    intended_use: str = Field(default="", description="What the bundle is for.")
    limits: str = Field(default="", description="What it is known to do badly.")
    fit_samples: int = Field(
        default=100_000, ge=_FEWEST, description="Generated w that the flow is fitted to."
    )
    fit_epochs: int = Field(default=40, ge=1, le=1000, description="Passes over them.")
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


def imported_manifest(
    settings: ImportSettings, architecture: Architecture, channels: tuple[str, ...], origin: str
) -> Manifest:
    """Fill in all of a manifest that is known before flow and encoders are fitted.

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
    card = Card(
        name=settings.name,
        title=settings.title,
        licence=settings.licence,
        attribution=settings.attribution,
        pixel_size_um=settings.pixel_size,
    )
    try:
        intensity = Intensity(
            low=settings.intensity_low, high=settings.intensity_high, unit=settings.intensity_unit
        )
        training = TrainSettings(
            size=architecture.resolution, channels=channels, seed=settings.seed, intensity=intensity
        )
        draft = draft_manifest(card, training, settings.fit_samples)
        encoder = draft.encoder
        if encoder is not None:
            images = settings.fit_images
            encoder = encoder.model_copy(update={"samples": images}) if images else None
        told = {
            "architecture": architecture,
            "intensity": intensity,
            "encoder": encoder,
            # Twice the dimensions of w: in a narrower MAF some of them are not heard at all.
            "flow": FlowSpec(hidden=max(_HIDDEN, 2 * architecture.w_dim)),
            "training": {
                "data": f"{settings.trained_on}; {origin}",
                "images": settings.images,
                "kimg": settings.kimg,
            },
            "intended_use": settings.intended_use or draft.intended_use,
            "limits": settings.limits or f"How good its images are is not known. {draft.limits}",
        }
        return Manifest.model_validate(dict(draft) | told)
    except ValidationError as error:
        raise InputError(f"The bundle cannot be described so: {first_problem(error)}.") from None
