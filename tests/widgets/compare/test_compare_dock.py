"""Comparing in the viewer: layers, progress, cancelling, what is said; the dock in a window."""

from __future__ import annotations

import json

import numpy as np
import pytest
from compare_bench import FACTOR, CompareBench, hr_cells, lr_of
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog

from napari_rls.search.settings import METHODS, Settings
from napari_rls.widgets.cells.sr_writer import write_sr_layers
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.state import Level, Phase
from napari_rls.widgets.compare.compare_dock import CompareWidget
from napari_rls.widgets.compare.compare_state import Cells
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.compare.method_results import BICUBIC
from napari_rls.workflow.measure.table_files import read_table


@pytest.fixture
def bench(tiny_bundle_file, tmp_path):
    bench = CompareBench(tiny_bundle_file, tmp_path / "comparison.json")
    bench.choose("rls", "pulse")
    return bench


def columns(viewer) -> list[list[str]]:
    """Names of the layers of every place of the grid, left to right."""
    shown = {}
    for index, layer in enumerate(viewer.layers):
        if layer.visible:
            place = viewer.canvas.grid.position(index, viewer.layers)
            shown.setdefault(place, []).append(layer.name)
    assert list(shown) == sorted(shown)
    return list(shown.values())


def record(layer) -> dict:
    return layer.metadata["napari-rls"]


def record_if_any(layer) -> dict:
    return layer.metadata.get("napari-rls", {})


def test_napari_saves_each_method_with_its_record(bench, tmp_path):
    bench.add(hr_cells())
    bench.compare()
    results = [layer for layer in bench.viewer.layers if "generated" in record_if_any(layer)]
    written = write_sr_layers(tmp_path / "a.ome.tif", results)
    images = [path.name for path in written if path.name.endswith(".ome.tif")]
    names = {"bicubic": f"a_{BICUBIC}", "rls": f"a_SR{FACTOR}x", "pulse": f"a_SR{FACTOR}x_pulse"}
    assert sorted(images) == sorted(f"{name}.ome.tif" for name in names.values())
    for method in ("rls", "pulse"):
        path = tmp_path / f"{names[method]}.ome.tif"
        assert read_record(path)["settings"]["method"] == method
        np.testing.assert_array_equal(read_stack(path).data, bench.results[method].sr)
    bicubic = tmp_path / f"{names['bicubic']}.ome.tif"
    assert read_record(bicubic)["generated"] is False
    assert read_stack(bicubic).channels == bench.state.manifest.channel_names


# -- a comparison --------------------------------------------------------------------------


def test_every_method_has_layers_of_its_own_with_its_record(bench):
    bench.add(hr_cells())
    bench.compare()
    assert bench.state.phase is Phase.IDLE
    assert bench.said.startswith("Done: 2 of 2 methods on 3 cells in ")
    assert "KID and FID need 10 cells or more; 3 were compared." in bench.said
    for method in ("rls", "pulse"):
        layers = bench.sr(method)
        assert len(layers) == 2
        for c, layer in enumerate(layers):
            np.testing.assert_array_equal(layer.data, bench.results[method].sr[:, c])
            assert record(layer)["generated"] is True
            assert record(layer)["settings"]["method"] == method
            assert record(layer)["complete"] is True


def test_columns_are_lr_then_methods_then_gt_with_linked_contrast(bench):
    bench.add(hr_cells())
    bench.choose("rls")
    bench.compare()
    assert bench.state.comparing
    names = [[name.split(" (")[0] for name in column] for column in columns(bench.viewer)]
    assert names == [
        ["LR nucleus", "LR protein"],
        ["Bicubic 8x of LR nucleus", "Bicubic 8x of LR protein"],
        ["SR 8x rls"] * 2,
        ["GT nucleus", "GT protein"],
    ]
    bench.sr("rls")[0].contrast_limits = (3, 33)
    for name in ("Bicubic 8x of LR nucleus", "GT nucleus"):
        assert tuple(bench.viewer.layers[name].contrast_limits) == (3, 33)
    bench.controller.compare()
    assert not bench.state.comparing
    assert not bench.viewer.canvas.grid.enabled
    assert len(bench.sr("rls")) == 2


