"""The width of the PSF, found again in LR windows that were made with a known one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_rls.errors import InputError
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.noise import NoiseModel
from napari_rls.search.psf import estimate_psf

NOISE = NoiseModel((0.5,), (100.0,), (3.0,))


def cells(n: int) -> torch.Tensor:
    """Return HR images of textured discs on a dim background, in counts."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 31.5
    disc = (np.hypot(y, x) < 11) * (1 + gaussian_filter(rng.normal(size=(n, 64, 64)), (0, 2, 2)))
    return torch.from_numpy((105 + 150 * disc).astype(np.float32))[:, None]


def windows(hr: torch.Tensor, places: np.ndarray, ratio: float, sigma: float) -> torch.Tensor:
    clean = PlacedOptics.at(places, 64, ratio, sigma)[0](hr)
    rng = torch.Generator().manual_seed(1)
    deviation = NOISE.variance(clean).sqrt()
    return clean + deviation * torch.randn(clean.shape, generator=rng)


@pytest.mark.parametrize("ratio", [4, 6.4, 8, 16])
@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.8])
def test_the_width_is_found(ratio: float, sigma: float) -> None:
    hr = cells(60)
    places = np.random.default_rng(2).random((60, 2)) * 50
    found = estimate_psf(windows(hr, places, ratio, sigma), hr, places, ratio, NOISE)
    assert found.sigma == pytest.approx(sigma, rel=0.15)
    low, high = found.interval
    assert low - 0.05 <= sigma <= high + 0.05
    assert high - low < 0.6 * sigma
    best = found.grid[int(np.argmin(found.curve))]
    assert best == pytest.approx(found.sigma, abs=0.051)
    assert min(found.curve) == 0


def test_holes_count_for_nothing_and_no_pixels_are_an_error() -> None:
    hr = cells(60)
    places = np.random.default_rng(2).random((60, 2)) * 50
    lr = windows(hr, places, 8, 0.5)
    lr[:, :, 4, 4] = torch.nan
    assert estimate_psf(lr, hr, places, 8, NOISE).sigma == pytest.approx(0.5, rel=0.15)
    with pytest.raises(InputError, match="No LR pixel lies on its crop"):
        estimate_psf(torch.full_like(lr, torch.nan), hr, places, 8, NOISE)
