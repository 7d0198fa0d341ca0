"""The means of wells and conditions that HR cells correct, as a table to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_rls.measure.columns import CONDITION, IMAGE, WELL
from napari_rls.text import for_qt
from napari_rls.widgets.common.parts import TextLabel

if TYPE_CHECKING:
    import pandas as pd

HEADER = ("Image", "Of", "Corrected", "90 % interval", "As measured", "HR / cells")


class MeansArea(QWidget):
    """Means of one measurement: as measured, corrected, and how certain that is."""

    def __init__(self) -> None:
        super().__init__()
        self.title = TextLabel()
        self.table = QTableWidget(0, len(HEADER))
        self.table.setHorizontalHeaderLabels(HEADER)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        if (names := self.table.verticalHeader()) is not None:
            names.hide()
        column = QVBoxLayout(self)
        column.addWidget(self.title)
        column.addWidget(self.table, stretch=1)

    def show_means(self, means: pd.DataFrame, column: str) -> None:
        """Show the means of a measurement; the file has those of all."""
        rows = means[means["Measurement"] == column]
        self.title.show_text(f"{column}. Export table... writes the means of all measurements.")
        self.table.setRowCount(len(rows))
        for k, (_, row) in enumerate(rows.iterrows()):
            texts = (
                row[IMAGE],
                row[WELL] or row[CONDITION],
                _number(row["Mean_Corrected"]),
                f"{_number(row['Mean_Corrected_q05'])} to {_number(row['Mean_Corrected_q95'])}",
                _number(row["Mean_Measured"]),
                f"{row['Count_HRCells']} / {row['Count_Cells']}",
            )
            for at, text in enumerate(texts):
                item = QTableWidgetItem(str(text))
                item.setToolTip(for_qt(row["Note"] or str(text)))
                if at > 1:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(k, at, item)
        self.table.resizeColumnsToContents()


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "-"
