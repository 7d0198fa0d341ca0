"""Pages that need nothing else: tables and figures in one HTML file without scripts.

What they look like stands in ``templates``; every text is escaped there.
"""

from __future__ import annotations

import base64
import functools
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

DPI = 110


@dataclass(frozen=True)
class Cell:
    """An entry of a table: a text, small print below it, whether it is best or second best.

    ``wide`` entries reach to the end of the row.
    """

    text: str
    small: str = ""
    rank: Literal["", "best", "second"] = ""
    wide: bool = False


Row = Sequence[Cell | str]
"""Entries of a row; a text stands for a cell of it."""


def number(value: float) -> str:
    """Return a number with four digits, or a dash where there is none."""
    return "-" if not math.isfinite(value) else f"{value:.4g}"


def interval(low: float, high: float) -> str:
    """Return an interval with four digits, or nothing where there is none."""
    return f"{number(low)} to {number(high)}" if math.isfinite(low + high) else ""


def ranks(values: Sequence[float], better: str) -> list[Literal["", "best", "second"]]:
    """Return which values are best and second best; equal ones share a place.

    Parameters
    ----------
    values
        Numbers; those that are not finite have no place.
    better
        ``"lower"`` or ``"higher"``.
    """
    sign = 1 if better == "lower" else -1
    places = sorted({sign * value for value in values if math.isfinite(value)})
    names: dict[float, Literal["best", "second"]] = {}
    if len(places) > 1:
        names = {places[0]: "best", places[1]: "second"}
    return [names.get(sign * value, "") for value in values]


def table(header: Sequence[str], rows: Sequence[Row], caption: str = "") -> Markup:
    """Return a table; entries of ``rows`` are aligned right but for the first."""
    cells = [[entry if isinstance(entry, Cell) else Cell(entry) for entry in row] for row in rows]
    return _part("table", header, cells, caption)


def figure(picture: Figure | Image.Image, caption: str) -> Markup:
    """Return a figure as a PNG inside the page."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=DPI)
    else:
        picture.save(buffer, format="PNG")
    return _part("figure", base64.b64encode(buffer.getvalue()).decode(), caption)


def paragraph(text: str, *, note: bool = False) -> Markup:
    """Return a paragraph, or a note that stands out."""
    return _part("paragraph", text, note)


def heading(text: str) -> Markup:
    """Return a heading below that of a section."""
    return _part("heading", text)


def joined(parts: Iterable[Markup]) -> Markup:
    """Return parts of a page, one below the other."""
    return Markup().join(parts)


def page(title: str, lead: Markup, sections: Sequence[tuple[str, Markup]]) -> str:
    """Return a whole page.

    Parameters
    ----------
    title
        Title and first heading.
    lead
        What stands before the table of contents.
    sections
        Headings and what stands below each.
    """
    page = _templates().get_template("page.html.jinja")
    return page.render(title=title, lead=lead, sections=sections)


def _part(name: str, *values: object) -> Markup:
    made: Markup = getattr(_templates().get_template("parts.html.jinja").module, name)(*values)
    return made


@functools.cache
def _templates() -> Environment:
    # Autoescaping by extension would leave out what ends in .jinja.
    return Environment(
        loader=PackageLoader("napari_rls.workflow.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
