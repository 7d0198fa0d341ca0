"""The training widget in a real window, with a real thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from qtpy.QtWidgets import QApplication, QFileDialog, QLabel
from train_bench import small_plan, write_fields

from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle import load_bundle
from napari_rls.training.checkpoint import read_numbers
from napari_rls.training.training_settings import TrainSettings
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.train.train_dock import HIDDEN

LONG = {"kimg": 500, "sample_kimg": 500, "snapshot_kimg": 500}


@pytest.fixture
def fields(tmp_path):
    return write_fields(tmp_path / "fields")


@pytest.fixture
def viewer(make_napari_viewer, tmp_path):
    remember(small_plan(tmp_path / "out"))
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1380, 860)
    return viewer


@pytest.fixture
def widget(viewer):
    return viewer.window.add_plugin_dock_widget("napari-rls", "Train a bundle")[1]


def remember(plan) -> None:
    path = settings_file().with_name("training.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    plan.save(path)


def choose(qtbot, widget, fields, monkeypatch) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(fields))
    widget.whole_folder.native.click()
    wait_until_idle(qtbot, widget.state)


def drawn_kimg(widget) -> list[list[float]]:
    """Return where the curves of the losses have points."""
    axes = widget.progress.curves.axes
    return [list(line.get_xdata()) for line in axes[0].lines] if axes else []


def wait_until_idle(qtbot, state, seconds: float = 60) -> None:
    qtbot.waitUntil(lambda: state.phase is Phase.IDLE, timeout=seconds * 1000)


def begin_long_run(qtbot, widget, fields, monkeypatch) -> None:
    choose(qtbot, widget, fields, monkeypatch)
    for name, value in LONG.items():
        widget.controller.change_setting(name, value)
    state = widget.state
    widget.run.native.click()
    qtbot.waitUntil(lambda: bool(state.curves.reports), timeout=60_000)


def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "out" / "mine-run" / "checkpoint.safetensors"


@pytest.mark.canvas
def test_from_fields_to_a_bundle_that_super_resolves_next_door(
    viewer, widget, fields, qtbot, monkeypatch
):
    choose(qtbot, widget, fields, monkeypatch)
    assert widget.dna.value == "Hoechst"
    assert not widget.use.enabled
    widget.find_cells.native.click()
    wait_until_idle(qtbot, widget.state)
    assert "9 crops to train on" in widget.found.text()
    widget.run.native.click()
    assert not widget.run.enabled
    assert not widget.settings_area.isEnabled()
    assert widget.cancel.enabled
    assert widget.tabs.currentIndex() == 1
    wait_until_idle(qtbot, widget.state)
    assert widget.message.text().startswith("Done: the bundle is")
    shown = [[0.012, 0.02, 0.032, 0.04]] * 2
    qtbot.waitUntil(lambda: drawn_kimg(widget) == shown, timeout=20_000)
    assert widget.progress.facts["Device"].text() == "cpu, float32"
    assert "Generated samples (not real) GFP" in [layer.name for layer in viewer.layers]

    widget.use.native.click()
    _, other = viewer.window.add_plugin_dock_widget("napari-rls", "Super-resolve cells")
    bundle = str(widget.state.bundle)
    assert other.bundle.value == bundle
    assert other.state.manifest == load_bundle(bundle).manifest
    other.bundle.value = "bbbc013-translocation-64"
    assert bundle in other.bundle.choices
    other.bundle.value = bundle
    assert other.state.manifest.channel_names == ("Hoechst", "GFP")


@pytest.mark.canvas
def test_cancel_and_resume_by_their_buttons(widget, fields, tmp_path, qtbot, monkeypatch):
    begin_long_run(qtbot, widget, fields, monkeypatch)
    widget.cancel.native.click()
    assert not widget.cancel.enabled
    wait_until_idle(qtbot, widget.state)
    assert "Resume goes on with it" in widget.message.text()
    assert checkpoint(tmp_path).exists()
    assert widget.run.text == "Resume"
    reached = read_numbers(checkpoint(tmp_path))["images"]
    widget.controller.change("name", "another")
    assert widget.run.text == "Train"
    run = checkpoint(tmp_path).parent
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(run))
    widget.open_run.native.click()
    assert widget.about.fields["name"].value == "mine"
    assert widget.run.text == "Resume"
    kimg = widget.main.fields["kimg"].native
    kimg.setText(str((reached + 40) / 1000))
    kimg.editingFinished.emit()
    widget.run.native.click()
    wait_until_idle(qtbot, widget.state)
    assert widget.message.text().startswith("Done: the bundle is")
    shown = [report.images for report in widget.state.curves.reports]
    assert shown == sorted(set(shown))
    assert shown[-1] >= reached + 40


@pytest.mark.canvas
def test_finish_now_and_use_the_bundle_in_the_dock_that_is_open(
    viewer, widget, fields, qtbot, monkeypatch
):
    _, other = viewer.window.add_plugin_dock_widget("napari-rls", "Super-resolve cells")
    assert not widget.finish.enabled
    assert "train first" in widget.finish.native.toolTip()
    assert "Choose images first" in widget.run.native.toolTip()
    assert "train, or finish a run" in widget.use.native.toolTip()
    begin_long_run(qtbot, widget, fields, monkeypatch)
    qtbot.waitUntil(lambda: widget.finish.enabled, timeout=20_000)
    widget.finish.native.click()
    qtbot.waitUntil(lambda: widget.state.bundle is not None, timeout=60_000)
    wait_until_idle(qtbot, widget.state)
    assert widget.message.text().startswith("Done: the bundle is")
    facts = widget.progress.facts
    assert facts["Best KID"].text().startswith("not measured: too few held-out cells")
    assert facts["KID"].text() == facts["Best KID"].text()
    widget.use.native.click()
    docks = [dock for dock in viewer.window.dock_widgets if "Super-resolve" in dock]
    assert len(docks) == 1
    assert other.state.settings.bundle == str(widget.state.bundle)


@pytest.mark.canvas
def test_closing_the_panel_during_a_run_keeps_a_checkpoint(
    viewer, widget, fields, tmp_path, qtbot, monkeypatch
):
    begin_long_run(qtbot, widget, fields, monkeypatch)
    state = widget.state
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    wait_until_idle(qtbot, state, 10)
    assert checkpoint(tmp_path).exists()


CLOSING = """
import sys
import napari
from qtpy.QtCore import QTimer

