"""SR layers are saved as one file with their record, by napari's own dialog and by a button."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.layers import Image
from napari.plugins import _initialize_plugins
from widget_bench import Bench

from napari_rls.widgets.inputs import pixel_size_um
from napari_rls.widgets.reader import read_layers
from napari_rls.widgets.state import Level
from napari_rls.workflow.read import read_header, read_record, read_stack
from napari_rls.workflow.stack import InputError

CROPS = [{"file": "B01.tif", "well": "B01", "y": 3.5, "x": 7.0, "condition": "high"}] * 3


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    """Let napari know its plugins, as its window does, unless one was open before."""
    if "napari-rls.write_sr" not in get_app_model().commands:
        _initialize_plugins()


@pytest.fixture
def bench(tiny_bundle_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tiny_bundle_file, tmp_path_factory.mktemp("memory") / "settings.json")


@pytest.fixture
def finished(bench: Bench) -> Bench:
    options = {"scale": (1, 1, 2, 2), "units": ("pixel", "pixel", "um", "um")}
    bench.add_lr(metadata={"napari-rls": {"crops": CROPS}}, **options)
    bench.controller.start()
    bench.thread.finish()
    return bench


def check(path: Path, bench: Bench) -> None:
    stack, header = read_stack(path), read_header(path)
    shown = np.stack([layer.data.reshape(3, 32, 32) for layer in bench.sr], axis=1)
    np.testing.assert_array_equal(stack.data, shown)
    assert stack.channels == bench.manifest.channel_names
    assert stack.pixel_size_um == pytest.approx(0.25)
    assert [crop.well for crop in stack.crops] == ["B01"] * 3
    assert header.colours == tuple(channel.colour for channel in bench.manifest.channels)
    record = read_record(path)
    assert record["generated"] is record["complete"] is True
    assert record["bundle"]["content_hash"] == bench.manifest.content_hash
    assert "channels" not in record
    assert path.with_name("a.json").exists()


def test_napari_saves_sr_layers_as_one_file(finished: Bench, tmp_path: Path) -> None:
    layers = type(finished.viewer.layers)(finished.sr)
    written = layers.save(str(tmp_path / "a.ome.tif"))
    assert sorted(Path(path).name for path in written) == ["a.json", "a.ome.tif"]
    check(tmp_path / "a.ome.tif", finished)
    again = read_layers(str(tmp_path / "a.ome.tif"))
    assert [options["metadata"]["napari-rls"]["channels"] for _, options, _ in again] == [
        [name] for name in finished.manifest.channel_names
    ]
    one = finished.sr[1].save(str(tmp_path / "one.ome.tif"))
    assert sorted(Path(path).name for path in one) == ["one.json", "one.ome.tif"]
    assert read_stack(tmp_path / "one.ome.tif").channels == finished.manifest.channel_names[1:]


def test_the_button_saves_the_last_result(finished: Bench, tmp_path: Path) -> None:
    assert finished.state.lacking.save == ""
    assert finished.controller.sr_name() == "LR_SR8x.ome.tif"
    finished.controller.save_sr(tmp_path / "a.ome.tif")
    assert finished.state.message.text == (
        f"SR cells saved to {tmp_path / 'a.ome.tif'}, their record to a.json."
    )
    check(tmp_path / "a.ome.tif", finished)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("/proc/none/a.ome.tif", "The SR cells cannot be saved to"), ("a.png", "must be a file that")],
)
def test_what_cannot_be_saved_is_said(finished: Bench, name: str, sentence: str) -> None:
    finished.controller.save_sr(Path(name))
    assert sentence in finished.state.message.text
    assert finished.state.message.level is Level.ERROR
    assert len(finished.sr) == 2


def test_without_a_result_there_is_nothing_to_save(bench: Bench, tmp_path: Path) -> None:
    assert bench.state.lacking.save.startswith("There is no result yet")
    bench.controller.save_sr(tmp_path / "a.ome.tif")
    assert list(tmp_path.iterdir()) == []


def test_layers_of_others_are_saved_as_before(finished: Bench, tmp_path: Path) -> None:
    image = Image(np.arange(64, dtype=np.uint8).reshape(8, 8), name="mine")
    (written,) = image.save(str(tmp_path / "mine.ome.tif"))
    np.testing.assert_array_equal(read_stack(written).data[0, 0], image.data)
    mixed = type(finished.viewer.layers)([*finished.sr, image])
    with pytest.raises(RuntimeError, match="Only SR layers of one run go into one file"):
        mixed.save(str(tmp_path / "mixed.ome.tif"))


def test_layers_of_several_runs_are_not_mixed(finished: Bench, tmp_path: Path) -> None:
    other = Image(finished.sr[1].data, metadata={"napari-rls": {"generated": True}})
    with pytest.raises(RuntimeError, match="These SR layers are of several runs"):
        type(finished.viewer.layers)([finished.sr[0], other]).save(str(tmp_path / "a.ome.tif"))


def test_pixels_of_layers_must_be_square() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((8, 8)), scale=(2, 1), units=("um", "um"), name="LR")
    with pytest.raises(InputError, match=r"^LR cannot be used: its pixels are not square, 1 µm in"):
        pixel_size_um(layer)
    layer.scale = (2, 2)
    assert pixel_size_um(layer) == 2
    layer.units = ("cm", "cm")
    assert pixel_size_um(layer) == pytest.approx(2e4)
