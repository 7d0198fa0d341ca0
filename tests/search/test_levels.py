"""Levels of HR crops in LR fields, against images blurred and averaged on a fine grid."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_rls.search.levels import levels_of_crops

FINE = 4


def blobs(count: int, size: int = 32) -> NDArray[np.uint8]:
    """Return crops (N, 2, S, S): a spot each, of random place, width and brightness."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    centre = rng.uniform(10, 22, (2, count, 2, 1, 1))
    width = rng.uniform(3, 6, (count, 2, 1, 1))
    peak = rng.uniform(80, 220, (count, 2, 1, 1)) * [[[1.0]], [[0.5]]]
    far = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / width**2
    return (20 + peak * np.exp(-far / 2)).astype(np.uint8)


def seen(image: NDArray[np.uint8], ratio: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the LR pixels whose centres lie in a crop (S, S), at a random place of their grid."""
    fine = image.repeat(FINE, 0).repeat(FINE, 1).astype(float)

    def blurred(x: NDArray[np.float64]) -> NDArray[np.float64]:
        spread = ndimage.gaussian_filter(x, 0.45 * ratio * FINE, mode="constant")
        return ndimage.uniform_filter(spread, ratio * FINE, mode="constant")

    # Light from outside is not known: as much as lies inside is taken for all.
    whole = blurred(fine) / blurred(np.ones_like(fine))
    y, x = (np.arange(int(rng.integers(ratio * FINE)), len(fine), ratio * FINE) for _ in "yx")
    return whole[np.ix_(y, x)]


@pytest.mark.parametrize("ratio", [4, 8])
def test_levels_are_those_of_the_blurred_crops(ratio: int) -> None:
    crops = blobs(80)
    (found,) = (levels for levels in levels_of_crops(crops) if levels.ratio == ratio)
    rng = np.random.default_rng(1)
    for channel in range(2):
        cells = [seen(image, ratio, rng) for image in crops[:, channel]]
        for name, share in (("least", 0.0), ("dark", 0.1), ("bright", 0.9), ("most", 1.0)):
            expected = np.median([np.quantile(cell, share) for cell in cells])
            assert getattr(found, name)[channel] == pytest.approx(expected, rel=0.05, abs=1)


def test_ratios_at_which_two_pixels_fit_and_at_most_2000_crops() -> None:
    assert [x.ratio for x in levels_of_crops(blobs(5))] == [2, 4, 6, 8, 12, 16]
    assert [x.ratio for x in levels_of_crops(blobs(5, 64))] == [2, 4, 6, 8, 12, 16, 24, 32]
    flat = np.arange(2001, dtype=np.uint16)[:, None, None, None].repeat(8, 2).repeat(8, 3)
    at_2, at_4 = levels_of_crops(flat)
    # One crop of 2001 is left out, which moves the median by half a step.
    for level in (at_2.least, at_2.dark, at_2.bright, at_4.most):
        assert abs(level[0] - 1000) == pytest.approx(0.5, abs=1e-3)
