"""LR images at the size of HR ones, without any model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom


def upsample(lr: NDArray[np.generic], factor: int) -> NDArray[np.float32]:
    """Upsample images (..., y, x) by a cubic spline, pixel centres kept in place."""
    height, width = lr.shape[-2:]
    with np.errstate(invalid="ignore"):
        return _spline(height, factor) @ lr.astype(np.float32) @ _spline(width, factor).T


def _spline(size: int, factor: int) -> NDArray[np.float32]:
    # The spline is linear and separable: zooming the unit vectors gives its matrix.
    matrix = zoom(np.eye(size), (factor, 1), order=3, mode="nearest", grid_mode=True)
    return np.asarray(matrix, np.float32)
