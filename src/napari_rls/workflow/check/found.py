"""How far measurements and intervals on SR images are from the truth of the same cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import TableError
from napari_rls.evaluation.agreement import agreement, coverage
from napari_rls.evaluation.tables import CELL, CONDITION, IMAGE, WELL
from napari_rls.measure.columns import INTERVAL, OUT_OF_DOMAIN, POOR_FIT, summary_columns
from napari_rls.measure.intervals import TABLE_LEVEL

SR, GT, LR = "SR", "GT", "LR"

_NORMAL_QUANTILE = 1.959963984540054

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What was found of one measurement at one scale factor.

    Numbers are NaN where they are not known. All but ``of``, ``poor_fit`` and ``out_of_domain``
    are of the cells that could be measured on SR, on its samples and on the true image.

    Parameters
    ----------
    factor, column
        Scale factor and measurement.
    cells, of
        Cells that could be measured, and all.
    r, r_low, r_high
        Correlation of the middle of the samples with the truth, and its 95 % interval.
    r_within
        The same of what is left without the mean of each well, or condition where no well is
        known; NaN for cells of fewer than two.
    r_sr, r_lr
        That of the SR image's value, and of the LR image's, upsampled.
    error, error_sr
        Median absolute error of the middle of the samples and of the SR image's value.
    bias, bias_reach
        Mean of the middle of the samples less the truth, and half of its 95 % interval.
    spread, span
        Standard deviation of the truth over cells, and the width that holds 90 % of it.
    held, held_low, held_high
        Share of the 90 % intervals that hold the truth, and its 95 % interval (Wilson).
    width
        Median width of the intervals.
    wider
        How many times as wide intervals must be to hold the truth of 90 % of such cells.
    corrected
        How the intervals were made, in words.
    poor_fit, out_of_domain
        Shares of cells with these flags.
    """

    factor: int
    column: str
    cells: int
    of: int
    r: float
    r_low: float
    r_high: float
    r_within: float
    r_sr: float
    r_lr: float
    error: float
    error_sr: float
    bias: float
    bias_reach: float
    spread: float
    span: float
    held: float
    held_low: float
    held_high: float
    width: float
    wider: float
    corrected: str
    poor_fit: float
    out_of_domain: float


def compare(table: pd.DataFrame, factor: int, column: str, *, judged: bool) -> Found:
    """Compare a measurement on SR images with the truth.

    Parameters
    ----------
    table
        Cells in LR, SR and GT, SR with intervals, as
        :func:`~napari_rls.workflow.measure.measurements.measure` makes it.
    factor
        The scale factor of the images.
    column
        The measurement.
    judged
        Whether the bundle knows which cells are ordinary at this factor.
    """
    names = summary_columns(column)
    sr = table[table[IMAGE] == SR].set_index(CELL)
    groups = sr[WELL].where(sr[WELL] != "", sr[CONDITION])
    truth = table[table[IMAGE] == GT].set_index(CELL)[column].reindex(sr.index)
    parts = [sr[column], truth, *(sr[names[end]] for end in ("q05", "q50", "q95"))]
    usable = np.flatnonzero(np.isfinite(np.array(parts, np.float64)).all(0))
    chosen = table[table[CELL].isin(sr.index[usable])]
    of_middle = _agreement(with_middle(chosen, column), column)
    of_image = _agreement(chosen, column)
    held = _coverage(chosen, column)
    _, true, low, middle, high = (np.asarray(part, np.float64)[usable] for part in parts)
    cells, apart = len(true), middle - true
    r = of_middle.get((SR, "pearson"), math.nan)
    r_low, r_high = correlation_interval(r, cells)
    ends = np.percentile(true, (5, 95)) if cells else (math.nan, math.nan)
    return Found(
        factor=factor,
        column=column,
        cells=cells,
        of=len(sr),
        r=r,
        r_low=r_low,
        r_high=r_high,
        r_within=_within(middle, true, groups.to_numpy()[usable]),
        r_sr=of_image.get((SR, "pearson"), math.nan),
        r_lr=of_image.get((LR, "pearson"), math.nan),
        error=of_middle.get((SR, "median_absolute_error"), math.nan),
        error_sr=of_image.get((SR, "median_absolute_error"), math.nan),
        bias=float(apart.mean()) if cells else math.nan,
        bias_reach=_NORMAL_QUANTILE * float(apart.std(ddof=1)) / math.sqrt(cells)
        if cells > 1
        else math.nan,
        spread=float(true.std(ddof=1)) if cells > 1 else math.nan,
        span=float(ends[1] - ends[0]),
        held=held[0],
        held_low=held[1],
        held_high=held[2],
        width=float(np.median(high - low)) if cells else math.nan,
        wider=needed_width(true, low, middle, high),
        corrected="; ".join(dict.fromkeys(sr[INTERVAL])),
        poor_fit=float(sr[POOR_FIT].mean()) if judged else math.nan,
        out_of_domain=float(sr[OUT_OF_DOMAIN].mean()) if judged else math.nan,
    )


