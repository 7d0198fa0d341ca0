"""Means that HR cells of a file correct, for the docks that measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.errors import InputError, UserError
from napari_rls.widgets.common.background import beside_the_window
from napari_rls.widgets.common.state import Level, Message

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.measure.cells import MeasureSettings

AGAIN = "Measure again to correct means by HR cells."
"""What to do once HR cells are chosen of cells that are measured already."""

# pandas and scikit-image take a second to import: jobs do so in their thread.


@dataclass(frozen=True, eq=False)
class CorrectedTable:
    """Means that HR cells correct, with their record; without a table, why there is none."""

    table: pd.DataFrame | None
    record: Mapping[str, Any]
    problem: str = ""


def why_no_hr_cells(path: Path, settings: MeasureSettings | None) -> str:
    """Return in a sentence why a file cannot be HR cells, "" if it can.

    ``settings`` are those of the measurement, if they are known. The file is read beside the
    window, which goes on drawing.
    """

    def look() -> str:
        from napari_rls.workflow.measure.hr_cells import check_hr_channels, read_hr_cells

        try:
            stacks = read_hr_cells([path])
            if settings is not None:
                check_hr_channels(stacks, settings)
        except InputError as error:
            return str(error)
        return ""

    return beside_the_window(look)


def correct_means(
    table: pd.DataFrame, record: Mapping[str, Any], path: Path | None
) -> CorrectedTable | None:
    """Return the means of a table that the HR cells of a file correct, if there is one."""
    from napari_rls.workflow.measure.hr_cells import read_hr_cells
    from napari_rls.workflow.measure.means_table import corrected_table

    if path is None:
        return None
    try:
        return CorrectedTable(*corrected_table(table, record, read_hr_cells([path])))
    except UserError as error:
        # What was measured is there all the same.
        return CorrectedTable(None, {}, f"Means are not corrected: {error}")


def describe_means(means: CorrectedTable | None) -> tuple[str, bool]:
    """Return what to say of corrected means, "" without any, and whether it is a warning."""
    if means is None:
        return "", False
    if means.table is None:
        return means.problem, True
    names = ", ".join(entry["name"] for entry in means.record["means"]["hr_cells"])
    warnings = means.record["warnings"]
    text = [f"The tab Means has the means that the HR cells of {names} correct."]
    if not means.table["Mean_Corrected"].notna().any():
        text = []
    return " ".join([*text, *warnings]), bool(warnings)


def save_with_means(
    path: Path, table: pd.DataFrame, record: Mapping[str, Any], means: CorrectedTable | None
) -> Message:
    """Write a table and its record, and the means beside it; return what is to be said."""
    from napari_rls.widgets.common.save_table import save_table
    from napari_rls.workflow.measure.means_table import means_path

    said = save_table(path, table, record)
    if said.level is not Level.INFO or means is None or means.table is None:
        return said
    also = save_table(means_path(path), means.table, means.record)
    return Message(f"{said.text} Means: {also.text}", also.level)
