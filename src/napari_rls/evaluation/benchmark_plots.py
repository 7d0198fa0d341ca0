"""Figures of a comparison of methods that are not of measured cells.

Like those of :mod:`napari_rls.evaluation.plots`, they are made without pyplot.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray
from scipy import stats

from napari_rls.evaluation.colours import colour_of
from napari_rls.evaluation.figure_style import NO_NAME, shown, use_other_fonts

Floats = NDArray[np.float64]

TITLE_LETTERS = 32
"""Letters that a title has room for above a panel, and a name in a legend."""


def gaussianisation_plot(norms: Mapping[str, Floats], dimensions: int) -> Figure:
    """Draw squared norms of vectors over the chi-squared density, as in Fig. 1 of the paper.

    Parameters
    ----------
    norms
        Squared norms (N,) by the vectors' names; a panel each, of its own range.
    dimensions
        Degrees of freedom: the vectors' dimensions.
    """
    figure = Figure(figsize=(3.2 * len(norms), 2.8), layout="constrained")
    law = stats.chi2(dimensions)
    for k, (name, values) in enumerate(norms.items()):
        axes = figure.add_subplot(1, len(norms), k + 1)
        # A few vectors far out would leave nothing to see of the others.
        low = min(float(np.percentile(values, 0.5)), float(law.ppf(0.0005)))
        high = max(float(np.percentile(values, 99.5)), float(law.ppf(0.9995)))
        x = np.linspace(low, high, 400)
        axes.hist(values, 60, range=(low, high), density=True, color="#0072b2", alpha=0.6)
        axes.plot(x, law.pdf(x), color="#d55e00")
        axes.set_title(shown(name or NO_NAME, TITLE_LETTERS, 2), fontsize="small")
        axes.set_xlabel("squared norm")
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    use_other_fonts(figure)
    return figure


def trace_plot(traces: pd.DataFrame, unit: str) -> Figure:
    """Draw LR error and objective of every method against time.

    Objectives of different methods are of different units. Each is drawn as what is left of
    its way from the first step to its lowest.

    Parameters
    ----------
    traces
        Columns ``method``, ``seconds_per_cell``, ``lr_error``, ``objective``, a row per step.
    unit
        Unit of the LR error.
    """
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    error, objective = figure.subplots(1, 2)
    lines: dict[str, Line2D] = {}
    for method, own in traces.groupby("method", sort=False):
        seconds = own["seconds_per_cell"].to_numpy(np.float64)
        style = {"color": colour_of(str(method)), "linewidth": 1.2}
        style |= {"marker": "o", "markersize": 4} if len(own) == 1 else {}
        (lines[str(method)],) = error.plot(seconds, own["lr_error"], **style)
        values = own["objective"].to_numpy(np.float64)
        span = values[0] - np.nanmin(values) if np.isfinite(values).any() else 0.0
        if span > 0:
            objective.plot(seconds, (values - np.nanmin(values)) / span, **style)
    error.set_ylabel(shown(f"LR error ({unit})", TITLE_LETTERS, 2))
    objective.set_ylabel("objective: share of the way left")
    for axes in (error, objective):
        axes.set_yscale("log")
        _log_x(axes)
        axes.set_xlabel("seconds a cell")
        axes.spines[["top", "right"]].set_visible(False)
    objective.set_ylim(1e-4, 1.5)
    error.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    error.yaxis.set_major_formatter(FuncFormatter(_plain))
    error.yaxis.set_minor_formatter(NullFormatter())
    names = [shown(name or NO_NAME, TITLE_LETTERS) for name in lines]
    error.legend(lines.values(), names, frameon=False, fontsize="x-small")
    use_other_fonts(figure)
    return figure


def sensitivity_plot(rows: pd.DataFrame, usual: Mapping[str, float]) -> Figure:
    """Draw every metric against lambda_w and against lambda_c, with its interval.

    Parameters
    ----------
    rows
        Columns ``lambda_w``, ``lambda_c``, ``metric``, ``variant``, ``value``, ``low``,
        ``high``; in each row at least one of the lambdas is the usual one.
    usual
        The usual value of both.
    """
    kinds = list(dict.fromkeys(zip(rows["metric"], rows["variant"], strict=True)))
    figure = Figure(figsize=(2.7 * len(kinds), 4.8), layout="constrained")
    grid = figure.subplots(2, len(kinds), squeeze=False)
    for r, (name, other) in enumerate((("lambda_w", "lambda_c"), ("lambda_c", "lambda_w"))):
        swept = rows[np.isclose(rows[other], usual[other], rtol=1e-9, atol=0)]
        for c, (metric, variant) in enumerate(kinds):
            axes = grid[r, c]
            chosen = (swept["metric"] == metric) & (swept["variant"] == variant)
            own = swept[chosen].sort_values(name)
            value = own["value"].to_numpy(np.float64)
            ends = np.array([value - own["low"], own["high"] - value], np.float64)
            axes.errorbar(
                own[name],
                value,
                yerr=np.maximum(np.nan_to_num(ends), 0),
                fmt="o-",
                color="#0072b2",
                capsize=2,
                markersize=4,
            )
            axes.axvline(usual[name], color="#888888", linestyle=":")
            _log_x(axes)
            axes.set_xlabel(name)
            axes.spines[["top", "right"]].set_visible(False)
            if r == 0:
                axes.set_title(
                    "\n".join(shown(text, TITLE_LETTERS) for text in (metric, variant)),
                    fontsize="x-small",
                )
    use_other_fonts(figure)
    return figure


def _log_x(axes: Axes) -> None:
    """Make the x axis logarithmic, its labels plain even where it spans less than a decade."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    subs = (1, 2, 5) if high < 100 * low else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _plain(value: float, _place: int) -> str:
    return f"{value:g}"
