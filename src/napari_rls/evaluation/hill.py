"""Dose-response curves: a Hill equation fitted to the means of wells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from napari_rls.evaluation.group_means import corrected_wells
from napari_rls.evaluation.tables import (
    DOSE,
    IMAGE,
    WELL,
    kinds_of,
    values_of,
    well_means,
    with_doses,
)

SLOPES = (0.2, 8.0)
"""Bounds of the Hill slope."""

BEYOND = 2.0
"""The search for EC50 goes this many decades beyond the doses."""

PLATEAU = 0.8
"""The fitted curve goes at least this share of its way within the doses, or has no plateau."""

FEWEST_DOSES = 4
FEWEST_WELLS = 5

ENOUGH_FREE = 3
"""Wells beyond the four parameters of a curve, below which a test that finds no response says
little: with one of them it asks for an R2 above 0.998."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Fit:
    bottom: float
    top: float
    log_ec50: float
    slope: float
    squares: float


def hill(dose: ArrayLike, bottom: float, top: float, ec50: float, slope: float) -> Floats:
    """Return the response to doses of 0 or more: ``bottom`` at 0, half way at ``ec50``.

    bottom + (top - bottom) / (1 + (ec50 / dose)^slope); ``top`` may lie below ``bottom``.
    """
    return bottom + (top - bottom) * _effect(np.asarray(dose, np.float64), math.log10(ec50), slope)


