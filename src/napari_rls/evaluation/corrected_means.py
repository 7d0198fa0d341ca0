"""Means of groups of cells, corrected by those cells of which the true value is known.

Prediction-powered inference: what a measurement is off on average is learned from cells that have
an HR image, and subtracted from the mean over all cells. With f the measurement and y the true
value, the mean of a group is mean(s f) over all of its cells plus its rectifier, the mean of
y - s f, where the slope s is 1 (Angelopoulos et al. 2023) or tuned (PPI++).

What a measurement is off differs between wells, and few wells have many cells with a true value.
So a group's rectifier is estimated as small areas are: as one draw from a normal distribution of
rectifiers, whose mean and spread the groups with true values tell together. A group with many is
corrected by its own, one without any by the mean of the others, and its interval holds how far
groups differ. The spread between groups is integrated over with a flat prior.

References
----------
Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, "Prediction-powered inference", Science 382, 2023.
Angelopoulos, Duchi and Zrnic, "PPI++: Efficient prediction-powered inference", 2023.
Battese, Harter and Fuller, "An error-components model for prediction of county crop areas using
survey and satellite data", Journal of the American Statistical Association 83, 1988.
Gelman, "Prior distributions for variance parameters in hierarchical models", Bayesian Analysis 1,
2006.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from napari_rls.measure.intervals import TABLE_LEVEL

FEWEST_GROUPS = 4
"""Groups with true values from which others may borrow: fewer do not tell how far groups differ."""

FEWEST_SPARE = 4
"""Cells with true values beyond one per group: fewer do not tell how far those of one differ."""

FEWEST_WELLS = 3
"""Wells of a group from which the spread of its mean is that between wells, not between cells."""

_STEPS = 401
_BEYOND = 5.0
"""The spread between groups is looked for up to this many times what means of groups differ by."""

Floats = NDArray[np.float64]
Groups = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class CorrectedMeans:
    """Means of groups, (G,) each; NaN where there is nothing to correct by.

    Parameters
    ----------
    measured
        As measured.
    corrected, error, low, high
        Corrected, with standard error and interval.
    own
        Which share of the rectifier the group's own cells have, 0 to 1.
    slope
        What values were multiplied by: 1, or less where they say little of true ones.
    """

    measured: Floats
    corrected: Floats
    error: Floats
    low: Floats
    high: Floats
    own: Floats
    slope: float


def corrected_means(
    measured: Floats,
    true: Floats,
    group: Groups,
    well: Groups | None = None,
    level: float = TABLE_LEVEL,
) -> CorrectedMeans:
    """Correct the means of groups of cells by the cells whose true value is known.

    The slope is 1, or that of PPI++, which is Cov(y, f) / Var f within groups: whichever makes
    the mean of the groups' variances less. The latter nears 0 where f says
    nothing, and the groups then have the means of their true values. For groups of several wells
    it is 1: what wells of a group differ by is then all in f, whose wells are many.

    Parameters
    ----------
    measured
        Values (N,) of all cells.
    true
        True values (N,), NaN where they are not known. Cells that have one are drawn at random
        within their group.
    group
        Group (N,) of each cell, from 0; none is empty.
    well
        Well (N,) of each cell, if groups are of several: the mean of a group of
        :data:`FEWEST_WELLS` or more is as uncertain as its wells differ. Otherwise, cells are
        taken for independent.
    level
        Level of the intervals, in (0, 1).
    """
    known = np.isfinite(true)
    groups = int(group.max()) + 1
    cells = _Cells(measured, group, known, groups)
    if np.count_nonzero(known) < len(np.unique(group[known])) + FEWEST_SPARE:
        none = np.full(groups, np.nan)
        return CorrectedMeans(cells.mean, none, none, none, none, none, np.nan)
    variance, freedom = _of_means(cells, well)
    slopes = (1.0,) if well is not None else (1.0, _tuned_slope(cells, true[known]))
    found = [_by_slope(s, cells, true[known], variance, freedom, level) for s in slopes]
    return min(found, key=lambda means: float(np.nanmean(means.error**2)))


def interval_of_mean(values: Floats, level: float = TABLE_LEVEL) -> tuple[float, float, float]:
    """Return the mean of values and the ends of its t interval; NaN of fewer than two."""
    if len(values) < 2:
        return (float(values[0]) if len(values) else np.nan), np.nan, np.nan
    mean, error = float(values.mean()), float(stats.sem(values))
    half = float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * error
    return mean, mean - half, mean + half


class _Cells:
    """Measured values by group: all, and those of cells with true values."""

    def __init__(
        self, measured: Floats, group: Groups, known: NDArray[np.bool_], groups: int
    ) -> None:
        self.values, self.group, self.groups = measured, group, groups
        self.count = np.bincount(group, minlength=groups)
        self.mean = np.bincount(group, measured, groups) / self.count
        self.known_values, self.known_group = measured[known], group[known]
        self.known_count = np.bincount(self.known_group, minlength=groups)

    def centred(self, values: Floats) -> tuple[Floats, Floats]:
        """Return means by group of values of the cells with true ones, and what is left."""
        sums = np.bincount(self.known_group, values, self.groups)
        means = sums / np.maximum(self.known_count, 1)
        return means, values - means[self.known_group]

    @property
    def spare(self) -> int:
        return len(self.known_values) - int((self.known_count > 0).sum())


def _tuned_slope(cells: _Cells, true: Floats) -> float:
    """Return the slope of PPI++, from what differs within groups.

    The paper's denominator has a factor 1 + n / N, of n labelled cells beside N others. Here means
    are over all N + n of them, and the same estimate has the slope without that factor.
    """
    within = cells.values - cells.mean[cells.group]
    variance = float((within**2).sum()) / max(len(within) - cells.groups, 1)
    together = float((cells.centred(cells.known_values)[1] * cells.centred(true)[1]).sum())
    if variance == 0:
        return 0.0
    return float(np.clip(together / cells.spare / variance, 0, 1))


def _of_means(cells: _Cells, well: Groups | None) -> tuple[Floats, Floats]:
    """Return the variance of the measured means of groups, and its degrees of freedom."""
    within = cells.values - cells.mean[cells.group]
    one = np.arange(len(within)) if well is None else well
    pairs, at = np.unique(np.stack([cells.group, one]), axis=1, return_inverse=True)
    wells = np.bincount(pairs[0], minlength=cells.groups)
    # Cells stand for themselves in groups of few wells.
    few = wells[cells.group] < FEWEST_WELLS
    unit = np.where(few, at.max() + 1 + np.arange(len(within)), at.ravel())
    _, first, at = np.unique(unit, return_index=True, return_inverse=True)
    sums = np.bincount(at.ravel(), within)
    owner = cells.group[first]
    units = np.bincount(owner, minlength=cells.groups)
    squares = np.bincount(owner, sums**2, cells.groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = units / (units - 1) * squares / cells.count**2
    return np.asarray(variance, np.float64), np.asarray(units - 1, np.float64)


def _by_slope(
    slope: float, cells: _Cells, true: Floats, variance: Floats, freedom: Floats, level: float
) -> CorrectedMeans:
    off = true - slope * cells.known_values
    means, left = cells.centred(off)
    inside = float((left**2).sum()) / cells.spare
    rectifier, spread, own = _rectifiers(means, cells.known_count, inside)
    mean = slope * cells.mean + rectifier
    # The cells with true values are among all: what both means share of them counts once.
    both = float((cells.centred(cells.known_values)[1] * left).sum()) / cells.spare
    measured = slope**2 * variance
    total = np.maximum(measured + spread + 2 * own * slope * both / cells.count, spread)
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = (measured + spread) ** 2 / (measured**2 / freedom + spread**2 / cells.spare)
    half = stats.t.ppf(0.5 + level / 2, degrees) * np.sqrt(total)
    half = np.where(total == 0, 0.0, half)
    return CorrectedMeans(cells.mean, mean, np.sqrt(total), mean - half, mean + half, own, slope)


def _rectifiers(means: Floats, count: Groups, inside: float) -> tuple[Floats, Floats, Floats]:
    """Return the rectifiers of groups, their variances, and the shares of their own cells.

    Parameters
    ----------
    means, count
        Mean of what the cells with true values of each group are off, and their number.
    inside
        Variance of it within groups.
    """
    there = count > 0
    noise = np.divide(inside, count, out=np.full(len(count), np.inf), where=there)
    if there.sum() < FEWEST_GROUPS:
        alone = np.where(there, 1.0, np.nan)
        return means * alone, noise * alone, alone
    furthest = _BEYOND * float(np.sqrt(means[there].var(ddof=1) + inside))
    if furthest == 0:
        none: Floats = np.zeros(len(count))
        return none + means[there][0], none, there.astype(np.float64)
    noise = np.maximum(noise, (1e-6 * furthest) ** 2)
    between = np.linspace(0, furthest, _STEPS)[:, None] ** 2
    weight = 1 / (between + noise)
    whole = weight.sum(1, keepdims=True)
    centre = (weight * means).sum(1, keepdims=True) / whole
    # The restricted likelihood of the spread, which is its posterior under a flat prior.
    likelihood = 0.5 * (
        np.log(weight[:, there]).sum(1)
        - np.log(whole[:, 0])
        - (weight * (means - centre) ** 2).sum(1)
    )
    chance = np.exp(likelihood - likelihood.max())[:, None]
    chance /= chance.sum()
    share = between * weight
    found = centre + share * (means - centre)
    rectifier = np.asarray((chance * found).sum(0), np.float64)
    spread = np.where(there, share * np.where(there, noise, 0), between)
    spread = spread + (1 - share) ** 2 / whole + (found - rectifier) ** 2
    own = share + (1 - share) * weight / whole
    spread, own = (chance * spread).sum(0), (chance * own).sum(0)
    return rectifier, np.asarray(spread, np.float64), np.asarray(own, np.float64)