viewer = napari.Viewer()
_, widget = viewer.window.add_plugin_dock_widget("napari-rls", "Train a bundle")
state = widget.state
widget.controller.choose_images([sys.argv[1]])
state.events.curves.connect(lambda curves: curves.reports and QTimer.singleShot(0, viewer.close))
state.events.phase.connect(
    lambda phase: phase.value == "idle" and QTimer.singleShot(0, widget.controller.start)
)
napari.run()
"""


@pytest.mark.canvas
def test_closing_the_window_during_a_run_keeps_a_checkpoint_and_ends_napari(fields, tmp_path):
    plan = small_plan(tmp_path / "out", **LONG)
    remember(plan)
    subprocess.run([sys.executable, "-c", CLOSING, str(fields)], check=True, timeout=120)
    assert checkpoint(tmp_path).exists()


@pytest.mark.canvas
def test_nothing_in_the_panel_is_cut_off(widget, tmp_path):
    widget.controller.change("folder", tmp_path / ("a" * 90))
    widget.controller.choose_images([str(tmp_path / ("b" * 120))])
    QApplication.processEvents()
    assert widget.width() < 400
    for page in (0, 1):
        widget.tabs.setCurrentIndex(page)
        QApplication.processEvents()
        area = widget.tabs.currentWidget()
        assert area.widget().width() <= area.viewport().width()
    for form in (widget.main, widget.channels, widget.about):
        right = form.mapTo(widget.settings_area, form.rect().topRight()).x()
        assert right <= widget.area.viewport().width()


@pytest.mark.canvas
def test_every_setting_has_one_field_with_tooltip_and_value(widget):
    for forms, model, part in (
        ((widget.main, widget.more), TrainSettings, "settings"),
        ((widget.nuclei,), NucleusSettings, "nuclei"),
    ):
        names = [name for form in forms for name in form.fields]
        assert sorted(names) == sorted(set(model.model_fields) - HIDDEN)
        tips = {label.toolTip() for form in forms for label in form.findChildren(QLabel)}
        assert {model.model_fields[name].description for name in names} <= tips
        for form in forms:
            for name, field in form.fields.items():
                value = getattr(getattr(widget.state.plan, part), name)
                assert type(value)(field.value) == value


def test_opening_the_widget_imports_neither_torch_nor_matplotlib(tmp_path):
    code = (
        "import sys\n"
        "from napari.components import ViewerModel\n"
        "from qtpy.QtWidgets import QApplication\n"
        "app = QApplication([])\n"
        "from napari_rls.widgets.train.train_dock import TrainWidget\n"
        "widget = TrainWidget(ViewerModel())\n"
        "widget.show()\n"
        "print(sorted({'torch', 'matplotlib'} & set(sys.modules)))\n"
    )
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[]"
