"""What a camera adds to an LR image, found and taken off: background, noise, hot pixels."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_rls.errors import InputError

Image = NDArray[np.float32]

_DARK: Final = 20
"""Percentile of a block's pixels that is its background."""


def share_in_pixels(offsets: NDArray[np.float64], sigma: float) -> Image:
    """Return the share of a Gaussian in a pixel whose centre is so far from its own."""
    edges = [(offsets + side) / max(sigma, 1e-6) for side in (0.5, -0.5)]
    share: Image = (scipy.special.ndtr(edges[0]) - scipy.special.ndtr(edges[1])).astype(np.float32)
    return share


def finite_image(dna: NDArray[np.generic]) -> tuple[Image, float]:
    """Return an image of finite pixels, none beyond 1, and how much a unit is in it."""
    if dna.ndim != 2 or 0 in dna.shape:
        raise InputError(f"An image of two axes (y, x) is needed, not one of shape {dna.shape}.")
    image = np.asarray(dna, np.float64)
    finite = np.isfinite(image)
    if not finite.any():
        raise InputError("No pixel of the DNA image is a finite number; give another image.")
    if not finite.all():
        nearest = scipy.ndimage.distance_transform_edt(
            ~finite, return_distances=False, return_indices=True
        )
        image = image[tuple(nearest)]
    image = image - np.median(image)
    unit = 1 / (np.abs(image).max() or 1.0)
    return (image * unit).astype(np.float32), float(unit)


def noise_of(above: Image) -> float:
    """Return the deviation of the noise of an image above its background.

    Nuclei only add to the two signs of it, so the smaller one holds: second differences
    that are small for their kind, and how far the darkest pixels are below dark ones.
    """
    dark, darkest = np.quantile(above, (_DARK / 100, 0.02))
    deviation = float(dark - darkest) / (2.054 - 0.842)
    if min(above.shape) < 3:
        return deviation
    rows = above[:-2] - 2 * above[1:-1] + above[2:]
    both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return min(deviation, float(np.quantile(np.abs(both), 0.2)) / 6 / 0.2533)


def background_of(image: Image, block: int) -> Image:
    """Return the background: a low percentile of blocks, smooth in between."""
    edges = [
        np.linspace(0, size, math.ceil(size / block) + 1).round().astype(int)
        for size in image.shape
    ]
    low = np.array(
        [
            [np.percentile(image[y0:y1, x0:x1], _DARK) for x0, x1 in pairwise(edges[1])]
            for y0, y1 in pairwise(edges[0])
        ]
    )
    low = scipy.ndimage.gaussian_filter(low, 1, mode="nearest")
    rows, columns = (
        np.array(
            [
                np.interp(np.arange(e[-1]), (e[:-1] + e[1:] - 1) / 2, one)
                for one in np.eye(len(e) - 1)
            ]
        )
        for e in edges
    )
    background: Image = (rows.T @ low @ columns).astype(np.float32)
    return background


def without_hot_pixels(image: Image, sigma: float, noise: float) -> Image:
    """Return an image without pixels so much above all neighbours that no PSF explains them."""
    middle, side = share_in_pixels(np.array([0.0, 1.0]), sigma)
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    ratio = 1.5 * middle / max(side, 1e-3)
    brightest = scipy.ndimage.maximum_filter(image, footprint=around, mode="mirror")
    hot = image > ratio * np.maximum(brightest, 2 * noise) + 3 * noise
    mean = scipy.ndimage.median_filter(image, footprint=around, mode="mirror")
    return np.where(hot, mean, image)
