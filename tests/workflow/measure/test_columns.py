"""The dictionary of columns in the documentation is that of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_rls.measure.cells import MeasureSettings, column_names
from napari_rls.workflow.measure.columns import IDENTITY, QUALITY, SUMMARIES

DOCS = Path(__file__).parents[3] / "docs" / "measurements.md"


def measured(assay: str) -> dict[str, tuple[str, str]]:
    settings = MeasureSettings(assay=assay, dna="dnaX", signal="signalX")
    columns = column_names(settings, micrometres=True)
    return {
        name.replace("dnaX", "{dna}").replace("signalX", "{signal}"): (c.unit, c.meaning)
        for name, c in columns.items()
    }


def rows(entries: dict[str, tuple[str, str]]) -> list[str]:
    return [f"| `{name}` | {unit} | {meaning} |" for name, (unit, meaning) in entries.items()]


EXPECTED = {
    "Which cell": rows(IDENTITY),
    "Translocation": rows(measured("translocation")),
    "Spots": rows(measured("spots"))
    + [f"| `X_{end}` | {meaning} |" for end, meaning in SUMMARIES.items()],
    "How far to trust it": rows(QUALITY),
}


@pytest.mark.parametrize("section", EXPECTED)
def test_the_documented_columns_are_those_of_the_code(section: str) -> None:
    columns = DOCS.read_text(encoding="utf-8").split("## Columns")[1]
    text = columns.split(f"### {section}\n")[1].split("\n### ")[0]
    documented = [line for line in text.splitlines() if line.startswith("| `")]
    assert documented == EXPECTED[section]
