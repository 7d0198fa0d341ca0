"""The docks of measurements: what the user clicks, sees and saves, in real windows too."""

from __future__ import annotations

import subprocess
import sys

import napari
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from measure_bench import RATIO, two_channels
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtCore import Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_rls.errors import InputError
from napari_rls.widgets.common.state import Message, Phase
from napari_rls.widgets.contributions.table_writer import write_labels_table
from napari_rls.widgets.measure.measure_dock import MEANS_TAB, MeasureWidget
from napari_rls.widgets.measure.measure_job import CorrectedTable
from napari_rls.widgets.measure.plot_job import DOSES, HELD_OUT
from napari_rls.widgets.measure.plots_dock import PlotsWidget
from napari_rls.workflow.measure.table_files import read_table

RATIOS = (0.5, 0.6, 0.7, 2.0, 2.5, 4.0)
WELLS = ("A1", "A1", "A2", "B1", "B1", "B2")


def add_cells(viewer: ViewerModel) -> None:
    """Add HR cells of two conditions."""
    crops = [
        {"file": "", "well": w, "condition": "control" if w[0] == "A" else "drug", "y": 0, "x": 0}
        for w in WELLS
    ]
    for c, channel in enumerate(("DNA", "GFP")):
        data = two_channels(RATIOS)[:, c]
        viewer.add_image(data, name=f"GT {channel}", metadata={"napari-rls": {"crops": crops}})


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    add_cells(viewer)
    return viewer


@pytest.fixture
def dock(qtbot, viewer):
    dock = MeasureWidget(viewer)
    qtbot.addWidget(dock)
    return dock


@pytest.fixture
def plots(qtbot, viewer):
    plots = PlotsWidget(viewer)
    qtbot.addWidget(plots)
    plots.show()
    return plots


def measure(qtbot, dock) -> None:
    dock.run.native.click()
    assert dock.state.phase is Phase.RUNNING
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=60_000)
    assert dock.state.result is not None, dock.message.text()


def settled(qtbot, plots) -> None:
    """Wait until what was wished for is drawn or saved."""
    qtbot.waitUntil(lambda: not plots.busy, timeout=60_000)


def test_one_click_gives_a_table(qtbot, dock):
    assert not dock.export.enabled
    measure(qtbot, dock)
    assert dock.message.text().startswith("Done: 6 cells in GT measured in ")
    assert dock.tabs.currentIndex() == 1
    assert dock.table.table.rowCount() == 6
    place = dock.table.table.columns.index(RATIO)
    shown = [float(dock.table.table.index(k, place).data()) for k in range(6)]
    np.testing.assert_allclose(shown, RATIOS, rtol=0.01)
    assert dock.export.enabled


def test_buttons_that_cannot_work_say_why(qtbot):
    viewer = ViewerModel()
    dock = MeasureWidget(viewer)
    qtbot.addWidget(dock)
    why = {
        dock.run: "Open images of single cells",
        dock.cancel: "No measurement is on",
        dock.plots: "There is no table yet",
        dock.export: "There is no table yet",
    }
    for button, words in why.items():
        assert not button.enabled
        assert words in button.native.toolTip()
    add_cells(viewer)
    dock.reset_choices()
    assert dock.run.enabled
    measure(qtbot, dock)
    assert dock.plots.enabled
    assert dock.export.enabled


def test_the_table_follows_the_outlines_in_view_until_the_user_chooses(qtbot, dock, viewer):
    measure(qtbot, dock)
    assert dock.shown.kind.value == "GT"
    for c, channel in enumerate(("DNA", "GFP")):
        record = {"napari-rls": {"generated": True, "channels": [channel]}}
        data = two_channels(RATIOS)[:, c]
        viewer.add_image(data, name=f"SR 8x (generated) of LR {channel}", metadata=record)
    dock.reset_choices()
    measure(qtbot, dock)
    assert set(dock.state.result.table["Metadata_Image"]) == {"GT", "SR"}
    assert dock.shown.kind.value == "SR"
    dock.shown.kind.value = ""  # all of them
    measure(qtbot, dock)
    assert dock.shown.kind.value == ""


