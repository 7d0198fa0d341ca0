from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Layer
from widget_bench import Bench, lr_cells

from napari_rls.widgets.layer_data import layer_data
from napari_rls.widgets.reader import get_reader
from napari_rls.workflow.collect import Collector
from napari_rls.workflow.stack import CellStack, Crop
from napari_rls.workflow.super_resolve import super_resolve
from napari_rls.workflow.write import write_result, write_stack


def layers_of(path) -> list[Layer]:
    return [Layer.create(*entry) for entry in get_reader(str(path))(str(path))]


def test_our_files_open_as_one_placed_and_coloured_layer_per_channel(tmp_path):
    crops = tuple(Crop("B01.tif", "B01", float(k), 2.0, "high") for k in range(3))
    stack = CellStack(lr_cells(), ("DNA", "GFP"), "N", pixel_size_um=2.5, crops=crops)
    write_stack(tmp_path / "a.ome.tif", stack, description="d", colours=("#0000ff", "#00ff00"))
    dna, gfp = layers_of(tmp_path / "a.ome.tif")
    assert (dna.name, gfp.name) == ("a DNA", "a GFP")
    np.testing.assert_array_equal(gfp.data, stack.data[:, 1])
    np.testing.assert_allclose(dna.scale, (1, 2.5, 2.5))
    assert [str(unit) for unit in dna.units] == ["pixel", "micrometer", "micrometer"]
    assert dna.axis_labels == ("N", "y", "x")
    np.testing.assert_allclose(gfp.colormap.map(1.0).ravel()[:3], (0, 1, 0))
    assert gfp.blending == "additive"
    kept = dna.metadata["napari-rls"]
    assert kept["crops"][2]["y"] == 2
    assert kept["channels"] == ["DNA"]


def test_a_single_cell_opens_without_a_slider(tmp_path):
    stack = CellStack(lr_cells(1), ("DNA", "GFP"), None)
    write_stack(tmp_path / "a.ome.tif", stack, description="d")
    assert [layer.ndim for layer in layers_of(tmp_path / "a.ome.tif")] == [2, 2]


def test_sr_files_say_that_they_are_generated_and_keep_their_record(tmp_path, tiny_bundle):
    lr = CellStack(lr_cells(), ("nucleus", "protein"), "N")
    result = Collector(lr, 32)
    for update in super_resolve(lr, tiny_bundle):
        result.add(update)
        break
    write_result(tmp_path / "sr.ome.tif", result)
    layer, _ = layers_of(tmp_path / "sr.ome.tif")
    assert layer.name == "sr (generated) nucleus"
    kept = layer.metadata["napari-rls"]
    assert kept["generated"] is True
    assert kept["settings"] == result.provenance()["settings"]


def test_files_of_others_are_left_to_others(tmp_path):
    other, broken = tmp_path / "other.ome.tif", tmp_path / "broken.ome.tif"
    tifffile.imwrite(other, np.zeros((2, 8, 8), np.uint8), ome=True, photometric="minisblack")
    broken.write_bytes(b"no tiff")
    assert get_reader(str(other)) is None
    assert get_reader(str(broken)) is None
    assert get_reader(str(tmp_path / "none.ome.tif")) is None
    assert get_reader([str(other)]) is None


def test_an_opened_file_is_found_as_lr_and_its_crop_records_reach_the_result(
    tmp_path, tiny_bundle_file
):
    crops = tuple(Crop("B01.tif", "B01", float(k), 2.0, "high") for k in range(3))
    stack = CellStack(lr_cells(), ("nucleus", "protein"), "N", crops=crops)
    write_stack(tmp_path / "lr.ome.tif", stack, description="d")
    bench = Bench(tiny_bundle_file, tmp_path / "settings.json", steps=1)
    for layer in layers_of(tmp_path / "lr.ome.tif"):
        bench.viewer.add_layer(layer)
    bench.controller.guess_inputs()
    bench.controller.start()
    bench.thread.finish()
    kept = bench.sr[0].metadata["napari-rls"]
    assert [crop["y"] for crop in kept["crops"]] == [0, 1, 2]


@pytest.mark.parametrize("pixel_size", [None, 0.5])
def test_lr_and_hr_sample_layers_cover_the_same_ground(pixel_size):
    size = None if pixel_size is None else 8 * pixel_size
    lr = CellStack(lr_cells(), ("a", "b"), pixel_size_um=size)
    hr = CellStack(np.zeros((3, 2, 32, 32)), ("a", "b"), pixel_size_um=pixel_size)
    viewer = ViewerModel()
    for entry in (*layer_data(lr, "LR", factor=8), *layer_data(hr, "GT")):
        viewer.add_layer(Layer.create(*entry))
    extents = [layer._extent_augmented.world[:, 1:] for layer in viewer.layers]
    for extent in extents[1:]:
        np.testing.assert_allclose(extent, extents[0])
