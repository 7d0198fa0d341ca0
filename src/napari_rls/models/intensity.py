"""Intensities in and out: an invertible map between the LR image's unit and the generator's.

The map is affine per channel, so that what is measured on an SR image is in the
unit of the LR image. It is chosen by what is typical of many cells, so that one cell with a
hot pixel or a piece of debris does not change what is made of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_rls.models.manifest import Intensity

Mode = Literal["auto", "bundle", "match"]

_TOLERANCE = 0.25
"""Data may exceed the bundle's range by this share of it and still count as being in it."""

_DARK = 0.02
"""Data that stay below this share of the bundle's range are in another unit."""

_SHARES = (0.1, 0.9)
"""The quantiles of a cell's pixels that are its dark and its bright level."""


@dataclass(frozen=True)
class Levels:
    """What is typical of cells, per channel, (C,) each: medians over the cells.

    ``dark`` and ``bright`` are the quantiles 0.1 and 0.9 of a cell's pixels; ``least`` and
    ``most`` its extreme pixels.
    """

    least: tuple[float, ...]
    dark: tuple[float, ...]
    bright: tuple[float, ...]
    most: tuple[float, ...]

    @classmethod
    def of(cls, images: NDArray[np.generic]) -> Levels:
        """Return the levels of images (N, C, y, x); pixels that are no numbers do not count."""
        known = np.isfinite(images)
        cells = known.any(axis=(2, 3)).all(axis=1)
        if not cells.any():
            return cls(*((0.0,) * images.shape[1],) * 4)
        finite = np.where(known, images, np.nan)[cells].astype(np.float64)
        quantiles = np.nanquantile(finite, (0, *_SHARES, 1), axis=(2, 3))
        typical = np.nanmedian(quantiles, axis=1)
        return cls(*(tuple(level) for level in typical.tolist()))


@dataclass(frozen=True)
class IntensityMap:
    """Intensities ``low`` and ``high`` per channel that the generator sees as -1 and 1.

    ``mode`` says where they come from: the bundle's own range, or one in which the LR cells
    are as bright as the bundle's.
    """

    mode: Literal["bundle", "match"]
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

    def words(self, channels: Sequence[str]) -> str:
        """Return a sentence on what was found for each channel; empty if nothing was."""
        if self.mode == "bundle":
            return ""
        ends = zip(channels, self.low, self.high, strict=True)
        found = ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, low, high in ends)
        return f"Intensities are matched to those that the bundle knows: {found}."

    @property
    def unit_span(self) -> NDArray[np.float64]:
        """What 1 in the generator's unit is in the LR image's, per channel (C,)."""
        span: NDArray[np.float64] = np.array(self.high) - np.array(self.low)
        return span / 2

    def _per_channel(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low = np.array(self.low)[:, None, None]
        return low, np.array(self.high)[:, None, None] - low


def choose_map(
    lr: NDArray[np.generic],
    trained: Intensity,
    typical: Callable[[], Levels],
    mode: Mode = "auto",
    offset: float | None = None,
) -> IntensityMap:
    """Choose the intensity map for LR images (N, C, y, x).

    ``bundle`` uses the intensities that the bundle was trained with. ``match`` finds offset
    and gain of each channel so that dark and bright pixels of the median cell are those of
    the bundle's cells at the same resolution. ``auto`` matches only if the data lie outside
    the bundle's range or fill almost none of it, as 16-bit data or floats from 0 to 1 do
    with a bundle of 8-bit images.

    Parameters
    ----------
    lr
        LR images (N, C, y, x), in any unit; NaN and infinite pixels do not count.
    trained
        Intensities of the bundle's training images.
    typical
        Gives the levels of the bundle's cells at the LR images' resolution, in the bundle's
        unit; called only where it is needed.
    mode
        How to choose.
    offset
        Intensity of LR pixels without any light, if known; else it is found.
    """
    found = Levels.of(lr)
    channels = len(found.dark)
    if mode == "auto":
        mode = "bundle" if offset is None and in_range(found, trained) else "match"
    if mode == "bundle":
        return IntensityMap("bundle", (trained.low,) * channels, (trained.high,) * channels)
    ends = [_matched(k, found, typical(), trained, offset) for k in range(channels)]
    low, high = zip(*ends, strict=True)
    return IntensityMap("match", low, high)


def in_range(found: Levels, trained: Intensity) -> bool:
    """Tell whether cells are in the bundle's unit: within its range, and not almost black."""
    span = trained.high - trained.low
    return (
        min(found.least) >= trained.low - _TOLERANCE * span
        and max(found.most) <= trained.high + _TOLERANCE * span
        and max(found.most) - trained.low > _DARK * span
    )


def _matched(
    channel: int, found: Levels, typical: Levels, trained: Intensity, offset: float | None
) -> tuple[float, float]:
    """Return what stands for the ends of the trained range in one channel."""
    pairs = [(getattr(found, x)[channel], getattr(typical, x)[channel]) for x in ("dark", "bright")]
    if offset is not None:
        pairs[0] = (offset, trained.low)
    if pairs[1][0] <= pairs[0][0] or pairs[1][1] <= pairs[0][1]:
        # A sparse channel: most pixels of a cell are dark.
        pairs[1] = (found.most[channel], typical.most[channel])
    (dark, dark_there), (bright, bright_there) = pairs
    rises = bright > dark and bright_there > dark_there
    gain = (bright - dark) / (bright_there - dark_there) if rises else 1.0
    low = dark + gain * (trained.low - dark_there)
    return low, low + gain * (trained.high - trained.low)


def unusual_cells(lr: NDArray[np.generic], intensity: IntensityMap) -> Mapping[int, str]:
    """Return the cells of LR images (N, C, y, x) whose intensities no cell should have, and why.

    They do not change what is made of the other cells, but what is made of them is not to be
    trusted.
    """
    shares = (intensity.encode(lr) + 1) / 2
    outside = (shares < -_TOLERANCE) | (shares > 1 + _TOLERANCE)
    return {
        int(k): "it has pixels far outside the intensities that the bundle knows"
        for k in np.flatnonzero(outside.any(axis=(1, 2, 3)))
    }