def test_fields_show_and_change_the_settings(dock):
    dock.assays["translocation"].fields["gap"].value = "2.5"
    dock.assays["translocation"].fields["gap"].native.editingFinished.emit()
    assert dock.state.settings.translocation.gap == 2.5
    dock.nuclei.fields["min_area"].value = 33
    assert dock.state.settings.translocation.nucleus.min_area == 33
    dock.common.fields["saturation"].value = "250"
    dock.common.fields["saturation"].native.editingFinished.emit()
    assert dock.state.settings.saturation == 250
    dock.common.fields["saturation"].value = ""
    dock.common.fields["saturation"].native.editingFinished.emit()
    assert dock.state.settings.saturation is None
    dock.assay.value = "spots"
    assert not dock.assays["spots"].isHidden()
    assert dock.assays["translocation"].isHidden()
    dock.reset.native.click()
    assert dock.state.settings.spots == type(dock.state.settings)(assay="spots").spots


def test_rows_and_viewer_follow_each_other(qtbot, dock, viewer):
    measure(qtbot, dock)
    dock.table.selectRow(5)
    assert viewer.dims.current_step[0] == 5
    viewer.dims.set_current_step(0, 1)
    (row,) = {index.row() for index in dock.table.selectionModel().selectedRows()}
    assert dock.table.table.cells[row] == 1


def test_the_table_is_exported_in_the_chosen_format(qtbot, dock, monkeypatch, tmp_path):
    measure(qtbot, dock)
    for ending, wanted in ((".parquet", "Parquet (*.parquet)"), (".csv", "CSV (*.csv)")):
        answer = (str(tmp_path / "table"), wanted)
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, answer=answer: answer)
        dock.export.native.click()
        qtbot.waitUntil(lambda: not dock.state.saving, timeout=20_000)
        assert dock.message.text().startswith("Table saved to ")
        table, record = read_table(tmp_path / f"table{ending}")
        pd.testing.assert_frame_equal(table, dock.state.result.table)
        assert record["settings"]["assay"] == "translocation"


def test_corrected_means_have_a_tab_of_their_own(dock, tmp_path):
    assert not dock.tabs.isTabVisible(MEANS_TAB)
    assert not dock.hr_cells.remove.enabled
    record = {"means": {"hr_cells": [{"name": "hr.ome.tif"}]}, "warnings": []}
    means = pd.DataFrame(
        {
            "Metadata_Image": "SR",
            "Metadata_Well": ["A01", ""],
            "Metadata_Condition": ["drug", "drug"],
            "Measurement": RATIO,
            "Count_Cells": [30, 60],
            "Count_HRCells": [0, 5],
            "Mean_Measured": [1.0, 2.0],
            "Mean_Corrected": [np.nan, 2.5],
            "Mean_Corrected_q05": [np.nan, 2.25],
            "Mean_Corrected_q95": [np.nan, 2.75],
            "Note": ["not corrected: no HR cell", ""],
        }
    )
    dock.state.hr_cells = tmp_path / "hr.ome.tif"
    dock.state.means = CorrectedTable(means, record)
    assert dock.hr_cells.name.text() == "hr.ome.tif"
    assert dock.hr_cells.remove.enabled
    assert dock.tabs.isTabVisible(MEANS_TAB)
    table = dock.means.table
    shown = [[table.item(k, at).text() for at in range(6)] for k in range(2)]
    assert shown == [
        ["SR", "A01", "-", "- to -", "1", "0 / 30"],
        ["SR", "drug", "2.5", "2.25 to 2.75", "2", "5 / 60"],
    ]
    assert table.item(0, 1).toolTip() == "<qt>not corrected: no HR cell</qt>"
    dock.hr_cells.remove.native.click()
    assert dock.state.hr_cells is None
    assert not dock.tabs.isTabVisible(MEANS_TAB)


