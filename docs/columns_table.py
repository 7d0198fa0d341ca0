"""Write the tables of columns of docs/measurements.md from the dictionary of columns.

python docs/columns_table.py
"""

import re
from collections.abc import Iterable
from pathlib import Path

from napari_rls.measure.assay import Assay
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.columns import IDENTITY, QUALITY, SUMMARIES, Column
from napari_rls.measure.dictionary import measured_columns
from napari_rls.measure.registry import BUILT_IN

DOCUMENT = Path(__file__).with_name("measurements.md")
HEAD = ["| column | unit | meaning |", "|---|---|---|"]


def rows(columns: Iterable[Column]) -> list[str]:
    return [f"| `{one.name}` | {one.unit} | {one.meaning} |" for one in columns]


def measured(assay: Assay) -> list[str]:
    settings = MeasureSettings(assay=assay.name, dna="dnaX", signal="signalX")
    found = [c for c in measured_columns(settings, ()).values() if c.kind == "measurement"]
    return [re.sub(r"(dna|signal)X", r"{\1}", row) for row in rows(found)]


def tables() -> dict[str, list[str]]:
    """Return the lines of every table by the heading above it."""
    found = {"Which cell": [*HEAD, *rows(IDENTITY.values())]}
    found |= {assay.title: [*HEAD, *measured(assay)] for assay in BUILT_IN}
    spread = [f"| `X_{ending}` | {meaning} |" for ending, meaning in SUMMARIES.items()]
    found["Spread"] = ["| ending | meaning |", "|---|---|", *spread]
    found["How far to trust it"] = [*HEAD, *rows(QUALITY.values())]
    return found


def written(text: str) -> str:
    """Return the document with the tables of its last part as they are now."""
    before, mark, columns = text.partition("## Columns\n")
    for heading, lines in tables().items():
        table = re.compile(rf"(### {heading}\n(?:[^|#]*\n)?)(?:\|.*\n)+")
        columns, count = table.subn(lambda found, t=lines: found[1] + "\n".join(t) + "\n", columns)
        if count != 1:
            raise SystemExit(f"{DOCUMENT.name} has {count} tables under '{heading}'")
    return before + mark + columns


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
