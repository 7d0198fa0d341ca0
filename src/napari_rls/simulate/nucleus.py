"""The inside of a nucleus: chromatin texture and nucleoli."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_rls.simulate.outline import Array, Outline

CHROMATIN_UM = (0.45, 1.3)
"""Deviations of the blur of the two parts of the chromatin texture, in micrometres: clumps
and domains, both within what a light microscope resolves."""


def texture(rng: np.random.Generator, size: int, step_um: float, strength: float) -> Array:
    """Return a random texture (size, size) with mean about 1, never below 0.2.

    Parameters
    ----------
    rng
        Source of randomness.
    size
        Points along a side.
    step_um
        Distance of two points, in micrometres.
    strength
        Standard deviation.
    """
    mixed = np.zeros((size, size))
    for sigma in CHROMATIN_UM:
        part = ndimage.gaussian_filter(rng.normal(size=mixed.shape), sigma / step_um, mode="wrap")
        mixed += part / (part.std() * math.sqrt(len(CHROMATIN_UM)))
    return np.maximum(1 + strength * mixed, 0.2)


def nucleoli(rng: np.random.Generator, nucleus: Outline, y: Array, x: Array) -> NDArray[np.bool_]:
    """Return where the 1 to 5 nucleoli of a nucleus are, discs of 1 to 2 um radius."""
    inside = np.zeros(np.broadcast_shapes(y.shape, x.shape), bool)
    for _ in range(rng.integers(1, 6)):
        direction = rng.uniform(0, 2 * math.pi)
        far = 0.6 * math.sqrt(rng.uniform()) * float(nucleus.radius(np.array(direction)))
        cy, cx = nucleus.y + far * math.sin(direction), nucleus.x + far * math.cos(direction)
        inside |= np.hypot(y - cy, x - cx) < rng.uniform(1.0, 2.0)
    return inside


def dna(
    rng: np.random.Generator, nucleus: Outline, y: Array, x: Array, chromatin: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Draw the DNA stain of one nucleus.

    Parameters
    ----------
    rng
        Source of randomness.
    nucleus
        Its outline.
    y, x
        Points (n, 1) and (1, m), in micrometres.
    chromatin
        Texture at these points (n, m).

    Returns
    -------
    stain
        Light (n, m), about 1 in the middle of the nucleus and 0 outside: thinner towards
        the rim, as a flattened ellipsoid is.
    inside
        The nucleus (n, m).
    """
    depth = nucleus.depth(y, x)
    stain = np.maximum(1 - depth**2, 0) ** 0.25 * chromatin
    stain = np.where(nucleoli(rng, nucleus, y, x), 0.45 * stain, stain)
    return stain, depth <= 1
