"""Which cells are out of the ordinary: false alarms, percentiles, and cells far away."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rls.measure.domain import FALSE_ALARMS, fit_domain, judge, residual_share


def ordinary(cells: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(4, 0.002, cells), rng.normal(-50, 10, cells)


def test_ordinary_cells_are_flagged_as_often_as_promised() -> None:
    domain = fit_domain(*ordinary(2000, 0))
    assert domain.cells == 2000
    assert domain.false_alarms == FALSE_ALARMS == 0.05
    verdict = judge(domain, *ordinary(20_000, 1))
    flagged = verdict.poor_fit | verdict.out_of_domain
    assert flagged.mean() == pytest.approx(0.05, abs=0.01)
    assert verdict.poor_fit.mean() == pytest.approx(verdict.out_of_domain.mean(), abs=0.01)


def test_percentiles_are_shares_of_the_held_out_cells() -> None:
    residual, density = ordinary(2000, 0)
    domain = fit_domain(residual, density)
    verdict = judge(domain, np.array([0.008, 1.0, 0.0]), np.array([-50.0, -60.0, 0.0]))
    expected = [100 * (residual < 0.008).mean(), 100, 0]
    np.testing.assert_allclose(verdict.residual_percentile, expected, atol=1)
    expected = [100 * (density < x).mean() for x in (-50, -60, 0)]
    np.testing.assert_allclose(verdict.density_percentile, expected, atol=1)
    assert verdict.poor_fit.tolist() == [False, True, False]


def test_cells_of_which_nothing_is_known_are_not_flagged() -> None:
    nothing = np.array([np.nan])
    verdict = judge(fit_domain(*ordinary(500, 0)), nothing, nothing)
    assert np.isnan(verdict.residual_percentile[0])
    assert np.isnan(verdict.density_percentile[0])
    assert not verdict.poor_fit[0]
    assert not verdict.out_of_domain[0]
    with pytest.raises(ValueError, match="no cell has a finite"):
        fit_domain(nothing, nothing)


def test_residuals_are_weighed_by_the_range_of_their_channel() -> None:
    share = residual_share(np.array([[2.0, 10.0], [0.0, 5.0]]), low=[0, 100], high=[200, 1100])
    np.testing.assert_allclose(share, [(0.01 + 0.01) / 2, 0.0025])
