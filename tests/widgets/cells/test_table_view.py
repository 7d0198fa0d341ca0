"""The table in Qt: rows of cells, sorted, of one kind or all, and its selection."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plate_bench import RATIO, cells
from qtpy.QtCore import Qt

from napari_rls.measure.dictionary import columns_of
from napari_rls.widgets.cells.table_columns import heading, main_columns, shared_beginning
from napari_rls.widgets.cells.table_view import LEAST_WIDTH, TableView


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
    record = {"columns": {RATIO: {"unit": "none", "meaning": "Mean over mean."}}}
    view.table.show_table(table, columns_of(table, record), "SR")
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
    assert main_columns(two, columns_of(two)) == [
        "Metadata_Cell", "Metadata_Image", RATIO, "Quality_Flags", "Metadata_Condition",
        "Nuclei_AreaShape_Area",
    ]  # fmt: skip


def test_the_headline_stands_before_what_else_an_assay_measures(table):
    spots = dict.fromkeys(("Spots_AreaShape_Area_Mean", "Cells_Children_Spots_Count"), 1.0)
    measured = table.filter(regex=f"^(?!{RATIO})").assign(**spots)
    shown = main_columns(measured, columns_of(measured))
    assert shown[2:] == [
        "Spots_AreaShape_Area_Mean", "Quality_Flags", "Cells_Children_Spots_Count",
        "Nuclei_AreaShape_Area",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (["LR (simulated, not real)#0", "LR (simulated, not real)#11"], "LR (simulated, not real)"),
        (["plate_B03_s1#0", "plate_B04_s1#0"], "plate_"),
        (["plate1#1", "plate1#12"], "plate1"),
        (["field#0"], "field"),
        (["B03#7", "B07#1"], ""),
        (["kinase#0", "kinetic#0"], ""),
        (["#0", "#1"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_names_of_cells_are_shortened_by_whole_words(names, shared):
    assert shared_beginning(names) == shared


def test_the_first_screen_shows_measurements_however_long_the_names(view, table):
    names = [f"an experiment with a long name, plate 12, <b>well</b> B03#{k}" for k in range(3)]
    view.table.show_table(table.assign(Metadata_Cell=names * 2), columns_of(table), "")
    assert texts(view, "Metadata_Cell") == ["#0", "#1", "#2"] * 2
    view.resize(LEAST_WIDTH, 300)
    view.show()
    place = view.table.columns.index(RATIO)
    right_end = view.columnViewportPosition(place) + view.columnWidth(place)
    assert right_end <= view.viewport().width()
    # Nothing is lost: the whole name is in the tooltip, as text, and in the exported columns.
    index = view.table.index(1, 0)
    tip = index.data(Qt.ItemDataRole.ToolTipRole)
    assert "plate 12, &lt;b&gt;well&lt;/b&gt; B03#1" in tip
    header = view.table.headerData(0, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert "begins with &#x27;an experiment with a long name" in header
    view.table.choose(every_column=True)
    assert texts(view, "Metadata_Cell")[:3] == names


def test_a_name_of_several_lines_stays_on_its_own(view, table):
    named = table.assign(Metadata_Condition=["a\nb", "c"] * 3)
    view.table.show_table(named, columns_of(named), "SR")
    assert texts(view, "Metadata_Condition") == ["a\\nb", "c", "a\\nb"]


def test_headings_are_narrow():
    def heading_of(name: str) -> str:
        return heading(columns_of(pd.DataFrame({name: [1.0]}))[name])

    assert heading_of(RATIO).splitlines() == ["Ratio", "Nucleus", "Cytoplasm", "GFP"]
    assert heading_of("Nuclei_AreaShape_Area_um2").splitlines() == ["Nuclei", "Area", "um2"]
    name = "Nuclei_Correlation_Correlation_DNA_GFP"
    assert heading_of(name).splitlines() == ["Nuclei", "Correlation", "DNA", "GFP"]


def test_headers_tell_what_a_column_is(view):
    place = view.table.columns.index(RATIO)
    header = view.table.headerData(place, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert header == f"<qt>{RATIO}<br>Mean over mean. Unit: none.</qt>"


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
