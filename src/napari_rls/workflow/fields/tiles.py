"""A field in overlapping tiles, for bundles whose crops are not centred on nuclei."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

TILES_KEY = "tiles"
"""Key of a field's record: whether its crops are tiles of a grid, and no cells."""

_STEP = 5 / 8
"""Largest distance of neighbouring tiles as a share of their side: the rest is overlap."""

_BEYOND = 1 / 4
"""How far the outermost reach beyond the field, as tiles fade at their edges."""


def tile_places(shape: tuple[int, int], hr_size: int, ratio: float) -> NDArray[np.float64]:
    """Return the centres (N, 2) of tiles that cover a field, in LR pixels.

    They lie on a regular grid, row by row, and overlap by three eighths of their side or more.

    Parameters
    ----------
    shape
        Rows and columns of the LR field.
    hr_size
        Side of a tile in HR pixels.
    ratio
        HR pixels along an LR pixel.

    Examples
    --------
    >>> tile_places((4, 12), 64, 8).tolist()
    [[1.5, 1.5], [1.5, 5.5], [1.5, 9.5]]
    """
    side = hr_size / ratio
    rows, columns = (_middles(size, side) for size in shape)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)


def _middles(size: int, side: float) -> NDArray[np.float64]:
    first = side * (1 / 2 - _BEYOND)
    span = size - 2 * first
    if span <= 0:
        return np.array([(size - 1) / 2])
    count = max(1, math.ceil(span / (_STEP * side) - 1e-9))
    return np.linspace(first, size - first, count + 1) - 0.5


def told_tiles(record: Mapping[str, Any]) -> str:
    """Return what is to be said of a table of SR crops by their record, or ""."""
    if not record.get(TILES_KEY):
        return ""
    return (
        "Rows are overlapping tiles of fields, no single cells: an object may lie in several, and "
        "numbers of rows are no numbers of cells."
    )
