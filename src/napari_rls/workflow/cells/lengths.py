"""Lengths as files of images give them: units by sign or by name, and sides of pixels."""

from __future__ import annotations

import re

from napari_rls.errors import TiffError
from napari_rls.text import for_terminal

_METRES = {"y": -24, "z": -21, "a": -18, "f": -15, "p": -12, "n": -9, "µ": -6, "u": -6, "m": -3}
_METRES |= {"c": -2, "d": -1, "": 0, "da": 1, "h": 2, "k": 3}
_PREFIXES = {"pico": -12, "nano": -9, "micro": -6, "milli": -3, "centi": -2, "deci": -1, "": 0}
_PREFIXES |= {"kilo": 3}
_NAMED = {"micron": 1.0, "å": 1e-4, "angstrom": 1e-4, "inch": 25400.0, "in": 25400.0, '"': 25400.0}
_NAMED |= {"inches": 25400.0, "thou": 25.4, "mil": 25.4, "ft": 304800.0, "foot": 304800.0}
_NAMED |= {"li": 25400.0 / 12, "line": 25400.0 / 12, "pt": 25400.0 / 72, "yd": 914400.0}

_MICROMETRES = {
    "": 1.0,
    **{f"{prefix}m": 10.0 ** (power + 6) for prefix, power in _METRES.items()},
    **{
        f"{prefix}{metre}": 10.0 ** (power + 6)
        for prefix, power in _PREFIXES.items()
        for metre in ("meter", "metre")
    },
    **_NAMED,
}
"""Micrometres in a unit, by its name in lower case and without the s of a plural."""

_NO_LENGTHS = frozenset({"pixel", "pixels", "px", "reference frame"})
"""What stands for a unit where pixels have no known size."""

_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
"""How ImageJ writes what is not ASCII."""

_SHOWN = 80


def in_micrometres(size: float, unit: str) -> float | None:
    """Return a length in micrometres, or None for an unknown unit or a length of nothing.

    Units are those of OME and of ImageJ, by sign or by name, as in µm, cm, inch, micrometers.
    """
    scale = _scale_of(unit)
    return size * scale if scale is not None and 0 < size < float("inf") else None


def unknown_unit(unit: str) -> str:
    """Return a unit that is no length known here; "" of one that is, and of pixels."""
    plain = _plain(unit)
    known = _scale_of(unit) is not None or plain.lower() in _NO_LENGTHS
    return "" if known else for_terminal(plain)[:_SHOWN]


def _scale_of(unit: str) -> float | None:
    """Return how many micrometres a unit is, None of one that is not known."""
    name = _plain(unit).lower()
    return _MICROMETRES.get(name, _MICROMETRES.get(name.removesuffix("s")))


def _plain(unit: str) -> str:
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), unit)
    return plain.strip().replace("μ", "µ")


def square_side(x: float | None, y: float | None) -> float | None:
    """Return the side of a pixel of these sides in micrometres, None if one is not known.

    Raises
    ------
    TiffError
        If they differ by more than 1 %.
    """
    if x is None or y is None:
        return None
    if abs(x - y) > 0.01 * max(x, y):
        raise TiffError(
            f"its pixels are not square, {x:g} µm in x and {y:g} µm in y",
            "resample it to square pixels, or correct its pixel size",
        )
    return x
