"""The table of measurements in Qt: sorted by a click, of one or all kinds of image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtCore import Signal as QtSignal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_rls.measure.columns import CELL, FLAGS, IMAGE, Column
from napari_rls.measure.intervals import TABLE_LEVEL
from napari_rls.text import for_qt, for_terminal
from napari_rls.widgets.cells.table_columns import heading, main_columns, shared_beginning
from napari_rls.widgets.common.parts import there

if TYPE_CHECKING:
    import pandas as pd

TABLES = {"CSV (*.csv)": ".csv", "Parquet (*.parquet)": ".parquet", "AnnData (*.h5ad)": ".h5ad"}
"""Files that a table is exported to, as a dialog names them, and their endings."""

FLAGGED = QColor("#e8a33d")
GENERATED = "SR (generated)"
LEAST_WIDTH, LEAST_HEIGHT = 370, 160
"""Pixels in which a cell's name, a measurement with its interval, and three rows have room."""

NARROWEST, WIDEST, WIDEST_CELL = 40, 260, 120
"""Least and greatest width of a column, and the greatest of cells' names, at first, in pixels."""

MEASURED_ROWS = 100
"""Rows whose texts tell how wide a column is at first."""


def called(kind: str) -> str:
    """Return what a kind of image is called: SR is never without a word of what it is."""
    return GENERATED if kind == "SR" else kind


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
        self._table: pd.DataFrame | None = None
        self._values: dict[str, NDArray[Any]] = {}
        self._beginning = ""
        self._known: Mapping[str, Column] = {}
        self._cells: NDArray[np.intp] = np.zeros(0, np.intp)
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._sorted: tuple[str, bool] | None = None
        self._kind, self._all = "", False
        self.columns: list[str] = []

    def show_table(self, table: pd.DataFrame, columns: Mapping[str, Column], kind: str) -> None:
        """Show a table.

        Parameters
        ----------
        table
            A tidy table.
        columns
            What its columns are, see :func:`~napari_rls.measure.dictionary.columns_of`.
        kind
            Kind of image whose rows are shown; "" for all.
        """
        self.beginResetModel()
        self._table, self._known, self._kind = table, columns, kind
        # A column as an array: an entry of a pandas table takes a hundred times as long.
        self._values = {str(name): column.to_numpy() for name, column in table.items()}
        numbers = {name: k for k, name in enumerate(dict.fromkeys(table[CELL]))}
        self._cells = np.array([numbers[name] for name in table[CELL]], np.intp)
        self._beginning = shared_beginning([str(name) for name in numbers])
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
        if table is None:
            return
        mine = np.ones(len(table), np.bool_) if not self._kind else table[IMAGE] == self._kind
        rows = np.flatnonzero(mine)
        shown = table.iloc[rows]
        every = [str(name) for name in table.columns]
        self.columns = every if self._all else main_columns(shown, self._known)
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
        if role == Qt.ItemDataRole.DisplayRole:
            text = self._text(name, row)
            short = name == CELL and not self._all
            return for_terminal(text.removeprefix(self._beginning) if short else text)
        if role == Qt.ItemDataRole.ToolTipRole:
            return for_qt(self._text(name, row))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            number = self._values[name].dtype.kind in "iuf"
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
            return heading(self._known[name])
        if role == Qt.ItemDataRole.ToolTipRole:
            known = self._known[name]
            unit = f" Unit: {known.unit}." if known.unit else ""
            left_out = self._beginning if name == CELL and not self._all else ""
            short = f"\nEvery name begins with '{left_out}', left out here." if left_out else ""
            return for_qt(f"{name}\n{known.meaning}{unit}{short}")
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; one that is not there leaves the table's own order."""
        self.beginResetModel()
        descending = order == Qt.SortOrder.DescendingOrder
        known = 0 <= column < len(self.columns)
        self._sorted = (self.columns[column], descending) if known else None
        self._arrange()
        self.endResetModel()

    def _text(self, name: str, row: int) -> str:
        value = self._values[name][row]
        if name == IMAGE:
            return called(str(value))
        if isinstance(value, bool | np.bool_):
            return "yes" if value else "no"
        if not isinstance(value, float):
            return str(value)
        text = "" if np.isnan(value) else f"{value:.3g}"
        shown = [one for one in self._known[name].intervals if one.level == TABLE_LEVEL]
        if self._all or not shown:
            return text
        low, high = (self._values[end][row] for end in (shown[0].low, shown[0].high))
        return text if np.isnan(low) or np.isnan(high) else f"{text} ({low:.3g} to {high:.3g})"

    def _is_flagged(self, row: int) -> bool:
        return FLAGS in self._values and bool(self._values[FLAGS][row])


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
        # What tells long names apart is as often at their end.
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        there(self.horizontalHeader()).setResizeContentsPrecision(MEASURED_ROWS)
        there(self.verticalHeader()).hide()
        self.setSortingEnabled(True)
        self.setMinimumSize(LEAST_WIDTH, LEAST_HEIGHT)
        there(self.horizontalHeader()).setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self._cells: tuple[int, ...] = ()
        self._showing = False
        there(self.selectionModel()).selectionChanged.connect(self._tell)
        # A reset, as after sorting, lets go of the selection.
        self.table.modelReset.connect(self._reset)

    def select_cells(self, cells: Sequence[int]) -> None:
        """Select the rows of these cells and scroll to the last one's."""
        self._cells = tuple(cells)
        shown = self.table.cells
        rows = np.flatnonzero(np.isin(shown, self._cells))
        selection = QItemSelection()
        # Rows one below the other are one range: Qt is slow with thousands of them.
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            if run.size:
                top, bottom = (self.table.index(int(row), 0) for row in (run[0], run[-1]))
                selection.select(top, bottom)
        mode = QItemSelectionModel.SelectionFlag
        self._showing = True
        there(self.selectionModel()).select(selection, mode.ClearAndSelect | mode.Rows)
        last = np.flatnonzero(shown == self._cells[-1]) if self._cells else rows[:0]
        if last.size and self.currentIndex().row() not in last:
            place = self.table.index(int(last[0]), max(self.currentIndex().column(), 0))
            there(self.selectionModel()).setCurrentIndex(place, mode.NoUpdate)
            self.scrollTo(place)
        self._showing = False

    def _tell(self) -> None:
        if self._showing:
            return
        shown = self.table.cells
        chosen: Any = there(self.selectionModel()).selection()
        ranges = [np.arange(part.top(), part.bottom() + 1) for part in chosen]
        rows = np.unique(np.concatenate([np.zeros(0, np.intp), *ranges]))
        cells = dict.fromkeys(shown[rows].tolist())
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
            widest = WIDEST_CELL if self.table.columns[column] == CELL else WIDEST
            self.setColumnWidth(column, min(max(width, NARROWEST), widest))
        self.select_cells(self._cells)
