"""Tables as CSV files that a spreadsheet opens without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from napari_rls.files.whole_file import whole_file
from napari_rls.text import for_table, from_table

MAX_BYTES = 2**30


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table, whole or not at all, see :func:`to_csv`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with whole_file(path) as draft:
        to_csv(draft, table)


def to_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table to a file; texts that look like formulas are guarded.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    guarded = {for_table(str(name)): _guarded(table[name]) for name in table.columns}
    pd.DataFrame(guarded).to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table that :func:`to_csv` wrote, all entries as text.

    Raises
    ------
    ValueError
        If it is no such table, a row has more entries than there are columns, or the file is
        too large.
    OSError
        If the file cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    texts = pd.read_csv(path, encoding="utf-8", dtype=str, keep_default_na=False)
    # pandas takes the first columns for row names then, and shifts all others.
    shifted = not isinstance(texts.index, pd.RangeIndex)
    if shifted:
        raise ValueError("its rows have more entries than there are columns")
    return texts.map(from_table).set_axis([from_table(str(n)) for n in texts.columns], axis=1)


def _guarded(column: pd.Series[Any]) -> pd.Series[Any]:
    if column.dtype.kind in "biufM":
        return column
    return column.map(lambda entry: for_table(entry) if isinstance(entry, str) else entry)
