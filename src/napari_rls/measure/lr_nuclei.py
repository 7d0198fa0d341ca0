"""Nuclei in a whole field of low resolution, where one is a few pixels across or less than one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from napari_rls.errors import InputError
from napari_rls.measure.lr_blobs import Blobs
from napari_rls.measure.lr_image import Image, LrImage
from napari_rls.measure.lr_parts import Points, parts_of
from napari_rls.models.part import Checked

_MARGIN: Final = 4.0
"""Overlap of tiles in diameters: what is farther from a nucleus does not change it."""
_TILE: Final = 256
"""Side of a tile without its overlap, in points of the fine grid."""
_SAMPLED: Final = 64
"""Tiles, spread over the image, from which the threshold is taken."""
_BLOCK: Final = 8.0
"""Side of the blocks, in diameters, whose dark pixels are the background."""


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
    above the threshold.

    The image is worked on in overlapping tiles, and where nothing has the contrast of a nucleus
    not at all, so that memory beside the image does not grow with it, and time does in
    proportion. Beyond 4 million pixels the noise is taken from as many that are spread over it,
    and the threshold from 64 tiles.

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
    for value, low, what in (
        (ratio, 1.5, "The ratio of pixel sizes"),
        (psf_sigma, 0, "The width of the PSF"),
        (diameter, 1, "The diameter of a nucleus"),
    ):
        if not low <= value <= 1000:
            raise InputError(f"{what} is {value:g}; give a number from {low:g} to 1000.")
    # The deviation of a disc is a quarter of its diameter.
    blob = diameter / 4 / ratio
    image = LrImage.of(
        dna, max(3, round(_BLOCK * diameter / ratio)), math.hypot(psf_sigma, blob / 2)
    )
    blobs = Blobs.of(image, blob, psf_sigma)
    if blobs.noise <= 0:  # all pixels are alike
        return FoundNuclei(np.empty((0, 2)), np.empty(0))
    tiles = list(_tiles(image.shape, blobs))
    # All tiles of a usual field, some of a large one.
    sampled = np.unique(np.linspace(0, len(tiles) - 1, min(_SAMPLED, len(tiles))).round())
    sharp = {int(k): blobs.sharpened(image.window(*tiles[int(k)].window)) for k in sampled}
    threshold = settings.brightness * blobs.threshold(
        [tiles[k].core_of(blobs.smooth(one), blobs.points) for k, one in sharp.items()]
    )
    centres, scores = [np.empty((0, 2))], [np.empty(0)]
    for k, tile in enumerate(tiles):
        window = image.window(*tile.window)
        contrasts = blobs.contrast(image.from_dark(window, blobs.noise))
        if tile.highest(contrasts) < settings.contrast:
            continue
        one = sharp.pop(k) if k in sharp else blobs.sharpened(window)
        found = parts_of(
            one,
            blobs,
            threshold,
            spacing=settings.spacing * blobs.diameter,
            min_area=settings.min_area * math.pi / 4 * blobs.diameter**2,
        )
        contrast = _at(contrasts, found)
        found += tile.corner
        # Of an overlap, each tile gives what is nearer to its own middle.
        own = tile.owns(found) & (contrast >= settings.contrast)
        centres.append(found[own])
        scores.append(contrast[own])
    return FoundNuclei(np.concatenate(centres), np.concatenate(scores))


@dataclass(frozen=True)
class _Tile:
    """A part of the image: the window that is worked on, and the core that is its own."""

    window: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column of the window."""
        return self.window[0].start, self.window[1].start

    def owns(self, centres: Points) -> NDArray[np.bool_]:
        """Return which centres in pixels of the image lie in the core."""
        low, high = np.array([(part.start, part.stop) for part in self.core]).T - 0.5
        own: NDArray[np.bool_] = ((centres >= low) & (centres < high)).all(1)
        return own

    def core_of(self, sharp: Image, points: int) -> Image:
        """Return the core of a sharpened window, so that each pixel counts once."""
        return sharp[
            tuple(
                slice((core.start + 1 - part.start) * points, (core.stop + 1 - part.start) * points)
                for core, part in zip(self.core, self.window, strict=True)
            )
        ]

    def highest(self, contrasts: Image) -> float:
        """Return the highest contrast that a centre in the core can have."""
        near = (
            slice(max(core.start - 1 - part.start, 0), core.stop + 1 - part.start)
            for core, part in zip(self.core, self.window, strict=True)
        )
        return float(contrasts[tuple(near)].max())


def _tiles(shape: tuple[int, int], blobs: Blobs) -> Iterator[_Tile]:
    side = max(16, _TILE // blobs.points)
    margin = math.ceil(_MARGIN * 4 * blobs.blob + 4 * blobs.psf) + 4
    each = [
        [
            (
                slice(max(0, first - margin), min(size, first + side + margin)),
                slice(first, min(first + side, size)),
            )
            for first in range(0, size, side)
        ]
        for size in shape
    ]
    for rows, core_rows in each[0]:
        for columns, core_columns in each[1]:
            yield _Tile((rows, columns), (core_rows, core_columns))


def _at(contrasts: Image, centres: Points) -> NDArray[np.float64]:
    """Return the contrast (K,) at places of a window."""
    values: NDArray[np.float64] = scipy.ndimage.map_coordinates(
        contrasts.astype(np.float64), centres.T, order=1, mode="nearest"
    )
    return values
