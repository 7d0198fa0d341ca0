"""How well what is told of a value as a distribution fits the true value: samples, quantiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def crps_of_samples(draws: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """Return the continuous ranked probability score (N,) of samples (S, N) of N values.

    The fair estimator, whose mean does not depend on how few samples there are: the mean of
    |x_i - y|, less the sum of |x_i - x_j| over all i and j over 2 S (S - 1). It is in the
    value's unit, 0 at best, and may come out below 0 for a single value.

    Parameters
    ----------
    draws
        Samples; those that are not finite do not count. A value of fewer than two has NaN.
    truth
        True values (N,).

    References
    ----------
    Ferro, "Fair scores for ensemble forecasts", Quarterly Journal of the Royal Meteorological
    Society 140, 2014.

    Examples
    --------
    >>> crps_of_samples(np.array([[0.0], [2.0]]), np.array([1.0]))
    array([0.])
    """
    given = np.asarray(draws, np.float64)
    finite = np.isfinite(given)
    values, count = np.where(finite, given, 0.0), finite.sum(0)
    far = np.where(finite, np.abs(values - truth), 0.0).sum(0)
    pairs = np.abs(values[:, None] - values[None])
    apart = np.where(finite[:, None] & finite[None], pairs, 0.0).sum((0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = far / count - apart / (2 * count * (count - 1))
    return np.where(count >= 2, score, np.nan)


def crps_of_quantiles(
    quantiles: NDArray[np.floating], levels: NDArray[np.floating], truth: NDArray[np.floating]
) -> Floats:
    """Return the continuous ranked probability score (N,) of quantiles (K, N), approximately.

    The score is twice the integral of the pinball loss over all levels; here it is twice the
    mean over K levels, which must lie in the middle of K equal parts of 0 to 1. That is the
    exact score of a distribution with an equal share at each of the quantiles.

    Parameters
    ----------
    quantiles, levels
        Quantiles (K, N) of N values, and their levels (K,).
    truth
        True values (N,).

    Raises
    ------
    ValueError
        If the levels are others.

    Examples
    --------
    >>> crps_of_quantiles(np.array([[1.0], [1.0]]), np.array([0.25, 0.75]), np.array([3.0]))
    array([2.])
    """
    middles = (np.arange(len(levels)) + 0.5) / len(levels)
    if not np.allclose(levels, middles):
        raise ValueError("the levels must lie in the middle of equal parts of 0 to 1")
    gap = truth - np.asarray(quantiles, np.float64)
    levels = middles[:, None]
    return np.asarray(2 * np.maximum(levels * gap, (levels - 1) * gap).mean(0))


def ranks_of_truth(draws: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return how many samples (S, N) of each value lie below the true one (N,): 0 to S.

    If values are drawn from a prior, and samples from their posterior, all ranks are as frequent:
    simulation-based calibration. Samples that lie too close together leave the ends too frequent.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari & Gelman, "Validating Bayesian Inference Algorithms with
    Simulation-Based Calibration", 2018.

    Examples
    --------
    >>> ranks_of_truth(np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([0.0, 1.5]))
    array([0, 1])
    """
    return np.asarray((np.asarray(draws) < truth).sum(0), np.intp)


def shares_nearer(
    draws: NDArray[np.floating], truth: NDArray[np.floating], rng: np.random.Generator
) -> Floats:
    """Return the share (N,) of samples that are nearer to a point drawn at random than the truth.

    If samples are of the posterior, shares are even from 0 to 1, for several measurements
    together: tests of accuracy with random points (TARP). Points are drawn evenly from where true
    values lie, and every measurement counts by the range of its true values.

    Parameters
    ----------
    draws
        Samples (S, N, D) of D measurements.
    truth
        True values (N, D).
    rng
        Source of the points.

    References
    ----------
    Lemos, Coogan, Hezaveh & Perreault-Levasseur, "Sampling-Based Accuracy Testing of Posterior
    Estimators for General Inference", ICML 2023.

    Examples
    --------
    >>> truth = np.array([[0.0], [1.0]])
    >>> shares_nearer(np.stack([truth, truth + 5]), truth, np.random.default_rng(0))
    array([0., 0.])
    """
    low, span = truth.min(0), np.maximum(np.ptp(truth, 0), np.finfo(np.float64).tiny)
    points = rng.random(truth.shape)
    far = np.linalg.norm((np.asarray(draws, np.float64) - low) / span - points, axis=-1)
    own = np.linalg.norm((truth - low) / span - points, axis=-1)
    return np.asarray((far < own).mean(0), np.float64)