def with_middle(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the table with the middle of the samples in place of the SR image's value."""
    middle = table[summary_columns(column)["q50"]]
    return table.assign(**{column: table[column].where(table[IMAGE] != SR, middle)})


def needed_width(truth: Floats, low: Floats, middle: Floats, high: Floats) -> float:
    """Return how many times as wide intervals must be to hold the truth of 90 % of such cells.

    It is the split-conformal quantile: of n sorted quotients of the truth's distance from the
    middle and the interval's half on that side, number ceil(0.9 (n + 1)); infinity where that is
    more than n, or an interval has no width.

    Examples
    --------
    >>> middle = np.zeros(19)
    >>> needed_width(np.arange(19) / 10.0, middle - 1, middle, middle + 1)
    1.7
    """
    half = np.where(truth < middle, middle - low, high - middle)
    distance = np.abs(truth - middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients = np.where(distance == 0, 0.0, distance / np.maximum(half, 0.0))
    place = math.ceil(TABLE_LEVEL * (len(truth) + 1))
    return float(np.sort(quotients)[place - 1]) if 0 < place <= len(truth) else math.inf


def correlation_interval(r: float, cells: int) -> tuple[float, float]:
    """Return the 95 % interval of a correlation by Fisher's z, NaN where there is none."""
    if not math.isfinite(r) or cells < 4:
        return math.nan, math.nan
    z, reach = (
        math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12)),
        _NORMAL_QUANTILE / math.sqrt(cells - 3),
    )
    return math.tanh(z - reach), math.tanh(z + reach)


def share_interval(share: float, cells: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of cells (Wilson), NaN where there is none.

    Examples
    --------
    >>> low, high = share_interval(0.9, 50)
    >>> round(low, 3), round(high, 3)
    (0.786, 0.957)
    """
    if not math.isfinite(share) or not cells:
        return math.nan, math.nan
    extra = _NORMAL_QUANTILE**2 / cells
    middle = (share + extra / 2) / (1 + extra)
    reach = math.sqrt(extra * share * (1 - share) + extra**2 / 4) / (1 + extra)
    return middle - reach, middle + reach


def _within(values: Floats, truth: Floats, groups: NDArray[np.object_]) -> float:
    """Return the correlation of what is left without the mean of each group."""
    pairs = pd.DataFrame({"value": values, "truth": truth})
    means = pairs.groupby(groups).transform("mean")
    apart = pairs - means
    if len(set(groups)) < 2 or not (apart.std() > 0).all():
        return math.nan
    return float(apart["value"].corr(apart["truth"]))


def _agreement(table: pd.DataFrame, column: str) -> dict[tuple[str, str], float]:
    """Return the numbers per cell by kind of image and name; none where there is no cell."""
    try:
        rows = agreement(table, column, GT)
    except TableError:
        return {}
    rows = rows[rows["per"] == "cell"].set_index(IMAGE)
    names = ("pearson", "median_absolute_error")
    return {(str(kind), name): float(rows[name][kind]) for kind in rows.index for name in names}


def _coverage(table: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Return the share of intervals that hold the truth and the ends of its 95 % interval."""
    try:
        rows = coverage(table, column, GT)
    except TableError:
        return (math.nan,) * 3
    row = rows[(rows[IMAGE] == SR) & (rows["nominal"] == TABLE_LEVEL)].iloc[0]
    return float(row["observed"]), float(row["observed_low"]), float(row["observed_high"])
