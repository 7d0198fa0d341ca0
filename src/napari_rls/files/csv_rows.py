"""Read the CSV tables that people write: separators and encodings vary, mistakes are named."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice

from napari_rls.errors import CsvError
from napari_rls.files.json_file import shown

MAX_BYTES = 16 * 2**20
MAX_ROWS = 50_000
MAX_COLUMNS = 200
"""A plate has at most 3456 wells, and some images of each."""

_SEPARATORS = (",", ";", "\t")

_TITLES = 9
"""Lines that may stand above the names of the columns."""

_NUMBERING = ("", "index")
"""How the column of row numbers is called, which pandas and R write."""

_NAMELESS = re.compile(r"unnamed: \d+(\.\d+)?")
"""What pandas calls a column without a name."""


def read_rows(
    data: bytes, wanted: Collection[str], also: Callable[[str], bool] = lambda _: False
) -> list[Mapping[str, str]]:
    """Return the rows of a table, by the names of its columns in lower case.

    The separator is the comma, the semicolon or the tab, whichever finds a wanted column in
    one of the first lines; what stands above, such as a title, is left out. So are empty lines,
    and a column of row numbers that pandas or R put in front. Rows may lack entries at their
    end, which are empty then.

    Parameters
    ----------
    data
        The table: UTF-8, or UTF-16 with a byte order mark.
    wanted
        Names of columns of which there must be one.
    also
        Tells whether another name, in lower case, does as well; no message tells of it.

    Raises
    ------
    CsvError
        If it is no table, too large, lacks the wanted columns, two columns or none have a
        name, or a row has more entries than there are columns.
    """
    if len(data) > MAX_BYTES:
        raise CsvError(f"it has more than {MAX_BYTES:,} bytes")
    text = _decoded(data)
    try:
        separator, above = _header(text, wanted, also)
        lines = islice(_lines(text, separator), above, None)
        _, header = next(lines)
        names = ["" if _NAMELESS.fullmatch(name.lower()) else name.lower() for name in header]
        rows = [_row(names, line, entries) for line, entries in islice(lines, MAX_ROWS + 1)]
    except csv.Error as error:
        raise CsvError(f"it is no CSV table: {shown(str(error))}") from None
    if len(rows) > MAX_ROWS:
        raise CsvError(f"it has more than {MAX_ROWS:,} rows")
    if _is_numbering(names[0], [row[names[0]] for row in rows]):
        rows = [{name: entry for name, entry in row.items() if name != names[0]} for row in rows]
    _check_names(names, rows)
    return [{name: entry for name, entry in row.items() if name} for row in rows]


def _decoded(data: bytes) -> str:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise CsvError(
            "it is no UTF-8 text, as where Excel saves 'CSV'; save it as 'CSV UTF-8'"
        ) from None
    if not text.strip():
        raise CsvError("it is empty")
    if "\0" in text:
        raise CsvError("it is no text, or one of UTF-16 without its mark; save it as UTF-8")
    return text


def _header(text: str, wanted: Collection[str], also: Callable[[str], bool]) -> tuple[str, int]:
    """Return the separator, and how many lines stand above the names of the columns."""
    for separator in _SEPARATORS:
        first = islice(_lines(text, separator, strict=False), _TITLES + 1)
        for above, (_, entries) in enumerate(first):
            if len(entries) > MAX_COLUMNS:
                raise CsvError(f"it has {len(entries):,} columns, more than {MAX_COLUMNS}")
            if any(name in wanted or also(name) for name in map(str.lower, entries)):
                return separator, above
    names = " or ".join(repr(name) for name in wanted)
    raise CsvError(f"none of its first lines has a column {names}")


def _lines(text: str, separator: str, *, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, with their numbers from 1."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
    for entries in reader:
        stripped = [entry.strip() for entry in entries]
        if any(stripped):
            yield reader.line_num, stripped


def _row(names: list[str], line: int, entries: list[str]) -> dict[str, str]:
    if any(entries[len(names) :]):
        raise CsvError(
            f"its line {line} has {len(entries)} entries for {len(names)} columns; entries with a "
            "separator in them need quotes"
        )
    row = dict.fromkeys(names, "")
    for name, entry in zip(names, entries, strict=False):
        row[name] = row[name] or entry
    return row


def _is_numbering(name: str, entries: list[str]) -> bool:
    """Return whether a column counts the rows, from 0 or 1, and says nothing else."""
    counted = {tuple(str(k + first) for k in range(len(entries))) for first in (0, 1)}
    return name in _NUMBERING and tuple(entries) in counted


def _check_names(names: list[str], rows: list[dict[str, str]]) -> None:
    twice = next((name for k, name in enumerate(names) if name and name in names[:k]), None)
    if twice:
        raise CsvError(f"two of its columns are named {shown(twice)}; capitals do not matter")
    if any(row.get("") for row in rows):
        raise CsvError(f"its column {names.index('') + 1} has no name; give it one, or remove it")
