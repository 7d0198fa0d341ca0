"""Nuclei in a whole field of low resolution, where one is a few pixels across or less than one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
import skimage
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from napari_rls.errors import InputError
from napari_rls.measure.lr_image import (
    Image,
    background_of,
    finite_image,
    noise_of,
    share_in_pixels,
    without_hot_pixels,
)
from napari_rls.models.part import Checked

Points = NDArray[np.float64]

_POINTS: Final = 6.0
"""Points of the fine grid along the diameter of a nucleus, about."""
_ITERATIONS: Final = 25
_MARGIN: Final = 4.0
"""Overlap of tiles in diameters: what is farther from a nucleus does not change it."""
_TILE: Final = 256
"""Side of a tile without its overlap, in points of the fine grid."""
_SAMPLED: Final = 64
"""Tiles, spread over the image, from which the threshold is taken."""
_BLOCK: Final = 8.0
"""Side of the blocks, in diameters, whose dark pixels are the background."""
_DARK_SIGMA: Final = 0.84
"""How far that percentile of normal noise is below its mean."""
_RAISED: Final = 0.4
"""How far the background is raised from it before blobs are looked for, in deviations.

Where nuclei are everywhere even the dark pixels have some of their light, so less than above.
"""
_SMOOTH: Final = 1.0
"""Blur of the blobs before the threshold, as a share of a nucleus' deviation: blobs as they are."""
_PEAKED: Final = 0.8
"""The same before peaks are looked for."""
_BRIGHTEST: Final = 2.0
"""What is brighter than so many typical nuclei counts as that bright in the threshold."""


