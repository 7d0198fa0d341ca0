"""A file that napari's own reader has opened still says what its axes and channels are."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari.plugins import _initialize_plugins
from qtpy.QtCore import QTimer
from tiny_model import random_bundle
from widget_bench import Bench, lr_cells

from napari_rls.errors import InputError
from napari_rls.widgets.cells import layer_file
from napari_rls.widgets.cells.layer_facts import (
    axis_names,
    channel_names,
    count_channels,
    layer_cells,
    pixel_size_um,
)
from napari_rls.widgets.cells.sr_writer import write_sr_layers
from napari_rls.widgets.measure.guess_images import channel_choices
from napari_rls.widgets.super_resolve.super_resolve_dock import SuperResolveWidget
from napari_rls.workflow.cells.read import read_stack

MANIFEST = random_bundle().manifest  # 32 px, channels nucleus and protein
NAMES = ["protein", "nucleus"]
UM = {"PhysicalSizeX": 50.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 50.0}
UM |= {"PhysicalSizeYUnit": "nm"}


@pytest.fixture(autouse=True)
def _napari_reader() -> None:
    """Let napari's own reader be there without a window."""
    _initialize_plugins()


@pytest.fixture
def bench(tiny_bundle_file: Path, tmp_path: Path) -> Bench:
    return Bench(tiny_bundle_file, tmp_path / "settings.json")


def ome(path: Path, axes: str, data: np.ndarray | None = None, **metadata: object) -> Path:
    """Write an OME-TIFF as of a microscope, of 3 x 2 cells of 4 x 4 pixels."""
    data = lr_cells() if data is None else data
    tifffile.imwrite(
        path, data, ome=True, photometric="minisblack", metadata={"axes": axes, **metadata}
    )
    return path


def opened(viewer, path: Path) -> Image:
    (layer,) = viewer.open(str(path), plugin="napari")
    assert layer.source.reader_plugin == "napari"
    assert layer.axis_labels[0].startswith("-")
    return layer


@pytest.mark.parametrize("imagej", [False, True])
def test_planes_are_no_channels_whoever_opened_the_file(
    bench: Bench, tmp_path: Path, imagej: bool
) -> None:
    path = tmp_path / "cells.tif"
    if imagej:
        tifffile.imwrite(path, lr_cells(), imagej=True, metadata={"axes": "TZYX"})
    else:
        ome(path, "TZYX")
    layer = opened(bench.viewer, path)
    assert axis_names(layer) == ("T", "Z", "Y", "X")
    assert count_channels(layer) == 0
    bench.controller.follow_layers()
    assert not any(bench.state.inputs.lr)
    assert bench.state.obstacle.startswith(
        "cells has axes of time (3) and planes (2) and none of channels; give one plane or time "
        "point of each cell"
    )


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_planes_and_time_points_of_one_channel_are_not_two_channels(
    bench: Bench, tmp_path: Path, axes: str
) -> None:
    opened(bench.viewer, ome(tmp_path / "cells.ome.tif", axes, lr_cells()[0]))
    bench.controller.follow_layers()
    assert bench.state.obstacle == (
        "cells.ome has one channel and the bundle tiny needs 2 (nucleus, protein): choose a layer "
        "that has them, or one layer per channel."
    )


def test_channels_go_by_the_names_in_the_file_and_sr_is_of_these(
    bench: Bench, tmp_path: Path
) -> None:
    cells = lr_cells()
    path = ome(tmp_path / "cells.ome.tif", "CTYX", cells.swapaxes(0, 1), Channel={"Name": NAMES})
    layer = opened(bench.viewer, path)
    bench.controller.follow_layers()
    assert bench.state.inputs.lr == (layer,)
    assert bench.state.inputs.channels == (1, 0)
    assert bench.state.reading == (
        "Read as 3 cells of 4 x 4 pixels along axis 1 (T), channels along axis 0 (C); the "
        "channels by their names."
    )
    assert bench.said == (
        "Each of its 3 time points is taken for a cell or field of its own; if that is wrong, "
        "give one of each, or a projection."
    )
    read = bench.controller.read_lr()[0]
    assert read.channels == ("nucleus", "protein")
    np.testing.assert_array_equal(read.data, cells[:, ::-1])
    bench.controller.start()
    bench.thread.finish()
    assert [x.data.shape for x in bench.sr] == [(1, 3, 32, 32)] * 2
    assert [count_channels(x) for x in bench.sr] == [1, 1]
    assert len(layer_cells(bench.sr[0], pixels=False)) == 3


