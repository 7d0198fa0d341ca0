"""The table of measurements, and above it the choice of what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_rls.evaluation.tables import kinds_of
from napari_rls.widgets.cells.table_view import TableView, called
from napari_rls.widgets.measure.measure_layers import FIRST_IN_VIEW

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.measure.columns import Column

EVERY_KIND = ("All images", "")


class TableArea(QWidget):
    """A table of one or all kinds of image, with the main columns or all."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = ComboBox(choices=[EVERY_KIND], tooltip="Rows of which images are shown.")
        self.every_column = CheckBox(text="All columns")
        self.table = TableView()
        self._chose_kind = False
        column = QVBoxLayout(self)
        above = QHBoxLayout()
        above.addWidget(self.kind.native, stretch=1)
        above.addWidget(self.every_column.native)
        column.addLayout(above)
        column.addWidget(self.table, stretch=1)
        self.kind.changed.connect(self._choose_kind)
        self.every_column.changed.connect(lambda on: self.table.table.choose(every_column=on))

    def show_table(self, table: pd.DataFrame, columns: Mapping[str, Column]) -> None:
        """Show a table, whose columns are what ``columns`` says."""
        kinds = kinds_of(table)
        with self.kind.changed.blocked():
            before = self.kind.value
            self.kind.choices = ()
            self.kind.choices = [EVERY_KIND, *((f"{called(kind)} images", kind) for kind in kinds)]
            # What is in view is what one looks for, and often the only one with intervals.
            in_view = next((kind for kind in FIRST_IN_VIEW if kind in kinds), EVERY_KIND[1])
            keep = self._chose_kind and before in (EVERY_KIND[1], *kinds)
            self.kind.value = before if keep else in_view
        self.table.table.show_table(table, columns, self.kind.value)

    def _choose_kind(self, kind: str) -> None:
        self._chose_kind = True
        self.table.table.choose(kind=kind)
