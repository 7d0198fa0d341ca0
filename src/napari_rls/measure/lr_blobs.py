"""Small Gaussian blobs as wide as nuclei, of which an LR image is taken for a sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
import skimage

from napari_rls.measure.lr_image import Image, LrImage, share_in_pixels

_POINTS: Final = 6.0
"""Points of the fine grid along the diameter of a nucleus, about."""
_ITERATIONS: Final = 25
_SMOOTH: Final = 1.0
"""Blur of the blobs before the threshold, as a share of a nucleus' deviation: blobs as they are."""
_BRIGHTEST: Final = 2.0
"""What is brighter than so many typical nuclei counts as that bright in the threshold."""


@dataclass(frozen=True, eq=False)
class Blobs:
    """How nuclei look in an image.

    Parameters
    ----------
    blob, psf
        Deviations of a nucleus and of the PSF in LR pixels.
    points
        Points of the fine grid along an LR pixel.
    noise
        Deviation of the image's noise.
    start
        Brightness before the first iteration, the same everywhere.
    """

    blob: float
    psf: float
    points: int
    noise: float
    start: float

    @classmethod
    def of(cls, image: LrImage, blob: float, psf: float) -> Blobs:
        """Return how nuclei of a deviation ``blob`` look through a PSF in an image."""
        largest, light = -math.inf, 0.0
        for strip in image.strips():
            largest = max(largest, float(strip.max()))
            light += float(np.maximum(strip, 0).sum(dtype=np.float64))
        noise = max(image.noise, 1e-3 * largest)
        start = light / math.prod(image.shape) + noise
        return cls(blob, psf, max(1, round(_POINTS / (4 * blob))), noise, start)

    @property
    def fine(self) -> float:
        """Deviation of a nucleus in points of the fine grid."""
        return self.blob * self.points

    @property
    def diameter(self) -> float:
        """Diameter of a nucleus in points of the fine grid."""
        return 4 * self.fine

    def sharpened(self, image: Image) -> Image:
        """Return the brightness of the blobs on the fine grid, one LR pixel more a side.

        It is found by Richardson and Lucy's iteration with Nesterov's momentum.
        """
        rows, columns = (self._seen(size) for size in image.shape)
        # What a pixel shows besides blobs, so that noise and darkness need none.
        floor = np.float32(self.noise)
        image = np.maximum(image, 0) + floor
        reach = np.maximum(np.outer(rows.sum(0), columns.sum(0)), 1e-3)
        now = before = np.full(reach.shape, self.start / self.points**2, np.float32)
        for k in range(_ITERATIONS):
            ahead = np.maximum(now + np.float32(k / (k + 3)) * (now - before), 0)
            lack = image / (rows @ ahead @ columns.T + floor)
            now, before = ahead * (rows.T @ lack @ columns) / reach, now
        return now * np.float32(self.points**2)

    def smooth(self, sharp: Image) -> Image:
        """Return a sharpened image with each blob as wide as it is."""
        smooth: Image = scipy.ndimage.gaussian_filter(sharp, _SMOOTH * self.fine)
        return smooth

    def threshold(self, smooth: Sequence[Image]) -> float:
        """Return Otsu's threshold of parts of an image, in which no object counts for many."""
        tops = np.concatenate([image[(image > 5 * self.noise) & is_top(image)] for image in smooth])
        if not tops.size:
            return np.inf
        pixels = np.concatenate([image.ravel() for image in smooth])
        pixels = np.minimum(pixels, _BRIGHTEST * np.median(tops))
        return float(skimage.filters.threshold_otsu(pixels))

    def contrast(self, image: Image) -> Image:
        """Return how much like a nucleus an image is at each pixel, in deviations of the noise."""
        reach = math.ceil(3 * math.hypot(self.psf, self.blob)) + 1
        weights = share_in_pixels(np.arange(-reach, reach + 1.0), math.hypot(self.psf, self.blob))
        weights /= np.sqrt((weights**2).sum())
        for axis in (0, 1):
            image = scipy.ndimage.correlate1d(image, weights, axis, mode="nearest")
        return image / np.float32(self.noise)

    def _seen(self, size: int) -> Image:
        """Return what pixels (size) see of blobs at the points of the fine grid."""
        at = (np.arange(-self.points, (size + 1) * self.points) + 0.5) / self.points - 0.5
        return share_in_pixels(np.arange(size)[:, None] - at, math.hypot(self.psf, self.blob))


def is_top(image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return where an image is not below any of its eight neighbours."""
    top: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
        scipy.ndimage.maximum_filter(image, 3, mode="nearest") == image
    )
    return top
