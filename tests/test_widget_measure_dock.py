"""The docks of measurements: what the user clicks, sees and saves, in real windows too."""

from __future__ import annotations

import napari
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from measure_bench import RATIO, two_channels
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_rls.widgets.measure_dock import MeasureWidget
from napari_rls.widgets.plot_job import PLOTS
from napari_rls.widgets.plots_dock import PlotsWidget
from napari_rls.widgets.state import Phase
from napari_rls.widgets.table_writer import write_labels_table
from napari_rls.workflow.stack import InputError
from napari_rls.workflow.table import read_table

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
    plots.kind.value = PLOTS[1]
    settled(qtbot, plots)
    assert plots.plot is None
    assert not plots.canvas.isVisible()
    assert "dose" in plots.message.text()
    assert not plots.save.enabled
    assert not plots.negative.native.isVisible()


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
