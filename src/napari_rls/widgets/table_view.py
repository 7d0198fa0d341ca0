"""The table of measurements in Qt: sorted by a click, of one or all kinds of image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtCore import Signal as QtSignal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_rls.evaluation.tables import CELL, CONDITION, IMAGE
from napari_rls.workflow.measure_columns import FLAGS, IDENTITY, QUALITY, interval_columns

FLAGGED = QColor("#e8a33d")
GENERATED = "SR (generated)"
HEADLINES = ("Math_Ratio_", "Cells_Children_Spots_Count", "Spots_AreaShape_Area")
"""How the names of the measurements begin that an assay is about."""

LEAST_WIDTH = 370
"""Pixels in which a cell's name, its condition and a measurement with its interval have room."""

NARROWEST, WIDEST = 40, 260
"""Least and greatest width of a column at first, in pixels."""


class TableModel(QAbstractTableModel):
    """A table of cells; a measurement has its interval beside it, not in columns of its own.

    Attributes
    ----------
    columns
        Names of the shown columns.
    cells
        Index of the cell of every shown row.
    """

    def __init__(self) -> None:
        super().__init__()
        self._table = pd.DataFrame({IMAGE: [], CELL: []})
        self._meaning: Mapping[str, Mapping[str, str]] = {}
        self._cells: NDArray[np.intp] = np.zeros(0, np.intp)
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._sorted: tuple[str, bool] | None = None
        self._kind, self._all = "", False
        self.columns: list[str] = []

    def show_table(
        self, table: pd.DataFrame, meaning: Mapping[str, Mapping[str, str]], kind: str
    ) -> None:
        """Show a table.

        Parameters
        ----------
        table
            A tidy table.
        meaning
            Unit and meaning of its columns.
        kind
            Kind of image whose rows are shown; "" for all.
        """
        self.beginResetModel()
        self._table, self._meaning, self._kind = table, meaning, kind
        self._cells = pd.factorize(table[CELL])[0]
        self._arrange()
        self.endResetModel()

    def choose(self, *, kind: str | None = None, every_column: bool | None = None) -> None:
        """Show the rows of a kind, or of all (""), and all columns or the main ones."""
        self.beginResetModel()
        self._kind = self._kind if kind is None else kind
        self._all = self._all if every_column is None else every_column
        self._arrange()
        self.endResetModel()

    @property
    def cells(self) -> NDArray[np.intp]:
        """Index of the cell of every shown row."""
        return self._cells[self._rows]

    def _arrange(self) -> None:
        table = self._table
        mine = np.ones(len(table), np.bool_) if not self._kind else table[IMAGE] == self._kind
        rows = np.flatnonzero(mine)
        shown = table.iloc[rows]
        self.columns = [str(name) for name in table.columns] if self._all else main_columns(shown)
        if self._sorted and self._sorted[0] in self.columns:
            name, descending = self._sorted
            # Sorting is stable, and what has no value comes last either way.
            order = table[name].iloc[rows].reset_index(drop=True)
            order = order.sort_values(ascending=not descending, kind="stable")
            rows = rows[order.index.to_numpy()]
        self._rows = rows

    # -- what Qt asks for --------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of shown rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of shown columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return text, alignment and colour of an entry."""
        name, row = self.columns[index.column()], self._rows[index.row()]
        value = self._table[name].iloc[row]
        number = self._table[name].dtype.kind in "iuf"
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(name, row, value)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._text(name, row, value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if number else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ForegroundRole and self._is_flagged(row):
            return FLAGGED
        return None

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a column's name on several lines, and its unit and meaning as tooltip."""
        if orientation == Qt.Orientation.Vertical:
            return None
        name = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return heading(name)
        if role == Qt.ItemDataRole.ToolTipRole:
            known = self._meaning.get(name, {})
            unit = f" Unit: {known['unit']}." if known.get("unit") else ""
            return f"{name}\n{known.get('meaning', '')}{unit}"
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; one that is not there leaves the table's own order."""
        self.beginResetModel()
        descending = order == Qt.SortOrder.DescendingOrder
        known = 0 <= column < len(self.columns)
        self._sorted = (self.columns[column], descending) if known else None
        self._arrange()
        self.endResetModel()

    def _text(self, name: str, row: int, value: Any) -> str:
        if name == IMAGE:
            return GENERATED if value == "SR" else str(value)
        if isinstance(value, bool | np.bool_):
            return "yes" if value else "no"
        if not isinstance(value, float):
            return str(value)
        text = "" if np.isnan(value) else f"{value:.3g}"
        ends = interval_columns(name)
        if self._all or ends["q05"] not in self._table:
            return text
        low, high = (self._table[ends[end]].iloc[row] for end in ("q05", "q95"))
        return text if np.isnan(low) or np.isnan(high) else f"{text} ({low:.3g} to {high:.3g})"

    def _is_flagged(self, row: int) -> bool:
        return FLAGS in self._table and bool(self._table[FLAGS].iloc[row])


class TableView(QTableView):
    """A table of measurements; ``chosen`` carries the selected cells, the last one last."""

    chosen = QtSignal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = TableModel()
        self.setModel(self.table)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.setSortingEnabled(True)
        self.setMinimumWidth(LEAST_WIDTH)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self._cells: tuple[int, ...] = ()
        self._showing = False
        self.selectionModel().selectionChanged.connect(self._tell)
        # A reset, as after sorting, lets go of the selection.
        self.table.modelReset.connect(self._reset)

    def select_cells(self, cells: Sequence[int]) -> None:
        """Select the rows of these cells and scroll to the last one's."""
        self._cells = tuple(cells)
        rows = [np.flatnonzero(self.table.cells == cell) for cell in cells]
        selection = QItemSelection()
        for row in np.concatenate(rows).tolist() if rows else ():
            index = self.table.index(row, 0)
            selection.select(index, index)
        mode = QItemSelectionModel.SelectionFlag
        self._showing = True
        self.selectionModel().select(selection, mode.ClearAndSelect | mode.Rows)
        if rows and rows[-1].size and self.currentIndex().row() not in rows[-1]:
            last = self.table.index(int(rows[-1][0]), max(self.currentIndex().column(), 0))
            self.selectionModel().setCurrentIndex(last, mode.NoUpdate)
            self.scrollTo(last)
        self._showing = False

    def _tell(self) -> None:
        if self._showing:
            return
        shown = self.table.cells
        rows = [index.row() for index in self.selectionModel().selectedRows()]
        cells = dict.fromkeys(int(shown[row]) for row in sorted(rows))
        current = self.currentIndex().row()
        if current in rows:
            last = int(shown[current])
            del cells[last]
            cells[last] = None
        self._cells = tuple(cells)
        self.chosen.emit(self._cells)

    def _reset(self) -> None:
        self.resizeColumnsToContents()
        for column in range(self.table.columnCount()):
            width = self.columnWidth(column)
            self.setColumnWidth(column, min(max(width, NARROWEST), WIDEST))
        self.select_cells(self._cells)


def main_columns(table: pd.DataFrame) -> list[str]:
    """Return which cell, what was measured and what is flagged, without intervals' columns.

    What the assay is about comes first; what is the same in all rows is left out.
    """

    def told(name: str, least: int) -> list[str]:
        return [name] if name in table and table[name].nunique() >= least else []

    flagged = told(FLAGS, 1) if FLAGS in table and (table[FLAGS] != "").any() else []
    first = headline(measured_columns(table))
    others = [name for name in measured_columns(table) if name not in first]
    return [CELL, *told(IMAGE, 2), *told(CONDITION, 2), *first, *flagged, *others]


def headline(columns: Sequence[str]) -> list[str]:
    """Return those measurements that an assay is about."""
    return [name for name in columns if name.startswith(HEADLINES)]


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
    """Return a column's name on as many lines as it has parts: tables are narrow."""
    parts = name.removeprefix("Metadata_").removeprefix("Quality_").split("_")
    return "\n".join(parts)
