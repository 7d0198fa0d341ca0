"""One table of the cells of all fields of a run, with what the plate map tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_rls.files.json_file import read_json
from napari_rls.measure.columns import IMAGE, SATURATED
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.fields.finished_fields import FinishedField
from napari_rls.workflow.fields.saturation import saturation_words
from napari_rls.workflow.measure.measurements import join
from napari_rls.workflow.measure.plate_columns import MAP_KEY, with_plate_map
from napari_rls.workflow.measure.table_record import described

MAPS_BEFORE = "plate_maps_before"
"""Key of the table's record: plate maps that the same rows had before, None where none."""


def joined_table(
    fields: Sequence[FinishedField], plate_map: PlateMap | None, earlier: Mapping[str, Any]
) -> tuple[tuple[FinishedField, ...], pd.DataFrame, dict[str, Any]]:
    """Return fields with their rows as they are in the table of all, the table, and its record.

    Fields are measured without the plate map, so that a corrected one changes no more than what
    it tells of their rows.

    Parameters
    ----------
    fields
        What is finished, in order.
    plate_map
        What was done to the wells.
    earlier
        The record of the table that an earlier start of the run has made; empty without.

    Raises
    ------
    InputError
        If the fields do not go into one table, or the plate map cannot be used.
    """
    table, record = with_plate_map(*join([field.measured for field in fields]), plate_map)
    sr = table[table[IMAGE] == "SR"]
    if saturated := int(sr[SATURATED].sum()):
        record["warnings"].append(saturation_words(saturated, len(sr)))
    before = list(earlier.get(MAPS_BEFORE, ()))
    if earlier and earlier.get(MAP_KEY) != record[MAP_KEY]:
        before.append(earlier.get(MAP_KEY))
    if before:
        record[MAPS_BEFORE] = before
        record["warnings"].insert(0, _anew(before[-1], record[MAP_KEY]))
    ends = np.cumsum([len(field.table) for field in fields])
    rows = [
        table.iloc[end - len(field.table) : end] for field, end in zip(fields, ends, strict=True)
    ]
    told = tuple(
        replace(field, measured=replace(field.measured, table=own))
        for field, own in zip(fields, rows, strict=True)
    )
    return told, table, record


def earlier_record(path: Path) -> Mapping[str, Any]:
    """Return the record of an earlier table by its file; empty if there is none that is whole."""
    try:
        return described(read_json(path))[1]
    except (OSError, ValueError):
        return {}


def _anew(old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> str:
    last, name = ("no plate map" if one is None else one["name"] for one in (old, new))
    how = f"by {name}, which has changed" if last == name else f"by {name}, before by {last}"
    return (
        f"Wells, conditions and doses were joined to the rows anew {how}; SR images and "
        "measurements stay as they were made."
    )
