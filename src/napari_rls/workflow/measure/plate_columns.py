"""What a plate map adds to the rows of a table: wells, conditions, doses and its other columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.columns import CONDITION, DOSE, FILE, IDENTITY, WELL
from napari_rls.measure.dictionary import COLUMNS_KEY, stored_columns
from napari_rls.workflow.cells.map_columns import unit_of
from napari_rls.workflow.cells.plate_map import PlateMap, condition_of, guessed_wells
from napari_rls.workflow.cells.reading import WELLS_KEY
from napari_rls.workflow.cells.wells import unsure_wells, wells_of_record, wells_record

MAP_KEY = "plate_map"
"""Key of a table's record: the plate map, None without one."""


def dose_unit(record: Mapping[str, Any]) -> str:
    """Return the unit of a table's doses, "" where its plate map tells none.

    Parameters
    ----------
    record
        How the table was made.
    """
    origin = record.get(MAP_KEY)
    taken = origin.get("taken") if isinstance(origin, Mapping) else None
    column = taken.get("dose", "") if isinstance(taken, Mapping) else ""
    return unit_of(column) if isinstance(column, str) else ""


def plate_columns(
    plate_map: PlateMap, files: Sequence[str], wells: Sequence[str]
) -> tuple[dict[str, list[Any]], str]:
    """Return the columns that a plate map gives, and a complaint of wells that it lacks, or "".

    Parameters
    ----------
    plate_map
        What was done to the wells.
    files, wells
        File and well of each row; the well "" where only the file's name can tell it.

    Raises
    ------
    InputError
        If a dose is none, or a column of the map cannot become one of the table.
    """
    names = _added_names(plate_map)
    entries = [plate_map.entry(file, well) for file, well in zip(files, wells, strict=True)]
    columns: dict[str, list[Any]] = {
        WELL: [e["well"] or w if e else w for e, w in zip(entries, wells, strict=True)],
        CONDITION: [condition_of(e) if e else "" for e in entries],
    }
    if plate_map.has_doses:
        columns[DOSE] = [plate_map.dose(e) if e else np.nan for e in entries]
    for name, column in names.items():
        columns[column] = [e[name] if e else "" for e in entries]
    return columns, plate_map.complaint(dict.fromkeys(zip(files, wells, strict=True)))


def with_plate_map(
    table: pd.DataFrame, record: Mapping[str, Any], plate_map: PlateMap | None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a table that was measured without a plate map, and its record, as with one.

    What is said of wells is said once of all files, with a map and without.

    Parameters
    ----------
    table, record
        A table and its record.
    plate_map
        What was done to the wells.

    Raises
    ------
    InputError
        As for :func:`plate_columns`.
    """
    before = wells_of_record(record[WELLS_KEY])
    wells = guessed_wells(before, plate_map) if plate_map else before
    said = {unsure_wells({file: guess}) for file, guess in before.items()}
    kept = [sentence for sentence in record["warnings"] if sentence not in said]
    told, complaint = table.copy(), ""
    if plate_map is not None:
        known = [
            (wells[file].well if file in wells else "") if file in before else well
            for file, well in zip(table[FILE], table[WELL], strict=True)
        ]
        columns, complaint = plate_columns(plate_map, table[FILE].tolist(), known)
        behind = list(table.columns).index(CONDITION) + 1
        for name in (WELL, CONDITION):
            told[name] = columns.pop(name)
        for k, (name, values) in enumerate(columns.items()):
            told.insert(behind + k, name, values)
    warnings = dict.fromkeys([*filter(None, (unsure_wells(wells), complaint)), *kept])
    settings = MeasureSettings.model_validate(record["settings"])
    return told, {
        **record,
        MAP_KEY: plate_map.origin if plate_map else None,
        "warnings": list(warnings),
        WELLS_KEY: wells_record(wells),
        COLUMNS_KEY: stored_columns(settings, told.columns),
    }


def check_plate_map(plate_map: PlateMap) -> None:
    """Check that all of a plate map can go into a table, before work that ends with one.

    Raises
    ------
    InputError
        As for :func:`plate_columns`.
    """
    plate_map.check_doses()
    _added_names(plate_map)


def _added_names(plate_map: PlateMap) -> dict[str, str]:
    """Return the table's columns for the map's other columns, by the map's names."""
    taken = {name.lower() for name in IDENTITY}
    columns: dict[str, str] = {}
    for name in plate_map.others:
        plain = re.sub(r"\W+", "_", name).strip("_")
        column = f"Metadata_{plain[:1].upper()}{plain[1:]}"
        if not plain or column.lower() in taken:
            raise InputError(
                f"The column {name!r} of {plate_map.name} cannot become {column} in the table, "
                "which has such a column already; rename it."
            )
        taken.add(column.lower())
        columns[name] = column
    return columns
