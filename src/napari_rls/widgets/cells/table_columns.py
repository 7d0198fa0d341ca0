"""Which columns of a table of measurements are shown, in which order, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_rls.measure.columns import CELL, CONDITION, FLAGS, IMAGE, Column
from napari_rls.measure.dictionary import measurements

if TYPE_CHECKING:
    import pandas as pd

FEWEST_SAVED = 4
"""A beginning that names share is left out only if it has as many characters."""


def main_columns(table: pd.DataFrame, columns: Mapping[str, Column]) -> list[str]:
    """Return which cell, what was measured and what is flagged, without intervals' columns.

    The measurement that the assay is about comes first, behind it the flags; what is the same
    in all rows is left out.
    """

    def told(name: str, least: int) -> list[str]:
        return [name] if name in table and table[name].nunique() >= least else []

    flagged = [FLAGS] if FLAGS in table and (table[FLAGS] != "").any() else []
    measured = measurements(columns)
    return [CELL, *told(IMAGE, 2), *measured[:1], *flagged, *told(CONDITION, 2), *measured[1:]]


def heading(column: Column) -> str:
    """Return what a column is called, a word on a line: tables are narrow."""
    return column.title.replace(" ", "\n")


def shared_beginning(names: Sequence[str]) -> str:
    """Return what all names of cells begin with, up to a place where words end.

    The number of a cell in its file, as in ``plate_B03#7``, is never part of it.
    """
    first, *others = dict.fromkeys(names or [""])
    length = len(first)
    for other in others:
        pairs = enumerate(zip(first, other, strict=False))
        length = min(length, len(other), next((k for k, (a, b) in pairs if a != b), length))
    shared = re.sub(r"[^\W_]*$", "", first[:length])
    shared = shared[: shared.rindex("#")] if "#" in shared else shared
    return shared if len(shared) >= FEWEST_SAVED else ""
