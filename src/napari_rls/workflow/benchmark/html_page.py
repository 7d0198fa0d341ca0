"""Pages that need nothing else: tables and figures in one HTML file without scripts."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from matplotlib.figure import Figure
from PIL import Image

DPI = 110

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1150px; margin: 2em auto;
  padding: 0 1em; }
h1, h2, h3 { line-height: 1.2; }
h2 { border-bottom: 1px solid #ccc; margin-top: 2.2em; padding-bottom: 0.2em; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0.3em 0; color: #444; }
th, td { padding: 0.25em 0.7em; border-bottom: 1px solid #e4e4e4; text-align: right;
  vertical-align: top; }
th:first-child, td:first-child, td.text { text-align: left; }
thead th { border-bottom: 2px solid #888; }
td small { color: #777; display: block; }
.wide { overflow-x: auto; }
figure { margin: 1.2em 0; }
figure img { max-width: 100%; }
figcaption { color: #444; }
.note { background: #f6f2e4; padding: 0.5em 0.8em; border-left: 4px solid #d9b84a; }
""".strip()


@dataclass(frozen=True)
class Cell:
    """An entry of a table: a text, small print below it, whether it is best or second best.

    ``wide`` entries reach to the end of the row.
    """

    text: str
    small: str = ""
    rank: Literal["", "best", "second"] = ""
    wide: bool = False

    def html(self, columns: int) -> str:
        """Return the entry as HTML; ``columns`` are left in its row."""
        mark = {"best": "b", "second": "i"}.get(self.rank)
        shown = escape(self.text)
        shown = f"<{mark}>{shown}</{mark}>" if mark else shown
        shown += f"<small>{escape(self.small)}</small>" if self.small else ""
        if self.wide:
            return f'<td class="text" colspan="{columns}">{shown}</td>'
        return f"<td>{shown}</td>"


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


def table(header: Sequence[str], rows: Sequence[Row], caption: str = "") -> str:
    """Return a table; entries of ``rows`` are aligned right but for the first."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = []
    for row in rows:
        cells = [entry if isinstance(entry, Cell) else Cell(entry) for entry in row]
        body.append(
            "<tr>" + "".join(c.html(len(header) - k) for k, c in enumerate(cells)) + "</tr>"
        )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def figure(picture: Figure | Image.Image, caption: str) -> str:
    """Return a figure as a PNG inside the page."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=DPI)
    else:
        picture.save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def paragraph(text: str, *, note: bool = False) -> str:
    """Return a paragraph, or a note that stands out."""
    return f'<p class="note">{escape(text)}</p>' if note else f"<p>{escape(text)}</p>"


def heading(text: str) -> str:
    """Return a heading below that of a section."""
    return f"<h3>{escape(text)}</h3>"


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return a whole page.

    Parameters
    ----------
    title
        Title and first heading.
    lead
        HTML before the table of contents.
    sections
        Headings and the HTML below each.
    """
    links = "".join(
        f'<li><a href="#s{k}">{escape(name)}</a></li>' for k, (name, _) in enumerate(sections)
    )
    parts = "".join(
        f'<section id="s{k}"><h2>{escape(name)}</h2>{html}</section>'
        for k, (name, html) in enumerate(sections)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>{lead}<ul>{links}</ul>\n{parts}</body></html>\n"
    )
