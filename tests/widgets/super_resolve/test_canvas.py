"""What a user sees: a real window with the plugin, and its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication
from widget_bench import lr_cells

from napari_rls.search.settings import Settings
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.state import Phase

pytestmark = pytest.mark.canvas


@pytest.fixture
def viewer(make_napari_viewer, tiny_bundle_file):
    settings_file().parent.mkdir(parents=True)
    Settings(bundle=str(tiny_bundle_file), steps=3, batch_size=2, samples=0).save(settings_file())
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 800)
    return viewer


@pytest.fixture
def widget(viewer):
    return viewer.window.add_plugin_dock_widget("napari-rls", "Super-resolve cells")[1]


def pixels(viewer) -> np.ndarray:
    """Return the canvas as it is drawn, (height, width, 3), 0 to 1."""
    QApplication.processEvents()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3] / 255


def run_to_end(qtbot, widget) -> None:
    widget.run.native.click()
    qtbot.waitUntil(lambda: widget.state.phase is Phase.IDLE, timeout=60_000)


def red(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] > 0.3) & (image[..., 0] > image[..., 1] + 0.2)


def test_the_sr_image_covers_the_lr_image_on_screen_to_the_edge(viewer, widget, qtbot):
    viewer.add_image(
        lr_cells(), name="LR", colormap="red", contrast_limits=(-100, 0), scale=(1, 1, 3, 3)
    )
    seen = red(pixels(viewer))
    assert seen.mean() > 0.3
    run_to_end(qtbot, widget)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    # A wrong pixel-centre convention would leave a strip of several per cent.
    assert red(pixels(viewer)).sum() < 0.005 * seen.sum()
    inside = pixels(viewer)[rows[0] : rows[-1], columns[0] : columns[-1]]
    assert inside[..., 1:].std() > 0.01


def test_cells_that_were_not_reached_look_blank(viewer, widget, qtbot):
    widget.main.fields["steps"].value = 10_000
    cells = lr_cells()
    for k, channel in enumerate(("nucleus", "protein")):
        viewer.add_image(cells[:, k], name=f"LR {channel}", visible=False)
    widget.run.native.click()
    qtbot.waitUntil(lambda: widget.state.progress.share > 0, timeout=60_000)
    viewer.dims.set_current_step(0, 2)
    assert pixels(viewer).max() > 0.1
    widget.cancel.native.click()
    assert pixels(viewer).max() == 0
    viewer.dims.set_current_step(0, 0)
    assert pixels(viewer).max() > 0.1
    qtbot.waitUntil(lambda: widget.state.phase is Phase.IDLE, timeout=10_000)


def test_side_by_side_fills_three_thirds_of_the_canvas_and_back(viewer, widget, qtbot):
    hr = np.random.default_rng(1).integers(50, 200, (3, 2, 32, 32))
    viewer.add_image(hr, name="GT", visible=False)
    viewer.add_image(lr_cells(), name="LR")
    run_to_end(qtbot, widget)
    before = pixels(viewer)
    widget.compare.native.click()
    thirds = np.array_split(pixels(viewer).max(-1), 3, axis=1)
    assert all((third > 0.05).mean() > 0.1 for third in thirds)
    assert widget.compare.native.isChecked()
    widget.compare.native.click()
    np.testing.assert_allclose(pixels(viewer), before, atol=0.02)
    assert not widget.compare.native.isChecked()


def test_nothing_in_the_panel_is_cut_off(viewer, widget):
    viewer.add_image(lr_cells(), name="a layer with a name that is much longer than the panel")
    QApplication.processEvents()
    assert widget.area.widget().width() <= widget.area.viewport().width()
    for form in (widget.main, widget.picker):
        right = form.mapTo(widget.settings_area, form.rect().topRight()).x()
        assert right <= widget.area.viewport().width()


def test_closing_the_window_during_a_run_ends_the_thread(viewer, widget, qtbot):
    widget.main.fields["steps"].value = 10_000
    viewer.add_image(lr_cells(), name="LR")
    state = widget.state
    widget.run.native.click()
    qtbot.waitUntil(lambda: state.progress.share > 0, timeout=60_000)
    viewer.close()
    qtbot.waitUntil(lambda: state.phase is Phase.IDLE, timeout=10_000)


def test_closing_the_panel_during_a_run_keeps_what_was_reached(viewer, widget, qtbot):
    widget.main.fields["steps"].value = 10_000
    viewer.add_image(lr_cells(), name="LR")
    state = widget.state
    widget.run.native.click()
    qtbot.waitUntil(lambda: state.progress.share > 0, timeout=60_000)
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    qtbot.waitUntil(lambda: state.phase is Phase.IDLE, timeout=10_000)
    record = viewer.layers[-1].metadata["napari-rls"]
    assert (record["generated"], record["complete"]) == (True, False)


def test_the_sample_cells_and_the_menu_entries_are_there(viewer, widget):
    viewer.open_sample("napari-rls", "generated-lr-cells")
    names = [layer.name for layer in viewer.layers]
    assert names[-2:] == ["LR (not real) DNA", "LR (not real) FKHR-GFP"]
    for layer in viewer.layers:
        assert "not real" in layer.metadata["napari-rls"]["note"]
    widget.bundle.value = "bbbc013-translocation-64"
    assert [layer.name for layer in widget.state.inputs.lr] == names[-2:]
    assert [layer.name for layer in widget.state.inputs.gt] == names[:2]
