"""What was done to each well or file of a plate, from a CSV file."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from napari_rls.errors import CsvError, InputError
from napari_rls.files.csv_rows import MAX_BYTES, read_rows
from napari_rls.files.json_file import shown
from napari_rls.text import name_of
from napari_rls.workflow.cells.map_columns import (
    CONDITION,
    DOSE,
    FILE,
    PLACES,
    WELL,
    Meanings,
    comma_hint,
    dose_of,
    tells_place,
)
from napari_rls.workflow.cells.stack import Crop
from napari_rls.workflow.cells.wells import WellGuess, base_name, guess_well, listed, normal_well

_PLACE = frozenset((WELL, FILE, "row", "column"))
_KNOWN = frozenset((WELL, FILE, CONDITION, DOSE))


class PlateMap:
    """Well and condition of every image file, from a CSV file.

    Commas, semicolons or tabs stand between the entries, see
    :func:`~napari_rls.files.csv_rows.read_rows`. The table needs a column ``well`` or
    ``file``; capitals do not matter. The condition is the column ``condition`` if there is
    one, otherwise all other columns but ``row`` and ``column``, as in
    ``drug=wortmannin; dose=3``; empty entries are left out. Columns of other usual names, as
    ``Concentration (nM)`` for the dose, are taken for what they mean, and :attr:`said` says so.
    A file is known by its name, and by the folders above it where several rows have the name.

    Parameters
    ----------
    path
        The CSV file.

    Attributes
    ----------
    name, sha256
        Name and digest of the file.
    taken, said
        Columns of other names by what they are taken for, and sentences that say so; what may be
        several is not taken.
    others
        Names of the columns besides well, file, condition and dose.
    has_doses
        Whether there is a column ``dose``.

    Raises
    ------
    InputError
        If the file is missing, is no CSV table, lacks both columns, has more entries than
        columns in a row, or names a column, a well or a file twice.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            rows = read_rows(content, PLACES, tells_place)
        except FileNotFoundError:
            raise InputError(f"There is no plate map {path}.") from None
        except OSError as error:
            raise InputError(
                f"{path.name} cannot be read as a plate map: {error.strerror}."
            ) from None
        except CsvError as error:
            raise InputError(f"{path.name} cannot be read as a plate map: {error}.") from None
        self.name = name_of(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        meant = Meanings.of(rows, self.name)
        self.taken, self.said = meant.taken, meant.said
        rows = [meant.renamed(row) for row in rows]
        columns = list(rows[0]) if rows else []
        self.others = tuple(name for name in columns if name not in _KNOWN)
        self.has_doses = DOSE in columns
        self._has_conditions = not set(columns) <= _PLACE
        self._wells: dict[str, Mapping[str, str] | None] = {}
        self._files: dict[str, Mapping[str, str]] = {}
        self._names: dict[str, list[Mapping[str, str]]] = {}
        for row in rows:
            self._add({**row, "well": normal_well(row.get("well", ""))})

    @property
    def origin(self) -> dict[str, Any]:
        """Name, digest, and what columns were taken for what, as records hold them."""
        taken = {"taken": dict(self.taken)} if self.taken else {}
        return {"name": self.name, "sha256": self.sha256, **taken}

    def find(self, file: str, well: str = "") -> tuple[str, str]:
        """Return well and condition of an image file, "" where the map does not know it.

        ``well`` is its well, if known otherwise than by its name.
        """
        entry = self.entry(file, well)
        well = well or self.guess(file).well
        return (well, "") if entry is None else (entry["well"] or well, condition_of(entry))

    def guess(self, file: str) -> WellGuess:
        """Return the well in a file's name; one that the map knows goes before others."""
        return guess_well(file, self._wells.keys())

    def entry(self, file: str, well: str = "") -> Mapping[str, str] | None:
        """Return the row of an image file, or of its well; None if the map knows neither.

        Parameters
        ----------
        file
            Name of the file.
        well
            Its well, if known; else, or where the map lacks it, the one in its name.

        Returns
        -------
        Mapping or None
            Entries by the column's name in lower case.
        """
        if (named := self._named(file)) is not None:
            return named
        known = normal_well(well)
        return self._wells.get(known if known in self._wells else self.guess(file).well)

    def complaint(self, places: Iterable[tuple[str, str]]) -> str:
        """Return what is to be said of images of which the map tells nothing, or "".

        Parameters
        ----------
        places
            File and well of each image, the well "" where only its name can tell.
        """
        known = False
        images = 0
        missing: dict[str, None] = {}
        for file, well in places:
            images += 1
            entry = self.entry(file, well)
            known |= entry is not None
            if entry is None or (self._has_conditions and not condition_of(entry)):
                missing[well or self.guess(file).well or file] = None
        if not missing:
            return ""
        named = listed(sorted(missing))
        lacks = f"{self.name} does not tell the condition of {named}; it is left empty."
        if known:
            return lacks
        has = listed([*self._files, *self._wells])
        these = "of none of these images" if images > 1 else "not of this image"
        return f"{lacks} The map tells of {has}, and {these}."

    def dose(self, entry: Mapping[str, str]) -> float:
        """Return the dose of a row; NaN where the map tells none.

        Raises
        ------
        InputError
            If it is no number of 0 or more.
        """
        text = entry.get(DOSE, "")
        dose = dose_of(text)
        if text and math.isnan(dose):
            raise InputError(
                f"{self.name} has the dose {shown(text)!r} in "
                f"{shown(entry['well'] or entry.get('file', ''))}; doses are numbers of 0 or "
                f"more in one unit, without the unit{comma_hint(text)}."
            )
        return dose

    def check_doses(self) -> None:
        """Check the doses of all rows, before work that ends with them.

        Raises
        ------
        InputError
            If one is no number of 0 or more.
        """
        for entry in (*self._files.values(), *self._wells.values()):
            if entry is not None:
                self.dose(entry)

    def _named(self, file: str) -> Mapping[str, str] | None:
        """Return the row of a file by its path or the end of it, or by its name if only one has it.

        Rows of the same name, as of several plates, are told apart by the folders above.
        """
        if file in self._files:
            return self._files[file]
        same = self._names.get(base_name(file), [])
        if len(same) == 1:
            return same[0]
        shared = [_shared_end(file, entry["file"]) for entry in same]
        best = [entry for entry, n in zip(same, shared, strict=True) if n == max(shared)]
        return best[0] if len(best) == 1 else None

    def _add(self, entry: Mapping[str, str]) -> None:
        well, file = entry["well"], entry.get("file", "")
        if file:
            if file in self._files:
                raise InputError(
                    f"{self.name} has two rows of the file {shown(file)}; keep one of them."
                )
            self._files[file] = entry
            self._names.setdefault(base_name(file), []).append(entry)
        elif well in self._wells:
            raise InputError(
                f"{self.name} has two rows of the well {shown(well)}; keep one of them."
            )
        if well:
            # Files of one well on two plates: only their names tell what was done to them.
            known = self._wells.get(well, entry)
            self._wells[well] = entry if known is not None and _same(known, entry) else None


def condition_of(entry: Mapping[str, str]) -> str:
    """Return the condition that a row of a plate map tells, see :class:`PlateMap`."""
    if CONDITION in entry:
        return entry[CONDITION]
    rest = {name: value for name, value in entry.items() if name not in _PLACE and value}
    return "; ".join(f"{name}={value}" for name, value in rest.items())


def guessed_wells(files: Iterable[str], plate_map: PlateMap | None) -> dict[str, WellGuess]:
    """Return the wells that names of files give, where the plate map does not tell the file's."""
    guesses = {}
    for file in dict.fromkeys(files):
        entry = plate_map.entry(file) if plate_map else None
        if not (entry and entry.get("file") and entry["well"]):
            guesses[file] = plate_map.guess(file) if plate_map else guess_well(file)
    return guesses


def guessed_wells_of(
    crops: Sequence[Crop], name: str, plate_map: PlateMap | None = None
) -> dict[str, WellGuess]:
    """Return the wells that names of files give to cells of which nothing else tells the well.

    Parameters
    ----------
    crops
        Where the cells come from; empty where nothing is known.
    name
        Name of the file of cells that do not tell their own.
    plate_map
        Tells wells of files itself; without it, names alone do.
    """
    files = (crop.file or name for crop in crops or (Crop(),) if not crop.well)
    return guessed_wells(files, plate_map)


def _shared_end(one: str, other: str) -> int:
    """Return how many names two paths have in common at their ends."""
    pairs = zip(*(re.split(r"[\\/]", path)[::-1] for path in (one, other)), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _same(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    names = (first.keys() | second.keys()) - {"file"}
    return all(first.get(name) == second.get(name) for name in names)
