"""A table of the means of wells and conditions, corrected by HR images of a few cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.evaluation.corrected_means import (
    FEWEST_GROUPS,
    FEWEST_SPARE,
    FEWEST_WELLS,
    corrected_means,
    interval_of_mean,
)
from napari_rls.evaluation.tables import kinds_of
from napari_rls.measure.assay import Measurement
from napari_rls.measure.cells import MeasureSettings, column_names
from napari_rls.measure.columns import (
    CONDITION,
    DOSE,
    FILE,
    IMAGE,
    IMAGE_UNIT,
    PIXEL_SIZE,
    WELL,
    X,
    Y,
)
from napari_rls.measure.dictionary import columns_of, measurements
from napari_rls.measure.intervals import TABLE_LEVEL
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.hr_cells import HrCells, matched, measure_hr_cells
from napari_rls.workflow.measure.hr_doubts import hr_doubts
from napari_rls.workflow.measure.plate_columns import MAP_KEY
from napari_rls.workflow.measure.table_origin import RATIO_KEY

RECORDED = ("GT", "HR")
"""Kinds of image that need no correction."""

HOW = (
    "Prediction-powered inference (Angelopoulos et al. 2023): the mean of all cells plus what the "
    "cells with an HR image are off on average, of the group itself and of all others weighed by "
    "how far groups differ (Battese, Harter and Fuller 1988)."
)


_NEEDED = (IMAGE, FILE, WELL, CONDITION, X, Y, PIXEL_SIZE)

_BOUNDED = [
    f"{mean}{end}" for mean in ("Mean_Corrected", "Mean_HRCells") for end in ("", "_q05", "_q95")
]


def means_path(table: Path) -> Path:
    """Return the file of the means of a table: ``NAME_means.csv`` beside it."""
    return table.with_name(f"{table.stem}_means.csv")


def corrected_table(
    table: pd.DataFrame, record: Mapping[str, Any], recorded: Sequence[CellStack]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Measure HR cells as those of a table were, and correct its means by them.

    Parameters
    ----------
    table, record
        Cells and how they were measured.
    recorded
        HR cells, as :func:`~napari_rls.workflow.measure.hr_cells.read_hr_cells` reads them.

    Returns
    -------
    DataFrame, dict
        As of :func:`means_table`.

    Raises
    ------
    InputError
        If HR cells lack a channel or have another offset, or as for :func:`means_table`.
    """
    settings = MeasureSettings.model_validate(record["settings"])
    return means_table(table, record, measure_hr_cells(recorded, settings))