def test_the_dock_in_a_window_reads_what_napari_opened(
    make_napari_viewer, tiny_bundle_file: Path, tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    dock = SuperResolveWidget(viewer)
    viewer.window.add_dock_widget(dock)
    dock.controller.change("bundle", str(tiny_bundle_file))
    layer = opened(viewer, ome(tmp_path / "a.ome.tif", "TCYX", Channel={"Name": NAMES}))
    assert dock.state.inputs.lr == (layer,)
    assert dock.state.inputs.channels == (1, 0)
    assert [box.value for box in dock.picker.indices] == [1, 0]
    assert "by their names" in dock.reading.text()
    viewer.layers.clear()
    opened(viewer, ome(tmp_path / "z.ome.tif", "TZYX"))
    assert "none of channels" in dock.state.obstacle
    assert not dock.run.enabled


def test_the_pixel_size_is_that_of_the_file_unless_the_layer_has_one(
    bench: Bench, tmp_path: Path
) -> None:
    layer = opened(bench.viewer, ome(tmp_path / "a.ome.tif", "TCYX", **UM))
    assert pixel_size_um(layer) == pytest.approx(0.05)
    assert layer_cells(layer, pixels=True).pixel_size_um == pytest.approx(0.05)
    layer.scale = (1, 1, 0.2, 0.2)
    assert pixel_size_um(layer) is None  # in which unit, nobody has said
    layer.units = ("pixel", "pixel", "um", "um")
    assert pixel_size_um(layer) == pytest.approx(0.2)


def test_saved_sr_has_the_pixel_size_of_the_file(bench: Bench, tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tif", "TCYX", Channel={"Name": ["nucleus", "protein"]}, **UM)
    opened(bench.viewer, path)
    bench.controller.follow_layers()
    bench.controller.start()
    bench.thread.finish()
    assert bench.sr[0].metadata["napari-rls"]["input"]["pixel_size_um"] == pytest.approx(0.05)
    assert pixel_size_um(bench.sr[0]) == pytest.approx(0.05 / 8)
    write_sr_layers(tmp_path / "sr.ome.tif", bench.sr)
    saved = read_stack(tmp_path / "sr.ome.tif")
    assert saved.pixel_size_um == pytest.approx(0.05 / 8)
    assert (saved.leading, saved.channels) == ("T", ("nucleus", "protein"))


def test_labels_that_somebody_gave_go_before_the_file(bench: Bench, tmp_path: Path) -> None:
    layer = opened(bench.viewer, ome(tmp_path / "a.ome.tif", "TZYX"))
    layer.axis_labels = ("n", "c", "y", "x")
    assert axis_names(layer) == ("n", "c", "y", "x")
    assert count_channels(layer) == 2


def test_other_pixels_are_not_read_by_the_file(bench: Bench, tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tif", "TCYX", Channel={"Name": NAMES})
    layer = opened(bench.viewer, path)
    layer.data = layer.data[:, 0]
    assert channel_names(layer) == ()
    assert axis_names(layer) == tuple(layer.axis_labels)
    path.unlink()
    gone = opened_then_gone(bench, tmp_path)
    assert channel_names(gone) == ()
    assert layer_cells(gone, pixels=False).channels == ("channel 0", "channel 1")
    plain = bench.viewer.add_image(lr_cells(), name="plain")
    assert axis_names(plain) == tuple(plain.axis_labels)


def opened_then_gone(bench: Bench, tmp_path: Path) -> Image:
    path = ome(tmp_path / "gone.ome.tif", "TCYX", Channel={"Name": NAMES})
    layer = opened(bench.viewer, path)
    path.unlink()
    return layer


def test_what_is_missing_in_the_file_is_told_and_not_black(bench: Bench, tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tif", "TCYX")
    xml = tifffile.tiffcomment(path)
    tifffile.tiffcomment(path, xml.replace('SizeT="3"', 'SizeT="5"').encode())
    bench.viewer.open(str(path), plugin="napari")
    bench.controller.follow_layers()
    assert bench.state.obstacle.startswith(
        "a.ome.tif cannot be read as a TIFF file (its header promises 10 planes and it holds 6)"
    )
    with pytest.raises(InputError, match="promises 10 planes"):
        layer_cells(bench.viewer.layers[0], pixels=True)


def test_a_header_that_takes_long_lets_the_window_draw(
    make_napari_viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer()
    layer = opened(viewer, ome(tmp_path / "a.ome.tif", "TCYX", Channel={"Name": NAMES}))
    read, threads, drawn = layer_file._read, [], []

    def slow(path: Path):
        threads.append(threading.current_thread())
        threading.Event().wait(0.4)
        return read(path)

    timer = QTimer()
    timer.timeout.connect(lambda: drawn.append(1))
    timer.start(20)
    monkeypatch.setattr(layer_file, "_read", slow)
    assert channel_names(layer) == tuple(NAMES)
    timer.stop()
    assert threads
    assert threads[0] is not threading.main_thread()
    assert len(drawn) > 3
    assert channel_names(layer) == tuple(NAMES)
    assert len(threads) == 1


def test_measuring_offers_the_channels_of_the_file(bench: Bench, tmp_path: Path) -> None:
    layer = opened(bench.viewer, ome(tmp_path / "a.ome.tif", "TCYX", Channel={"Name": NAMES}))
    assert [name for name, _ in channel_choices([layer])] == ["a.ome, protein", "a.ome, nucleus"]
