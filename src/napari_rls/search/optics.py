"""What is known of the LR microscope: ratio of pixel sizes and point-spread function (PSF)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from napari_rls.errors import SettingsError
from napari_rls.files.json_file import first_fault
from napari_rls.models.part import Checked

if TYPE_CHECKING:
    from napari_rls.search.degradation import Degradation

Psf = Literal["gaussian", "bicubic"]

USUAL_SIGMA = 0.45
"""Deviation of the PSF in LR pixels where none is known: that of lenses of low magnification.

A 4x lens of NA 0.16 on camera pixels of 6.5 um has 0.42 at 0.53 um, a 10x lens of NA 0.3 has
0.57: fewer pixels than the optics resolve, as of a plate scanner.
"""

AIRY = 0.21
"""Deviation of the Gaussian nearest to a widefield PSF, in wavelengths over NA."""


class Optics(Checked):
    """The LR microscope, as far as it is known.

    Examples
    --------
    >>> Optics(na=0.3, wavelength_um=0.51).sigma_in_lr_pixels(0.65)
    0.549...
    >>> Optics().ratio_of(lr_pixel_um=1.3, hr_pixel_um=0.325)
    4.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ratio: float | None = Field(
        default=None,
        ge=1.5,
        le=256,
        title="Ratio of pixel sizes",
        description=(
            "HR pixels along the side of an LR pixel, any number from 1.5. Empty: from the pixel "
            "sizes of image and bundle."
        ),
    )
    psf: Psf = Field(
        default="gaussian",
        title="PSF",
        description=(
            "How LR pixels came about: 'gaussian' by a lens and pixels that integrate light, "
            "'bicubic' by antialiased bicubic downscaling of HR images."
        ),
    )
    psf_sigma: float | None = Field(
        default=None,
        ge=0,
        le=5,
        title="PSF width",
        description=(
            "Standard deviation of the lens's Gaussian PSF in LR pixels, without what the pixels "
            "integrate. Empty: from numerical aperture and wavelength, else not known."
        ),
    )
    na: float | None = Field(
        default=None,
        gt=0,
        le=1.5,
        title="Numerical aperture",
        description="NA of the LR lens, as it says on it.",
    )
    wavelength_um: float | None = Field(
        default=None,
        ge=0.2,
        le=2,
        title="Wavelength",
        description="Emission wavelength in micrometres, such as 0.51 for GFP.",
    )

    @model_validator(mode="after")
    def _one_width(self) -> Optics:
        """Refuse what would be ignored."""
        given = self.model_dump(include={"psf_sigma", "na", "wavelength_um"}, exclude_none=True)
        if self.psf == "bicubic" and given:
            raise PydanticCustomError(
                "psf", "{name} cannot be used with the PSF 'bicubic'", {"name": next(iter(given))}
            )
        if self.psf_sigma is not None and len(given) > 1:
            raise PydanticCustomError(
                "psf_sigma", "psf_sigma cannot be used with na and wavelength_um; give one of them"
            )
        if (self.na is None) != (self.wavelength_um is None):
            lacking = "na" if self.na is None else "wavelength_um"
            raise PydanticCustomError(
                "na",
                "{lacking} must be given too, as the PSF follows from both na and wavelength_um",
                {"lacking": lacking},
            )
        return self

    @classmethod
    def parse(cls, values: object, source: str = "optics") -> Optics:
        """Validate ``values``; the error of the first wrong one is a sentence.

        Raises
        ------
        SettingsError
            If a name is unknown, a value is out of range, or two values are at odds.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(f"{source}: {first_fault(error)}.") from None

    def sigma_in_lr_pixels(self, lr_pixel_um: float | None = None) -> float | None:
        """Return the deviation of the PSF in LR pixels; None if it is not known.

        From NA and wavelength, it is 0.21 wavelength / NA: the least-squares Gaussian of the
        paraxial widefield PSF (Zhang, Zerubia & Olivo-Marin, "Gaussian approximations of
        fluorescence microscope point-spread function models", Applied Optics 46, 2007). That of
        the nonparaxial PSF is 2 % narrower at NA 0.75 and 4 % at 0.95 in air. It is of light in
        focus alone.

        Parameters
        ----------
        lr_pixel_um
            Side of an LR pixel in micrometres; None if unknown.

        Raises
        ------
        SettingsError
            If NA and wavelength are given and the pixel size is unknown, or the PSF is wider than
            this is made for.
        """
        if self.na is None or self.wavelength_um is None:
            return self.psf_sigma
        width = AIRY * self.wavelength_um / self.na
        if not lr_pixel_um:
            raise SettingsError(
                f"The PSF is {width:.3g} um wide by NA and wavelength, but the size of an LR "
                "pixel is not known; give the width in LR pixels, 'psf_sigma', instead, or an "
                "image that tells its pixel size."
            )
        if width / lr_pixel_um > 5:
            raise SettingsError(
                f"The PSF is {width:.3g} um wide by NA and wavelength, which is "
                f"{width / lr_pixel_um:.3g} LR pixels of {lr_pixel_um:g} um where at most 5 can "
                "be; look at 'na', 'wavelength_um' and the pixel size."
            )
        return width / lr_pixel_um

    def ratio_of(self, lr_pixel_um: float | None = None, hr_pixel_um: float | None = None) -> float:
        """Return HR pixels along an LR pixel: as given, else from the pixel sizes.

        Raises
        ------
        SettingsError
            If the ratio is not given and a size is unknown, or the sizes give none that is usable.
        """
        if self.ratio is not None:
            return self.ratio
        if not lr_pixel_um or not hr_pixel_um:
            whose = "the bundle's" if lr_pixel_um else "the LR image's"
            raise SettingsError(
                f"The ratio of pixel sizes is not known, as {whose} pixel size is not; give the "
                "ratio, 'ratio', which is HR pixels along an LR pixel."
            )
        ratio = lr_pixel_um / hr_pixel_um
        if not 1.5 <= ratio <= 256:
            raise SettingsError(
                f"LR pixels of {lr_pixel_um:g} um are {ratio:.3g} of the bundle's, of "
                f"{hr_pixel_um:g} um; 1.5 to 256 are possible: choose another bundle, or give the "
                "ratio, 'ratio', if a pixel size is wrong."
            )
        return ratio

    def crop_operator(self, factor: int, sigma: float) -> Degradation:
        """Return D of crops that LR pixels tile, for a PSF of ``sigma`` LR pixels."""
        from napari_rls.search.degradation import Bicubic, Widefield

        return Bicubic(factor) if self.psf == "bicubic" else Widefield(factor, sigma)
