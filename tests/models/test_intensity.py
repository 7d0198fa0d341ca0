"""Cells in any unit are brought to the bundle's, whatever one of them holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_rls import Settings, degrade, load_bundle
from napari_rls.models.intensity import IntensityMap, Levels, Mode, choose_map, unusual_cells
from napari_rls.models.manifest import Intensity
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.super_resolve.intensities import intensity_map

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


@pytest.mark.parametrize(
    ("low", "high", "mode"),
    [
        (0, 255, "bundle"),
        (-12, 270, "bundle"),
        (3, 40, "bundle"),
        (0, 1, "match"),
        (0, 4095, "match"),
        (-300, 200, "match"),
        (1000, 60000, "match"),
    ],
)
def test_auto_matches_only_data_of_another_range(low: float, high: float, mode: str) -> None:
    ramp = np.linspace(low, high, 2 * 64).reshape(1, 2, 8, 8)
    assert choose_map(np.repeat(ramp, 2, 0), TRAINED, typical).mode == mode


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


@pytest.mark.parametrize("mode", ["bundle", "match"])
def test_the_map_can_be_undone(mode: Mode) -> None:
    data = cells() * 12 + 500
    chosen = choose_map(data, TRAINED, typical, mode)
    np.testing.assert_allclose(chosen.decode(chosen.encode(data)), data, rtol=1e-5)


def test_levels_of_images_without_any_number() -> None:
    assert Levels.of(np.full((2, 2, 4, 4), np.nan)).bright == (0.0, 0.0)


def test_what_was_found_is_told_in_words() -> None:
    found = IntensityMap("match", (500.0, 480.0), (3560.0, 3121.557))
    assert found.words(("DNA", "GFP")) == (
        "Intensities are matched to those that the bundle knows: DNA 500 to 3560, GFP 480 to 3122."
    )
    assert IntensityMap("bundle", (0,), (255,)).words(("DNA",)) == ""


@pytest.mark.parametrize("factor", [8, 16])
def test_real_cells_of_another_camera_get_their_own_unit_back(
    data_folder: Path, factor: int
) -> None:
    wells = [f"B{k:02}" for k in range(1, 13)]
    crops = [
        cut_crops(read_stack(data_folder / "bbbc013" / f"{well}.ome.tif"), 64).stack.data[:3]
        for well in wells
    ]
    lr = degrade(np.concatenate(crops), factor) * 12 + 500
    spoiled = lr.copy()
    spoiled[3, 1, 0, 0] = 65535
    spoiled[5] = (spoiled[5] - 500) * 12 + 500
    bundle = load_bundle("bbbc013-translocation-64")
    clean, other = (intensity_map(x, bundle, Settings(factor=factor)) for x in (lr, spoiled))
    # Of 255 grey levels, 2 in offset and a fifth in gain.
    np.testing.assert_allclose((np.array(clean.low) - 500) / 12, 0, atol=2)
    np.testing.assert_allclose(clean.unit_span * 2 / 12, 255, rtol=0.2)
    np.testing.assert_allclose((np.array(other.low) - np.array(clean.low)) / 12, 0, atol=1)
    np.testing.assert_allclose(other.unit_span, clean.unit_span, rtol=0.06)
    assert list(unusual_cells(spoiled, other)) == [3, 5]
