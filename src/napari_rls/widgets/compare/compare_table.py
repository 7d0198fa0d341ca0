"""The table of a comparison in Qt: a row per method, the best values bold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from napari_rls.search.presets import PRESETS
from napari_rls.text import for_qt
from napari_rls.widgets.common.parts import there
from napari_rls.workflow.compare.method_results import (
    BICUBIC,
    HIGH,
    LOW,
    LR_RESIDUAL,
    SECONDS,
    best,
    comparison_table,
    meanings,
)

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.widgets.compare.compare_state import Turn

TITLES: dict[str, str] = {name: preset.title for name, preset in PRESETS.items()}
BASELINE = "The LR image, upsampled bicubically, without any model"
NO_TIME = "Nothing is searched."
UNKNOWN = "Too few cells with an image; the message below says how many are needed."
HEADINGS = {
    "perceptual distance": "perceptual\ndistance",
    LR_RESIDUAL: "LR\nresidual",
    SECONDS: "s per\ncell",
}


class CompareTable(QTableWidget):
    """A row per method: values where there are any, else how far it is or why it has none."""

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        there(self.verticalHeader()).hide()

    def show_turns(self, turns: Sequence[Turn]) -> None:
        """Show a comparison, finished or not."""
        results = [turn.result for turn in turns if turn.result is not None]
        table = comparison_table(results)
        told = {name: told for name, told in meanings(results).items() if name in table}
        winners = best(table, {name: meaning["better"] for name, meaning in told.items()})
        rows = {str(row["method"]): row for _, row in table.iterrows()}
        self.clear()
        self.clearSpans()
        self.setRowCount(len(turns))
        self.setColumnCount(1 + len(told))
        self._head(told)
        for k, turn in enumerate(turns):
            self.setItem(k, 0, _name(turn.method))
            for c, name in enumerate(told if not turn.words else (), start=1):
                self.setItem(k, c, _value(rows[turn.method], name, winners))
        self.resizeColumnsToContents()
        # Sentences lie over several columns and widen none.
        for k, turn in enumerate(turns):
            if turn.words:
                self._say(k, turn.words)

    def _head(self, told: Mapping[str, Mapping[str, str]]) -> None:
        self.setHorizontalHeaderItem(0, QTableWidgetItem("method"))
        for c, (name, meaning) in enumerate(told.items(), start=1):
            item = QTableWidgetItem(HEADINGS.get(name, name))
            item.setToolTip(for_qt(f"{name} ({meaning['variant']}); {meaning['better']} is better"))
            self.setHorizontalHeaderItem(c, item)

    def _say(self, row: int, words: str) -> None:
        item = QTableWidgetItem(words)
        item.setToolTip(for_qt(words))
        self.setItem(row, 1, item)
        if self.columnCount() > 2:
            self.setSpan(row, 1, 1, self.columnCount() - 1)


def _name(method: str) -> QTableWidgetItem:
    item = QTableWidgetItem(method)
    item.setToolTip(for_qt(BASELINE if method == BICUBIC else TITLES[method]))
    return item


def _value(row: pd.Series, name: str, winners: Mapping[str, str]) -> QTableWidgetItem:
    value = row[name]
    if np.isnan(value):
        item = QTableWidgetItem("")
        item.setToolTip(NO_TIME if name == SECONDS else UNKNOWN)
        return item
    item = QTableWidgetItem(f"{value:#.3g}".rstrip("."))
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    low, high = row.get(name + LOW, np.nan), row.get(name + HIGH, np.nan)
    cells = f"{row['cells']} {'cell' if row['cells'] == 1 else 'cells'}"
    if np.isfinite(low):
        item.setToolTip(f"95 %: {low:.3g} to {high:.3g}; {cells}")
    else:
        item.setToolTip(cells)
    if winners.get(name) == row["method"]:
        font = item.font()
        font.setBold(True)
        item.setFont(font)
    return item
