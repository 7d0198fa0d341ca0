"""Which columns of a table of measurements are shown, in which order, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_rls.evaluation.tables import CELL, CONDITION, IMAGE
from napari_rls.workflow.measure.columns import FLAGS, IDENTITY, QUALITY, interval_columns

if TYPE_CHECKING:
    import pandas as pd

HEADLINES = ("Math_Ratio_", "Cells_Children_Spots_Count", "Spots_AreaShape_Area")
"""How the names of the measurements begin that an assay is about."""

FEWEST_SAVED = 4
"""A beginning that names share is left out only if it has as many characters."""

_CATEGORIES = ("Math", "AreaShape", "Intensity", "Children")
"""Parts of CellProfiler's names that the others make plain."""


def main_columns(table: pd.DataFrame) -> list[str]:
    """Return which cell, what was measured and what is flagged, without intervals' columns.

    The measurement that the assay is about comes first, behind it the flags; what is the same
    in all rows is left out.
    """

    def told(name: str, least: int) -> list[str]:
        return [name] if name in table and table[name].nunique() >= least else []

    flagged = [FLAGS] if FLAGS in table and (table[FLAGS] != "").any() else []
    measured = by_weight(measured_columns(table))
    return [CELL, *told(IMAGE, 2), *measured[:1], *flagged, *told(CONDITION, 2), *measured[1:]]


def by_weight(columns: Sequence[str]) -> list[str]:
    """Return measurements in their order, those that an assay is about before the others."""
    first = [name for name in columns if name.startswith(HEADLINES)]
    return [*first, *(name for name in columns if name not in first)]


def measured_columns(table: pd.DataFrame) -> list[str]:
    """Return the measurements of a table, without the columns of their intervals."""
    names = [str(name) for name in table.columns]
    ends = {end for name in names for end in interval_columns(name).values()}
    return [
        name
        for name in names
        if name not in ends
        and name not in IDENTITY
        and name not in QUALITY
        and not name.startswith("Metadata_")
    ]


def heading(name: str) -> str:
    """Return a column's name in words, one on a line: tables are narrow.

    Examples
    --------
    >>> heading("Math_Ratio_NucleusCytoplasm_GFP").splitlines()
    ['Ratio', 'Nucleus', 'Cytoplasm', 'GFP']
    """
    parts = name.removeprefix("Metadata_").removeprefix("Quality_").split("_")
    kept = [part for part in dict.fromkeys(parts) if part not in _CATEGORIES] or parts
    # NucleusCytoplasm is two words, FKHRGFP and LRResidual's LR are one.
    words = (re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "\n", part) for part in kept)
    return "\n".join(words)


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
