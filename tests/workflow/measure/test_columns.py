"""The tables of columns in the documentation are those of the dictionary."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_the_documented_columns_are_those_of_the_dictionary() -> None:
    text = (DOCS / "measurements.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(DOCS / "columns_table.py"))["written"](text) == text, (
        "run python docs/columns_table.py"
    )
    # What the script cannot find it cannot keep up to date.
    assert text.split("## Columns\n")[1].count("\n|---|") == 5
