"""An LR image without what a camera adds to it: background, noise, hot pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_rls.errors import InputError

Image = NDArray[np.float32]

_DARK: Final = 20
"""Percentile of a block's pixels that is its background."""
_DARK_SIGMA: Final = 0.84
"""How far that percentile of normal noise is below its mean."""
_RAISED: Final = 0.4
"""How far the background is raised from it before blobs are looked for, in deviations.

Where nuclei are everywhere even the dark pixels have some of their light, so less than above.
"""
_SAMPLED: Final = 4_000_000
"""Pixels, spread over the image, from which the noise is taken."""
_BAND: Final = 64
"""Rows of a part of them."""
_STRIP: Final = 4_000_000
"""Pixels that are looked at at once where all are."""


def share_in_pixels(offsets: NDArray[np.float64], sigma: float) -> Image:
    """Return the share of a Gaussian in a pixel whose centre is so far from its own."""
    edges = [(offsets + side) / max(sigma, 1e-6) for side in (0.5, -0.5)]
    share: Image = (scipy.special.ndtr(edges[0]) - scipy.special.ndtr(edges[1])).astype(np.float32)
    return share


@dataclass(frozen=True, eq=False)
class LrImage:
    """An image above its background, made window by window, so that memory does not grow with it.

    Its unit is such that no pixel is beyond 1 of the median.

    Parameters
    ----------
    pixels
        The image (h, w), all finite.
    median, unit
        What is subtracted of it and what it is then multiplied with.
    background
        What stands for no light, in the new unit.
    noise
        Deviation of the noise in it.
    sigma
        Deviation in pixels of the smallest thing that the lens can show.
    """

    pixels: NDArray[Any]
    median: float
    unit: float
    background: _Background
    noise: float
    sigma: float

    @classmethod
    def of(cls, image: NDArray[np.generic], block: int, sigma: float) -> LrImage:
        """Return an image (h, w) above the background of blocks of so many pixels.

        Raises
        ------
        InputError
            If it has not two axes, or no finite pixel.
        """
        pixels = _finite(image)
        median = float(np.median(pixels))
        unit = 1 / (max(float(pixels.max()) - median, median - float(pixels.min())) or 1.0)
        background = _Background.of(pixels, median, unit, block)
        made = cls(pixels, median, unit, background, 0.0, sigma)
        height, width = made.shape
        noise = _noise_of([made._above(rows, slice(0, width)) for rows in _bands(height, width)])
        if np.issubdtype(pixels.dtype, np.integer):
            noise = max(noise, unit / math.sqrt(12))
        return cls(pixels, median, unit, background, noise, sigma)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.pixels.shape
        return height, width

    def window(self, rows: slice, columns: slice) -> Image:
        """Return a part above the background, which is raised by some of the noise.

        Pixels so much above all neighbours that no PSF explains them count as their neighbours.
        """
        height, width = self.shape
        around = [
            slice(max(part.start - 1, 0), min(part.stop + 1, size))
            for part, size in zip((rows, columns), (height, width), strict=True)
        ]
        above = self._above(*around) - np.float32(_RAISED * self.noise)
        whole = _without_hot_pixels(above, self.sigma, self.noise)
        top, left = rows.start - around[0].start, columns.start - around[1].start
        return whole[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]

    def from_dark(self, window: Image, noise: float) -> Image:
        """Return a window above the background of pixels that have no light of nuclei at all."""
        return window - np.float32((_DARK_SIGMA - _RAISED) * noise)

    def strips(self) -> Iterator[Image]:
        """Go through windows that tile the image."""
        height, width = self.shape
        rows = max(1, _STRIP // width)
        for top in range(0, height, rows):
            yield self.window(slice(top, min(top + rows, height)), slice(0, width))

    def _above(self, rows: slice, columns: slice) -> Image:
        part = _scaled(self.pixels[rows, columns], self.median, self.unit)
        return part - self.background.window(rows, columns)


@dataclass(frozen=True, eq=False)
class _Background:
    """A low percentile of blocks, smooth in between."""

    rows: NDArray[np.float64]  # (h, blocks), of every row
    columns: NDArray[np.float64]  # (blocks, w), how much it counts in a column

    @classmethod
    def of(cls, pixels: NDArray[Any], median: float, unit: float, block: int) -> _Background:
        edges = [
            np.linspace(0, size, math.ceil(size / block) + 1).round().astype(int)
            for size in pixels.shape
        ]
        low = np.array(
            [
                _dark_level(_scaled(pixels[top:bottom], median, unit), edges[1])
                for top, bottom in pairwise(edges[0])
            ]
        )
        low = scipy.ndimage.gaussian_filter(low, 1, mode="nearest")
        rows, columns = (
            np.array(
                [
                    np.interp(np.arange(e[-1]), (e[:-1] + e[1:] - 1) / 2, one)
                    for one in np.eye(len(e) - 1)
                ]
            )
            for e in edges
        )
        return cls(rows.T @ low, columns)

    def window(self, rows: slice, columns: slice) -> Image:
        part: Image = (self.rows[rows] @ self.columns[:, columns]).astype(np.float32)
        return part


def _dark_level(strip: Image, edges: NDArray[np.int_]) -> NDArray[np.float32]:
    """Return the dark percentile of the blocks of a strip that lie between columns."""
    levels = np.empty(len(edges) - 1, np.float32)
    widths = np.diff(edges)
    for width in np.unique(widths):
        chosen = np.flatnonzero(widths == width)
        blocks = strip[:, edges[chosen][:, None] + np.arange(width)]
        levels[chosen] = np.percentile(blocks, _DARK, axis=(0, 2))
    return levels


def _finite(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image of finite pixels: others count as the nearest that is."""
    if image.ndim != 2 or 0 in image.shape:
        raise InputError(f"An image of two axes (y, x) is needed, not one of shape {image.shape}.")
    if np.issubdtype(image.dtype, np.integer):
        return image
    floating = np.issubdtype(image.dtype, np.floating)
    values = image if floating else image.astype(np.float64)
    finite = np.isfinite(values)
    if finite.all():
        return values
    if not finite.any():
        raise InputError("No pixel of the DNA image is a finite number; give another image.")
    nearest = scipy.ndimage.distance_transform_edt(
        ~finite, return_distances=False, return_indices=True
    )
    filled: NDArray[Any] = values[tuple(nearest)]
    return filled


def _scaled(pixels: NDArray[Any], median: float, unit: float) -> Image:
    scaled: Image = ((np.asarray(pixels, np.float64) - median) * unit).astype(np.float32)
    return scaled


def _bands(height: int, width: int) -> list[slice]:
    """Return rows that are all of a usual image, some of a large one."""
    if height * width <= _SAMPLED:
        return [slice(0, height)]
    tops = np.linspace(0, height - _BAND, max(1, _SAMPLED // (_BAND * width))).round()
    return [slice(int(top), int(top) + _BAND) for top in tops]


def _noise_of(bands: Sequence[Image]) -> float:
    """Return the deviation of the noise of an image above its background, of parts of it.

    Nuclei only add to the two signs of it, so the smaller one holds: second differences
    that are small for their kind, and how far the darkest pixels are below dark ones.
    """
    pixels = np.concatenate([band.ravel() for band in bands])
    dark, darkest = np.quantile(pixels, (_DARK / 100, 0.02))
    deviation = float(dark - darkest) / (2.054 - 0.842)
    if min(bands[0].shape) < 3:
        return deviation
    seconds = [_second_differences(band).ravel() for band in bands]
    spread = float(np.quantile(np.abs(np.concatenate(seconds)), 0.2))
    return min(deviation, spread / 6 / 0.2533)


def _second_differences(above: Image) -> Image:
    rows = above[:-2] - 2 * above[1:-1] + above[2:]
    both: Image = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return both


def _without_hot_pixels(image: Image, sigma: float, noise: float) -> Image:
    """Return an image without pixels so much above all neighbours that no PSF explains them."""
    middle, side = share_in_pixels(np.array([0.0, 1.0]), sigma)
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    ratio = 1.5 * middle / max(side, 1e-3)
    brightest = scipy.ndimage.maximum_filter(image, footprint=around, mode="mirror")
    hot = image > ratio * np.maximum(brightest, 2 * noise) + 3 * noise
    if not hot.any():
        return image
    mean = scipy.ndimage.median_filter(image, footprint=around, mode="mirror")
    return np.where(hot, mean, image)
