"""The width of the PSF, found again in LR windows that were made with a known one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_rls.errors import InputError
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.noise import NoiseModel
from napari_rls.search.psf import PsfEstimate, estimate_psf

NOISE = NoiseModel((0.5,), (100.0,), (3.0,))


def cells(n: int, seed: int) -> torch.Tensor:
    """Return HR images of textured discs of many sizes on a dim background, in counts."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64] - 31.5
    texture = gaussian_filter(rng.normal(size=(n, 64, 64)), (0, 2, 2))
    disc = (np.hypot(y, x) < rng.uniform(8, 14, (n, 1, 1))) * (1 + texture)
    return torch.from_numpy((105 + 150 * disc).astype(np.float32))[:, None]


DRAWN = cells(160, 0)


def windows(n: int, ratio: float, sigma: float) -> np.ndarray:
    """Return LR windows of other cells, seen with a PSF."""
    places = np.random.default_rng(2).random((n, 2)) * 50
    clean = PlacedOptics.at(places, 64, ratio, sigma)[0](cells(n, 5))
    rng = torch.Generator().manual_seed(1)
    return (clean + NOISE.variance(clean).sqrt() * torch.randn(clean.shape, generator=rng)).numpy()


@pytest.mark.parametrize(("ratio", "sigma"), [(4, 0.5), (6.4, 0.8), (8, 0.3), (8, 0.5), (8, 0.8)])
def test_the_width_is_found(ratio: float, sigma: float) -> None:
    found = estimate_psf(windows(40, ratio, sigma), DRAWN, ratio, NOISE)
    assert found.sigma == pytest.approx(sigma, rel=0.15)
    low, high = found.interval
    assert low < sigma < high
    assert found.grid[int(np.argmin(found.curve))] == found.sigma
    assert min(found.curve) == 0
    assert found.cells == 40
    assert found.words().startswith(f"PSF width by 40 cells: {found.sigma:.2f} LR pixels (90 %:")
    assert bool(found.doubts) == (found.sigma < 0.4)


def test_brightness_and_holes_count_for_nothing() -> None:
    lr = windows(40, 8, 0.5)
    known = estimate_psf(lr, DRAWN, 8, NOISE)
    # Twice as bright is twice the photons; nothing else changes.
    brighter = NoiseModel((0.5 * 2,), (200.0,), (6.0,))
    again = estimate_psf(2 * lr, 2 * DRAWN, 8, brighter)
    assert again.sigma == pytest.approx(known.sigma, abs=0.011)
    lr[:, :, 4, 4] = np.nan
    assert estimate_psf(lr, DRAWN, 8, NOISE).sigma == pytest.approx(0.5, rel=0.2)


def test_few_cells_and_cells_of_another_kind_are_told() -> None:
    few = estimate_psf(windows(3, 8, 0.5), DRAWN, 8, NOISE)
    assert "These are few" in few.words()
    rng = np.random.default_rng(0)
    empty = estimate_psf(rng.normal(105, 3, (20, 1, 8, 8)), DRAWN, 8, NOISE)
    assert "do not look like those that the bundle knows" in empty.words()
    at_the_end = PsfEstimate(0.05, (0.05, 0.2), 20, 0.0, (0.05, 1.2), (0.0, 9.0))
    assert "may lie beyond 0.05 to 1.2 LR pixels" in at_the_end.words()


def test_what_cannot_be_told_is_an_error() -> None:
    with pytest.raises(InputError, match="No LR pixel lies on a cell"):
        estimate_psf(np.full((2, 1, 8, 8), np.nan), DRAWN, 8, NOISE)
    with pytest.raises(InputError, match="2 LR pixels along its side"):
        estimate_psf(np.ones((2, 1, 2, 2)), DRAWN, 32, NOISE)