def test_plots_show_conditions_statistics_and_the_selection(qtbot, dock, plots):
    settled(qtbot, plots)
    assert plots.message.text() == "Nothing is measured yet: Measure cells does."
    assert not plots.save.enabled
    measure(qtbot, dock)
    settled(qtbot, plots)
    assert plots.column.value == RATIO
    assert (plots.negative.value, plots.positive.value) == ("control", "drug")
    assert plots.statistics.toPlainText().startswith("GT: 3 and 3 cells, AUC 1.000 (")
    settled(qtbot, plots)
    before = plots.plot
    dock.state.selected = (4,)
    qtbot.waitUntil(lambda: plots.plot is not before, timeout=20_000)
    ring = plots.plot.figure.axes[0].collections[-1]
    assert ring.get_offsets()[0][1] == pytest.approx(RATIOS[4])


def test_a_click_on_a_point_selects_its_cell(qtbot, dock, plots):
    measure(qtbot, dock)
    settled(qtbot, plots)
    artist, cells = plots.plot.points[-1]
    offsets = artist.get_offsets()
    x, y = artist.get_offset_transform().transform(offsets)[0]
    canvas = plots.canvas
    ratio = canvas.devicePixelRatioF()
    place = canvas.rect().bottomLeft()
    place.setX(round(x / ratio))
    place.setY(canvas.height() - round(y / ratio))
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=place)
    names = list(pd.unique(dock.state.result.table["Metadata_Cell"]))
    assert dock.state.selected == (names.index(cells[0]),)


def test_a_plot_that_cannot_be_drawn_says_why(qtbot, dock, plots):
    measure(qtbot, dock)
    settled(qtbot, plots)
    plots.kind.value = DOSES
    settled(qtbot, plots)
    assert plots.plot is None
    assert not plots.canvas.isVisible()
    assert "dose" in plots.message.text()
    assert not plots.save.enabled
    assert not plots.negative.native.isVisible()


def test_what_intervals_held_of_held_out_cells_is_drawn_or_missed_with_the_reason(
    qtbot, dock, plots
):
    measure(qtbot, dock)
    settled(qtbot, plots)
    plots.kind.value = HELD_OUT
    settled(qtbot, plots)
    assert plots.plot is None
    assert plots.message.text() == "There are no intervals: they come from samples of SR images."
    figures = {"held": [0.91], "width": [2.4], "held_drawn": [0.55], "width_drawn": [0.81]}
    entry = {"levels": [0.9], "cells": 200, "of": "well", "parts": 10, **figures}
    dock.state.result.record["images"].append({"reliability": {RATIO: entry}})
    dock.state.events.result()
    settled(qtbot, plots)
    assert plots.plot is not None
    assert plots.canvas.isVisible()
    assert plots.statistics.toPlainText().splitlines() == [
        "200 held-out cells, median widths (as drawn):",
        "90 % intervals held 91 % (55 %), width 2.4 (0.81)",
    ]


def test_plots_are_saved_as_png_and_svg(qtbot, dock, plots, monkeypatch, tmp_path):
    measure(qtbot, dock)
    settled(qtbot, plots)
    answers = iter([("plot", "PNG (*.png)"), ("plot", "SVG (*.svg)"), ("plot.bmp", "")])

    def answer(*_):
        name, wanted = next(answers)
        return str(tmp_path / name), wanted

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    plots.save.native.click()
    settled(qtbot, plots)
    picture = imread(tmp_path / "plot.png")
    assert picture.shape[:2] == (880, 1280)  # of print, whatever the size of the dock
    assert (picture[0, 0] == 1).all()  # on white, whatever the theme
    plots.save.native.click()
    settled(qtbot, plots)
    text = (tmp_path / "plot.svg").read_text()
    assert "<svg" in text
    assert "translocation" in text  # the record
    plots.save.native.click()
    settled(qtbot, plots)
    assert "must end in .png or .svg" in plots.message.text()


