"""LR fields from HR ones by plain sums, apart from the product's own optics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def lr_field(
    dna: NDArray, ratio: float, psf_sigma: float = 0.45, noise: float = 0.02, seed: int = 0
) -> NDArray[np.uint16]:
    """Return what a camera with pixels of ``ratio`` HR pixels sees: counts of 16 bits.

    Offset 100, range 800; Poisson and read noise are together ``noise`` of the range.
    """
    rng = np.random.default_rng(seed)
    light = ndimage.gaussian_filter(dna.astype(float), psf_sigma * ratio, mode="nearest")
    rows, columns = (_areas(size, ratio) for size in dna.shape)
    light = rows @ light @ columns.T
    light *= 800 / light.max()
    deviation = noise * 800 / np.sqrt(2)
    if deviation:
        gain = deviation**2 / light.mean()
        light = gain * rng.poisson(light / gain) + rng.normal(0, deviation, light.shape)
    return (100 + light).round().clip(0, 65535).astype(np.uint16)


def _areas(size: int, ratio: float) -> NDArray[np.float64]:
    """Return the share of each HR pixel in each LR pixel (LR pixels, size)."""
    left = ratio * np.arange(int(size / ratio + 1e-9))[:, None]
    pixels = np.arange(size)
    return np.clip(np.minimum(left + ratio, pixels + 1) - np.maximum(left, pixels), 0, 1) / ratio
