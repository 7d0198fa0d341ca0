"""How far measurements on one kind of image agree with those on another, and with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from napari_rls.errors import TableError
from napari_rls.evaluation.tables import CELL, IMAGE, WELL, kinds_of, values_of
from napari_rls.measure.columns import Column
from napari_rls.measure.foreign_columns import guessed_intervals

Floats = NDArray[np.float64]


def agreement(table: pd.DataFrame, column: str, reference: str = "GT") -> pd.DataFrame:
    """Compare a measurement on each kind of image with that of the same cells on another.

    Wells are compared by their means over the cells measured on both.

    Parameters
    ----------
    table
        A tidy table with cells and wells.
    column
        The measurement.
    reference
        Kind of image to compare with.

    Returns
    -------
    DataFrame
        Two rows per kind of image other than the reference: ``Metadata_Image``, ``per``
        (``"cell"`` or ``"well"``), ``n``, ``dropped`` (the reference's cells without a
        finite value on either, and so used nowhere; 0 per well), ``pearson``, ``spearman``
        (NaN below 3 pairs, or where nothing varies), ``median_absolute_error`` in the
        measurement's unit, and ``median_relative_error``, over the reference's size, where
        that is not 0.

    Raises
    ------
    TableError
        If a column or the reference is missing, or a cell is there twice.
    """
    pairs = _pairs(values_of(table, column, CELL, WELL), reference)
    rows = []
    for kind in kinds_of(table):
        if kind == reference:
            continue
        own = pairs[pairs[IMAGE] == kind]
        cells = own[own["value"].notna() & own["truth"].notna()]
        known = cells[cells[WELL].notna() & (cells[WELL] != "")]
        wells = known.groupby(WELL)[["value", "truth"]].mean()
        rows += [
            {IMAGE: kind, "per": per, "n": len(both), "dropped": dropped}
            | compare(both["value"].to_numpy(), both["truth"].to_numpy())
            for per, both, dropped in (("cell", cells, len(own) - len(cells)), ("well", wells, 0))
        ]
    if not rows:
        raise TableError(f"There is no kind of image beside {reference!r} to compare with it.")
    return pd.DataFrame(rows)


def interval_columns(
    table: pd.DataFrame, column: str, columns: Mapping[str, Column] | None = None
) -> dict[float, tuple[str, str]]:
    """Return the lower and upper column of each level that a table has for a measurement.

    Parameters
    ----------
    table
        A tidy table.
    column
        The measurement.
    columns
        What the columns are, as :func:`~napari_rls.measure.dictionary.columns_of` tells;
        without it, ``NAME_q05`` and ``NAME_q95`` are the level 0.9, ``NAME_q2.5`` and
        ``NAME_q97.5`` 0.95.
    """
    names = [str(name) for name in table.columns]
    known = columns[column].intervals if columns and column in columns else None
    found = guessed_intervals(column, names) if known is None else known
    return {one.level: (one.low, one.high) for one in found if {one.low, one.high} <= set(names)}


def coverage(
    table: pd.DataFrame,
    column: str,
    reference: str = "GT",
    *,
    truth: str | None = None,
    intervals: Mapping[float, tuple[str, str]] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return how often intervals hold the true value, for each kind of image that has any.

    Parameters
    ----------
    table
        A tidy table with intervals of the measurement.
    column
        The measurement.
    reference
        Kind of image whose values of ``column`` are the truth, cell by cell.
    truth
        A column of the same rows that holds the truth instead, as of simulated cells.
    intervals
        Lower and upper column of each nominal level in (0, 1); otherwise those of
        :func:`interval_columns`.
    level
        Level of the Wilson intervals of the observed shares, which take cells for
        independent.

    Returns
    -------
    DataFrame
        A row per kind of image and nominal level: ``Metadata_Image``, ``nominal``, ``n``,
        ``dropped`` (cells whose truth or interval is not finite), ``below`` and ``above``
        (share of true values below and above the interval), ``observed`` (share inside,
        ends included) and its interval, ``observed_low`` and ``observed_high``.

    Raises
    ------
    TableError
        If a column, the reference or all intervals are missing, or a cell is there twice.
    """
    chosen = interval_columns(table, column) if intervals is None else dict(intervals)
    if not chosen:
        raise TableError(
            f"The table has no intervals of {column!r}; columns such as '{column}_q05' and "
            f"'{column}_q95' are needed."
        )
    if truth is None:
        pairs = _pairs(values_of(table, column, CELL, WELL), reference)
    else:
        given = values_of(table, truth)
        pairs = given.assign(truth=given["value"])
    rows = []
    for kind in kinds_of(pairs):
        own = pairs[pairs[IMAGE] == kind]
        for nominal, names in sorted(chosen.items()):
            low, high = (values_of(own, name)["value"].to_numpy() for name in names)
            if not (np.isnan(low) & np.isnan(high)).all():
                counts = count_inside(own["truth"].to_numpy(), low, high, level)
                rows.append({IMAGE: kind, "nominal": nominal, **counts})
    if not rows:
        raise TableError(f"No cell has an interval of {column!r}; they are all empty.")
    return pd.DataFrame(rows)


def _pairs(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return the rows of all other kinds of image with the reference's value as ``truth``."""
    if reference not in kinds_of(table):
        raise TableError(
            f"The table has no image {reference!r} to compare with; it has "
            f"{', '.join(kinds_of(table))}."
        )
    twice = table.duplicated([IMAGE, WELL, CELL])
    if twice.any():
        cell = table.loc[twice, CELL].iloc[0]
        raise TableError(f"Cell {cell!r} is in the table twice; every cell needs its own name.")
    own = table[IMAGE] == reference
    truth = table.loc[own, [WELL, CELL, "value"]].rename(columns={"value": "truth"})
    others = table[~own].drop(columns="truth", errors="ignore")
    return others.merge(truth, on=[WELL, CELL], how="left")


def compare(values: Floats, truth: Floats) -> dict[str, float]:
    """Compare finite values (N,) with true ones, as :func:`agreement` does: from ``pearson`` on."""
    error = np.abs(values - truth)
    size = np.abs(truth)
    relative = error[size > 0] / size[size > 0]
    varied = len(values) > 2 and np.ptp(values) > 0 and np.ptp(truth) > 0
    return {
        "pearson": float(stats.pearsonr(values, truth).statistic) if varied else math.nan,
        "spearman": float(stats.spearmanr(values, truth).statistic) if varied else math.nan,
        "median_absolute_error": float(np.median(error)) if len(error) else math.nan,
        "median_relative_error": float(np.median(relative)) if len(relative) else math.nan,
    }


def count_inside(truth: Floats, low: Floats, high: Floats, level: float = 0.95) -> dict[str, Any]:
    """Count intervals that hold the true value: ``n`` to ``observed_high`` of :func:`coverage`.

    Values and ends are (N,); ``level`` is that of the Wilson intervals.
    """
    known = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
    truth, low, high = truth[known], low[known], high[known]
    n = len(truth)
    inside = int(((low <= truth) & (truth <= high)).sum())
    ends = wilson(inside, n, level)
    return {
        "n": n,
        "dropped": int((~known).sum()),
        "below": float((truth < low).mean()) if n else math.nan,
        "above": float((truth > high).mean()) if n else math.nan,
        "observed": inside / n if n else math.nan,
        "observed_low": ends[0],
        "observed_high": ends[1],
    }


def wilson(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson interval of a share that was seen in ``count`` of ``n``; NaN of none."""
    if not n:
        return math.nan, math.nan
    low, high = stats.binomtest(count, n).proportion_ci(level, method="wilson")
    return float(low), float(high)
