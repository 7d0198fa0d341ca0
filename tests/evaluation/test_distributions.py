"""Scores of samples and quantiles, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from napari_rls.evaluation.distributions import (
    crps_of_quantiles,
    crps_of_samples,
    ranks_of_truth,
    shares_nearer,
)
from napari_rls.models.direct_spec import LEVELS

TENTHS = np.array([level for level in LEVELS if level != 0.5])


def of_normal(truth: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Gneiting and Raftery 2007, equation 5: the score of a normal distribution around 0."""
    z = truth / deviation
    spread = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    return np.asarray(deviation * spread)


@pytest.mark.parametrize("samples", [2, 5, 20])
@pytest.mark.parametrize("truth", [0.0, 1.0, -4.0])
def test_few_samples_score_on_average_as_their_distribution(samples: int, truth: float) -> None:
    rng = np.random.default_rng(0)
    draws = 1.5 * rng.normal(size=(samples, 40_000))
    score = crps_of_samples(draws, np.full(40_000, truth))
    assert score.mean() == pytest.approx(of_normal(np.array(truth), 1.5), abs=0.02)


def test_the_score_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(1)
    draws, truth = rng.normal(size=(4, 3)), rng.normal(size=3)
    for own, y, score in zip(draws.T, truth, crps_of_samples(draws, truth), strict=True):
        far = np.mean([abs(x - y) for x in own])
        apart = sum(abs(a - b) for a in own for b in own) / (2 * 4 * 3)
        assert score == pytest.approx(far - apart)


def test_what_is_not_finite_does_not_count() -> None:
    draws = np.array([[1.0, np.nan, 1.0], [3.0, 3.0, 3.0], [np.nan, np.nan, np.inf]])
    score = crps_of_samples(draws, np.array([2.0, 2.0, np.nan]))
    assert score[0] == pytest.approx(1 - 2 * 2 / (2 * 2 * 1))
    assert np.isnan(score[1:]).all()


@pytest.mark.parametrize("truth", [0.0, 0.7, 3.0])
def test_quantiles_score_nearly_as_their_distribution(truth: float) -> None:
    quantiles = 2 * stats.norm.ppf(TENTHS)[:, None]
    score = crps_of_quantiles(quantiles, TENTHS, np.array([truth]))
    assert score == pytest.approx(of_normal(np.array([truth]), 2.0), abs=0.02)


def test_quantiles_score_exactly_as_what_has_a_share_at_each() -> None:
    rng = np.random.default_rng(0)
    atoms, truth = np.sort(rng.normal(size=(10, 6)), 0), rng.normal(size=6)
    apart = np.abs(atoms[:, None] - atoms[None]).mean((0, 1)) / 2
    expected = np.abs(atoms - truth).mean(0) - apart
    np.testing.assert_allclose(crps_of_quantiles(atoms, TENTHS, truth), expected)


def test_other_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="middle of equal parts"):
        crps_of_quantiles(np.zeros((3, 1)), np.array([0.05, 0.5, 0.95]), np.zeros(1))


def linear(spread: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return samples (7, N, 2) and true values: y = x + e, whose posterior is known."""
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(6000, 2))
    seen = truth + 0.5 * rng.normal(size=truth.shape)
    mean, deviation = seen / 1.25, np.sqrt(0.2)
    return mean + spread * deviation * rng.normal(size=(7, *truth.shape)), truth


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_ranks_are_even_if_samples_are_of_the_posterior(spread: float) -> None:
    draws, truth = linear(spread)
    ranks = ranks_of_truth(draws[..., 0], truth[:, 0])
    share = np.bincount(ranks, minlength=8) / len(ranks)

    def all_below(x: float) -> float:
        return float(stats.norm.pdf(x) * stats.norm.cdf(x / spread) ** 7)

    one_end, _ = integrate.quad(all_below, -8, 8)
    assert share[7] == pytest.approx(one_end, abs=0.02)
    assert share[0] == pytest.approx(one_end, abs=0.02)
    even = np.abs(share - 1 / 8).max() < 0.02
    assert even == (spread == 1.0)


@pytest.mark.parametrize(("spread", "low", "high"), [(1.0, 0.23, 0.27), (0.5, 0.3, 1), (2, 0, 0.2)])
def test_shares_nearer_are_even_if_samples_are_of_the_posterior(
    spread: float, low: float, high: float
) -> None:
    """What lies nearer than all samples, or farther, does so too often if they lie too close."""
    draws, truth = linear(spread)
    shares = shares_nearer(draws, truth, np.random.default_rng(3))
    assert low < np.isin(shares, (0.0, 1.0)).mean() < high
    even = np.abs(np.bincount((shares * 7).round().astype(int)) / len(shares) - 1 / 8).max() < 0.02
    assert even == (spread == 1.0)
