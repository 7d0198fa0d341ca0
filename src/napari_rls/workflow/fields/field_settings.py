"""The settings of a run over LR fields, beside those of the search."""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from napari_rls.errors import SettingsError
from napari_rls.measure.lr_nuclei import LrNucleusSettings
from napari_rls.models.part import Checked
from napari_rls.search.noise import NoiseModel
from napari_rls.search.optics import Optics


class FieldSettings(Checked):
    """How an LR microscope saw fields, and how their cells are found.

    Examples
    --------
    >>> FieldSettings(optics={"ratio": 8, "psf_sigma": 0.45}).optics.ratio
    8.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    optics: Optics = Optics()
    estimate_psf: bool = Field(
        default=False,
        title="Estimate PSF width",
        description="Take the PSF width that the cells tell, by how sharp the bundle's cells are.",
    )
    noise: NoiseModel | None = Field(
        default=None,
        title="Noise",
        description=(
            "Of the camera: offset, gain and read noise, as in 100,0.5,2. Empty: estimated from "
            "each field."
        ),
    )
    nuclei: LrNucleusSettings = LrNucleusSettings()
    diameter: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        title="Nucleus diameter",
        description=(
            "Of a usual nucleus in HR pixels. Empty: that of the bundle's cells; if they have none "
            "in their centre, fields are run in overlapping tiles."
        ),
    )
    scout_steps: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Scouting steps",
        description=(
            "Iterations of a first, short search in whose SR images nuclei are found again; 0 "
            "takes the nuclei of the LR image."
        ),
    )

    @model_validator(mode="after")
    def _width_to_estimate(self) -> FieldSettings:
        """Refuse to estimate what is given."""
        optics = self.optics
        if self.estimate_psf and optics.psf != "gaussian":
            raise PydanticCustomError(
                "psf", "the PSF {psf} has no width to estimate", {"psf": f"'{optics.psf}'"}
            )
        if self.estimate_psf and (optics.psf_sigma is not None or optics.na is not None):
            given = "psf_sigma is" if optics.na is None else "na and wavelength_um are"
            raise PydanticCustomError(
                "psf",
                "the PSF width cannot be estimated, as {given} given; give one of them",
                {"given": given},
            )
        return self


def parse_noise(text: str, channels: int, source: str) -> NoiseModel | None:
    """Return the noise of all channels that a text gives, None for "auto" or none at all.

    Parameters
    ----------
    text
        Offset, gain and read noise, with commas between them.
    channels
        How many there are.
    source
        Where the text is from, for messages.

    Raises
    ------
    SettingsError
        If it is none.

    Examples
    --------
    >>> parse_noise("100,0.5,2", 1, "noise")
    NoiseModel(gain=(0.5,), offset=(100.0,), read_noise=(2.0,))
    """
    if text.strip() in ("", "auto"):
        return None
    try:
        offset, gain, read_noise = (float(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(
            f"{source} is {text!r}; give auto, or three numbers as in 100,0.5,2 (offset, gain, "
            "read noise)."
        ) from None
    return NoiseModel(
        offset=(offset,) * channels, gain=(gain,) * channels, read_noise=(read_noise,) * channels
    )
