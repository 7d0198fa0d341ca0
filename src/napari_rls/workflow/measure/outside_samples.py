"""SR images that their own samples contradict."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_rls.measure.cells import MeasureSettings, headline_columns
from napari_rls.measure.columns import IMAGE, summary_columns
from napari_rls.measure.intervals import TABLE_LEVEL

MANY = 0.2
"""Share of cells outside their intervals, twice what these allow, above which it is told."""


def outside_samples(table: pd.DataFrame, settings: MeasureSettings) -> list[str]:
    """Return in sentences where values of many SR images lie outside their samples' intervals.

    Parameters
    ----------
    table
        Measured cells.
    settings
        How they were measured; the headline measurements count.
    """
    sr, said = table[table[IMAGE] == "SR"], []
    for column in headline_columns(settings):
        ends = summary_columns(column)
        if not {column, ends["q05"], ends["q95"]} <= set(sr.columns):
            continue
        value, low, high = sr[[column, ends["q05"], ends["q95"]]].to_numpy(np.float64).T
        known = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
        outside = int(((value < low) | (value > high))[known].sum())
        if outside > MANY * known.sum():
            said.append(
                f"In {outside} of {known.sum()} cells {column} of the SR image lies outside its "
                f"{100 * TABLE_LEVEL:.0f} % interval, which is of the samples: the SR image and "
                f"they disagree. Of single cells go by the interval and its middle, {ends['q50']}."
            )
    return said
