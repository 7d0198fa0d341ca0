"""Cells in any unit are brought to the bundle's, whatever one of them holds."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rls.models.intensity import IntensityMap, Levels, choose_map, unusual_cells
from napari_rls.models.manifest import Intensity

TRAINED = Intensity(low=0, high=255)


def cells(count: int = 12, seed: int = 0) -> np.ndarray:
    """Return LR cells (N, 2, 8, 8) in the bundle's unit: a spot on a dark ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-3.5:4.5, -3.5:4.5]
    spot = np.exp(-(y**2 + x**2) / 8)
    bright = rng.uniform(60, 140, (count, 2, 1, 1))
    return 3 + bright * spot + rng.normal(0, 1, (count, 2, 8, 8))


def typical() -> Levels:
    return Levels.of(cells(200, seed=1))


def never() -> Levels:
    raise AssertionError("the bundle's levels are not needed")


def test_data_in_the_bundle_s_range_are_taken_as_they_are() -> None:
    chosen = choose_map(cells(), TRAINED, never)
    assert chosen == IntensityMap("bundle", (0, 0), (255, 255))


@pytest.mark.parametrize(("gain", "offset"), [(12, 500), (1 / 255, 0), (1, -4000), (200, 100)])
def test_offset_and_gain_are_found_again(gain: float, offset: float) -> None:
    chosen = choose_map(cells() * gain + offset, TRAINED, typical)
    assert chosen.mode == "match"
    low = (np.array(chosen.low) - offset) / gain
    high = (np.array(chosen.high) - offset) / gain
    np.testing.assert_allclose(low, 0, atol=3)
    np.testing.assert_allclose(high, 255, rtol=0.25)


def test_a_known_offset_is_kept_and_matches_even_data_in_range() -> None:
    chosen = choose_map(cells() + 20, TRAINED, typical, offset=20)
    assert chosen.mode == "match"
    assert chosen.low == (20, 20)
    np.testing.assert_allclose(chosen.high, 275, rtol=0.25)


@pytest.mark.parametrize("spoiled", ["hot pixel", "twelve times brighter", "one NaN", "all black"])
def test_one_cell_does_not_change_what_is_made_of_the_others(spoiled: str) -> None:
    clean = cells() * 12 + 500
    with_it = clean.copy()
    if spoiled == "hot pixel":
        with_it[3, 1, 0, 0] = 65535
    elif spoiled == "one NaN":
        with_it[3, 1, 0, 0] = np.nan
    elif spoiled == "all black":
        with_it[3] = 0
    else:
        with_it[3] = (with_it[3] - 500) * 12 + 500
    before, after = (choose_map(x, TRAINED, typical) for x in (clean, with_it))
    np.testing.assert_allclose(after.low, before.low, atol=0.02 * 255 * 12)
    np.testing.assert_allclose(after.high, before.high, rtol=0.1)
    unusual = unusual_cells(with_it, after)
    assert list(unusual) == ([3] if spoiled in ("hot pixel", "twelve times brighter") else [])


def test_a_hot_pixel_does_not_bring_data_of_the_bundle_s_range_out_of_it() -> None:
    data = cells()
    data[3, 1, 0, 0] = 65535
    assert choose_map(data, TRAINED, never).mode == "bundle"


def test_ordinary_cells_are_not_unusual() -> None:
    data = cells(200, seed=2)
    assert unusual_cells(data, choose_map(data, TRAINED, never)) == {}


def test_a_sparse_channel_is_matched_by_its_spots() -> None:
    data = np.zeros((6, 1, 8, 8))
    data[:, :, 4, 4] = 100
    levels = Levels.of(data)
    chosen = choose_map(data * 300, TRAINED, lambda: levels)
    assert chosen.low == (0,)
    assert chosen.high == pytest.approx((255 * 300,))


def test_a_flat_channel_keeps_its_value() -> None:
    data = np.full((2, 1, 4, 4), 7000.0)
    levels = Levels.of(cells(20)[:, :1])
    chosen = choose_map(data, TRAINED, lambda: levels)
    decoded = chosen.decode(chosen.encode(data))
    np.testing.assert_allclose(decoded, data, rtol=1e-6)
    assert chosen.high[0] > chosen.low[0]


def test_the_map_can_be_undone() -> None:
    data = cells() * 12 + 500
    chosen = choose_map(data, TRAINED, typical)
    np.testing.assert_allclose(chosen.decode(chosen.encode(data)), data, rtol=1e-5)
