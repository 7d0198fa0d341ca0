"""Whether images of several kinds are of the same cells in the same order, and of one scale."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.image_sets import ImageSet

SIDE = 4
"""Pixels of the small images by which cells are compared: LR images tell no less."""

MOST_CELLS = 500
"""Cells that are compared: each with all others."""

RANK = 0.75
"""Mean rank of a cell's own counterpart, 0 to 1, below which the order is doubted: it is 1 / 2 for
cells that have nothing to do with one another, and nearly 1 for images of the same cells."""

_ALIKE = 1e-6

TOLERANCE = 0.05
"""Share by which pixel sizes of one image may differ."""


def doubts(sets: Sequence[ImageSet], channels: Sequence[tuple[int, int]]) -> list[str]:
    """Return in sentences why images of several kinds may not go together.

    Parameters
    ----------
    sets
        The images, all of one size and number.
    channels
        Indices of the channels that are measured, in every set.
    """
    said = [_sizes(one.stack, other.stack) for one, other in pairwise(sets)]
    chosen = [(s.stack, list(pair)) for s, pair in zip(sets, channels, strict=True)]
    for (one, first), (other, second) in pairwise(chosen):
        # Crops of known places have been compared already.
        if not (one.crops and other.crops):
            rank = own_rank(one.data[:, first], other.data[:, second])
            if rank < RANK:
                said.append(
                    f"The cells of {one.name} and {other.name} do not look like the same cells in "
                    "the same order: most of them are more like others. Give files of the same "
                    "cells in the same order."
                )
    return list(filter(None, said))


def own_rank(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """Return the mean rank of each cell's own counterpart among all, by likeness, 0 to 1.

    Parameters
    ----------
    one, other
        Images (N, C, y, x) of one size; cells with pixels that are no numbers do not count.

    Returns
    -------
    float
        1 if each cell is most like its own counterpart, about 1 / 2 if they have nothing to do
        with one another; 1 if there are fewer than two cells to compare.
    """
    first, second = _small(one[:MOST_CELLS]), _small(other[:MOST_CELLS])
    known = np.isfinite(first).all(1) & np.isfinite(second).all(1)
    if known.sum() < 2:
        return 1.0
    likeness = first[known] @ second[known].T
    own = np.diag(likeness)[:, None]
    # Cells that are alike may stand for one another.
    others = (likeness <= own + _ALIKE).sum(1) - 1
    return float(others.mean() / (len(likeness) - 1))


def _small(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return images (N, C, y, x) as vectors (N, K) of length 1, whatever their brightness."""
    count, channels, height, width = images.shape
    rows, columns = (np.linspace(0, n, min(SIDE, n) + 1).astype(int)[:-1] for n in (height, width))
    sums = np.add.reduceat(np.add.reduceat(images.astype(np.float64), rows, 2), columns, 3)
    apart = sums.reshape(count, channels, -1)
    apart = apart - apart.mean(2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart /= np.linalg.norm(apart, axis=2, keepdims=True)
    return np.asarray(apart.reshape(count, -1))


def _sizes(one: CellStack, other: CellStack) -> str:
    size, its = one.pixel_size_um, other.pixel_size_um
    if size is None or its is None or abs(size - its) <= TOLERANCE * max(size, its):
        return ""
    return (
        f"The pixels of {one.name} are {size:.3g} µm wide and those of {other.name} {its:.3g} µm, "
        "though they are of the same cells: areas and distances in micrometres cannot be compared; "
        "correct the pixel size."
    )
