"""How the power of structure falls off within an LR pixel grid, where that of noise does not.

Blocks of :data:`SIDE` x :data:`SIDE` pixels are turned into cosines. The power of independent noise
is the same in all of them; what a lens and pixels have recorded falls off towards the finest ones.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDE: Final = 4
"""Pixels along a block: small, so that a block is of one brightness."""

_LEAST: Final = 1.0
"""Cosines slower than this say nothing of noise."""

EXPONENTS: Final = np.linspace(0.5, 8.0, 9)
SIZES: Final = np.geomspace(0.03, 0.6, 11)
SIGMAS: Final = np.sqrt(np.linspace(0.01, 1.69, 9))
"""Where powers are tabulated: their logarithms are nearly linear in the squares of sigma."""

_POINTS: Final = 32


def cosine_powers(field: Array, step: int = SIDE // 2) -> tuple[Array, Array, Array]:
    """Return mean, brightest pixel and power of the cosines of a field's blocks.

    Parameters
    ----------
    field
        One channel (h, w).
    step
        Pixels from a block to the next.

    Returns
    -------
    mean, brightest
        Of each block (n).
    powers
        Squares (n, cosines) of orthonormal cosines, those of (u, v) and (v, u) averaged.
    """
    from numpy.lib.stride_tricks import sliding_window_view
    from scipy.fft import dctn

    blocks = sliding_window_view(field, (SIDE, SIDE))[::step, ::step].reshape(-1, SIDE, SIDE)
    blocks = blocks[np.isfinite(blocks).all(axis=(1, 2))]
    powers = dctn(blocks, axes=(1, 2), norm="ortho") ** 2
    powers = (powers + powers.swapaxes(1, 2)) / 2
    return blocks.mean(axis=(1, 2)), blocks.max(axis=(1, 2)), powers[:, chosen()[0]]


@cache
def chosen() -> tuple[NDArray[np.bool_], Array, NDArray[np.bool_]]:
    """Return which cosines (u, v) count, how many each stands for, and which are the finest."""
    u, v = np.indices((SIDE, SIDE))
    used = (u <= v) & (np.hypot(u, v) > _LEAST)
    finest = (u >= SIDE - 2) & (v >= SIDE - 2)
    return used, np.where(u == v, 1.0, 2.0)[used], finest[used]


def log_power(exponent: float, size: float, sigma: float) -> Array:
    """Return the logarithm of the power of structure in each cosine, up to a constant.

    The specimen's spectrum is (f^2 + f0^2)^(-exponent / 2), flat below f0 = ``size`` as that of
    blobs of that size; a lens with a Gaussian PSF of ``sigma`` pixels and pixels that integrate
    multiply it by exp(-4 pi^2 sigma^2 f^2) sinc^2(fy) sinc^2(fx), and what is finer than the
    pixels comes back as coarser.

    Parameters
    ----------
    exponent
        How steeply the specimen's power falls.
    size
        Frequency f0 in cycles per pixel.
    sigma
        Deviation of the PSF in pixels.
    """
    from scipy.ndimage import map_coordinates

    place = [
        np.interp(exponent, EXPONENTS, np.arange(len(EXPONENTS))),
        np.interp(np.log(size), np.log(SIZES), np.arange(len(SIZES))),
        np.interp(sigma**2, SIGMAS**2, np.arange(len(SIGMAS))),
    ]
    at = np.repeat(np.array(place)[:, None], len(_table()), axis=1)
    where = np.concatenate([np.arange(len(_table()))[None], at])
    return np.asarray(map_coordinates(_table(), where, order=1), np.float64)


@cache
def _table() -> Array:
    """Return the logarithms (cosines, exponents, sizes, sigmas), the first cosine's 0."""
    frequencies = (np.arange(_POINTS) + 0.5) / (2 * _POINTS)
    pixels = np.arange(SIDE)
    cosines = np.cos(np.pi * (pixels + 0.5) * pixels[:, None] / SIDE)
    cosines *= np.sqrt(np.where(pixels == 0, 1, 2) / SIDE)[:, None]
    response = np.abs(np.exp(-2j * np.pi * frequencies[:, None] * pixels) @ cosines.T) ** 2
    orders = frequencies + np.array([[-2], [-1], [0], [1]])
    y, x = orders[:, None, :, None], orders[None, :, None, :]
    square, box = y**2 + x**2, np.sinc(y) ** 2 * np.sinc(x) ** 2
    table = np.empty((int(chosen()[0].sum()), len(EXPONENTS), len(SIZES), len(SIGMAS)))
    for i, exponent in enumerate(EXPONENTS):
        for j, size in enumerate(SIZES):
            specimen = box * (square + size**2) ** (-exponent / 2)
            for k, sigma in enumerate(SIGMAS):
                seen = (specimen * np.exp(-4 * np.pi**2 * sigma**2 * square)).sum(axis=(0, 1))
                power = np.log(response.T @ seen @ response)[chosen()[0]]
                table[:, i, j, k] = power - power[0]
    return table
