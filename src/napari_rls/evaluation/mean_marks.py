"""Marks of means in figures: as measured, and corrected with their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from napari_rls.evaluation.colours import colour_of
from napari_rls.evaluation.figure_style import Look


def draw_means(
    axes: Axes,
    look: Look,
    x: NDArray[np.float64],
    means: pd.DataFrame,
    kind: str,
    name: str,
    marker: str,
    said: str = "",
) -> None:
    """Draw means as measured as rings and, filled, corrected ones with their intervals.

    Parameters
    ----------
    axes, look, x
        Where.
    means
        Columns: as measured, corrected, and the ends of the interval.
    kind, name
        The kind of image, and what the legend calls it.
    marker
        As matplotlib names it.
    said
        What the legend says of the corrected ones.
    """
    measured, corrected, low, high = means.to_numpy(np.float64).T
    if not np.isfinite(corrected).any():
        return
    colour = colour_of(kind, look)
    axes.plot(x, measured, marker, color=colour, fillstyle="none", label=f"{name}: measured")
    text = f"{name}, corrected by HR cells" + (f": {said}" if said else "")
    ends = [np.maximum(corrected - low, 0), np.maximum(high - corrected, 0)]
    axes.errorbar(x, corrected, ends, fmt=marker, color=colour, capsize=3, label=text, zorder=4)
