"""A figure of how often intervals of single cells hold the true value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from napari_rls.evaluation.colours import DARK_SERIES, SERIES
from napari_rls.evaluation.figure_style import (
    PRINT,
    Look,
    explain,
    name_axes,
    start,
    use_other_fonts,
)
from napari_rls.evaluation.plots import Plot
from napari_rls.measure.intervals import TABLE_LEVEL


def reliability_plot(coverages: Mapping[str, pd.DataFrame], look: Look = PRINT) -> Plot:
    """Draw the observed against the nominal coverage of intervals.

    Parameters
    ----------
    coverages
        Tables of :func:`~napari_rls.evaluation.agreement.coverage` by the name of their line.
        With a column ``width``, the legend tells that of the level of tables.
    look
        Colours and size.
    """
    figure, axes = start(look)
    axes.plot([0, 1], [0, 1], color="#888888", linestyle="--", label="as they say")
    for k, (name, rows) in enumerate(coverages.items()):
        nominal, observed, low, high = (
            rows[column].to_numpy(np.float64)
            for column in ("nominal", "observed", "observed_low", "observed_high")
        )
        axes.errorbar(
            nominal,
            observed,
            yerr=np.maximum([observed - low, high - observed], 0),
            fmt="o-",
            color=(DARK_SERIES if look.dark else SERIES)[k % len(SERIES)],
            capsize=3,
            label=name + _width(rows),
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    said = "share of true values that the intervals are to hold"
    name_axes(axes, look, x=said, y="share that they hold")
    explain(figure, look)
    use_other_fonts(figure)
    return Plot(figure)


def _width(rows: pd.DataFrame) -> str:
    """Return the width of intervals as a legend says it, "" where it is not known."""
    if "width" not in rows:
        return ""
    widths = rows.loc[rows["nominal"] == TABLE_LEVEL, "width"].tolist()
    return "".join(f" ({100 * TABLE_LEVEL:.0f} %: {width:.3g} wide)" for width in widths)
