"""What a table's file says of the table: types of its columns, and how it was made."""

from __future__ import annotations

import re
from typing import Any

from napari_rls.files.json_file import shown

TEXT = "text"
"""What a column of text is called beside the names of numpy's types."""

MOST_ENTRIES = 200_000_000
"""Rows times columns of a table: a million cells, two hundred columns."""

# Others, such as texts of a fixed width, numpy would make at any size.
_KIND = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64|96|128)")


def described(value: object) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the types of the columns and the record of a file's description.

    Raises
    ------
    ValueError
        If it holds something else, or a type is not one that tables have.
    """
    if isinstance(value, dict):
        columns, record = value.get("columns", {}), value.get("record", {})
        if isinstance(columns, dict) and isinstance(record, dict):
            for name, kind in columns.items():
                if kind != TEXT and not (isinstance(kind, str) and _KIND.fullmatch(kind)):
                    raise ValueError(f"the type of its column {shown(name)} is not known")
            return columns, record
    raise ValueError("its record is damaged")


def check_size(rows: int, columns: int) -> None:
    """Check that a table is not larger than any that was measured.

    Raises
    ------
    ValueError
        If it is.
    """
    if rows * columns > MOST_ENTRIES:
        raise ValueError(f"it says that it holds {rows:,} rows of {columns:,} columns")
