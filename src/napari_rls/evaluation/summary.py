"""Statistics of conditions and doses in words, as they stand below a figure."""

from __future__ import annotations

import math

import pandas as pd

from napari_rls.evaluation.hill import dose_response
from napari_rls.evaluation.statistics import compare_conditions, v_factor
from napari_rls.evaluation.tables import IMAGE


def summarise_conditions(
    table: pd.DataFrame, column: str, negative: str, positive: str
) -> tuple[str, ...]:
    """Return a line per kind of image: numbers of cells, AUC, Cohen's d, U test and Z'.

    Parameters
    ----------
    table
        A tidy table.
    column
        The measurement.
    negative, positive
        Two conditions, in full or some of their parts.

    Raises
    ------
    TableError
        If a column or condition is missing, or the conditions have cells in common.
    """
    lines = []
    for _, row in compare_conditions(table, column, negative, positive).iterrows():
        area = f"AUC {row['auc']:.3f} ({row['auc_low']:.3f} to {row['auc_high']:.3f})"
        effect = f"Cohen's d {row['cohens_d']:.2f}, p {row['p_value']:.2g} (Mann-Whitney)"
        lines.append(
            f"{row[IMAGE]}: {row['n_negative']} and {row['n_positive']} cells, {area}, {effect}, "
            f"{_or_why('Z prime', row['z_prime'], row['z_prime_problem'])}"
        )
    return tuple(lines)


def summarise_doses(table: pd.DataFrame, column: str) -> tuple[str, ...]:
    """Return a line per kind of image: EC50 with its interval, slope and the V factor of wells.

    Raises
    ------
    TableError
        If a column or doses are missing.
    """
    factors = v_factor(table, column).set_index(IMAGE)
    lines = []
    for _, fit in dose_response(table, column).iterrows():
        kind = fit[IMAGE]
        found = str(fit["problem"])
        if math.isfinite(fit["ec50"]):
            ends = f"{fit['ec50_low']:.3g} to {fit['ec50_high']:.3g}"
            found = f"EC50 {fit['ec50']:.3g} ({ends}), slope {fit['slope']:.2g}"
        v = _or_why("V factor", factors.loc[kind, "v_factor"], factors.loc[kind, "problem"])
        lines.append(f"{kind}: {found}, {v}")
    return tuple(lines)


def _or_why(name: str, value: float, problem: str) -> str:
    return f"{name} {value:.2f}" if math.isfinite(value) else f"no {name} ({problem})"