def test_widgets_of_one_viewer_share_what_was_measured(qtbot, dock, viewer):
    measure(qtbot, dock)
    again = MeasureWidget(viewer)
    qtbot.addWidget(again)
    assert again.table.table.rowCount() == 6
    later = PlotsWidget(viewer)
    qtbot.addWidget(later)
    assert later.column.value == RATIO


def test_labels_save_their_table(qtbot, dock, viewer, tmp_path):
    PluginManager.instance().discover()  # as a window does
    measure(qtbot, dock)
    nuclei = viewer.layers["GT nuclei"]
    for name in ("t.csv", "t.parquet", "t.h5ad"):
        viewer.layers.selection = {nuclei, viewer.layers["GT cytoplasm rings"]}
        written = viewer.layers.save(str(tmp_path / name), selected=True, plugin="napari-rls")
        assert written[0] == str(tmp_path / name)
        table, _ = read_table(tmp_path / name)
        pd.testing.assert_frame_equal(table, dock.state.result.table)
    with pytest.raises(InputError, match="carry no table"):
        write_labels_table(str(tmp_path / "x.csv"), [(nuclei.data, {"metadata": {}}, "labels")])


@pytest.mark.canvas
def test_a_real_window_shows_labels_table_and_plot(qtbot):
    viewer = napari.Viewer()
    try:
        add_cells(viewer)
        _, dock = viewer.window.add_plugin_dock_widget("napari-rls", "Measure cells")
        measure(qtbot, dock)
        dock.table.selectRow(3)
        dock.plots.native.click()
        plots = viewer.window._qt_window.findChild(PlotsWidget)
        settled(qtbot, plots)
        QApplication.processEvents()
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        yellow = (abs(picture - [0xF0, 0xE4, 0x42]) < 12).all(-1)
        blue = (abs(picture - [0x56, 0xB4, 0xE9]) < 12).all(-1)
        assert yellow.sum() > 50
        assert blue.sum() > 50
        # The nucleus is in the centre of the canvas, its outline around it.
        rows, columns = np.nonzero(yellow)
        assert abs(rows.mean() - picture.shape[0] / 2) < picture.shape[0] / 10
        assert abs(columns.mean() - picture.shape[1] / 2) < picture.shape[1] / 10
        # The slider selects the cell that it shows.
        viewer.dims.set_current_step(0, 0)
        assert dock.state.selected == (0,)
    finally:
        viewer.close()


