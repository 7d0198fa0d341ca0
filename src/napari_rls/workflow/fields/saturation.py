"""Which cells of an LR field have saturated pixels, whose true intensities nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.measure.columns import QUALITY, SATURATED

_CAMERA_BITS = (10, 12, 14)
"""What a pixel of a camera has whose images are stored with 16 bits."""

_FEWEST = 2
"""Pixels at the most that a camera tells, from which on it is no chance."""


@dataclass(frozen=True)
class Saturation:
    """The saturated cells of a field.

    Attributes
    ----------
    levels
        For each channel the level at and above which a pixel is saturated; None if none is.
    cells
        Which cells have such a pixel in their LR windows.
    count
        How many cells there are.
    """

    levels: tuple[float | None, ...]
    cells: tuple[int, ...]
    count: int

    @classmethod
    def of(
        cls, field: NDArray[np.generic], windows: NDArray[np.float32], given: float | None = None
    ) -> Saturation:
        """Look for saturated pixels.

        Parameters
        ----------
        field
            The LR field (C, h, w).
        windows
            LR pixels (N, C, n, n) of its cells, NaN outside.
        given
            The level; without it that of :func:`saturation_level`.
        """
        levels = tuple(saturation_level(image) if given is None else given for image in field)
        at = np.array([np.inf if level is None else level for level in levels])
        found = (windows >= at[:, None, None]).any((1, 2, 3))
        return cls(levels, tuple(np.flatnonzero(found).tolist()), len(windows))

    def record(self) -> dict[str, Any]:
        """Return it as plain numbers and lists."""
        return {"levels": list(self.levels), "cells": list(self.cells)}

    def words(self, channels: Sequence[str]) -> str:
        """Return the sentence that says which channels are saturated, and in how many cells."""
        if not self.cells:
            return ""
        named = ", ".join(
            f"{name} from {level:g} on"
            for name, level in zip(channels, self.levels, strict=True)
            if level is not None
        )
        return saturation_words(len(self.cells), self.count, f"; {named}")


def saturation_words(cells: int, count: int, where: str = "") -> str:
    """Return the sentence that so many of some cells are saturated."""
    return (
        f"{cells} of {count} cells have saturated LR pixels in their windows (flag "
        f"{QUALITY[SATURATED].flag}{where}): they were brighter than the image tells; record with "
        "less light or a shorter exposure."
    )


def saturation_level(image: NDArray[np.generic]) -> float | None:
    """Return the level at which pixels of a channel are saturated; None if none is.

    It is the most that their type holds, of 8 or 16 bits, or that a camera of 10, 12 or 14 bits
    tells, if several of the pixels have it and none has more.

    Parameters
    ----------
    image
        A channel (h, w). Of floating-point numbers nothing tells the most.

    Examples
    --------
    >>> saturation_level(np.array([[255, 3]], np.uint8))
    255.0
    >>> saturation_level(np.array([[4095, 4095, 3]], np.uint16))
    4095.0
    >>> saturation_level(np.array([[4095, 4096, 3]], np.uint16)) is None
    True
    """
    if image.dtype.kind not in "iu":
        return None
    highest = int(image.max())
    cameras = {2**bits - 1 for bits in _CAMERA_BITS}
    if highest == np.iinfo(image.dtype.name).max:
        return float(highest)
    often = highest in cameras and int((image == highest).sum()) >= _FEWEST
    return float(highest) if often else None
