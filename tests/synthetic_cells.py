"""Fields with nuclei at known places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """Return the pixels within ``radius`` of ``centre`` (y, x)."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def field(
    centres: Sequence[tuple[float, float]],
    shape: tuple[int, int] = (96, 96),
    radius: float = 7,
    noise: float = 2.0,
) -> NDArray[np.uint8]:
    """Return a field (2, H, W): discs of 200 on 20 in DNA, noise in the other channel."""
    rng = np.random.default_rng(0)
    dna = np.full(shape, 20.0)
    for centre in centres:
        dna[disc(shape, centre, radius)] = 200
    signal = rng.uniform(10, 120, shape)
    return np.stack([dna + rng.normal(0, noise, shape), signal]).clip(0, 255).astype(np.uint8)
