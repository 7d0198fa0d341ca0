"""Which cells are out of the ordinary: false alarms, percentiles, and cells far away."""

from __future__ import annotations

import numpy as np
import pytest

from napari_rls.measure.domain import (
    FALSE_ALARMS,
    Evidence,
    Verdict,
    fit_domain,
    judge,
    look,
    residual_share,
)

TURNED = np.array([[2.0, 0.5], [-1.0, 0.1]])


def ordinary(cells: int, seed: int) -> Evidence:
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(cells, 2)) @ TURNED + 5
    return Evidence(rng.gamma(4, 0.002, cells), rng.normal(-50, 10, cells), looks)


def test_ordinary_cells_are_flagged_as_often_as_promised() -> None:
    domain = fit_domain(ordinary(2000, 0))
    assert domain.cells == 2000
    assert domain.false_alarms == FALSE_ALARMS == 0.05
    verdict = judge(domain, ordinary(20_000, 1))
    flagged = verdict.poor_fit | verdict.out_of_domain
    assert flagged.mean() == pytest.approx(0.05, abs=0.01)
    # Of three rules of equal weight two are behind one flag.
    assert verdict.out_of_domain.mean() == pytest.approx(2 * verdict.poor_fit.mean(), rel=0.4)


def test_percentiles_are_shares_of_the_held_out_cells() -> None:
    held_out = ordinary(2000, 0)
    centre = held_out.look.mean(0)
    residual, density = np.array([0.008, 1.0, 0.0]), np.array([-50.0, -60.0, 0.0])
    # 1.177 standard deviations: half of a bivariate normal distribution lies nearer.
    looks = centre + np.array([[0, 0], [1.177, 0], [9, 9]]) @ TURNED
    verdict = judge(fit_domain(held_out), Evidence(residual, density, looks))
    expected = [100 * (held_out.residual < 0.008).mean(), 100, 0]
    np.testing.assert_allclose(verdict.residual_percentile, expected, atol=1)
    expected = [100 * (held_out.log_density < x).mean() for x in (-50, -60, 0)]
    np.testing.assert_allclose(verdict.density_percentile, expected, atol=1)
    np.testing.assert_allclose(verdict.look_percentile, [0, 50, 100], atol=3)
    assert verdict.poor_fit.tolist() == [False, True, False]
    assert verdict.out_of_domain.tolist() == [False, False, True]


def test_cells_of_which_nothing_is_known_are_not_flagged() -> None:
    nothing = Evidence(np.array([np.nan]), np.array([np.nan]), np.full((1, 2), np.nan))
    for verdict in (judge(fit_domain(ordinary(500, 0)), nothing), Verdict.of_nothing(1)):
        for percentile in (
            verdict.residual_percentile,
            verdict.density_percentile,
            verdict.look_percentile,
        ):
            assert np.isnan(percentile).all()
        assert not verdict.poor_fit[0]
        assert not verdict.out_of_domain[0]
    with pytest.raises(ValueError, match="only 0 held-out cells have finite numbers"):
        fit_domain(nothing)


def test_the_look_is_that_of_block_means() -> None:
    rng = np.random.default_rng(0)
    small = rng.uniform(100, 900, (3, 2, 4, 4))
    low, high = [100.0, 0.0], [900.0, 1000.0]
    first = look(np.repeat(np.repeat(small, 8, 2), 8, 3), low, high, 8)
    assert first.shape == (3, 9)
    np.testing.assert_allclose(first, look(small, low, high, 1))
    share = (small[0, 0] - 100) / 800
    expected = [np.log(x + 0.01) for x in (share.mean(), share.std(), share.max())]
    np.testing.assert_allclose(first[0, [0, 2, 4]], expected)
    centre = np.log(share[1:3, 1:3].mean() + 0.01) - expected[0]
    np.testing.assert_allclose(first[0, 6], centre)
    correlation = np.corrcoef(small[0].reshape(2, -1))[0, 1]
    assert first[0, 8] == pytest.approx(correlation, abs=0.01)


def test_residuals_are_weighed_by_the_range_of_their_channel() -> None:
    share = residual_share(np.array([[2.0, 10.0], [0.0, 5.0]]), low=[0, 100], high=[200, 1100])
    np.testing.assert_allclose(share, [(0.01 + 0.01) / 2, 0.0025])
