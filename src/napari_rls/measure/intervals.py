"""Intervals of a measurement from its values on several samples of a cell, and their truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_rls.models.trust import Correction

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Shares of cells that corrections are fitted for; tables show that of :data:`TABLE_LEVEL`."""

TABLE_LEVEL = 0.9

FEWEST_CELLS = 40
"""Cells that a correction needs at least: a two-sided level of 0.95 rests on their tails."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Summary:
    """Standard deviation over samples and the ends and middle of the 90 % interval, (N,) each."""

    sd: Floats
    q05: Floats
    q50: Floats
    q95: Floats


def summarise(draws: NDArray[np.floating], correction: Correction | None = None) -> Summary:
    """Summarise a measurement on samples.

    Parameters
    ----------
    draws
        Values (S, N): S samples of N cells, NaN where a sample could not be measured.
        Cells with fewer than two values get NaN.
    correction
        Correction of the intervals, or None for those that the samples give by themselves.
    """
    mean, sd, _ = moments(draws)
    low, high = interval(draws, TABLE_LEVEL, correction)
    middle = 0.0 if correction is None else correction.median * _spread(sd, correction.floor)
    return Summary(sd, low, mean + middle, high)


def interval(
    draws: NDArray[np.floating], level: float, correction: Correction | None = None
) -> tuple[Floats, Floats]:
    """Return the lower and upper ends (N,) of the intervals of a level in (0, 1).

    Without a correction it is the prediction interval of one more draw from a normal
    distribution: mean -+ t(S - 1) sd sqrt(1 + 1/S).

    Raises
    ------
    ValueError
        If the correction was not fitted for the level.
    """
    mean, sd, count = moments(draws)
    if correction is not None:
        if level not in correction.levels:
            raise ValueError(f"the correction has no level {level}")
        k = correction.levels.index(level)
        spread = _spread(sd, correction.floor)
        return mean + correction.below[k] * spread, mean + correction.above[k] * spread
    half = (
        scipy.stats.t.ppf(0.5 + level / 2, np.maximum(count - 1, 1)) * sd * np.sqrt(1 + 1 / count)
    )
    return mean - half, mean + half


def fit_correction(
    column: str,
    draws: NDArray[np.floating],
    truth: NDArray[np.floating],
    levels: Sequence[float] = LEVELS,
) -> Correction | None:
    """Fit a correction to cells whose true value is known.

    The quantiles take the finite-sample step of split-conformal prediction (Lei et al.
    2018), on either side: of n sorted quotients, the upper end of a level is number
    ceil((n + 1) (1 + level) / 2), the lower end its mirror.

    Parameters
    ----------
    column
        Name of the measurement.
    draws, truth
        Values on samples (S, N) and true values (N,); cells without both are left out.
    levels
        Levels in (0, 1).

    Returns
    -------
    Correction or None
        None if there are fewer than :data:`FEWEST_CELLS` cells, or nothing varies.
    """
    mean, sd, _ = moments(draws)
    known = np.isfinite(mean) & np.isfinite(truth)
    if known.sum() < FEWEST_CELLS:
        return None
    mean, sd, truth = mean[known], sd[known], np.asarray(truth, np.float64)[known]
    floor = float(np.median(sd)) or float(np.median(np.abs(truth - mean)))
    if floor == 0:
        return None
    quotients = np.sort((truth - mean) / _spread(sd, floor))
    n = len(quotients)
    above = [min(int(np.ceil((n + 1) * (1 + level) / 2)), n) - 1 for level in levels]
    return Correction(
        column=column,
        cells=n,
        floor=floor,
        levels=tuple(levels),
        below=tuple(float(quotients[n - 1 - k]) for k in above),
        above=tuple(float(quotients[k]) for k in above),
        median=float(np.median(quotients)),
    )


def fit_widening(
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    truth: NDArray[np.floating],
    level: float,
) -> float | None:
    """Return by how much intervals must grow at either end to hold a share of true values.

    It is below 0 where they may shrink. Conformalised quantile regression (Romano et al. 2019,
    section 3): of n sorted gaps max(low - truth, truth - high), number ceil((n + 1) level).

    Parameters
    ----------
    low, high
        Ends of the intervals (N,).
    truth
        True values (N,); cells without one are left out.
    level
        The share, in (0, 1).

    Returns
    -------
    float or None
        None if there are fewer cells than the level asks for.

    Examples
    --------
    >>> fit_widening(np.zeros(9), np.ones(9), np.linspace(0.5, 1.3, 9), 0.9)
    0.3
    """
    gaps = np.maximum(low - truth, truth - high).astype(np.float64)
    gaps = np.sort(gaps[np.isfinite(gaps)])
    place = int(np.ceil(np.round((len(gaps) + 1) * level, 9)))
    return round(float(gaps[place - 1]), 12) if place <= len(gaps) else None


def left_open(draws: NDArray[np.floating]) -> float | None:
    """Return which share of a measurement's variance over cells the LR images leave open.

    With W the mean over cells of the variance among samples, and B the variance over cells of
    the samples' mean, less what chance puts there (W over the number of samples), it is
    W / (W + B): 0 if the samples of a cell agree, 1 if they differ as much as cells do.

    Parameters
    ----------
    draws
        Values (S, N): S samples of N cells, NaN where a sample could not be measured.

    Returns
    -------
    float or None
        None if fewer than two cells have two values, or nothing varies.
    """
    mean, sd, count = moments(draws)
    known = np.isfinite(mean)
    if known.sum() < 2:
        return None
    within = float((sd[known] ** 2).mean())
    chance = float((sd[known] ** 2 / count[known]).mean())
    between = max(float(mean[known].var(ddof=1)) - chance, 0.0)
    return within / (within + between) if within + between > 0 else None


def unexplained(draws: NDArray[np.floating], truth: NDArray[np.floating]) -> float | None:
    """Return the share of the variance of true values (N,) that means over samples leave open.

    It is their mean squared error over that of the best single value for all cells, 1 at
    most; None if fewer than two cells are known, or all have the same value.
    """
    mean, _, _ = moments(draws)
    known = np.isfinite(mean) & np.isfinite(truth)
    if known.sum() < 2 or np.ptp(truth[known]) == 0:
        return None
    error = float(((truth - mean)[known] ** 2).mean())
    return min(error / float(truth[known].var()), 1.0)


def shares_left_open(draws: Mapping[str, NDArray[np.floating]]) -> dict[str, float]:
    """Return :func:`left_open` of every column that it is known of, by its name."""
    found = {name: left_open(values) for name, values in draws.items()}
    return {name: share for name, share in found.items() if share is not None}


def moments(draws: NDArray[np.floating]) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return mean, standard deviation and number of the finite values of each cell, (N,) each.

    Mean and deviation are NaN for cells with fewer than two.
    """
    values = np.asarray(draws, np.float64)
    finite = np.isfinite(values)
    count = np.maximum(finite.sum(0), 1)
    enough = finite.sum(0) >= 2
    values = np.where(finite, values, 0.0)
    mean = np.where(enough, values.sum(0) / count, np.nan)
    squares = np.where(finite, (values - mean) ** 2, 0.0).sum(0)
    return mean, np.where(enough, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan), count


def _spread(sd: Floats, floor: float) -> Floats:
    return np.asarray(np.sqrt(sd**2 + floor**2))
