"""Wells of plates: their names, and which of them a file name tells."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PureWindowsPath
from typing import Any

_ROW = "A[A-F]|[A-Z]"
_NAME = re.compile(rf"({_ROW})[-_ ]?0*([1-9]\d?)", re.IGNORECASE)
_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9])({_ROW})[-_]?(\d{{1,3}})(?:(?![A-Za-z0-9])|(?<=\d\d)(?=[a-z]\d))",
    re.IGNORECASE,
)
"""Letters and digits that stand alone, or before a field as in ``A01f00d0``."""

_SPLIT_CHANNEL = re.compile(r"^(?:(?:MAX|MIN|AVG|SUM|STD|MED)_)*C\d+-(?=.)")
"""What Fiji's "Split Channels" puts in front of a name, projections included."""

_IN_CELL = re.compile(r"^([A-P]) - (\d{1,2})(?=\(fld )", re.IGNORECASE)
"""A well as the IN Cell Analyzer writes it, as in ``B - 03(fld 1 wv DAPI)``."""

_NIS = re.compile(rf"(?<![A-Za-z0-9])Well[-_ ]?({_ROW})(\d{{1,2}})(?!\d)", re.IGNORECASE)
"""A well as NIS-Elements writes it, as in ``WellB03_Point001``."""

_OPERA = re.compile(r"^r(\d\d)c(\d\d)(?=f\d)", re.IGNORECASE)
"""Row and column as Opera and Phenix write them, as in ``r02c03f01p01-ch1``."""

_OTHER_MEANINGS = frozenset("CFP")
"""Letters that, with one digit behind the start of a name, are channel, field or position."""

_COLUMNS, _COLUMNS_1536 = 24, 48
_LAST_ROW = "P"
_LETTERS, _ROWS_1536 = 26, 32
_SHOWN = 5


@dataclass(frozen=True)
class WellGuess:
    """The well that a file name tells, "" if none, and the others that it might be."""

    well: str
    others: tuple[str, ...] = ()


def normal_well(text: str) -> str:
    """Return the name of a well as letters and two digits, or as it is if it is no such name."""
    found = _NAME.fullmatch(text.strip())
    if found is None or int(found[2]) > _COLUMNS_1536:
        return text
    return f"{found[1].upper()}{int(found[2]):02d}"


def well_of(file: str) -> str:
    """Return the well that a file name gives, as in ``B03.ome.tif``, or ""."""
    return guess_well(file).well


def guess_well(file: str, known: Collection[str] = ()) -> WellGuess:
    """Return the well that a file name tells.

    It is the last token that a plate map knows; else the last one that is a well of a plate
    of 96, 384 or 1536: rows A to P with columns 1 to 24, rows AA to AF with 1 to 48. ``C1-``
    in front of a name is a channel, as Fiji writes it; ``c1``, ``f1`` and ``p1`` further
    behind are channel, field and position, and ``C1``, ``F1`` and ``P1`` are if there is
    another well. Names as IN Cell, NIS-Elements, Opera and Phenix write them are known.

    Parameters
    ----------
    file
        Name of the file, with or without folders.
    known
        Wells that the plate map knows.
    """
    name = _usual(_SPLIT_CHANNEL.sub("", PurePath(file).name))
    tokens = list(_TOKEN.finditer(name))
    matched = [found for found in tokens if normal_well(found[0]) in known]
    plausible = [found for found in tokens if _is_plausible(found)]
    likely = [found for found in plausible if not (_is_index(found) and found[1].islower())]
    ranked = (
        [found for found in matched if not _is_index(found)],
        matched,
        [found for found in plausible if not _is_index(found)],
        likely,
    )
    best = next((normal_well(found[-1][0]) for found in ranked if found), "")
    wells = dict.fromkeys(normal_well(found[0]) for found in (*matched, *likely))
    return WellGuess(best, tuple(well for well in wells if well != best))


def wells_record(guesses: Mapping[str, WellGuess]) -> dict[str, dict[str, Any]]:
    """Return wells for a record: of each name of a file, the well and what else it might be."""
    return {
        file: {"well": guess.well, "others": list(guess.others)} for file, guess in guesses.items()
    }


def wells_of_record(record: Mapping[str, Mapping[str, Any]]) -> dict[str, WellGuess]:
    """Return the wells of which :func:`wells_record` has made a record."""
    return {file: WellGuess(one["well"], tuple(one["others"])) for file, one in record.items()}


def base_name(file: str) -> str:
    """Return the last part of a path, of any system."""
    return PureWindowsPath(file).name if "\\" in file else PurePath(file).name


def told_wells(guesses: Mapping[str, WellGuess]) -> list[str]:
    """Return sentences that say which wells were taken from which names of files."""
    found = [f"{guess.well} ({file})" for file, guess in guesses.items() if guess.well]
    taken = f"Wells, from the names of files: {listed(found)}." if found else ""
    return [sentence for sentence in (taken, unsure_wells(guesses)) if sentence]


def unsure_wells(guesses: Mapping[str, WellGuess]) -> str:
    """Return the sentence that says which names of files give more than one well, or ""."""
    unsure = [
        f"{file} as {guess.well}, not {' or '.join(guess.others)}"
        for file, guess in guesses.items()
        if guess.others
    ]
    if not unsure:
        return ""
    return (
        f"Names with more than one well are taken so: {listed(unsure)}; a plate map with the "
        "columns 'file' and 'well' can say otherwise."
    )


def listed(texts: Sequence[str]) -> str:
    """Return texts in a row, not more of them than help."""
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _usual(name: str) -> str:
    """Return a name with its well as letters and two digits, where microscopes write it otherwise.

    There is nothing to choose then: it is said to be a well.
    """
    for spelling in (_IN_CELL, _NIS):
        name = spelling.sub(lambda found: f"{found[1].upper()}{int(found[2]):02d}", name)
    if (found := _OPERA.match(name)) and 1 <= int(found[1]) <= _ROWS_1536:
        row = int(found[1])
        letters = chr(64 + row) if row <= _LETTERS else f"A{chr(64 + row - _LETTERS)}"
        name = f"{letters}{found[2]}{name[found.end() :]}"
    return name


def _is_plausible(found: re.Match[str]) -> bool:
    """Return whether a token is a well where no plate map says so."""
    row, column = found[1].upper(), int(found[2])
    most = _COLUMNS_1536 if len(row) == 2 else _COLUMNS
    return row[0] <= _LAST_ROW and 1 <= column <= most and len(found[2]) <= 2


def _is_index(found: re.Match[str]) -> bool:
    """Return whether a token may number a channel, a field or a position."""
    return found.start() > 0 and found[1].upper() in _OTHER_MEANINGS and len(found[2]) == 1
