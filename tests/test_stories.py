"""What users do from beginning to end, with the default of every setting, in a real window."""

from __future__ import annotations

import os

import pandas as pd
import pytest
from qtpy.QtWidgets import QFileDialog
from story import Window, seen
from tiny_model import random_bundle

from napari_rls.models.manifest import Channel
from napari_rls.search.settings import DEFAULT_BUNDLE, Settings
from napari_rls.widgets import docks
from napari_rls.widgets.memory import settings_file
from napari_rls.widgets.plots_dock import PlotsWidget
from napari_rls.widgets.state import Phase

pytestmark = pytest.mark.canvas

SIZES = [(1600, 1000), (1366, 768)]
ALL = (docks.SUPER_RESOLVE, docks.COMPARE, docks.TRAIN, docks.MEASURE, docks.PLOTS)
SAMPLE = "Simulated translocation cells (not real)"
LR = ["LR (simulated, not real) DNA", "LR (simulated, not real) FKHR-GFP"]


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    """Return a bundle that stands in for the embedded one: of its size and channels, but faster.

    The benchmark of the window takes the embedded one.
    """
    if os.environ.get("NAPARI_RLS_EMBEDDED"):
        return DEFAULT_BUNDLE
    channels = (
        Channel(name="DNA", colour="#0000ff"),
        Channel(name="FKHR-GFP", colour="#00ff00"),
    )
    path = tmp_path_factory.mktemp("stand-in") / "stand-in.rls.safetensors"
    random_bundle(size=64, channels=channels).save(path)
    return path


@pytest.fixture(params=SIZES, ids=lambda size: "x".join(map(str, size)))
def window(request, make_napari_viewer):
    window = Window(make_napari_viewer(show=True), *request.param)
    yield window
    window.close()


@pytest.fixture
def choose(monkeypatch):
    """Return a function that says what the user chooses in the next dialog for files."""

    def choose(path) -> None:
        for name in ("getOpenFileName", "getSaveFileName"):
            monkeypatch.setattr(QFileDialog, name, lambda *a, **_: (str(path), a[3].split(";;")[0]))
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(path))

    return choose


def test_all_docks_are_usable_beside_each_other(window):
    for name in ALL:
        with window.step(f"open {name}"):
            window.open_dock(name)
    assert len(window.docks) == 5
    assert window.look_through_docks() == []
    canvas = window.viewer.window._qt_viewer.canvas.native
    assert canvas.width() > 500
    assert canvas.height() > 0.8 * window.height


def test_from_the_sample_to_the_exported_table(window, stand_in, choose, tmp_path):
    settings_file().parent.mkdir(parents=True)
    Settings(bundle=str(stand_in)).save(settings_file())

    with window.step("open sample"):
        window.open_sample(SAMPLE)
    sample = window.names
    assert sample[-2:] == LR
    assert window.canvas().max() > 0.5

    with window.step("open Super-resolve"):
        window.open_dock(docks.SUPER_RESOLVE)
    with window.step("super-resolve"):
        super_resolve(window)
    assert window.says("12 of 12 cells")
    made = [name for name in window.names if name not in sample]
    assert len(made) == 4  # two channels, and the samples of each
    assert window.canvas().std() > 0.02

    with window.step("mean and SD"):
        window.click("Mean and SD of samples")
    assert len([name for name in window.names if "mean" in name.lower()]) == 2

    with window.step("open Measure"):
        window.open_dock(docks.MEASURE)
    with window.step("measure"):
        measure(window)
    outlines = [x for x in window.viewer.layers if x._type_string == "labels" and x.visible]
    assert outlines
    with window.step("measure again"):
        window.tab("Settings")
        measure(window)
    with window.step("show plots"):
        window.click("Show plots")
        window.until(lambda: drawn(window))
    with window.step("export"):
        window.tab("Measure")
        choose(tmp_path / "table.csv")
        window.click("Export table...")
        window.until((tmp_path / "table.csv").exists)
    table = pd.read_csv(tmp_path / "table.csv")
    assert set(table["Metadata_Image"]) == {"LR", "SR", "GT"}
    assert len(window.docks) == 3
    assert window.look_through_docks() == []


def super_resolve(window) -> None:
    (dock,) = [d.widget() for d in window.docks if d.windowTitle() == "Super-resolve"]
    window.click("Super-resolve")
    window.until(lambda: dock.state.phase is Phase.RUNNING)
    window.until(lambda: dock.state.phase is Phase.IDLE)


def measure(window) -> None:
    (dock,) = [d.widget() for d in window.docks if d.windowTitle() == "Measure"]
    before = dock.state.result
    window.click("Measure")
    window.until(lambda: dock.state.phase is Phase.IDLE and dock.state.result is not before)


def drawn(window) -> bool:
    """Whether a plot can be seen."""
    found = window.main.findChildren(PlotsWidget)
    return any(plots.plot is not None and seen(plots) for plots in found)
