"""What the columns of a table are: by its record, or for tables of others by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_rls.measure.cells import MeasureSettings, column_names, title_of
from napari_rls.measure.columns import (
    ENDS,
    FIXED,
    SUMMARIES,
    TEXT,
    Column,
    Interval,
    summary_columns,
)
from napari_rls.measure.foreign_columns import guessed, words_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS_KEY = "columns"
"""Where the record of a table has its columns."""


def dictionary(settings: MeasureSettings, present: Iterable[str]) -> dict[str, Column]:
    """Return what the columns of a table of this package are.

    Parameters
    ----------
    settings
        The assay and the names of its channels.
    present
        Names of the table's columns; those that nothing is known of are from a plate map.

    Examples
    --------
    >>> settings = MeasureSettings(assay="translocation", signal="GFP")
    >>> found = dictionary(settings, ["Metadata_Cell", "Math_Ratio_NucleusCytoplasm_GFP"])
    >>> [(column.kind, column.headline) for column in found.values()]
    [('identity', 0), ('measurement', 1)]
    """
    names = list(present)
    known = FIXED | measured_columns(settings, names)
    return {name: known.get(name) or _from_plate_map(name) for name in names}


def stored_columns(settings: MeasureSettings, present: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the record of a table of this package says of its columns."""
    return {name: column.stored() for name, column in dictionary(settings, present).items()}


def measured_columns(settings: MeasureSettings, present: Iterable[str]) -> dict[str, Column]:
    """Return the columns that an assay may have, each followed by those of its spread.

    The intervals of a column are those of which both ends are among ``present``.
    """
    there = set(present)
    known: dict[str, Column] = {}
    for name, one in column_names(settings, micrometres=True).items():
        title, ends = title_of(one, settings), summary_columns(name)
        known[name] = Column(
            name=name,
            title=title,
            unit=one.unit,
            meaning=one.meaning,
            kind="measurement",
            headline=settings.of.headline_of(one.key),
            intervals=tuple(
                Interval(level=level, low=ends[low], high=ends[high])
                for level, (low, high) in ENDS.items()
                if {ends[low], ends[high]} <= there
            ),
        )
        for ending, other in ends.items():
            known[other] = Column(
                name=other,
                title=f"{title} {ending}",
                unit=one.unit,
                meaning=f"{one.meaning[:-1]}: {SUMMARIES[ending]}.",
                kind="interval",
                of=name,
            )
    return known


def columns_of(table: pd.DataFrame, record: Mapping[str, Any] | None = None) -> dict[str, Column]:
    """Return what the columns of any table are, in its order.

    What the record says counts; what it does not say, as those of older versions and tables
    of others, is guessed from names and types by :mod:`napari_rls.measure.foreign_columns`.

    Parameters
    ----------
    table
        A table of cells.
    record
        How it was made, as :func:`~napari_rls.workflow.measure.table_files.read_table` gives it.
    """
    stored = (record or {}).get(COLUMNS_KEY)
    entries = stored if isinstance(stored, Mapping) else {}
    names = [str(name) for name in table.columns]
    return {
        name: _stored(name, entries.get(name)) or guessed(name, names, kind, entries.get(name))
        for name, kind in zip(names, (dtype.kind for dtype in table.dtypes), strict=True)
    }


def measurements(columns: Mapping[str, Column]) -> list[str]:
    """Return the names of what was measured, those that the assay is about first."""
    found = [column for column in columns.values() if column.kind == "measurement"]
    return [column.name for column in sorted(found, key=_weight)]


def _weight(column: Column) -> tuple[bool, int]:
    return column.headline == 0, column.headline


def _stored(name: str, entry: object) -> Column | None:
    """Return a column as a record has it; None if it says too little."""
    try:
        return Column.model_validate({**entry, "name": name}) if isinstance(entry, dict) else None
    except ValidationError:
        return None


def _from_plate_map(name: str) -> Column:
    return Column(
        name=name, title=words_of(name), unit=TEXT, meaning="From the plate map.", kind="condition"
    )
