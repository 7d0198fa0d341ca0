"""Assay statistics of a tidy table of cells: how well conditions and doses are told apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from napari_rls.errors import TableError
from napari_rls.evaluation.tables import (
    CONDITION,
    DOSE,
    IMAGE,
    WELL,
    in_condition,
    kinds_of,
    values_of,
    well_means,
    with_doses,
)

Floats = NDArray[np.float64]


def compare_conditions(
    table: pd.DataFrame, column: str, negative: str, positive: str, level: float = 0.95
) -> pd.DataFrame:
    """Compare a measurement between two conditions, for each kind of image.

    Parameters
    ----------
    table
        A tidy table with conditions and wells.
    column
        The measurement.
    negative, positive
        The conditions, in full or some of their parts, such as ``control=negative``.
    level
        Level of the AUC's interval, in (0, 1).

    Returns
    -------
    DataFrame
        A row per kind of image: ``Metadata_Image``; for either condition ``n_...``
        (cells), ``dropped_...`` (cells without a finite value, used nowhere), ``wells_...``
        and ``median_...``; ``auc``, ``auc_low``, ``auc_high`` of single cells (see
        :func:`auc`; above 0.5 where positive cells have larger values); ``cohens_d``,
        positive minus negative; ``p_value`` of the two-sided Mann-Whitney U test;
        ``z_prime`` over the means of wells, and ``z_prime_problem``, why it is NaN.

        The interval and ``p_value`` take cells for independent; those of one well are not
        quite, so both are somewhat too sure.

    Raises
    ------
    TableError
        If a column or condition is missing, or the conditions have cells in common.
    """
    given = values_of(table, column, CONDITION, WELL)
    chosen = {"negative": in_condition(given, negative), "positive": in_condition(given, positive)}
    if (chosen["negative"] & chosen["positive"]).any():
        raise TableError(
            f"The conditions {negative!r} and {positive!r} have cells in common; name them in full."
        )
    rows = []
    for kind in kinds_of(given):
        row: dict[str, Any] = {IMAGE: kind}
        cells, wells = {}, {}
        for name, mask in chosen.items():
            own = given[mask & (given[IMAGE] == kind)]
            cells[name] = own["value"].dropna().to_numpy()
            wells[name] = well_means(own)["value"].to_numpy()
            row |= {
                f"n_{name}": len(cells[name]),
                f"dropped_{name}": len(own) - len(cells[name]),
                f"wells_{name}": len(wells[name]),
                f"median_{name}": float(np.median(cells[name])) if len(cells[name]) else math.nan,
            }
        pair = (cells["negative"], cells["positive"])
        row |= dict(zip(("auc", "auc_low", "auc_high"), auc(*pair, level=level), strict=True))
        row |= {
            "cohens_d": cohens_d(*pair),
            "p_value": float(stats.mannwhitneyu(*pair).pvalue) if all(map(len, pair)) else math.nan,
        }
        row["z_prime"], row["z_prime_problem"] = z_prime(wells["negative"], wells["positive"])
        rows.append(row)
    return pd.DataFrame(rows)


def auc(negative: Floats, positive: Floats, level: float = 0.95) -> tuple[float, float, float]:
    """Return the area under the ROC curve and its interval; NaN if either is empty.

    It is the share of pairs in which the positive value is larger, ties counting half.
    The interval is DeLong's, on the logit scale; where the values give no variance, as when
    they do not overlap, it is Newcombe's score interval, since 1 to 1 would say too much.

    References
    ----------
    DeLong et al., Biometrics 44, 1988. Sun and Xu, IEEE Signal Processing Letters 21, 2014.
    Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2", Statistics in Medicine 25, 2006, method 5.
    """
    m, n = len(positive), len(negative)
    if not m or not n:
        return math.nan, math.nan, math.nan
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    # The share of the other condition's cells on the expected side of each cell.
    below = (ranks[:m] - stats.rankdata(positive)) / n
    above = 1 - (ranks[m:] - stats.rankdata(negative)) / m
    area = float(below.mean())
    variance = below.var(ddof=1) / m + above.var(ddof=1) / n if min(m, n) > 1 else 0.0
    quantile = float(stats.norm.isf((1 - level) / 2))
    if variance < 1e-12 or not 0 < area < 1:
        return (area, *_newcombe(area, m, n, quantile))
    centre = math.log(area / (1 - area))
    reach = quantile * math.sqrt(variance) / (area * (1 - area))
    low, high = (1 / (1 + math.exp(min(-centre - s * reach, 700))) for s in (-1, 1))
    return area, low, high


def _newcombe(area: float, m: int, n: int, quantile: float) -> tuple[float, float]:
    mean = (m + n) / 2

    def excess(true: float) -> float:
        bracket = 2 * mean - 1 - (3 * mean - 3) / ((2 - true) * (1 + true))
        return abs(area - true) - quantile * math.sqrt(true * (1 - true) * bracket / (m * n))

    nearly = 1e-9
    low = optimize.brentq(excess, 0, area - nearly) if area > 0 else 0.0
    high = optimize.brentq(excess, area + nearly, 1) if area < 1 else 1.0
    return float(low), float(high)


def cohens_d(negative: Floats, positive: Floats) -> float:
    """Return the difference of means (positive minus negative) over the pooled deviation.

    NaN if either has fewer than two values, or none varies.
    """
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        return math.nan
    squares = (m - 1) * positive.var(ddof=1) + (n - 1) * negative.var(ddof=1)
    if squares == 0:
        return math.nan
    return float((positive.mean() - negative.mean()) / math.sqrt(squares / (m + n - 2)))


def z_prime(negative: Floats, positive: Floats) -> tuple[float, str]:
    """Return Z' of two sets of wells, and why it is NaN, "" where it is not.

    1 - 3 (sd_p + sd_n) / |mean_p - mean_n| with sample standard deviations (n - 1). A
    single well has none, and would make any assay look perfect.

    References
    ----------
    Zhang, Chung and Oldenburg, Journal of Biomolecular Screening 4, 1999.
    """
    for name, wells in (("negative", negative), ("positive", positive)):
        if len(wells) < 2:
            return math.nan, f"{len(wells)} {name} well{'' if len(wells) == 1 else 's'}, needs 2"
    gap = abs(positive.mean() - negative.mean())
    if gap == 0:
        return math.nan, "the means of both conditions are the same"
    return float(1 - 3 * (positive.std(ddof=1) + negative.std(ddof=1)) / gap), ""


def v_factor(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the V factor over the doses' wells, for each kind of image.

    1 - 6 mean(sd) / range: the mean over doses of the sample standard deviation of a dose's
    wells, and the range of the doses' means. Doses with a single well have a mean but no
    deviation.

    Returns
    -------
    DataFrame
        A row per kind of image: ``Metadata_Image``, ``wells``, ``doses`` (how many),
        ``single`` (doses with one well), ``v_factor``, and ``problem``, why it is NaN.

    Raises
    ------
    TableError
        If a column is missing, there are no doses, or they are of more than one drug.

    References
    ----------
    Ravkin, "Quality measures for imaging-based cellular assays", SBS conference poster, 2004.
    """
    wells = well_means(with_doses(values_of(table, column, WELL)), DOSE)
    rows = []
    for kind in kinds_of(table):
        doses = wells[wells[IMAGE] == kind].groupby(DOSE)["value"].agg(["mean", "std", "size"])
        factor, problem = math.nan, ""
        spread = float(np.ptp(doses["mean"])) if len(doses) else 0.0
        if len(doses) < 2:
            problem = "fewer than 2 doses"
        elif not doses["std"].notna().any():
            problem = "no dose has 2 wells"
        elif spread == 0:
            problem = "the means of all doses are the same"
        else:
            factor = 1 - 6 * float(doses["std"].mean()) / spread
        rows.append(
            {
                IMAGE: kind,
                "wells": int(doses["size"].sum()),
                "doses": len(doses),
                "single": int((doses["size"] == 1).sum()),
                "v_factor": factor,
                "problem": problem,
            }
        )
    return pd.DataFrame(rows)
