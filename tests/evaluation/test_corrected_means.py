"""Means that few true values correct: reference values, borrowing, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from napari_rls.evaluation.corrected_means import (
    FEWEST_GROUPS,
    CorrectedMeans,
    corrected_means,
    interval_of_mean,
)

Floats = NDArray[np.float64]
Groups = NDArray[np.intp]


def cells(
    rng: np.random.Generator,
    groups: int,
    cells: int,
    known: int,
    between: float,
    error: float = 0.4,
) -> tuple[Floats, Floats, Groups, Floats]:
    """Return measured and true values, groups, and the true means of groups.

    What is measured is off by 0.3 on average, by a normal amount that each group has, and by
    one that each cell has; ``known`` cells of each group have a true value.
    """
    group = np.repeat(np.arange(groups), cells)
    means = rng.normal(0, 1, groups)
    true = means[group] + rng.normal(0, 0.7, len(group))
    off = 0.3 + between * rng.normal(size=groups)
    measured = true - off[group] + rng.normal(0, error, len(group))
    there = np.arange(len(group)) % cells < known
    return measured, np.where(there, true, np.nan), group, means


def test_one_group_is_corrected_as_published() -> None:
    """The published formula is for labelled cells beside the others; here they are few of them."""
    rng = np.random.default_rng(0)
    f, group = rng.normal(0, 1, 20_000), np.zeros(20_000, np.intp)
    y = np.where(np.arange(20_000) < 40, f + 0.3 + rng.normal(0, 0.4, 20_000), np.nan)
    there = np.isfinite(y)
    found = corrected_means(f, y, group, np.arange(20_000) // 4)  # of wells: the slope is 1
    off = f[there] - y[there]
    theta = f.mean() - off.mean()
    error = np.sqrt(f.var(ddof=1) / len(f) + off.var(ddof=1) / len(off))
    np.testing.assert_allclose(found.corrected, theta)
    np.testing.assert_allclose(found.error, error, rtol=0.02)
    half = stats.t.ppf(0.95, 39) * error
    np.testing.assert_allclose(
        [found.low[0], found.high[0]], [theta - half, theta + half], atol=0.01
    )


def test_the_slope_is_that_of_the_second_paper() -> None:
    rng = np.random.default_rng(1)
    f, y, group, _ = cells(rng, 1, 400, 40, 0.0, error=2.0)
    there = np.isfinite(y)
    covariance = np.cov(y[there], f[there])[0, 1]
    slope = covariance / (1 + 40 / 360) / f.var(ddof=1)  # of 40 labelled cells and 360 others
    expected = y[there].mean() + slope * (f[~there].mean() - f[there].mean())
    found = corrected_means(f, y, group)
    assert found.slope < 0.5
    np.testing.assert_allclose(found.corrected, expected)


def test_where_all_cells_are_known_the_mean_is_theirs() -> None:
    rng = np.random.default_rng(2)
    f, y, group, _ = cells(rng, 1, 60, 60, 0.0)
    found = corrected_means(f, y, group)
    np.testing.assert_allclose(found.corrected, y.mean())
    np.testing.assert_allclose(found.error, stats.sem(y))


def test_a_group_borrows_as_much_as_its_own_cells_do_not_tell() -> None:
    rng = np.random.default_rng(3)
    f, y, group, _ = cells(rng, 8, 400, 5, 0.2)
    many = (group == 7) & (np.arange(len(f)) % 400 < 200)
    y = np.where(many, f + 3.0 + rng.normal(0, 0.4, len(f)), y)
    none = group == 0
    y[none] = np.nan
    found = corrected_means(f, y, group)
    rectifier = found.corrected - found.measured
    assert found.own[7] > 0.95
    assert rectifier[7] == pytest.approx(3.0, abs=0.15)
    assert found.own[0] == 0
    assert rectifier[0] == pytest.approx(rectifier[1:].mean(), abs=0.1)
    assert found.error[0] > 2 * found.error[7]
    assert np.all((found.own[1:7] > 0) & (found.own[1:7] < 1))


def test_few_groups_lend_nothing() -> None:
    rng = np.random.default_rng(4)
    f, y, group, _ = cells(rng, FEWEST_GROUPS, 50, 10, 0.1)
    y[group == 0] = np.nan
    found = corrected_means(f, y, group)
    assert np.isnan(found.corrected[0])
    assert np.isnan(found.low[0])
    assert found.own[1:].tolist() == [1] * (FEWEST_GROUPS - 1)
    own = (group == 1) & np.isfinite(y)
    if found.slope == 1:
        expected = f[group == 1].mean() + (y - f)[own].mean()
        assert found.corrected[1] == pytest.approx(expected)


def test_too_few_known_cells_correct_nothing() -> None:
    f, y, group, _ = cells(np.random.default_rng(5), 6, 50, 1, 0.1)
    found = corrected_means(f, y, group)
    assert np.isnan(found.corrected).all()
    np.testing.assert_allclose(found.measured, [f[group == k].mean() for k in range(6)])


def test_what_is_always_off_alike_is_put_right_exactly() -> None:
    group = np.repeat(np.arange(5), 10)
    true = np.random.default_rng(6).normal(size=50)
    found = corrected_means(true - 2, np.where(np.arange(50) % 10 < 3, true, np.nan), group)
    np.testing.assert_allclose(found.corrected, [true[group == k].mean() for k in range(5)])
    assert np.isfinite(found.low).all()


def test_the_spread_of_a_group_of_wells_is_that_between_its_wells() -> None:
    rng = np.random.default_rng(7)
    f, y, group, _ = cells(rng, 6, 120, 20, 0.0)
    well = np.arange(len(f)) // 30
    f = f + rng.normal(0, 2, well.max() + 1)[well]
    by_wells, by_cells = corrected_means(f, y, group, well), corrected_means(f, y, group)
    assert by_wells.slope == 1
    assert (by_wells.error > 2 * by_cells.error).any()
    wells = np.array([f[well == w].mean() for w in range(4)])
    assert by_wells.error[0] > stats.sem(wells)


def hold(found: CorrectedMeans, means: Floats) -> NDArray[np.bool_]:
    return (found.low <= means) & (means <= found.high)


@pytest.mark.parametrize(
    ("groups", "each", "between", "narrower"),
    [(12, 4, 0.0, 0.5), (12, 4, 0.2, 0.6), (12, 4, 1.0, 0.8), (4, 10, 0.2, 0.9), (1, 40, 0.0, 0.8)],
)
def test_intervals_hold_and_are_narrower_than_those_of_the_known_cells(
    groups: int, each: int, between: float, narrower: float
) -> None:
    rng = np.random.default_rng(8)
    held, width, alone = [], [], []
    for _ in range(80 if groups > 1 else 400):
        f, y, group, means = cells(rng, groups, 100, each, between)
        found = corrected_means(f, y, group)
        held.append(hold(found, means))
        width.append(found.high - found.low)
        for k in range(groups):
            _, low, high = interval_of_mean(y[(group == k) & np.isfinite(y)])
            alone.append(high - low)
    assert 0.86 < np.mean(held) < 0.97
    assert np.median(width) < narrower * np.median(alone)


def test_what_says_nothing_is_not_worse_than_the_known_cells_alone() -> None:
    rng = np.random.default_rng(9)
    held, errors, alone = [], [], []
    for _ in range(80):
        _, y, group, means = cells(rng, 12, 60, 4, 0.0)
        found = corrected_means(rng.normal(0, 2, len(y)), y, group)
        held.append(hold(found, means))
        errors.append(np.abs(found.corrected - means))
        own = [np.nanmean(y[group == k]) for k in range(12)]
        alone.append(np.abs(np.array(own) - means))
    assert np.mean(held) > 0.86
    assert np.mean(errors) < 1.03 * np.mean(alone)
