"""What is typical of HR crops in LR fields of any ratio of pixel sizes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_rls.models.field_specs import LevelsAt
from napari_rls.models.intensity import Levels
from napari_rls.search.imaging import PlacedOptics

RATIOS: Final = (2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Ratios at which levels are kept; those between follow from them."""

_SIGMA = 0.45
"""Deviation of the PSF in LR pixels."""

_LEAST_PIXELS = 2
"""LR pixels along a crop that there must be."""

_MOST = 2000
"""Crops that are looked at."""


def levels_of_crops(hr: NDArray[np.generic], seed: int = 0) -> tuple[LevelsAt, ...]:
    """Return the levels of HR crops (N, C, S, S), in their unit, at all of :data:`RATIOS`.

    At most 2,000 crops are looked at, each in a random place of the pixel grid, without noise.
    Ratios at which fewer than 2 LR pixels lie along a crop are left out.
    """
    rng = np.random.default_rng(seed)
    if len(hr) > _MOST:
        hr = hr[np.sort(rng.choice(len(hr), _MOST, replace=False))]
    size = hr.shape[-1]
    fitting = [ratio for ratio in RATIOS if size / ratio >= _LEAST_PIXELS]
    return tuple(_levels_at(hr, ratio, rng.random((len(hr), 2))) for ratio in fitting)


def _levels_at(hr: NDArray[np.generic], ratio: float, places: NDArray[np.float64]) -> LevelsAt:
    import torch

    optics, _ = PlacedOptics.at(places, hr.shape[-1], ratio, _SIGMA)
    lr = optics(torch.from_numpy(hr.astype(np.float32)))
    found = Levels.of(lr.masked_fill(~optics.inside[:, None], torch.nan).numpy())
    return LevelsAt(ratio=ratio, **vars(found))
