"""What of cells belongs together, and must not be torn apart when some are to judge others."""

from __future__ import annotations

from typing import Literal

from napari_rls.workflow.cells.stack import CellStack


def groups_of(stack: CellStack) -> tuple[list[str], Literal["well", "file", "cell"]]:
    """Return what each cell must not be torn from, and what it is: its well, file, or itself."""
    wells = [crop.well for crop in stack.crops]
    if all(wells):
        return wells, "well"
    files = [crop.file for crop in stack.crops]
    if len(set(files)) > 1:
        return files, "file"
    return [f"{crop.file}#{k}" for k, crop in enumerate(stack.crops)], "cell"
