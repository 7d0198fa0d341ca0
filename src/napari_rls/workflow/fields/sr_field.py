"""The SR image of a field: crops of its cells blended, the upsampled LR image between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_BACKGROUND = 0.05
"""Weight of the interpolated LR image, that crops fade into it at their edges."""

_ALL = slice(None)

_MARGIN = 10
"""LR pixels around a region that its interpolation looks at."""


def on_hr_grid(places: NDArray[np.float64], hr_size: int, ratio: float) -> NDArray[np.float64]:
    """Return places (N, 2) in LR pixels moved so that crops lie on the field's HR pixels.

    They move by half an HR pixel at most.

    Examples
    --------
    >>> on_hr_grid(np.array([[10.0, 12.3]]), 64, 8)
    array([[10.  , 12.25]])
    """
    return _place_of(_corner_of(places, hr_size, ratio), hr_size, ratio)


def _corner_of(places: NDArray[np.float64], hr_size: int, ratio: float) -> NDArray[np.int64]:
    """Return the first HR row and column (N, 2) of crops."""
    first = (places + 0.5) * ratio - 0.5 - (hr_size - 1) / 2
    corners: NDArray[np.int64] = np.round(first).astype(np.int64)
    return corners


def _place_of(corners: NDArray[np.int64], hr_size: int, ratio: float) -> NDArray[np.float64]:
    return np.asarray((corners + (hr_size - 1) / 2 + 0.5) / ratio - 0.5, np.float64)


@dataclass(frozen=True, eq=False)
class SrField:
    """An SR field, made region by region, so that memory does not grow with it.

    HR pixel i of the field is centred at the LR coordinate (i + 1/2) / ratio - 1/2. Where crops
    of cells overlap, they are blended with weights that fall from 1 in a crop's centre to 0 at
    its edge, where they fade into the LR field, interpolated by cubic splines.

    Parameters
    ----------
    lr
        The LR field (C, h, w).
    sr
        SR crops (N, C, S, S), in the field's unit.
    places
        Their centres (N, 2) in LR pixels, on the grid of HR pixels (:func:`on_hr_grid`).
    ratio
        HR pixels along an LR pixel.
    """

    lr: NDArray[np.generic]
    sr: NDArray[np.float32]
    places: NDArray[np.float64]
    ratio: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns."""
        channels, height, width = self.lr.shape
        return channels, round(height * self.ratio), round(width * self.ratio)

    @cached_property
    def corners(self) -> NDArray[np.int64]:
        """First HR row and column (N, 2) of the crops; they may lie outside the field."""
        return _corner_of(self.places, self.sr.shape[-1], self.ratio)

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        size = self.sr.shape[-1]
        side = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
        weights: NDArray[np.float32] = np.outer(side, side).astype(np.float32)
        return weights

    def region(
        self, rows: slice, columns: slice, channels: slice = _ALL
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the image (C, y, x) of a region, and where any of it is generated (y, x).

        Parameters
        ----------
        rows, columns
            HR rows and columns, with a start and a stop each.
        channels
            Which channels; by default all.
        """
        start = np.array([rows.start, columns.start])
        shape = rows.stop - rows.start, columns.stop - columns.start
        size = self.sr.shape[-1]
        image = _BACKGROUND * self._upsampled(rows, columns, channels)
        total = np.zeros(shape, np.float32)
        corners = self.corners - start
        for k in np.flatnonzero(((corners > -size) & (corners < shape)).all(1)):
            if not np.isfinite(self.sr[k]).all():
                continue
            there, here = zip(*map(_overlap, corners[k], shape, (size, size)), strict=True)
            image[:, *there] += self._weights[here] * self.sr[k, channels][:, *here]
            total[there] += self._weights[here]
        image /= total + _BACKGROUND
        return image, total > 0

    def labels(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the label image (H, W) of label images (N, S, S) of the crops.

        Where parts of two cells overlap, the cell counts whose crop's centre is nearer.
        """
        image = np.zeros(self.shape[1:], np.int32)
        nearest = np.zeros(self.shape[1:], np.float32)
        for corner, part in zip(self.corners, labels, strict=True):
            there, here = zip(*map(_overlap, corner, image.shape, part.shape), strict=True)
            weights = np.where(part[here] > 0, self._weights[here], 0)
            nearer = weights > nearest[there]
            image[there][nearer] = part[here][nearer]
            nearest[there] = np.maximum(nearest[there], weights)
        return image

    def generated(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Return where any of a region is generated (y, x)."""
        return self.region(rows, columns, slice(0))[1]

    def recorded(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return the LR pixels of a region, each as large as it is (C, y, x); NaN outside."""
        _, *shape = self.lr.shape
        at, inside = [], []
        for wanted, size in zip((rows, columns), shape, strict=True):
            pixel = np.floor((np.arange(wanted.start, wanted.stop) + 0.5) / self.ratio).astype(int)
            inside.append((pixel >= 0) & (pixel < size))
            at.append(pixel.clip(0, size - 1))
        image = np.asarray(self.lr[:, at[0][:, None], at[1]], np.float32)
        image[:, ~np.logical_and.outer(*inside)] = np.nan
        return image

    def tiles(self, side: int = 1024) -> Iterator[tuple[slice, slice]]:
        """Go through regions that tile the field."""
        _, height, width = self.shape
        for top in range(0, height, side):
            for left in range(0, width, side):
                yield (
                    slice(top, min(top + side, height)),
                    slice(left, min(left + side, width)),
                )

    def whole(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the whole image (C, H, W) and where it is generated (H, W)."""
        _, height, width = self.shape
        return self.region(slice(0, height), slice(0, width))

    def _upsampled(self, rows: slice, columns: slice, channels: slice) -> NDArray[np.float32]:
        down, across = (
            _splines(wanted.start, wanted.stop, size, self.ratio)
            for wanted, size in zip((rows, columns), self.lr.shape[-2:], strict=True)
        )
        part = np.asarray(self.lr[channels, *(each[0] for each in (down, across))], np.float32)
        return np.asarray(down[1] @ part @ across[1].T, np.float32)


@lru_cache(maxsize=256)
def _splines(start: int, stop: int, size: int, ratio: float) -> tuple[slice, NDArray[np.float32]]:
    """Return which LR pixels of so many are looked at by HR pixels, and how much each counts."""
    at = (np.arange(start, stop) + 0.5) / ratio - 0.5
    first = max(int(np.floor(at[0])) - _MARGIN, 0)
    part = slice(first, min(int(np.ceil(at[-1])) + _MARGIN + 1, size))
    # Splines of an image are those of its rows, of those of its columns.
    counts = [
        ndimage.map_coordinates(one, [at - first], order=3, mode="nearest")
        for one in np.eye(part.stop - first)
    ]
    return part, np.array(counts, np.float32).T


def _overlap(corner: int, shape: int, size: int) -> tuple[slice, slice]:
    """Return where a crop lies in a region along an axis, and which part of the crop that is."""
    start, stop = max(corner, 0), min(corner + size, shape)
    return slice(start, stop), slice(start - corner, stop - corner)