def test_the_bicubic_image_of_the_table_is_among_the_images(bench):
    bench.add(hr_cells())
    bench.choose("rls")
    bench.compare()
    for c, channel in enumerate(("nucleus", "protein")):
        layer = bench.viewer.layers[f"Bicubic 8x of LR {channel}"]
        np.testing.assert_array_equal(layer.data, bench.results[BICUBIC].sr[:, c])
        assert record(layer)["generated"] is False
        assert "without any model" in record(layer)["note"]


def test_a_second_comparison_shows_its_images_in_the_layers_of_the_first(bench):
    bench.add(hr_cells())
    bench.compare()
    layers = list(bench.viewer.layers)
    bench.controller.change("seed", 9)
    bench.compare()
    assert list(bench.viewer.layers) == layers
    assert bench.state.comparing
    assert record(bench.sr("rls")[0])["settings"]["seed"] == 9
    for c, layer in enumerate(bench.sr("pulse")):
        np.testing.assert_array_equal(layer.data, bench.results["pulse"].sr[:, c])


class Later:
    """Stands in for the window: it calls when the test says that it has drawn."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, call) -> None:
        self.calls.append(call)

    def draw(self) -> None:
        self.calls.pop(0)()


@pytest.fixture
def slow(tiny_bundle_file, tmp_path):
    """Return a bench whose layers come one method at a time, and what stands in for the window."""
    later = Later()
    bench = CompareBench(tiny_bundle_file, tmp_path / "comparison.json", soon=later)
    bench.choose("rls", "pulse")
    bench.add(hr_cells())
    return bench, later


def test_layers_come_one_method_after_the_other_so_that_the_window_draws(slow):
    bench, later = slow
    bench.controller.start()
    counts = [len(bench.viewer.layers)]
    while later.calls:
        later.draw()
        counts.append(len(bench.viewer.layers))
    # The names over the columns come after them.
    assert counts[:4] == [6, 8, 10, 10]
    assert set(counts[4:]) == {10}
    assert bench.state.comparing
    assert bench.thread.started == 1
    bench.thread.finish()
    assert bench.said.startswith("Done: 2 of 2 methods")


def test_cancelled_while_its_layers_come_a_comparison_leaves_nothing(slow):
    bench, later = slow
    before = list(bench.viewer.layers)
    bench.controller.start()
    later.draw()
    bench.controller.cancel()
    assert bench.state.phase is Phase.STOPPING
    later.draw()
    assert bench.state.phase is Phase.IDLE
    assert list(bench.viewer.layers) == before
    assert bench.thread.started == 0
    assert not later.calls
    bench.controller.start()
    while later.calls:
        later.draw()
    bench.thread.finish()
    assert bench.said.startswith("Done: 2 of 2 methods")


def test_layers_that_cannot_be_shown_leave_the_viewer_as_it_was(bench, monkeypatch):
    monkeypatch.setattr(notification_manager, "receive_error", lambda *_: None)
    bench.add(hr_cells())
    before = [(layer, layer.visible) for layer in bench.viewer.layers]

    def refuse(event):
        if event.value.name.startswith("SR 8x pulse"):
            raise RuntimeError("no room")

    bench.viewer.layers.events.inserted.connect(refuse)
    bench.controller.start()
    assert "An unexpected error ended the comparison: no room" in bench.said
    assert [(layer, layer.visible) for layer in bench.viewer.layers] == before
    assert bench.state.phase is Phase.IDLE
    assert not bench.state.comparing
    assert bench.thread.started == 0
    bench.viewer.layers.events.inserted.disconnect(refuse)
    bench.compare()
    assert bench.said.startswith("Done: 2 of 2 methods")


def test_beside_layers_of_more_dimensions_all_works(bench):
    bench.viewer.add_image(np.zeros((2, 3, 4, 8, 8)), name="samples", visible=False)
    bench.add(hr_cells())
    bench.compare()
    assert bench.said.startswith("Done: 2 of 2 methods"), bench.said
    assert bench.state.comparing
    bench.controller.compare()
    assert not bench.state.comparing


def test_many_methods_lie_in_two_rows(bench):
    bench.add(hr_cells())
    bench.choose("rls", "pulse", "unregularised")
    bench.compare()
    grid, layers = bench.viewer.canvas.grid, bench.viewer.layers
    places = [grid.position(k, layers) for k, layer in enumerate(layers) if layer.visible]
    assert places[::2] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert places[1::2] == places[::2]


def test_a_method_that_cannot_run_leaves_no_layers_and_a_row_that_says_why(bench):
    bench.add(hr_cells())
    bench.choose("rls", "pix2pix")
    bench.controller.start()
    assert len(bench.sr("pix2pix")) == 2
    bench.thread.finish()
    assert bench.sr("pix2pix") == []
    assert len(columns(bench.viewer)) == 4
    turns = {turn.method: turn for turn in bench.state.turns}
    assert turns["pix2pix"].words.startswith("Not run: The bundle tiny has no Pix2Pix")
    assert turns["rls"].words == ""
    assert bench.said.startswith("Done: 1 of 2 methods")


def test_if_no_method_can_run_nothing_is_left(bench):
    bench.add(hr_cells())
    before = list(bench.viewer.layers)
    bench.choose("pix2pix")
    bench.compare()
    assert list(bench.viewer.layers) == before
    assert not bench.state.comparing
    assert bench.state.phase is Phase.IDLE


def test_progress_goes_from_method_to_method(bench):
    bench.add(hr_cells())
    bench.controller.start()
    assert [turn.words for turn in bench.state.turns] == ["Waiting"] * 3
    bench.step_until("rls", 1)
    assert [turn.words for turn in bench.state.turns] == ["", "33% done", "Waiting"]
    assert bench.state.progress.text == "rls, 1 of 2 methods"
    assert bench.state.progress.share == pytest.approx(1 / 6)
    bench.step_until("pulse", 2)
    assert [turn.words for turn in bench.state.turns] == ["", "", "67% done"]
    assert bench.state.progress.share == pytest.approx(5 / 6)


def test_without_gt_it_says_that_there_are_no_metrics(bench):
    bench.add(hr_cells(), gt=False)
    bench.compare()
    assert "Without GT only LR residual and time are known" in bench.said
    assert len(columns(bench.viewer)) == 4
    assert all(not len(result.scores) for result in bench.results.values())
    assert bench.results["rls"].lr_residual > 0


# -- cancelling ----------------------------------------------------------------------------


def test_cancel_keeps_what_was_reached_and_drops_what_was_not(bench):
    bench.add(hr_cells())
    bench.choose("rls", "pulse", "brgm")
    bench.controller.start()
    bench.step_until("pulse", 2)
    reached = [layer.data.copy() for layer in bench.sr("pulse")]
    bench.controller.cancel()
    assert bench.thread.stopped
    assert bench.state.phase is Phase.STOPPING
    bench.thread.finish()
    assert bench.state.phase is Phase.IDLE
    assert [turn.words for turn in bench.state.turns] == [
        "",
        "",
        "Cancelled at 67%; not scored",
        "Cancelled before it began; not scored",
    ]
    assert bench.sr("brgm") == []
    for layer, pixels in zip(bench.sr("pulse"), reached, strict=True):
        np.testing.assert_array_equal(layer.data, pixels)
        assert record(layer)["complete"] is False
    assert set(bench.results) == {BICUBIC, "rls"}
    assert bench.said.startswith("Cancelled: 1 of 3 methods on 3 cells")
    assert len(columns(bench.viewer)) == 5


def test_a_cancelled_run_does_not_write_into_the_next_one(bench):
    bench.add(hr_cells())
    bench.controller.start()
    bench.step_until("rls", 1)
    bench.controller.cancel()
    old, ended = bench.thread.deliver, bench.thread.ended
    left = list(bench.thread._updates)
    ended()
    bench.controller.start()
    for update in left:
        old(update)
    assert [turn.words for turn in bench.state.turns] == ["Waiting"] * 3


def test_nothing_starts_while_the_last_step_is_awaited(bench):
    bench.add(hr_cells())
    bench.controller.start()
    bench.controller.start()
    bench.controller.cancel()
    bench.controller.start()
    assert bench.thread.started == 1


def test_removing_all_sr_layers_cancels_and_removing_one_does_not(bench):
    bench.add(hr_cells())
    bench.controller.start()
    bench.step_until("rls", 1)
    for layer in bench.sr("rls"):
        bench.viewer.layers.remove(layer)
    assert bench.state.phase is Phase.RUNNING
    assert not bench.state.comparing
    for layer in bench.sr("pulse"):
        bench.viewer.layers.remove(layer)
    assert "Every SR layer was removed" in bench.said
    bench.thread.ended()
    assert bench.state.phase is Phase.IDLE


def test_an_error_of_the_program_is_said_and_handed_to_napari(bench, monkeypatch):
    seen = []
    monkeypatch.setattr(notification_manager, "receive_error", lambda *error: seen.append(error))
    bench.add(hr_cells())
    bench.controller.start()
    bench.step_until("rls", 1)
    bench.thread.deliver(RuntimeError("a fault"))
    bench.thread.ended()
    assert bench.said.startswith("An unexpected error ended the comparison: a fault")
    assert bench.state.message.level is Level.ERROR
    assert len(seen) == 1
    assert len(bench.sr("rls")) == 2


# -- which cells ---------------------------------------------------------------------------


def test_the_first_cells_lie_on_the_first_of_the_lr_layer(bench):
    bench.add(hr_cells(5))
    bench.controller.choose_count(2)
    bench.viewer.dims.set_point(0, 4)
    bench.compare()
    assert bench.viewer.dims.point[0] == 0
    layer = bench.sr("rls")[0]
    assert layer.data.shape == (2, 32, 32)
    assert layer.translate[0] == 0
    assert bench.results["rls"].scores["n"].unique().tolist() == [2]


def test_the_cell_in_view_lies_where_it_was(bench):
    hr = hr_cells(5)
    bench.add(hr)
    bench.viewer.dims.set_point(0, 3)
    bench.controller.choose_cells(Cells.IN_VIEW)
    bench.compare()
    layer = bench.sr("pulse")[1]
    assert layer.data.shape == (1, 32, 32)
    assert bench.viewer.dims.point[0] == 3
    assert layer.get_value((3, 0, 0), world=True) == pytest.approx(layer.data[0, 4, 4])
    np.testing.assert_array_equal(bench.thread.job.lr.data, lr_of(hr[3:4]))
    np.testing.assert_array_equal(bench.thread.job.truth, hr[3:4])


def test_cells_of_one_layer_with_a_channel_axis_are_chosen_too(bench):
    hr = hr_cells(4)
    bench.viewer.add_image(lr_of(hr), name="LR")
    bench.viewer.add_image(hr, name="GT", visible=False)
    bench.controller.guess_inputs()
    bench.viewer.dims.set_point(0, 2)
    bench.controller.choose_cells(Cells.IN_VIEW)
    bench.compare()
    np.testing.assert_array_equal(bench.thread.job.lr.data, lr_of(hr[2:3]))
    assert bench.sr("rls")[0].data.shape == (1, 1, 32, 32)
    assert bench.sr("rls")[0].translate[0] == 2
    bench.controller.choose_cells(Cells.ALL)
    bench.compare()
    assert len(bench.thread.job.lr) == 4


def test_one_cell_without_a_cell_axis_is_compared(bench):
    hr = hr_cells(1)[0]
    bench.viewer.add_image(lr_of(hr), name="LR")
    bench.controller.guess_inputs()
    bench.compare()
    assert bench.said.startswith("Done: 2 of 2 methods on 1 cell in ")
    assert bench.sr("rls")[0].data.shape == (1, 32, 32)


# -- what is refused -----------------------------------------------------------------------


def test_what_cannot_be_compared_is_refused_before_anything_happens(bench):
    bench.controller.start()
    assert bench.said == "Choose the LR layer."
    bench.add(hr_cells())
    bench.choose()
    bench.controller.start()
    assert bench.said == "Choose one or more methods."
    bench.choose("rls")
    gt = bench.viewer.layers["GT nucleus"], bench.viewer.layers["GT protein"]
    for k in (0, 1):
        gt[k].data = gt[k].data[:2]
    bench.controller.start()
    assert "do not hold as many cells" in bench.said
    for k in (0, 1):
        gt[k].data = np.zeros((3, 16, 16))
    bench.controller.start()
    assert "has images of 16 x 16 pixels, but SR images of this bundle have 32 x 32" in bench.said
    assert bench.state.phase is Phase.IDLE
    assert bench.thread.started == 0


def test_a_gt_of_one_channel_alone_is_refused(bench):
    bench.add(hr_cells())
    inputs = bench.state.inputs
    bench.controller.choose_inputs(type(inputs)(True, inputs.lr, (inputs.gt[0], None), (0, 1)))
    bench.controller.start()
    assert bench.said == "Choose the GT layer of the channel protein too, or none at all."


# -- table and settings --------------------------------------------------------------------


def test_the_table_is_saved_with_the_record_of_every_run(bench, tmp_path):
    bench.controller.export(tmp_path / "comparison.csv")
    assert bench.said == "There is no table yet: compare first."
    bench.add(hr_cells())
    bench.compare()
    path = tmp_path / "comparison.csv"
    bench.controller.export(path)
    assert bench.said == f"Table saved to {path}."
    table, saved = read_table(path)
    assert table["method"].tolist() == [BICUBIC, "rls", "pulse"]
    assert saved["runs"]["pulse"]["bundle"]["content_hash"]
    bench.controller.export(tmp_path / "comparison.txt")
    assert bench.state.message.level is Level.ERROR


def test_settings_of_all_methods_are_remembered(bench, tiny_bundle_file, tmp_path):
    bench.controller.change("seed", 5)
    saved = json.loads((tmp_path / "comparison.json").read_text())
    assert saved["seed"] == 5
    assert saved["bundle"] == str(tiny_bundle_file)
    bench.add(hr_cells())
    bench.controller.start()
    assert [own.seed for own in bench.thread.job.settings] == [5, 5]


# -- the dock ------------------------------------------------------------------------------


@pytest.fixture
def remembered(tiny_bundle_file):
    path = settings_file().with_name("comparison.json")
    path.parent.mkdir(parents=True)
    Settings(bundle=str(tiny_bundle_file), factor=FACTOR).save(path)


def add_cells(viewer, count: int) -> None:
    hr = hr_cells(count)
    viewer.add_image(hr, name="GT", visible=False)
    viewer.add_image(lr_of(hr), name="LR")


def run_to_end(qtbot, dock, *methods: str) -> None:
    for name, box in dock.methods.items():
        box.value = name in methods
    dock.max_steps.value = 2
    dock.run.native.click()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=60_000)


def shown(dock, row: int) -> list[str]:
    items = [dock.table.item(row, c) for c in range(dock.table.columnCount())]
    return [item.text() if item else "" for item in items]


@pytest.mark.usefixtures("remembered")
def test_one_click_fills_the_table(qtbot, tmp_path, monkeypatch):
    viewer = ViewerModel()
    add_cells(viewer, 10)
    dock = CompareWidget(viewer)
    qtbot.addWidget(dock)
    assert list(dock.methods) == list(METHODS)
    assert not dock.export.enabled
    dock.count.value = 10
    run_to_end(qtbot, dock, "rls", "pix2pix")
    assert dock.message.text().startswith("Done: 1 of 2 methods on 10 cells"), dock.message.text()
    head = [dock.table.horizontalHeaderItem(c) for c in range(dock.table.columnCount())]
    assert [item.text().replace("\n", " ") for item in head] == [
        "method",
        "KID",
        "FID",
        "perceptual distance",
        "PSNR",
        "MS-SSIM",
        "LR residual",
        "s per cell",
    ]
    assert "napari-rls features v1" in head[1].toolTip()
    assert "lower is better" in head[1].toolTip()
    results = {result.method: result for result in dock.controller.results}
    assert [shown(dock, k)[0] for k in range(3)] == [BICUBIC, "rls", "pix2pix"]
    psnr = {}
    for row, method in enumerate((BICUBIC, "rls")):
        scores = results[method].scores.set_index("metric")["value"]
        assert float(shown(dock, row)[1]) == pytest.approx(scores["KID"], rel=0.01)
        psnr[row] = scores["PSNR"]
    bold = [dock.table.item(row, 4).font().bold() for row in (0, 1)]
    assert bold == [psnr[0] > psnr[1], psnr[1] > psnr[0]]
    assert shown(dock, 2)[1].startswith("Not run: The bundle tiny")
    assert dock.table.columnSpan(2, 1) == 7
    assert dock.table.columnWidth(1) < 150
    assert shown(dock, 0)[-1] == ""
    assert dock.table.item(0, 7).toolTip() == "Nothing is searched."
    path = tmp_path / "table.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), "CSV (*.csv)"))
    assert dock.export.enabled
    dock.export.native.click()
    assert path.exists()


@pytest.mark.usefixtures("remembered")
def test_fields_and_state_follow_each_other(qtbot):
    dock = CompareWidget(ViewerModel())
    qtbot.addWidget(dock)
    dock.methods["rls-plus"].value = True
    dock.methods["brgm"].value = False
    assert dock.state.methods == ("rls", "rls-plus", "pulse", "flow", "pix2pix")
    dock.cells.value = Cells.ALL
    assert dock.state.cells is Cells.ALL
    dock.controller.choose_cells(Cells.FIRST)
    dock.controller.choose_count(4)
    assert dock.cells.value is Cells.FIRST
    assert dock.count.value == 4
    dock.advanced.fields["seed"].value = 3
    assert dock.state.settings.seed == 3


@pytest.mark.usefixtures("remembered")
def test_buttons_that_cannot_work_yet_say_why(qtbot):
    viewer = ViewerModel()
    dock = CompareWidget(viewer)
    qtbot.addWidget(dock)

    def told(button) -> str:
        assert not button.enabled
        return button.native.toolTip()

    assert "Choose the LR layer first" in told(dock.run)
    assert "Nothing is at work" in told(dock.cancel)
    assert "Compare first" in told(dock.compare)
    assert "There is no table yet" in told(dock.export)
    assert dock.own_steps.text() == "0: those of each method"
    assert not dock.own_steps.isHidden()
    add_cells(viewer, 3)
    dock.reset_choices()
    assert dock.run.enabled
    for box in dock.methods.values():
        box.value = False
    assert "Choose one or more methods" in told(dock.run)
    run_to_end(qtbot, dock, "rls")
    assert dock.compare.enabled
    assert dock.export.enabled
    assert dock.own_steps.isHidden()


@pytest.mark.usefixtures("remembered")
def test_fields_are_locked_during_a_run_and_cancel_frees_them(qtbot):
    viewer = ViewerModel()
    add_cells(viewer, 3)
    dock = CompareWidget(viewer)
    qtbot.addWidget(dock)
    assert not dock.cancel.enabled
    dock.run.native.click()
    assert not dock.run.enabled
    assert not dock.settings_area.isEnabled()
    assert dock.tabs.currentWidget() is dock.table
    qtbot.waitUntil(lambda: dock.state.progress.share > 0, timeout=60_000)
    dock.cancel.native.click()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=60_000)
    assert dock.run.enabled
    assert dock.settings_area.isEnabled()
    assert "ancelled" in shown(dock, dock.table.rowCount() - 1)[1]


@pytest.mark.canvas
@pytest.mark.usefixtures("remembered")
def test_methods_fill_their_columns_on_screen(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1100, 600)
    _, dock = viewer.window.add_plugin_dock_widget("napari-rls", "Compare methods")
    viewer.add_image(lr_of(hr_cells(2)), name="LR")
    run_to_end(qtbot, dock, "rls", "unregularised")
    assert dock.message.text().startswith("Done: 2 of 2 methods"), dock.message.text()
    pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3] / 255
    parts = np.array_split(pixels, 4, axis=1)
    assert all(part.max() > 0.2 for part in parts)
    assert viewer.canvas.grid.shape == (1, 4)
