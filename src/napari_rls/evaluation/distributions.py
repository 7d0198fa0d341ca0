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
