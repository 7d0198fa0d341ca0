"""SR layers are saved as one file with their record, by napari's own dialog and by a button."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes
from napari.plugins import _initialize_plugins, _npe2
from widget_bench import Bench

from napari_rls.errors import InputError
from napari_rls.widgets.cells.layer_facts import pixel_size_um
from napari_rls.widgets.common.state import Level
from napari_rls.widgets.contributions.image_writers import write_into_folder
from napari_rls.widgets.contributions.reader import read_layers
from napari_rls.workflow.cells.read import read_frames, read_header, read_record, read_stack
from napari_rls.workflow.measure.image_files import read_images

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
        f"SR saved to {tmp_path / 'a.ome.tif'}, its record to a.json."
    )
    check(tmp_path / "a.ome.tif", finished)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("/proc/none/a.ome.tif", "SR cannot be saved to"), ("a.png", "must be a file that")],
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
    with pytest.raises(RuntimeError, match="Only generated layers of one run go into"):
        mixed.save(str(tmp_path / "mixed.ome.tif"))


def test_layers_of_several_runs_are_not_mixed(finished: Bench, tmp_path: Path) -> None:
    other = Image(finished.sr[1].data, metadata={"napari-rls": {"generated": True}})
    with pytest.raises(RuntimeError, match="These layers are of several runs"):
        type(finished.viewer.layers)([finished.sr[0], other]).save(str(tmp_path / "a.ome.tif"))


@pytest.fixture
def sampled(tiny_bundle_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    memory = tmp_path_factory.mktemp("memory") / "settings.json"
    bench = Bench(
        tiny_bundle_file, memory, samples=3, sample_steps=12, batch_size=4, factor=8, steps=3
    )
    bench.add_lr(scale=(1, 1, 2, 2), units=("pixel", "pixel", "um", "um"))
    bench.controller.start()
    bench.thread.finish()
    bench.controller.show_sample_statistics()
    return bench


def check_sampled(folder: Path, name: str, bench: Bench) -> None:
    """Check the files of SR, samples, mean and deviation against each other."""
    names = bench.manifest.channel_names
    samples, header = read_frames(folder / f"{name}_samples.ome.tif")
    assert samples.shape == (3, 3, 2, 32, 32)
    assert header.channels == names
    assert header.pixel_size_um == pytest.approx(0.25)
    assert header.record["bundle"]["content_hash"] == bench.manifest.content_hash
    for kind, values in (("mean", samples.mean(0)), ("sd", samples.std(0, ddof=1))):
        path = folder / f"{name}_{kind}.ome.tif"
        stack = read_stack(path)
        np.testing.assert_allclose(stack.data, values, rtol=1e-4, atol=1e-3)
        assert (stack.channels, stack.pixel_size_um) == (names, pytest.approx(0.25))
        assert kind[0] == read_record(path)["statistic"][0]
        with pytest.raises(InputError, match=rf"{kind}\.ome\.tif holds the .* no image of a cell"):
            read_images([path])
    started = {read_record(file)["started"] for file in folder.glob("*.ome.tif")}
    assert len(started) == 1


def test_samples_mean_and_deviation_are_saved_beside_the_cells(
    sampled: Bench, tmp_path: Path
) -> None:
    generated = type(sampled.viewer.layers)(sampled.sr)
    assert len(generated) == 8
    generated.save(str(tmp_path / "a.tif"))
    check_sampled(tmp_path, "a", sampled)
    again = read_layers(str(tmp_path / "a_samples.ome.tif"))
    assert [options["metadata"]["napari-rls"]["channels"] for _, options, _ in again] == [
        [name] for name in sampled.manifest.channel_names
    ]
    (tmp_path / "a.tif").unlink()
    with pytest.raises(RuntimeError, match=r"a_samples\.ome\.tif exists already; choose another"):
        generated.save(str(tmp_path / "a.tif"))
    one = next(layer for layer in sampled.sr if layer.name.startswith("SR sd"))
    assert len(one.save(str(tmp_path / "one.ome.tif"))) == 2
    assert read_record(tmp_path / "one.ome.tif")["statistic"].startswith("standard deviation")


def test_the_button_saves_samples_too(sampled: Bench, tmp_path: Path) -> None:
    sampled.controller.save_sr(tmp_path / "a.ome.tif")
    assert sampled.said.endswith("beside it a_samples.ome.tif, a_mean.ome.tif, a_sd.ome.tif.")
    check_sampled(tmp_path, "a", sampled)


@pytest.mark.parametrize("others", [[], ["labels"], ["labels", "shapes"]])
def test_a_folder_gets_all_layers(sampled: Bench, tmp_path: Path, others: list[str]) -> None:
    masks = np.eye(8, dtype=np.uint8)
    if "labels" in others:
        sampled.viewer.add_layer(Labels(masks, name="mine"))
    if "shapes" in others:
        sampled.viewer.add_layer(Shapes([[[0, 0], [1, 1]]], name="drawn"))
    sampled.viewer.layers.save(str(tmp_path / "all"))
    folder = tmp_path / "all"
    check_sampled(folder, "LR_SR8x", sampled)
    assert (folder / "LR.tif").exists()
    assert (folder / "mine.tif").exists() is ("labels" in others)
    assert (folder / "drawn.csv").exists() is ("shapes" in others)


def test_a_folder_loses_no_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.tif").write_bytes(b"kept")
    layers = [Image(np.eye(8), name="mine").as_layer_data_tuple()]
    with pytest.raises(shutil.Error, match="already exists"):
        write_into_folder(str(tmp_path), layers)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.tif"]
    assert (tmp_path / "mine.tif").read_bytes() == b"kept"


def test_what_the_dialog_offers(sampled: Bench) -> None:
    kind = "RLS super-resolution Generated cells with their record (*.ome.tif *.ome.tiff"
    offered = _npe2.file_extensions_string_for_layers
    several, writers = offered(sampled.sr)
    assert several.startswith(kind)
    assert kind in offered(sampled.sr[:1])[0]
    labels = Labels(np.eye(8, dtype=np.uint8))
    assert "RLS super-resolution Folder, generated cells" in offered([*sampled.sr, labels])[0]
    assert writers[0].command == "napari-rls.write_sr"


def test_a_name_of_the_dialog_needs_no_ending(sampled: Bench, tmp_path: Path) -> None:
    layers = type(sampled.viewer.layers)([x for x in sampled.sr if x.name.startswith("SR 8x")])
    writer = _npe2.file_extensions_string_for_layers(layers)[1][0]
    written = layers.save(str(tmp_path / "SR 8x of B01.2 DNA"), _writer=writer)
    assert Path(written[0]).name == "SR 8x of B01.2 DNA.ome.tif"
    mixed = type(layers)([*layers, Image(np.eye(8), name="mine")])
    written = mixed.save(str(tmp_path / "mixed"), _writer=writer)
    assert {Path(path).name for path in written} == {
        "mine.tif",
        "LR_SR8x.ome.tif",
        "LR_SR8x.json",
    }


def test_pixels_of_layers_must_be_square() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((8, 8)), scale=(2, 1), units=("um", "um"), name="LR")
    with pytest.raises(InputError, match=r"^LR cannot be used: its pixels are not square, 1 µm in"):
        pixel_size_um(layer)
    layer.scale = (2, 2)
    assert pixel_size_um(layer) == 2
    layer.units = ("cm", "cm")
    assert pixel_size_um(layer) == pytest.approx(2e4)
