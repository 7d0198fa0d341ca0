"""The table in Qt: rows of cells, sorted, of one kind or all, and its selection."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from test_statistics import RATIO, cells

from napari_rls.widgets.table_view import TableView, main_columns


@pytest.fixture
def table() -> pd.DataFrame:
    """Two kinds of image of three cells; SR has intervals, one cell is flagged."""
    sr = cells({"A1": [3.0, 1.0], "A2": [2.0]}, "drug")
    gt = sr.assign(Metadata_Image="GT", **{RATIO: [2.5, np.nan, 1.5]})
    ends = {f"{RATIO}_q05": sr[RATIO] - 0.5, f"{RATIO}_q95": sr[RATIO] + 0.25}
    both = pd.concat([sr.assign(**ends), gt], ignore_index=True)
    return both.assign(Nuclei_AreaShape_Area=150.0, Quality_Flags=["", "PoorFit", "", "", "", ""])


@pytest.fixture
def view(qtbot, table):
    view = TableView()
    qtbot.addWidget(view)
    meaning = {RATIO: {"unit": "none", "meaning": "Mean over mean."}}
    view.table.show_table(table, meaning, "SR")
    return view


def texts(view: TableView, column: str) -> list[str]:
    place = view.table.columns.index(column)
    return [view.table.index(k, place).data() for k in range(view.table.rowCount())]


def rows(view: TableView) -> list[int]:
    return sorted(index.row() for index in view.selectionModel().selectedRows())


def test_an_empty_table_can_be_sorted_and_shown(qtbot):
    view = TableView()
    qtbot.addWidget(view)
    view.show()
    view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    assert view.table.rowCount() == 0


def test_a_measurement_has_its_interval_beside_it(view):
    assert texts(view, RATIO) == ["3 (2.5 to 3.25)", "1 (0.5 to 1.25)", "2 (1.5 to 2.25)"]
    assert view.table.columns == [
        "Metadata_Cell", RATIO, "Quality_Flags", "Nuclei_AreaShape_Area",
    ]  # fmt: skip
    view.table.choose(every_column=True)
    assert texts(view, RATIO) == ["3", "1", "2"]
    assert texts(view, f"{RATIO}_q05") == ["2.5", "0.5", "1.5"]
    view.table.choose(kind="", every_column=False)
    assert texts(view, "Metadata_Image") == ["SR (generated)"] * 3 + ["GT"] * 3
    assert texts(view, RATIO)[3:] == ["2.5", "", "1.5"]


def test_what_differs_between_rows_is_a_column(table):
    two = table.assign(Metadata_Condition=["a", "b"] * 3)
    assert main_columns(two)[:4] == ["Metadata_Cell", "Metadata_Image", "Metadata_Condition", RATIO]


def test_headers_tell_what_a_column_is(view):
    place = view.table.columns.index(RATIO)
    header = view.table.headerData(place, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert header == f"{RATIO}\nMean over mean. Unit: none."


def test_sorting_keeps_the_selected_cell_and_puts_what_is_missing_last(view):
    view.select_cells((0,))
    assert rows(view) == [0]
    view.sortByColumn(view.table.columns.index(RATIO), Qt.SortOrder.AscendingOrder)
    assert texts(view, RATIO) == ["1 (0.5 to 1.25)", "2 (1.5 to 2.25)", "3 (2.5 to 3.25)"]
    assert rows(view) == [2]
    view.table.choose(kind="GT")
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        view.sortByColumn(view.table.columns.index(RATIO), order)
        assert texts(view, RATIO)[-1] == ""


def test_the_users_rows_become_cells_the_last_one_last(view):
    told = []
    view.chosen.connect(told.append)
    view.sortByColumn(view.table.columns.index(RATIO), Qt.SortOrder.AscendingOrder)
    told.clear()
    view.selectRow(1)
    assert told == [(2,)]
    view.select_cells((1,))  # as the viewer asks for: that is no news
    assert told == [(2,)]
    view.table.choose(kind="")
    assert len(rows(view)) == 2  # the cell in both kinds


def test_flagged_rows_have_another_colour(view):
    colours = [view.table.index(k, 0).data(Qt.ItemDataRole.ForegroundRole) for k in range(3)]
    assert [colour is not None for colour in colours] == [False, True, False]