def test_opening_the_panels_imports_nothing_slow():
    code = (
        "import sys, napari, napari.layers, napari.qt.threading, magicgui.widgets;"
        "from napari_rls.widgets.measure import measure_dock, plots_dock;"
        "slow = 'pandas scipy.ndimage scipy.stats skimage.filters matplotlib torch'.split();"
        "print([name for name in slow if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_closed_at_once_the_process_ends_well():
    # What the dock imports beside the window is then still under way.
    code = (
        "import napari; viewer = napari.Viewer(show=False);"
        "viewer.window.add_plugin_dock_widget('napari-rls', 'Measure cells'); viewer.close()"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0
    assert "Traceback" not in run.stderr


def test_names_of_others_are_text_in_the_plots_panel(qtbot, viewer):
    name = "<b>drug</b>\nat 5"
    for layer in viewer.layers:
        crops = [
            {**crop, "condition": name if crop["condition"] == "drug" else "(all)"}
            for crop in layer.metadata["napari-rls"]["crops"]
        ]
        layer.metadata = {"napari-rls": {"crops": crops}}
    dock, plots = MeasureWidget(viewer), PlotsWidget(viewer)
    for widget in (dock, plots):
        qtbot.addWidget(widget)
    plots.show()
    measure(qtbot, dock)
    settled(qtbot, plots)
    # A condition may be called as what stands for all.
    assert (plots.negative.value, plots.positive.value) == ("(all)", name)
    assert plots.statistics.toPlainText().startswith("GT: 3 and 3 cells")
    assert plots.negative.native.currentText() == "'(all)'"
    box = plots.positive.native
    assert box.currentText() == r"<b>drug</b>\nat 5"
    tip = box.itemData(box.currentIndex(), Qt.ItemDataRole.ToolTipRole)
    assert tip == "<qt>&lt;b&gt;drug&lt;/b&gt;<br>at 5</qt>"


def test_layers_called_like_markup_are_shown_as_they_are(qtbot, viewer):
    viewer.layers[0].name = "<img src=x> DNA"
    dock = MeasureWidget(viewer)
    qtbot.addWidget(dock)
    box = dock.picker.boxes["GT", "DNA"]
    assert box.native.currentText().startswith("<img src=x> DNA")
    assert box.tooltip.startswith("<qt>&lt;img src=x&gt; DNA")
    dock.message.show_message(Message("a <b>layer</b>"))
    assert dock.message.toolTip() == "<qt>a &lt;b&gt;layer&lt;/b&gt;</qt>"


@pytest.mark.canvas
@pytest.mark.parametrize("size", [(1366, 768), (1600, 1000)])
def test_the_panels_of_a_measurement_in_a_real_window(qtbot, make_napari_viewer, size):
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    window.resize(*size)
    add_cells(viewer)
    # As from the menu: whoever opens the plots, they are there once.
    plots = from_menu(viewer, "Plots of measurements", PlotsWidget)
    dock = from_menu(viewer, "Measure cells", MeasureWidget)
    measure(qtbot, dock)
    dock.plots.native.click()
    settled(qtbot, plots)
    assert [w for w in viewer.window.dock_widgets.values() if isinstance(w, PlotsWidget)] == [plots]
    assert window.findChildren(PlotsWidget) == [plots]
    # They fit, and the whole window into the screen.
    assert (window.width(), window.height()) == size
    for widget, buttons in ((dock, (dock.run, dock.cancel, dock.export)), (plots, (plots.save,))):
        for button in buttons:
            assert button.native.height() >= button.native.sizeHint().height()
            low = button.native.mapTo(widget, button.native.rect().bottomLeft()).y()
            assert low <= widget.height()
    # The first screen of the table shows the measurement of the cell in view.
    table = dock.table
    (cell,) = dock.state.selected
    place = table.visualRect(table.table.index(cell, table.table.columns.index(RATIO)))
    assert table.viewport().rect().contains(place)
    # The plot has the colours of the theme, and follows it.
    for theme in ("dark", "light"):
        viewer.theme = theme
        qtbot.wait(200)
        settled(qtbot, plots)
        paper = plots.canvas.palette().color(QPalette.ColorRole.Window)
        picture = plots.canvas.grab().toImage()
        assert picture.pixelColor(1, 1).name() == paper.name()
        assert (paper.lightness() < 100) == (theme == "dark")
    # Closed and asked for again, they are there again.
    viewer.window.remove_dock_widget(plots)
    dock.plots.native.click()
    (again,) = [w for w in viewer.window.dock_widgets.values() if isinstance(w, PlotsWidget)]
    settled(qtbot, again)
    assert again.plot is not None


def from_menu(viewer, name: str, kind: type):
    """Open a panel by the action of the plugins' menu; return it."""
    menus = [action.menu() for action in viewer.window.plugins_menu.actions() if action.menu()]
    (action,) = [a for menu in menus for a in menu.actions() if a.text().startswith(name)]
    action.trigger()
    (widget,) = [w for w in viewer.window.dock_widgets.values() if isinstance(w, kind)]
    return widget
