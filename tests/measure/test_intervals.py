"""Intervals from samples: against textbook values, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rls.measure.intervals import (
    LEVELS,
    fit_correction,
    fit_widening,
    interval,
    moments,
    summarise,
)


def test_uncorrected_interval_is_the_prediction_interval_of_one_more_draw() -> None:
    draws = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    # t(4) at 0.95 is 2.13185 (tables); sd of 1..5 is sqrt(2.5).
    half = 2.13185 * np.sqrt(2.5) * np.sqrt(1.2)
    low, high = interval(draws, 0.9)
    assert low == pytest.approx(3 - half, abs=1e-4)
    assert high == pytest.approx(3 + half, abs=1e-4)
    summary = summarise(draws)
    assert (summary.q05, summary.q50, summary.q95) == (low, 3, high)
    assert summary.sd == pytest.approx(np.sqrt(2.5))


@pytest.mark.parametrize("level", LEVELS)
def test_uncorrected_intervals_hold_the_truth_as_often_as_they_say(level: float) -> None:
    rng = np.random.default_rng(0)
    centre = rng.normal(size=20_000)
    truth, draws = centre + rng.normal(size=20_000), centre + rng.normal(size=(5, 20_000))
    low, high = interval(draws, level)
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(level, abs=0.01)


def test_cells_with_fewer_than_two_values_have_no_interval() -> None:
    draws = np.array([[1.0, np.nan, 4.0], [np.nan, np.nan, 6.0]])
    mean, sd, count = moments(draws)
    np.testing.assert_array_equal(mean, [np.nan, np.nan, 5])
    np.testing.assert_allclose(sd, [np.nan, np.nan, np.sqrt(2)])
    assert list(count) == [1, 1, 2]
    summary = summarise(draws)
    for values in (summary.sd, summary.q05, summary.q50, summary.q95):
        assert np.isnan(values[:2]).all()
        assert np.isfinite(values[2])


def _misjudged(cells: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples that lie three times too close together, and too low."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.5, 2, cells)
    truth = rng.normal(size=cells) + 0.7
    return truth + spread * rng.normal(size=cells) - 1 + 0.3 * spread * rng.normal(
        size=(5, cells)
    ), truth


@pytest.mark.parametrize("level", LEVELS)
def test_a_correction_makes_intervals_hold_the_truth_of_other_cells(level: float) -> None:
    correction = fit_correction("x", *_misjudged(2000, 0))
    draws, truth = _misjudged(20_000, 1)
    low, high = interval(draws, level)
    assert ((low <= truth) & (truth <= high)).mean() < level - 0.15
    low, high = interval(draws, level, correction)
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(level, abs=0.02)
    assert (truth < low).mean() == pytest.approx((1 - level) / 2, abs=0.015)
    assert (truth < summarise(draws, correction).q50).mean() == pytest.approx(0.5, abs=0.03)


def test_ends_of_a_correction_are_order_statistics() -> None:
    truth = np.arange(1.0, 100)
    draws = np.array([[-1.0] * 99, [1.0] * 99])
    correction = fit_correction("x", draws, truth, levels=(0.9,))
    assert correction is not None
    # 99 quotients: number 95 from below is the upper end, number 5 the lower one.
    spread = 2.0  # sd = sqrt(2), and a floor of as much
    assert correction.above[0] == pytest.approx(95 / spread)
    assert correction.below[0] == pytest.approx(5 / spread)
    assert correction.cells == 99


def test_too_few_cells_or_none_that_vary_give_no_correction() -> None:
    draws, truth = _misjudged(39, 0)
    assert fit_correction("x", draws, truth) is None
    assert fit_correction("x", np.ones((5, 100)), np.ones(100)) is None
    unknown = np.full(100, np.nan)
    assert fit_correction("x", np.ones((5, 100)), unknown) is None


def test_a_level_that_was_not_fitted_is_refused() -> None:
    draws, truth = _misjudged(100, 0)
    with pytest.raises(ValueError, match=r"no level 0\.7"):
        interval(draws, 0.7, fit_correction("x", draws, truth))


def test_widened_intervals_hold_the_share_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    # Intervals of half the width that they should have, and of twice: -+1.645 sd is of 90 %.
    for half, sign in ((0.8, 1), (3.3, -1)):
        more = []
        for _ in range(2000):
            truth = rng.normal(size=19)
            more.append(fit_widening(np.full(19, -half), np.full(19, half), truth, 0.9))
        assert np.sign(np.median(more)) == sign
        fresh = rng.normal(size=(2000, 50))
        held = np.abs(fresh) <= half + np.array(more)[:, None]
        # Of 19 sorted gaps the 18th: exactly 18 / 20 are below it.
        assert held.mean() == pytest.approx(0.9, abs=0.006)


def test_too_few_cells_tell_no_widening() -> None:
    ends = np.zeros(9), np.ones(9)
    truth = np.linspace(0, 1.8, 9)
    assert fit_widening(*ends, truth, 0.9) == pytest.approx(0.8)
    assert fit_widening(*ends, np.where(truth > 1.7, np.nan, truth), 0.9) is None
