"""What users do from beginning to end, with the default of every setting, in a real window."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog
from story import Window, seen
from synthetic_cells import field
from tiny_model import random_bundle
from train_bench import SMALL

from napari_rls.models.manifest import Channel
from napari_rls.search.settings import DEFAULT_BUNDLE, Settings
from napari_rls.widgets.common import docks
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.measure.plots_dock import PlotsWidget
from napari_rls.widgets.train.train_plan import TrainPlan

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


@pytest.fixture
def fields(tmp_path):
    """Return a folder of fields to train on."""
    folder = tmp_path / "fields"
    folder.mkdir()
    places = [(60.0 + 90 * (k // 3), 60.0 + 90 * (k % 3)) for k in range(9)]
    for k in range(6):
        image = np.roll(field(places, (320, 320)), 5 * k, axis=2)
        known = {"PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0, "axes": "CYX"}
        known["Channel"] = {"Name": ["DNA", "FKHR-GFP"]}
        tifffile.imwrite(folder / f"field{k}.ome.tif", image, metadata=known)
    return folder


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
    single = window.canvas()
    assert single.std() > 0.02

    look_at(window, single)

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


@pytest.mark.parametrize("window", SIZES[-1:], indirect=True, ids=["1366x768"])
def test_methods_are_compared(window, stand_in):
    settings_file().parent.mkdir(parents=True)
    Settings(bundle=str(stand_in)).save(settings_file().with_name("comparison.json"))
    window.open_sample(SAMPLE)
    sample = window.names
    with window.step("open Compare"):
        compare = window.open_dock(docks.COMPARE)
    with window.step("start comparing"):
        window.click("Compare")
        window.until(lambda: compare.state.phase is Phase.RUNNING)
        window.until(lambda: compare.state.progress.share > 0)
    with window.step("compare"):
        window.until(lambda: compare.state.phase is Phase.IDLE)
    made = [name for name in window.names if name not in sample]
    assert {"rls", "pulse", "brgm", "bicubic"} <= {r.method for r in compare.controller.results}
    columns = 6  # LR, bicubic, three methods, GT
    window.until(lambda: window.written() == columns)
    beside = window.canvas()
    with window.step("methods side by side off"):
        window.click("Side by side")
    assert window.names == [*sample, *made]
    assert not np.allclose(window.canvas(), beside, atol=0.05)
    with window.step("methods side by side"):
        window.click("Side by side")
        window.until(lambda: window.written() == columns)
    np.testing.assert_allclose(window.canvas(), beside, atol=0.05)
    assert window.look_through_docks() == []


def test_from_one_s_own_fields_to_one_s_own_bundle(window, stand_in, fields, choose, tmp_path):
    settings_file().parent.mkdir(parents=True)
    Settings(bundle=str(stand_in)).save(settings_file())
    plan = TrainPlan(folder=tmp_path, name="mine", fit_samples=300, fit_epochs=1)
    for name in SMALL.keys() - {"size", "kimg"}:
        plan = plan.with_part("settings", name, SMALL[name])
    plan.save(settings_file().with_name("training.json"))

    window.open_sample(SAMPLE)
    with window.step("open Train"):
        train = window.open_dock(docks.TRAIN)
    with window.step("choose fields"):
        choose(fields)
        window.click("Folder...")
        window.until(lambda: train.state.phase is Phase.IDLE)
    with window.step("find cells"):
        window.click("Find cells")
        window.until(lambda: train.state.phase is Phase.IDLE)
    assert any("crops" in name.lower() for name in window.names)
    with window.step("train"):
        window.click("Train")
        window.until(lambda: bool(train.state.curves.reports))
    with window.step("cancel"):
        window.click("Cancel")
        window.until(lambda: train.state.phase is Phase.IDLE)
    assert window.says("Resume goes on with it")
    with window.step("resume"):
        begun = len(train.state.curves.reports)
        window.click("Resume")
        window.until(lambda: len(train.state.curves.reports) > begun)
    with window.step("finish now"):
        window.click("Finish now")
        window.until(lambda: train.state.bundle is not None and train.state.phase is Phase.IDLE)
    with window.step("use this bundle"):
        window.click("Use this bundle")
        window.until(lambda: "Super-resolve" in [d.windowTitle() for d in window.docks])
    (dock,) = [d.widget() for d in window.docks if d.windowTitle() == "Super-resolve"]
    assert dock.state.settings.bundle == str(tmp_path / "mine.rls.safetensors")
    with window.step("super-resolve with it"):
        super_resolve(window)
    seen_now = [layer.name for layer in window.viewer.layers if layer.visible]
    assert not [name for name in seen_now if "crops" in name or "samples" in name]
    shown = window.canvas().max(-1) > 0.05
    height, width = shown.shape
    # The cell fills the middle of the canvas.
    assert shown[height // 4 : -height // 4, width // 3 : -width // 3].mean() > 0.3
    made = [x for x in window.viewer.layers if x.name.startswith("SR 8x (generated)")]
    assert made[0].metadata["napari-rls"]["bundle"]["name"] == "mine"
    assert window.look_through_docks() == []


def look_at(window, single) -> None:
    """Look at a result in all ways, and search it again."""
    before, beside = window.names, []
    for which in ("", " again"):
        with window.step(f"side by side{which}"):
            window.click("Side by side")
            window.until(lambda: window.written() == 3)
        beside.append(window.canvas())
        thirds = np.array_split(beside[-1].max(-1), 3, axis=1)
        assert all((third > 0.05).mean() > 0.1 for third in thirds)
        with window.step(f"side by side off{which}"):
            window.click("Side by side")
        np.testing.assert_allclose(window.canvas(), single, atol=0.05)
        assert window.names == before
        assert window.written() == 0
    np.testing.assert_allclose(*beside, atol=0.05)

    with window.step("mean and SD"):
        window.click("Mean and SD of samples")
        window.until(lambda: len(window.names) == len(before) + 4)
    everything = window.names
    assert len([name for name in everything if "mean" in name.lower()]) == 2
    # The standard deviation lies over the cell.
    assert window.viewer.layers[-1].visible
    assert not np.allclose(window.canvas(), single, atol=0.05)
    with window.step("super-resolve again"):
        super_resolve(window)
    assert window.says("12 of 12 cells")
    assert window.names == everything


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
