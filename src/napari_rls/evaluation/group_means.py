"""Corrected means of wells and conditions beside those as measured, for fits and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_rls.measure.columns import CONDITION, IMAGE, WELL

if TYPE_CHECKING:
    import pandas as pd

MEASUREMENT, MEAN_OF = "Measurement", "Mean_Of"
MEASURED = "Mean_Measured"
CELLS, HR_CELLS = "Count_Cells", "Count_HRCells"
CORRECTED, LOW, HIGH = "Mean_Corrected", "Mean_Corrected_q05", "Mean_Corrected_q95"
"""Columns of a table of means, see ``docs/means.md``."""


def means_of(means: pd.DataFrame, column: str, level: str) -> pd.DataFrame:
    """Return the means of one measurement by wells or by conditions.

    If every condition is one well, which has no row of its own, conditions are those wells.

    Parameters
    ----------
    means
        Means of wells and conditions.
    column
        The measurement.
    level
        ``Metadata_Well`` or ``Metadata_Condition``.
    """
    own = means[means[MEASUREMENT] == column]
    wells, conditions = (own[own[MEAN_OF] == what] for what in ("well", "condition"))
    if level == CONDITION and not conditions.empty:
        return conditions
    return wells if level == WELL else wells[~wells.duplicated([IMAGE, CONDITION], keep=False)]


def corrected_wells(wells: pd.DataFrame, means: pd.DataFrame | None) -> pd.DataFrame:
    """Return means of wells with ``value`` corrected, and columns ``measured``, ``low``, ``high``.

    A kind of image has its values as measured unless all of its wells are corrected: others
    cannot be compared.

    Parameters
    ----------
    wells
        As :func:`~napari_rls.evaluation.tables.well_means` returns them.
    means
        Means of wells of one measurement; None if nothing is corrected.
    """
    told = wells.assign(measured=wells["value"], low=np.nan, high=np.nan)
    if means is None or told.empty:
        return told
    known = means.set_index([IMAGE, WELL])[[CORRECTED, LOW, HIGH]]
    found = known[~known.index.duplicated(keep=False)].reindex(
        [*zip(told[IMAGE], told[WELL], strict=True)]
    )
    once = ~told.duplicated([IMAGE, WELL], keep=False)
    there = told.assign(there=once & found[CORRECTED].notna().to_numpy())
    whole = there.groupby(IMAGE)["there"].transform("all")
    for name, of in (("value", CORRECTED), ("low", LOW), ("high", HIGH)):
        told[name] = told[name].where(~whole, found[of].to_numpy())
    return told