def dose_response(
    table: pd.DataFrame, column: str, level: float = 0.95, means: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Fit a Hill equation with four parameters to the wells of each kind of image.

    Least squares over the means of wells, each with the same weight, in log10 dose. For a
    given EC50 and slope the best bottom and top are a linear regression, so the fit starts
    from the best point of a grid over the two: nothing is drawn by chance. A dose of 0 is
    where the equation is exactly ``bottom``, and so anchors it. Bottom and top stay within
    the range of the wells, widened by as much on either side; the slope within
    :data:`SLOPES`.

    The interval is by profile likelihood: those EC50 whose sum of squares, all other
    parameters fitted anew, is below that of the fit times 1 + F(1, n - 4) / (n - 4).

    Parameters
    ----------
    table
        A tidy table with wells and doses (see :func:`~napari_rls.evaluation.tables.dose_of`).
    column
        The measurement.
    level
        Level of the interval, in (0, 1).
    means
        Corrected means of wells of the measurement
        (:func:`~napari_rls.evaluation.group_means.means_of`), which are fitted in place of those
        as measured where all wells of a kind of image have one.

    Returns
    -------
    DataFrame
        A row per kind of image: ``Metadata_Image``, ``wells``, ``doses`` (how many),
        ``corrected`` (whether it is of corrected means), ``dropped`` (cells without a value, well
        or dose), ``ec50``, ``ec50_low``,
        ``ec50_high`` in the unit of the doses (0 or infinity where the interval is open),
        ``slope``, ``bottom``, ``top``, ``r2``, and ``problem``: in words what forbids to
        trust the fit, "" if nothing does. What could not be found is NaN; so is an EC50
        outside the doses, which ``problem`` then bounds.

    Raises
    ------
    TableError
        If a column is missing, there are no doses, or they are of more than one drug.

    References
    ----------
    Bates and Watts, "Nonlinear Regression Analysis and Its Applications", 1988, chapter 6.
    """
    given = with_doses(values_of(table, column, WELL))
    wells = corrected_wells(well_means(given, DOSE), means)
    lost = given["value"].isna() | given[DOSE].isna() | given[WELL].isna() | (given[WELL] == "")
    rows = []
    for kind in kinds_of(given):
        own = wells[wells[IMAGE] == kind]
        rows.append(
            {
                IMAGE: kind,
                "wells": len(own),
                "doses": own[DOSE].nunique(),
                "corrected": bool(own["low"].notna().any()),
                "dropped": int(lost[given[IMAGE] == kind].sum()),
                **_describe(own[DOSE].to_numpy(), own["value"].to_numpy(), level),
            }
        )
    return pd.DataFrame(rows)


def _describe(doses: Floats, values: Floats, level: float) -> dict[str, Any]:
    names = ("ec50", "ec50_low", "ec50_high", "slope", "bottom", "top", "r2")
    nothing = dict.fromkeys(names, math.nan)
    positive = doses[doses > 0]
    if len(np.unique(doses)) < FEWEST_DOSES or len(np.unique(positive)) < FEWEST_DOSES - 1:
        return nothing | {"problem": f"fewer than {FEWEST_DOSES} doses"}
    if len(values) < FEWEST_WELLS:
        return nothing | {"problem": f"fewer than {FEWEST_WELLS} wells"}
    total = float(((values - values.mean()) ** 2).sum())
    if total <= (1e-9 * np.abs(values).max()) ** 2:
        return nothing | {"problem": "no response to the dose"}
    fit = _fit(doses, values)
    r2 = 1 - fit.squares / total
    free = len(values) - 4
    if not _responds(total, fit.squares, free):
        few = free < ENOUGH_FREE
        problem = "too few wells to tell a response" if few else "no response to the dose"
        return nothing | {"r2": r2, "problem": problem}
    found = {"slope": fit.slope, "bottom": fit.bottom, "top": fit.top, "r2": r2}
    ec50 = 10**fit.log_ec50
    if ec50 > positive.max():
        problem = f"EC50 above the highest dose ({positive.max():g})"
        return nothing | found | {"problem": problem}
    if ec50 < positive.min():
        problem = f"EC50 below the lowest dose ({positive.min():g})"
        return nothing | found | {"problem": problem}
    limit = fit.squares * (1 + stats.f.ppf(level, 1, free) / free)
    low, high = (_profile_end(doses, values, fit.log_ec50, limit, side) for side in (-1, 1))
    found |= {"ec50": ec50, "ec50_low": 10**low, "ec50_high": 10**high}
    return found | {"problem": _problems(fit, doses, low, high)}


def _problems(fit: _Fit, doses: Floats, low: float, high: float) -> str:
    first, last = _effect(np.array([doses.min(), doses.max()]), fit.log_ec50, fit.slope)
    problems = {
        "no plateau at high doses": last < PLATEAU,
        "no plateau at low doses": first > 1 - PLATEAU,
        "slope not determined": not SLOPES[0] * 1.01 < fit.slope < SLOPES[1] * 0.99,
        "interval of EC50 open": not (math.isfinite(low) and math.isfinite(high)),
    }
    return "; ".join(text for text, there in problems.items() if there)


def _responds(total: float, squares: float, free: int) -> bool:
    """Return whether the curve explains more than a constant does (F test, 5 %)."""
    if squares <= 1e-12 * total:
        return True
    ratio = (total - squares) / 3 / (squares / free)
    return float(stats.f.sf(ratio, 3, free)) < 0.05


def _effect(doses: Floats, log_ec50: Floats | float, slope: Floats | float) -> Floats:
    """Return the share of the way from bottom to top, 0 at dose 0."""
    logs = np.log10(doses, out=np.full(doses.shape, -np.inf), where=doses > 0)
    power = np.clip(slope * (log_ec50 - logs), -300, np.inf)
    return 1 / (1 + 10.0 ** np.minimum(power, 300)) * (doses > 0)


def _grid_squares(doses: Floats, values: Floats, centres: Floats, slopes: Floats) -> Floats:
    """Return the least sum of squares (centres, slopes) over all bottoms and tops."""
    effect = _effect(doses, centres[:, None, None], slopes[:, None])
    effect -= effect.mean(-1, keepdims=True)
    offset = values - values.mean()
    spread = (effect**2).sum(-1)
    explained = np.divide(
        (effect @ offset) ** 2, spread, out=np.zeros_like(spread), where=spread > 1e-12
    )
    return np.asarray((offset**2).sum() - explained)


def _fit(doses: Floats, values: Floats) -> _Fit:
    logs = np.log10(doses[doses > 0])
    lowest, highest = logs.min() - BEYOND, logs.max() + BEYOND
    centres, slopes = np.linspace(lowest, highest, 161), np.geomspace(*SLOPES, 40)
    squares = _grid_squares(doses, values, centres, slopes)
    i, j = np.unravel_index(int(squares.argmin()), squares.shape)
    effect = _effect(doses, centres[i], slopes[j])
    rise, bottom = np.polyfit(effect, values, 1)
    least, most = values.min(), values.max()
    width = most - least
    lower = np.array([least - width, least - width, lowest, SLOPES[0]])
    upper = np.array([most + width, most + width, highest, SLOPES[1]])

    def residuals(p: Floats) -> Floats:
        return np.asarray(p[0] + (p[1] - p[0]) * _effect(doses, p[2], p[3]) - values)

    start = np.clip([bottom, bottom + rise, centres[i], slopes[j]], lower, upper)
    scale = np.array([width, width, 1.0, 1.0])
    best = optimize.least_squares(residuals, start, bounds=(lower, upper), x_scale=scale)
    bottom, top, log_ec50, slope = map(float, best.x)
    return _Fit(bottom, top, log_ec50, slope, squares=float(2 * best.cost))


def _profile(doses: Floats, values: Floats, centre: float) -> float:
    """Return the least sum of squares for a given log10 EC50."""
    slopes = np.geomspace(*SLOPES, 40)
    at = np.array([centre])
    rough = _grid_squares(doses, values, at, slopes)[0]
    j = int(rough.argmin())
    bounds = (slopes[max(j - 1, 0)], slopes[min(j + 1, len(slopes) - 1)])
    fine = optimize.minimize_scalar(
        lambda slope: _grid_squares(doses, values, at, np.array([slope]))[0, 0],
        bounds=bounds,
        method="bounded",
    )
    return min(float(fine.fun), float(rough[j]))


def _profile_end(doses: Floats, values: Floats, best: float, limit: float, side: int) -> float:
    """Return where the profile crosses ``limit`` on a side; infinite where it does not."""
    logs = np.log10(doses[doses > 0])
    end = logs.max() + BEYOND if side > 0 else logs.min() - BEYOND

    def excess(centre: float) -> float:
        return _profile(doses, values, centre) - limit

    # The first crossing beside the best one: farther off the profile may come down again.
    previous = best
    for centre in np.linspace(best, end, 41)[1:]:
        if excess(centre) > 0:
            if excess(previous) >= 0:
                return previous
            return float(optimize.brentq(excess, previous, centre, xtol=1e-6))
        previous = float(centre)
    return side * math.inf
