"""What the columns of a plate map mean that are called otherwise than its own words for it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from napari_rls.files.json_file import shown

WELL, FILE, CONDITION, DOSE = "well", "file", "condition", "dose"
_DRUG, _CONTROL = "drug", "control"

_VARIANTS = {
    WELL: ("wellid", "wellname", "wellposition", "wellpos"),
    FILE: ("filename", "imagefile", "imagefilename"),
    CONDITION: ("conditions", "conditionname"),
    DOSE: (
        *("doses", "dosage", "concentration", "conc"),
        *(f"{what}{how}" for what in ("drug", "compound", "treatment", "final")
          for how in ("dose", "concentration", "conc")),
    ),
    _DRUG: (
        *("drugs", "compound", "compounds", "treatment", "substance"),
        *("drugname", "compoundname", "treatmentname"),
    ),
    _CONTROL: ("controls", "controltype", "ctrl"),
}  # fmt: skip
"""Names of columns by their meaning, without signs and a unit."""

PLACES = (WELL, FILE)
"""Meanings of the columns by which a table is known for a plate map."""

_PREFIX = "metadata_"
_LONGEST = 200
"""Characters of a column's name at most; what is longer is none, and slow to look through."""

_UNIT = re.compile(
    r"[\s_]*[(\[]\s*(?P<within>[^)\]]+?)\s*[)\]]$|"
    r"[\s_]+(?P<behind>[pnuµμm]?m|molar|[pnuµμm]?g[/_ ]?(?:per[_ ])?m?l|%|percent)$"
)


_WRITTEN = {
    "pm": "pM",
    "nm": "nM",
    "mm": "mM",
    "m": "M",
    "molar": "M",
    "percent": "%",
    **dict.fromkeys(("um", "µm", "μm"), "µM"),
}
"""How units of doses are written; names of columns are in lower case."""


@dataclass(frozen=True)
class Meanings:
    """What columns are taken for.

    Attributes
    ----------
    taken
        Columns by what they are taken for.
    said
        Sentences on what was taken for what, and on what was not.
    """

    taken: Mapping[str, str]
    said: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], source: str) -> Meanings:
        """Look for what columns mean; one that has the plain name goes before all others.

        Parameters
        ----------
        rows
            The table, by names of columns in lower case.
        source
            Name of its file, for sentences.

        Examples
        --------
        >>> rows = [{"well": "A1", "compound": "x", "concentration (nm)": "3"}]
        >>> dict(Meanings.of(rows, "map.csv").taken)
        {'dose': 'concentration (nm)', 'drug': 'compound'}
        """
        columns = list(rows[0]) if rows else []
        taken: dict[str, str] = {}
        refused: list[str] = []
        for meaning, variants in _VARIANTS.items():
            found = [name for name in columns if _plain(name) in (meaning, *variants)]
            if meaning in columns or not found:
                continue
            if len(found) > 1:
                named = " and ".join(shown(repr(name)) for name in found)
                refused.append(
                    f"{source} has {len(found)} columns that may be the {meaning}, {named}, of "
                    f"which none is taken for it; call the one that is meant {meaning!r}."
                )
            elif meaning == DOSE and (wrong := _no_dose(rows, found[0])) is not None:
                refused.append(
                    f"The column {shown(repr(found[0]))} of {source} is not taken for the dose, as "
                    f"{shown(repr(wrong))} is no number of 0 or more without a unit"
                    f"{comma_hint(wrong)}."
                )
            else:
                taken[meaning] = found[0]
        words = [f"{shown(repr(name))} for the {m}{_unit(name)}" for m, name in taken.items()]
        said = [f"Columns of {source} are taken: {', '.join(words)}."] if words else []
        return cls(taken, (*said, *refused))

    def renamed(self, row: Mapping[str, str]) -> dict[str, str]:
        """Return a row with its columns by what they mean."""
        names = {column: meaning for meaning, column in self.taken.items()}
        return {names.get(name, name): entry for name, entry in row.items()}


def tells_place(name: str) -> bool:
    """Tell whether a column is of wells or files, by its name in lower case.

    Examples
    --------
    >>> tells_place("well id"), tells_place("metadata_filename"), tells_place("row")
    (True, True, False)
    """
    plain = _plain(name)
    return any(plain in (meaning, *_VARIANTS[meaning]) for meaning in PLACES)


def comma_hint(text: str) -> str:
    """Return what to do about a number that is written with a comma, or "".

    Examples
    --------
    >>> comma_hint("0,5"), comma_hint("5 nM")
    ('; decimals stand behind a point, as in 0.5', '')
    """
    pointed = re.fullmatch(r"(\d*),(\d+)", text)
    return f"; decimals stand behind a point, as in {pointed[1]}.{pointed[2]}" if pointed else ""


def _plain(name: str) -> str:
    """Return a column's name without prefix, unit and signs; "" of one that is too long."""
    if len(name) > _LONGEST:
        return ""
    return re.sub(r"[\W_]+", "", _UNIT.sub("", name.removeprefix(_PREFIX)))


def unit_of(name: str) -> str:
    """Return the unit that the name of a column of doses tells, "" where it tells none.

    Examples
    --------
    >>> unit_of("concentration (nm)"), unit_of("dose_um"), unit_of("dose")
    ('nM', 'µM', '')
    """
    found = _UNIT.search(name[-_LONGEST:])
    unit = shown(found["within"] or found["behind"]) if found else ""
    return _WRITTEN.get(unit, unit)


def _unit(name: str) -> str:
    unit = unit_of(name)
    return f" (in {unit})" if unit else ""


def _no_dose(rows: Sequence[Mapping[str, str]], column: str) -> str | None:
    """Return the first entry of a column that is no dose; None if all are, or are empty."""
    return next((row[column] for row in rows if math.isnan(dose_of(row[column], 0.0))), None)


def dose_of(text: str, empty: float = math.nan) -> float:
    """Return the dose that an entry tells, NaN if it is no finite number of 0 or more.

    Examples
    --------
    >>> dose_of("0.5"), dose_of("5 nM"), dose_of("", 0.0)
    (0.5, nan, 0.0)
    """
    try:
        dose = float(text) if text else empty
    except ValueError:
        return math.nan
    return dose if math.isfinite(dose) and dose >= 0 else math.nan
