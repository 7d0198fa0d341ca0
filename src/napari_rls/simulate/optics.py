"""From what is in a cell to what a camera records: blur, background, noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from scipy import ndimage

from napari_rls.models.part import Checked

Array = NDArray[np.float64]
Window = tuple[slice, slice]

FINE = 3
"""Points along a pixel's side at which shapes are drawn before they become pixels."""


class Optics(Checked):
    """A widefield microscope and its camera.

    The defaults are those of a plate scanner: a 20x lens of numerical aperture 0.45
    and 6.5 um camera pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pixel_size_um: float = Field(
        default=0.325, gt=0, le=10, description="Side of a pixel in the specimen, in micrometres."
    )
    aperture: float = Field(default=0.45, gt=0, le=1.5, description="Numerical aperture.")
    emission_um: tuple[float, float] = Field(
        default=(0.461, 0.509),
        description="Emission maximum of each channel in micrometres: Hoechst 33342 and EGFP.",
    )
    haze: float = Field(
        default=0.25, ge=0, le=1, description="Share of the light that is out of focus."
    )
    haze_um: float = Field(
        default=2.5, gt=0, le=50, description="Deviation of the out-of-focus light's blur."
    )
    background: float = Field(
        default=15.0, ge=0, le=1e5, description="Photons a pixel where there is no cell."
    )
    read_noise: float = Field(
        default=1.6, ge=0, le=1000, description="Deviation of the camera's noise, in electrons."
    )
    offset: float = Field(
        default=100.0, ge=0, le=1e4, description="Grey level of a pixel without light."
    )
    gain: float = Field(default=1.0, gt=0, le=100, description="Grey levels an electron.")
    white: int = Field(
        default=65535, ge=1, le=65535, description="Grey level at which the camera saturates."
    )

    def psf_sigma(self, channel: int) -> float:
        """Return the deviation of the Gaussian nearest to the in-focus PSF, in pixels.

        sqrt(2) / (2 pi) wavelength / NA: Zhang, Zerubia & Olivo-Marin, "Gaussian
        approximations of fluorescence microscope point-spread function models", Applied
        Optics 46, 2007, for a 2-D widefield microscope with paraxial rays.
        """
        wavelengths = self.emission_um[channel] / self.pixel_size_um
        return float(math.sqrt(2) / (2 * math.pi) * wavelengths / self.aperture)

    def expected(self, photons: Array) -> Array:
        """Return the expected photons a pixel, blurred, with background.

        Parameters
        ----------
        photons
            Light of the specimen (2, H, W), in photons a pixel.
        """
        images = []
        for channel, plane in enumerate(photons):
            focus = ndimage.gaussian_filter(plane, self.psf_sigma(channel), mode="nearest")
            far = ndimage.gaussian_filter(plane, self.haze_um / self.pixel_size_um, mode="nearest")
            images.append((1 - self.haze) * focus + self.haze * far + self.background)
        return np.stack(images)

    def recorded(self, expected: Array, rng: np.random.Generator) -> NDArray[np.uint16]:
        """Return grey levels with the light's Poisson noise and the camera's read noise."""
        electrons = rng.poisson(expected) + rng.normal(0, self.read_noise, expected.shape)
        levels = np.rint(self.offset + self.gain * electrons)
        return np.asarray(levels.clip(0, self.white), np.uint16)


def to_pixels(fine: NDArray[np.generic]) -> Array:
    """Return the mean over every pixel of what was drawn on the fine grid (n, n)."""
    side = fine.shape[0] // FINE
    return np.asarray(fine.reshape(side, FINE, side, FINE).mean(axis=(1, 3)), np.float64)


def to_labels(fine: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return for every pixel the label that covers more than half of it, 0 if none does."""
    side = fine.shape[0] // FINE
    points = fine.reshape(side, FINE, side, FINE).swapaxes(1, 2).reshape(side, side, FINE**2)
    # More than half of the sorted points being equal, the middle one is among them.
    middle = np.sort(points, axis=2)[:, :, FINE**2 // 2]
    covered = (points == middle[:, :, None]).sum(axis=2) > FINE**2 // 2
    return np.where(covered, middle, 0).astype(np.int32)


class FineGrid:
    """The points on which shapes are drawn: :data:`FINE` along a pixel's side.

    Parameters
    ----------
    size
        Side of the image, in pixels.
    pixel_size_um
        Side of a pixel, in micrometres.

    Attributes
    ----------
    points
        Points along the image's side.
    step
        Distance of two points, in micrometres.
    """

    def __init__(self, size: int, pixel_size_um: float) -> None:
        self.points = size * FINE
        self.step = pixel_size_um / FINE
        self._places: Array = (np.arange(self.points, dtype=np.float64) + 0.5) * self.step

    def zeros(self, dtype: type[np.generic] = np.float64) -> NDArray[Any]:
        """Return an empty drawing (points, points)."""
        return np.zeros((self.points, self.points), dtype)

    def spread(self, pixels: Array) -> Array:
        """Return the drawing of an image (size, size): every point has its pixel's value."""
        return pixels.repeat(FINE, axis=0).repeat(FINE, axis=1)

    def window(self, y: float, x: float, reach: float) -> tuple[Window, Array, Array]:
        """Return the part of a drawing within ``reach`` of a place, all in micrometres.

        Returns
        -------
        window
            Slices of a drawing; empty where the place is too far outside.
        y, x
            Its points, (rows, 1) and (1, columns), in micrometres.
        """
        rows, columns = self._slice(y, reach), self._slice(x, reach)
        return (rows, columns), self._places[rows, None], self._places[None, columns]

    def _slice(self, centre: float, reach: float) -> slice:
        first = math.floor((centre - reach) / self.step)
        last = math.ceil((centre + reach) / self.step) + 1
        return slice(min(max(first, 0), self.points), min(max(last, 0), self.points))