def means_table(
    table: pd.DataFrame, record: Mapping[str, Any], hr: HrCells
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Correct the means of all wells and conditions of a table.

    Parameters
    ----------
    table, record
        Cells and how they were measured.
    hr
        HR images of some of them.

    Returns
    -------
    DataFrame
        A row per kind of image that is not recorded, measurement, and well or condition;
        conditions only if one is of several wells, or no well is known. Columns are explained in
        ``docs/means.md``.
    dict
        How it was made.

    Raises
    ------
    InputError
        If HR cells are not those of the table, it lacks columns, or there are neither wells nor
        conditions.
    """
    _check_columns(table)
    used = table[~table[IMAGE].isin(RECORDED)].reset_index(drop=True)
    if used.empty:
        raise InputError("All images are HR, whose means need no correction; give SR or LR cells.")
    levels = _levels(used)
    which = matched(used, hr, _ratio(record))
    # A column that somebody has added has no HR counterpart.
    columns = [name for name in measurements(columns_of(table, record)) if name in hr.table.columns]
    if not columns:
        raise InputError(
            "The table has none of the measurements that its record tells; give one of cells as "
            "'measure' or 'fields' has written it."
        )
    limits = _limits(record)
    parts = []
    for kind in kinds_of(used):
        own = (used[IMAGE] == kind).to_numpy()
        rows, at = used[own], which[own]
        for level in levels:
            for column in columns:
                means = _means(rows, at, hr.table, column, level)
                if column in limits and len(means):
                    means[_BOUNDED] = means[_BOUNDED].clip(*limits[column])
                parts.append(means)
    found = pd.concat(parts, ignore_index=True)
    if found.empty:
        raise InputError("No cell has a value of any measurement, so that there are no means.")
    doubts = _doubts(used, record, hr, which, columns)
    if not found["Mean_Corrected"].notna().any():
        doubts.append(
            f"No mean is corrected: {len(hr.table)} HR cells are too few; give at least "
            f"{FEWEST_SPARE} more than there are wells."
        )
    return found, _record(record, hr, which, used, doubts)


def _doubts(
    used: pd.DataFrame,
    record: Mapping[str, Any],
    hr: HrCells,
    which: NDArray[np.intp],
    columns: Sequence[str],
) -> list[str]:
    """Return why HR cells may not be the cells that they were taken for.

    SR images tell, which LR images are too blurred for to have intensities alike.
    """
    kind, known = "SR", _measured(record)
    intensities = [name for name in columns if name in known and known[name].unit == IMAGE_UNIT]
    if kind not in kinds_of(used):
        kind, intensities = kinds_of(used)[0], []
    own = ((used[IMAGE] == kind) & (which >= 0)).to_numpy()
    rows, cells = hr.table.iloc[which[own]], used[own]
    return hr_doubts(cells, rows, list(cells[WELL]), columns, intensities)


def _measured(record: Mapping[str, Any]) -> dict[str, Measurement]:
    """Return what a record tells of how cells were measured, by columns."""
    if "settings" not in record:
        return {}
    settings = MeasureSettings.model_validate(record["settings"])
    return column_names(settings, micrometres=True)


def _check_columns(table: pd.DataFrame) -> None:
    if lacking := [name for name in _NEEDED if name not in table.columns]:
        raise InputError(
            f"The table lacks {', '.join(lacking)}; give one of cells as 'measure' or 'fields' "
            "has written it, with all of its columns."
        )


def _ratio(record: Mapping[str, Any]) -> float | None:
    """Return how many HR pixels lie along a pixel that places are in, if one tells of all."""
    told = {entry.get(RATIO_KEY) for entry in record.get("images", ()) if entry["kind"] == "SR"}
    return float(told.pop()) if len(told) == 1 and None not in told else None


def _limits(record: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return what measurements can be, as areas and ratios not below 0: means end there."""
    return {name: (one.least, one.most) for name, one in _measured(record).items()}


def _levels(table: pd.DataFrame) -> list[str]:
    """Return the columns by which cells are grouped."""
    places = table.loc[table[WELL] != "", [WELL, CONDITION]].drop_duplicates()
    wells = not places.empty
    conditions = bool((table[CONDITION] != "").any())
    several = places[CONDITION].loc[places[CONDITION] != ""].duplicated().any()
    levels = [WELL] * wells + [CONDITION] * (conditions and bool(several or not wells))
    if not levels:
        raise InputError(
            "No well or condition of a cell is known, of which there could be means; give a plate "
            "map (--plate-map)."
        )
    return levels


def _means(
    rows: pd.DataFrame, which: NDArray[np.intp], hr: pd.DataFrame, column: str, level: str
) -> pd.DataFrame:
    """Return the corrected means of one measurement by wells or by conditions."""
    true = np.where(which >= 0, hr[column].to_numpy(np.float64)[which], np.nan)
    values = rows[column].to_numpy(np.float64)
    grouped = (rows[level] != "").to_numpy()
    used = np.isfinite(values) & grouped
    names = pd.unique(rows.loc[grouped, level])
    present = [name for name in names if (used & (rows[level] == name).to_numpy()).any()]
    group = pd.Index(present).get_indexer(rows.loc[used, level])
    wells = pd.factorize(rows.loc[used, WELL])[0]
    several = level == CONDITION and bool((rows[WELL] != "").all())
    f, y = values[used], np.where(np.isfinite(true[used]), true[used], np.nan)
    told: list[dict[str, Any]] = []
    found = (
        corrected_means(f, y, group.astype(np.intp), wells.astype(np.intp) if several else None)
        if present
        else None
    )
    for k, name in enumerate(present):
        own = (rows[level] == name).to_numpy()
        # An HR cell corrects nothing where its cell in the table has no value.
        recorded = true[own & used & np.isfinite(true)]
        alone = interval_of_mean(recorded)
        count = rows.loc[own & used, WELL].nunique()
        assert found is not None
        told.append(
            {
                IMAGE: rows[IMAGE].iloc[0],
                "Mean_Of": "well" if level == WELL else "condition",
                WELL: name if level == WELL else "",
                CONDITION: _one(rows.loc[own, CONDITION]),
                **({DOSE: _dose(rows.loc[own, DOSE])} if DOSE in rows.columns else {}),
                "Measurement": column,
                "Count_Wells": count,
                "Count_Cells": int((own & used).sum()),
                "Count_HRCells": len(recorded),
                "Mean_Measured": found.measured[k],
                "Mean_Corrected": found.corrected[k],
                "Mean_Corrected_q05": found.low[k],
                "Mean_Corrected_q95": found.high[k],
                "Mean_HRCells": alone[0],
                "Mean_HRCells_q05": alone[1],
                "Mean_HRCells_q95": alone[2],
                "Share_OwnHRCells": found.own[k],
                "Slope": found.slope,
                "Interval_By": "wells" if several and count >= FEWEST_WELLS else "cells",
                "Note": _note(found.corrected[k], found.slope),
            }
        )
    return pd.DataFrame(told)


def _note(corrected: float, slope: float) -> str:
    if np.isfinite(corrected):
        return ""
    if np.isnan(slope):
        return f"not corrected: fewer than {FEWEST_SPARE} HR cells beyond one of each group"
    return f"not corrected: no HR cell of it, and of fewer than {FEWEST_GROUPS} groups"


def _one(names: pd.Series[str]) -> str:
    found = pd.unique(names)
    return str(found[0]) if len(found) == 1 else "several"


def _dose(doses: pd.Series[float]) -> float:
    found = doses.unique()
    return float(found[0]) if len(found) == 1 else np.nan


def _record(
    record: Mapping[str, Any],
    hr: HrCells,
    which: NDArray[np.intp],
    used: pd.DataFrame,
    doubts: Sequence[str],
) -> dict[str, Any]:
    cells = len(hr.table)
    there = {kind: ((used[IMAGE] == kind) & (which >= 0)).to_numpy() for kind in kinds_of(used)}
    found = {
        kind: {"cells": int(own.sum()), "wells": used.loc[own & (used[WELL] != ""), WELL].nunique()}
        for kind, own in there.items()
    }
    told = [
        f"{count} of the {cells} HR cells of {hr.names} are not among the {kind} cells, and left "
        "out."
        for kind, own in found.items()
        if (count := cells - own["cells"])
    ]
    kept = ("generated", "warning", "software", "measured", "settings", MAP_KEY)
    return {
        **{name: record[name] for name in kept if name in record},
        "means": {
            "how": HOW,
            "level": TABLE_LEVEL,
            "hr_cells": list(hr.origin),
            "hr_cells_found": found,
            "fewest_groups": FEWEST_GROUPS,
            "fewest_spare_hr_cells": FEWEST_SPARE,
            "fewest_wells": FEWEST_WELLS,
        },
        "warnings": [*hr.said, *told, *doubts],
    }
