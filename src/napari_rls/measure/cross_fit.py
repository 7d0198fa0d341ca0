"""Intervals judged by cells that they were not fitted on: parts of whole groups, in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_rls.measure.intervals import LEVELS, Floats, fit_correction, interval
from napari_rls.models.trust import Reliability

FOLDS = 10
"""Parts that groups are split into, at most: intervals of each are fitted on the others."""

RELIABILITY_KEY = "reliability"
"""Key of what corrected intervals held on held-out cells, in the entry of SR images."""

Ends = tuple[Floats, Floats]
Fit = Callable[[NDArray[np.bool_], NDArray[np.bool_]], Ends | None]
"""Takes masks of the others and of a part's own cells; returns the intervals of its own."""


def folds_of(groups: Sequence[str], seed: int) -> NDArray[np.intp]:
    """Return which part each cell is in: that of its group, drawn by lot.

    Parameters
    ----------
    groups
        What each cell must not be torn from, as its well.
    seed
        Of the lot.
    """
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    part = {name: int(place) % FOLDS for name, place in zip(names, order, strict=True)}
    return np.array([part[group] for group in groups], np.intp)


def crossed(folds: NDArray[np.intp], fit: Fit) -> Ends:
    """Return the ends of intervals, those of each part fitted on the other parts.

    They are NaN where too few others are known.
    """
    low, high = np.full(len(folds), np.nan), np.full(len(folds), np.nan)
    for fold in np.unique(folds):
        own = folds == fold
        found = fit(~own, own)
        if found is not None:
            low[own], high[own] = found
    return low, high


def reliability(
    draws: NDArray[np.floating],
    truth: NDArray[np.floating],
    folds: NDArray[np.intp],
    of: Literal["well", "file", "cell"],
    *,
    ends: tuple[float, float] = (-np.inf, np.inf),
    levels: Sequence[float] = LEVELS,
) -> Reliability | None:
    """Return how often intervals held true values, as drawn and corrected, and their widths.

    Parameters
    ----------
    draws, truth
        Values on samples (S, N) and true values (N,).
    folds
        Part of each cell (N,); the correction of each is fitted on the others.
    of
        What of the cells is not torn apart.
    ends
        What the measurement can be; intervals are cut there.
    levels
        Levels in (0, 1).

    Returns
    -------
    Reliability or None
        Of the cells that have both intervals; None if none has, as too few are known.
    """

    def fitted(level: float) -> Ends:
        def fit(others: NDArray[np.bool_], own: NDArray[np.bool_]) -> Ends | None:
            found = fit_correction("", draws[:, others], truth[others], (level,))
            return None if found is None else interval(draws[:, own], level, found)

        return crossed(folds, fit)

    figures: list[tuple[float, float, float, float]] = []
    judged = np.zeros(len(truth), bool)
    for level in levels:
        drawn, corrected = (
            np.clip(pair, *ends) for pair in (interval(draws, level), fitted(level))
        )
        judged = np.isfinite(truth) & np.isfinite([*drawn, *corrected]).all(0)
        if not judged.any():
            return None
        raw, own = ((low[judged], high[judged]) for low, high in (drawn, corrected))
        figures.append((*_told(*raw, truth[judged]), *_told(*own, truth[judged])))
    held_drawn, width_drawn, held, width = zip(*figures, strict=True)
    return Reliability(
        cells=int(judged.sum()),
        of=of,
        parts=len(np.unique(folds)),
        held_drawn=held_drawn,
        width_drawn=width_drawn,
        held=held,
        width=width,
    )


def _told(low: Floats, high: Floats, truth: Floats) -> tuple[float, float]:
    """Return the share of true values inside, and the median width."""
    return float(((low <= truth) & (truth <= high)).mean()), float(np.median(high - low))
