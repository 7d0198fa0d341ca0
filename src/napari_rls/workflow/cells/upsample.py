"""LR images at the size of HR ones, without any model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def upsample(lr: NDArray[np.generic], factor: int) -> NDArray[np.float32]:
    """Upsample images (..., y, x) bicubically, pixel centres kept in place.

    Keys' kernel with a = -0.5, as of the downscaling; weights that remain at the borders
    are renormalised.
    """
    height, width = lr.shape[-2:]
    with np.errstate(invalid="ignore"):
        return _bicubic(height, factor) @ lr.astype(np.float32) @ _bicubic(width, factor).T


def _bicubic(size: int, factor: int) -> NDArray[np.float32]:
    # Resizing is linear and separable: the unit vectors give its matrix.
    vectors = Image.fromarray(np.eye(size, dtype=np.float32))
    enlarged = vectors.resize((size, size * factor), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, np.float32)
