"""Intensities in and out: an invertible map between the LR image's unit and the generator's.

The map is affine per channel, so that what is measured on an SR image is in the
unit of the LR image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_rls.models.manifest import Intensity

Mode = Literal["auto", "bundle", "stretch"]

_TOLERANCE = 0.25
"""Data may exceed the bundle's range by this share of it and still count as being in it."""

_DARK = 0.02
"""Data that stay below this share of the bundle's range are in another unit."""


@dataclass(frozen=True)
class IntensityMap:
    """Intensities ``low`` and ``high`` per channel that the generator sees as -1 and 1.

    ``mode`` says where they come from: the bundle's own range, or stretched from the data.
    """

    mode: Literal["bundle", "stretch"]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def encode(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """Map (..., C, y, x) from the LR image's unit to the generator's, -1 to 1."""
        low, span = self._per_channel()
        return ((image.astype(np.float64) - low) / span * 2 - 1).astype(np.float32)

    def decode(self, image: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map (..., C, y, x) from the generator's unit back to the LR image's."""
        low, span = self._per_channel()
        return ((image.astype(np.float64) + 1) / 2 * span + low).astype(np.float32)

    @property
    def unit_span(self) -> NDArray[np.float64]:
        """What 1 in the generator's unit is in the LR image's, per channel (C,)."""
        span: NDArray[np.float64] = np.array(self.high) - np.array(self.low)
        return span / 2

    def _per_channel(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low = np.array(self.low)[:, None, None]
        return low, np.array(self.high)[:, None, None] - low


def choose_map(lr: NDArray[np.generic], trained: Intensity, mode: Mode = "auto") -> IntensityMap:
    """Choose the intensity map for LR images (N, C, y, x).

    ``bundle`` uses the intensities that the bundle was trained with. ``stretch``
    maps each channel's minimum and maximum over the whole stack to the ends of
    that range. ``auto`` stretches only if the data lie outside the bundle's range
    or fill almost none of it, as 16-bit data or floats from 0 to 1 do with a
    bundle of 8-bit images.
    """
    channels = lr.shape[1]
    finite = np.where(np.isfinite(lr), lr, np.nan).astype(np.float64)
    low, high = (f(finite, axis=(0, 2, 3)) for f in (np.nanmin, np.nanmax))
    if mode == "auto":
        span = trained.high - trained.low
        fits = (
            low.min() >= trained.low - _TOLERANCE * span
            and high.max() <= trained.high + _TOLERANCE * span
            and high.max() - trained.low > _DARK * span
        )
        mode = "bundle" if fits else "stretch"
    if mode == "bundle":
        return IntensityMap("bundle", (trained.low,) * channels, (trained.high,) * channels)
    flat = high <= low
    high = np.where(flat, low + 1, high)
    return IntensityMap("stretch", tuple(low.tolist()), tuple(high.tolist()))