class LrNucleusSettings(Checked):
    """How nuclei are found in LR fields; lengths are in diameters of a nucleus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    brightness: float = Field(
        default=0.92,
        ge=0,
        le=10,
        title="Darkest nucleus",
        description="Darker objects are no nuclei, as a share of Otsu's threshold.",
    )
    contrast: float = Field(
        default=4.0,
        ge=0,
        le=1000,
        title="Least contrast",
        description="Objects of less contrast are no nuclei, in deviations of the noise.",
    )
    spacing: float = Field(
        default=0.8,
        ge=0,
        le=10,
        title="Nearest nuclei",
        description="Smallest distance between the peaks of two nuclei, in diameters.",
    )
    min_area: float = Field(
        default=0.2,
        ge=0,
        le=10,
        title="Smallest nucleus",
        description="Smaller objects are no nuclei, as a share of a typical nucleus' area.",
    )


@dataclass(frozen=True, eq=False)
class FoundNuclei:
    """Nuclei of one LR field.

    Parameters
    ----------
    centres
        Their centres (K, 2), y and x in LR pixels; the centre of the first pixel is 0.
    scores
        Their contrast (K,) above the background, in standard deviations of the noise of
        an image that is filtered with a nucleus' own shape.
    """

    centres: Points
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centres)


def find_lr_nuclei(
    dna: NDArray[np.generic],
    *,
    ratio: float,
    psf_sigma: float,
    diameter: float,
    settings: LrNucleusSettings | None = None,
) -> FoundNuclei:
    """Find the nuclei of a DNA image (h, w) of low resolution, to a fraction of a pixel.

    The image is taken for a sum of many small Gaussian blobs, as wide as a nucleus, seen
    through the PSF and the pixels; their brightness on a grid finer than the pixels is
    found by Richardson and Lucy's iteration with Nesterov's momentum. Otsu's threshold
    tells nuclei from the background, peaks (of brightness times the root of the depth in the
    object) divide those that touch, and a nucleus is at the centroid of what its part has
    above the threshold. The image is worked on in overlapping tiles.

    Parameters
    ----------
    dna
        DNA image (h, w) in any unit; offset and gain do not matter. Pixels that are not
        finite, and hot ones, which no PSF explains, count as their neighbours.
    ratio
        HR pixels along the side of an LR pixel.
    psf_sigma
        Standard deviation of the Gaussian PSF in LR pixels.
    diameter
        Of a typical nucleus, in HR pixels: about 15 in BBBC013.
    settings
        What counts as a nucleus.

    Returns
    -------
    FoundNuclei
        Possibly none, as in an image without contrast.

    Raises
    ------
    InputError
        If the image has not two axes, no finite pixel, or a number is out of its range.

    Examples
    --------
    >>> y, x = np.mgrid[:20, :20]
    >>> dna = 100 + 900 * np.exp(-((y - 8.3) ** 2 + (x - 11.6) ** 2) / 2)
    >>> found = find_lr_nuclei(dna, ratio=4, psf_sigma=0.45, diameter=15)
    >>> found.centres.round(1)
    array([[ 8.3, 11.6]])
    """
    settings = settings or LrNucleusSettings()
    field = _Field.of(dna, ratio, psf_sigma, diameter)
    tiles = list(field.tiles())
    # All tiles of a usual field, some of a large one.
    sampled = np.unique(np.linspace(0, len(tiles) - 1, min(_SAMPLED, len(tiles))).round())
    sharp = {int(k): field.sharpened(tiles[int(k)]) for k in sampled}
    threshold = settings.brightness * field.threshold([(tiles[k], one) for k, one in sharp.items()])
    centres, scores = [np.empty((0, 2))], [np.empty(0)]
    for k, tile in enumerate(tiles):
        image = sharp.pop(k) if k in sharp else field.sharpened(tile)
        found = field.centres(image, tile, threshold, settings)
        contrast = field.contrast(found, tile)
        # Of an overlap, each tile gives what is nearer to its own middle.
        own = tile.owns(found) & (contrast >= settings.contrast)
        centres.append(found[own])
        scores.append(contrast[own])
    return FoundNuclei(np.concatenate(centres), np.concatenate(scores))


@dataclass(frozen=True)
class _Tile:
    """A part of the image: the window that is worked on, and the core that is its own."""

    window: tuple[slice, slice]
    core: tuple[tuple[float, float], tuple[float, float]]

    def owns(self, centres: Points) -> NDArray[np.bool_]:
        low, high = np.array(self.core).T
        own: NDArray[np.bool_] = ((centres >= low) & (centres < high)).all(1)
        return own


@dataclass(frozen=True, eq=False)
class _Field:
    """An image above its background, and how nuclei look in it."""

    image: Image  # (h, w)
    noise: float
    start: float  # brightness before the first iteration, the same in all tiles
    blob: float  # deviation of a nucleus in LR pixels
    psf: float
    points: int  # of the fine grid along an LR pixel

    @classmethod
    def of(
        cls, dna: NDArray[np.generic], ratio: float, psf_sigma: float, diameter: float
    ) -> _Field:
        for value, low, what in (
            (ratio, 1.5, "The ratio of pixel sizes"),
            (psf_sigma, 0, "The width of the PSF"),
            (diameter, 1, "The diameter of a nucleus"),
        ):
            if not low <= value <= 1000:
                raise InputError(f"{what} is {value:g}; give a number from {low:g} to 1000.")
        image, unit = finite_image(dna)
        # The deviation of a disc is a quarter of its diameter.
        blob = diameter / 4 / ratio
        above = image - background_of(image, max(3, round(_BLOCK * diameter / ratio)))
        noise = noise_of(above)
        if np.issubdtype(dna.dtype, np.integer):
            noise = max(noise, unit / math.sqrt(12))
        above -= np.float32(_RAISED * noise)
        above = without_hot_pixels(above, math.hypot(psf_sigma, blob / 2), noise)
        points = max(1, round(_POINTS * ratio / diameter))
        noise = max(noise, 1e-3 * float(above.max()))
        start = float(np.maximum(above, 0).mean()) + noise
        return cls(above, noise, start, blob, psf_sigma, points)

    @property
    def fine(self) -> float:
        """Deviation of a nucleus in points of the fine grid."""
        return self.blob * self.points

    @property
    def diameter(self) -> float:
        """Diameter of a nucleus in points of the fine grid."""
        return 4 * self.fine

    def tiles(self) -> Iterator[_Tile]:
        side = max(16, _TILE // self.points)
        margin = math.ceil(_MARGIN * 4 * self.blob + 4 * self.psf) + 4
        height, width = self.image.shape
        for top in range(0, height, side):
            for left in range(0, width, side):
                ends = ((top, height), (left, width))
                yield _Tile(
                    (
                        slice(max(0, top - margin), min(height, top + side + margin)),
                        slice(max(0, left - margin), min(width, left + side + margin)),
                    ),
                    (
                        (top - 0.5, min(top + side, ends[0][1]) - 0.5),
                        (left - 0.5, min(left + side, ends[1][1]) - 0.5),
                    ),
                )

    def sharpened(self, tile: _Tile) -> Image:
        """Return the brightness of the blobs on the fine grid, one LR pixel more a side."""
        image = self.image[tile.window]
        rows, columns = (self._seen(size) for size in image.shape)
        # What a pixel shows besides blobs, so that noise and darkness need none.
        floor = np.float32(self.noise)
        if floor <= 0:
            return np.zeros((rows.shape[1], columns.shape[1]), np.float32)
        image = np.maximum(image, 0) + floor
        reach = np.maximum(np.outer(rows.sum(0), columns.sum(0)), 1e-3)
        now = before = np.full(reach.shape, self.start / self.points**2, np.float32)
        for k in range(_ITERATIONS):
            ahead = np.maximum(now + np.float32(k / (k + 3)) * (now - before), 0)
            lack = image / (rows @ ahead @ columns.T + floor)
            now, before = ahead * (rows.T @ lack @ columns) / reach, now
        return now * np.float32(self.points**2)

    def threshold(self, sharp: list[tuple[_Tile, Image]]) -> float:
        """Return Otsu's threshold of tiles, in which no object counts for more than some nuclei."""
        images = []
        for tile, one in sharp:
            smooth = scipy.ndimage.gaussian_filter(one, _SMOOTH * self.fine)
            # Each pixel counts once, however many tiles show it.
            (top, bottom), (left, right) = (
                [round((end + 1.5 - part.start) * self.points) for end in ends]
                for ends, part in zip(tile.core, tile.window, strict=True)
            )
            images.append(smooth[top:bottom, left:right])
        tops = np.concatenate(
            [image[(image > 5 * self.noise) & _is_top(image)] for image in images]
        )
        if not tops.size:
            return np.inf
        pixels = np.concatenate([image.ravel() for image in images])
        pixels = np.minimum(pixels, _BRIGHTEST * np.median(tops))
        return float(skimage.filters.threshold_otsu(pixels))

    def _seen(self, size: int) -> Image:
        """Return what pixels (size) see of blobs at the points of the fine grid."""
        at = (np.arange(-self.points, (size + 1) * self.points) + 0.5) / self.points - 0.5
        return share_in_pixels(np.arange(size)[:, None] - at, math.hypot(self.psf, self.blob))

    def centres(
        self, sharp: Image, tile: _Tile, threshold: float, settings: LrNucleusSettings
    ) -> Points:
        """Return the centres (K, 2) of the nuclei of a tile in pixels of the image."""
        smooth = scipy.ndimage.gaussian_filter(sharp, _SMOOTH * self.fine)
        mask = smooth > threshold
        peaked = scipy.ndimage.gaussian_filter(sharp, _PEAKED * self.fine)
        # A nucleus of two bright lobes has one middle, touching ones have two.
        depth = scipy.ndimage.distance_transform_edt(mask)
        depth = scipy.ndimage.gaussian_filter(depth, self.fine / 2).astype(np.float32)
        peaked *= np.sqrt(np.maximum(depth, 1e-3))
        peaks = _apart(
            np.argwhere(_is_top(peaked) & mask), peaked, settings.spacing * self.diameter
        )
        markers = np.zeros(mask.shape, np.int32)
        markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        parts = skimage.segmentation.watershed(-peaked, markers, mask=mask)
        areas = np.bincount(parts.ravel(), minlength=len(peaks) + 1)[1:]
        big = np.flatnonzero(areas >= settings.min_area * math.pi / 4 * self.diameter**2) + 1
        middles = scipy.ndimage.center_of_mass(smooth - threshold, parts, big) if big.size else []
        fine = np.array(middles, np.float64).reshape(-1, 2)
        corner = [part.start for part in tile.window]
        centres: Points = (fine + 0.5) / self.points - 1.5 + corner
        return centres

    def contrast(self, centres: Points, tile: _Tile) -> NDArray[np.float64]:
        """Return the contrast (K,) of nuclei in deviations of the noise."""
        reach = math.ceil(3 * math.hypot(self.psf, self.blob)) + 1
        weights = share_in_pixels(np.arange(-reach, reach + 1.0), math.hypot(self.psf, self.blob))
        weights /= np.sqrt((weights**2).sum())
        seen = self.image[tile.window] - np.float32((_DARK_SIGMA - _RAISED) * self.noise)
        for axis in (0, 1):
            seen = scipy.ndimage.correlate1d(seen, weights, axis, mode="nearest")
        corner = [part.start for part in tile.window]
        values = scipy.ndimage.map_coordinates(
            seen.astype(np.float64), (centres - corner).T, order=1, mode="nearest"
        )
        contrast: NDArray[np.float64] = values / self.noise
        return contrast


def _is_top(image: Image) -> NDArray[np.bool_]:
    """Return where an image is not below any of its eight neighbours."""
    top: NDArray[np.bool_] = scipy.ndimage.maximum_filter(image, 3, mode="nearest") == image
    return top


def _apart(peaks: NDArray[np.intp], image: Image, distance: float) -> NDArray[np.intp]:
    """Return the peaks (K, 2) that have no brighter one of them within a distance."""
    peaks = peaks[np.argsort(-image[tuple(peaks.T)], kind="stable")]
    if len(peaks) < 2:
        return peaks
    keep = np.ones(len(peaks), bool)
    for one, near in enumerate(scipy.spatial.cKDTree(peaks).query_ball_point(peaks, distance)):
        if keep[one]:
            keep[[other for other in near if other > one]] = False
    return peaks[keep]
