"""What columns are that no record tells of: the one place where names are taken for meanings.

Tables of versions before 0.3.0 and CSV files of others have no dictionary, or a shorter one.
Their names follow CellProfiler's fashion, and so does what is guessed here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from napari_rls.measure.cells import MeasureSettings, column_names
from napari_rls.measure.columns import FIXED, TEXT, Column, Interval
from napari_rls.measure.registry import Registry, registry

_INTERVAL = re.compile(r"(?P<of>.+)_(?:sd|q(?P<percent>\d+(?:\.\d+)?))")
_ANY = "AnyChannel"
_METADATA, _QUALITY = "Metadata_", "Quality_"
_CATEGORIES = ("Math", "AreaShape", "Intensity", "Children")
"""Parts of CellProfiler's names that the others make plain."""


def guessed(name: str, names: Collection[str], kind: str, entry: object = None) -> Column:
    """Return what a column seems to be.

    Parameters
    ----------
    name
        Its name.
    names
        Those of all columns of the table.
    kind
        Kind of its type, as numpy has it: ``b`` for yes and no, ``iuf`` for numbers.
    entry
        What the record says of it, if anything: unit and meaning are taken from there.
    """
    said = entry if isinstance(entry, Mapping) else {}
    own = {
        key: text for key in ("unit", "meaning") if isinstance(text := said.get(key), str) and text
    }
    return _guessed(name, names, kind).model_copy(update=own)


def guessed_intervals(name: str, names: Collection[str]) -> tuple[Interval, ...]:
    """Return the intervals that columns such as NAME_q05 and NAME_q95 are of a measurement."""
    ends: dict[float, str] = {}
    for other in names:
        match = _INTERVAL.fullmatch(other)
        if match and match["of"] == name and match["percent"]:
            ends[float(match["percent"])] = other
    return tuple(
        Interval(level=round((100 - 2 * percent) / 100, 6), low=low, high=ends[100 - percent])
        for percent, low in sorted(ends.items(), reverse=True)
        if 0 < percent < 50 and 100 - percent in ends
    )


def is_text(name: str) -> bool:
    """Return whether a column of a file without types is text, whatever its entries look like."""
    return _guessed(name, (), "").unit == TEXT


def words_of(name: str) -> str:
    """Return a column's name in words.

    Examples
    --------
    >>> words_of("Math_Ratio_NucleusCytoplasm_GFP")
    'Ratio Nucleus Cytoplasm GFP'
    """
    parts = name.removeprefix(_METADATA).removeprefix(_QUALITY).split("_")
    kept = [part for part in dict.fromkeys(parts) if part and part not in _CATEGORIES] or parts
    # NucleusCytoplasm is two words, FKHRGFP and LRResidual's LR are one.
    return " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", part) for part in kept)


def _guessed(name: str, names: Collection[str], kind: str) -> Column:
    made: dict[str, Any] = {"name": name, "title": words_of(name), "unit": "", "meaning": ""}
    match = _INTERVAL.fullmatch(name)
    if match and match["of"] in names:
        return Column(**made, kind="interval", of=match["of"])
    intervals = guessed_intervals(name, names)
    if name in FIXED:
        return FIXED[name]
    for pattern, column in _patterns(registry()):
        if pattern.fullmatch(name):
            own = {"name": name, "title": made["title"], "intervals": intervals}
            return column.model_copy(update=own)
    if name.startswith(_METADATA):
        return Column(**made | {"unit": TEXT}, kind="condition")
    if name.startswith(_QUALITY):
        return Column(**made, kind="flag" if kind == "b" else "quality")
    if kind and kind in "iuf":
        return Column(**made, kind="measurement", intervals=intervals)
    return Column(**made, kind="identity")


@cache
def _patterns(known: Registry) -> tuple[tuple[re.Pattern[str], Column], ...]:
    """Return what the names of the columns that assays measure look like, with any channels."""
    found = []
    for assay in known.assays.values():
        settings = MeasureSettings(assay=assay.name, dna=_ANY, signal=_ANY)
        for name, one in column_names(settings, micrometres=True).items():
            column = Column(
                name=name,
                title=one.title,
                unit=one.unit,
                meaning=one.meaning,
                kind="measurement",
                headline=assay.headline_of(one.key),
            )
            found.append((re.compile(name.replace(_ANY, r"\w+")), column))
    return tuple(found)
