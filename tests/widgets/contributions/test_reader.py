from __future__ import annotations

from dataclasses import replace

import npe2
import numpy as np
import pytest
import tifffile
from napari._app_model import get_app_model
from napari._qt.dialogs import qt_reader_dialog
from napari.components import ViewerModel
from napari.layers import Layer
from napari.plugins._npe2 import get_readers
from qtpy.QtWidgets import QFileDialog
from widget_bench import Bench, lr_cells

from napari_rls.errors import InputError
from napari_rls.search.settings import FACTORS, Settings
from napari_rls.widgets.cells.layer_data import layer_data
from napari_rls.widgets.contributions.reader import get_reader, read_as_napari
from napari_rls.widgets.contributions.sample_cells import lr_and_gt_layers
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.simulated import SimulateSettings, simulation_paths
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import kind_of, samples_path, write_result


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
    for path in (str(other), str(broken), str(tmp_path / "none.ome.tif"), [str(other)]):
        assert get_reader(path) is read_as_napari


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


@pytest.mark.parametrize("pixel_size", [None, 2.0])
def test_degraded_cells_of_a_file_cover_the_cells_that_they_come_from(tmp_path, pixel_size):
    hr = CellStack(np.random.default_rng(0).random((3, 2, 32, 32), np.float32), ("DNA", "GFP"), "N")
    hr = replace(hr, pixel_size_um=pixel_size)
    settings = DegradeSettings(factor=8)
    record = {"degrade": settings.model_dump()}
    write_stack(tmp_path / "hr.ome.tif", hr, description="d")
    lr = degrade_stack(hr, settings)
    write_stack(tmp_path / "lr.ome.tif", lr, description="d", record=record)
    fine, coarse = layers_of(tmp_path / "hr.ome.tif")[0], layers_of(tmp_path / "lr.ome.tif")[0]
    assert coarse.data.shape == (3, 4, 4)
    np.testing.assert_allclose(
        fine._extent_augmented.world[:, 1:], coarse._extent_augmented.world[:, 1:]
    )


@pytest.mark.parametrize("told", [None, 8, {}, {"factor": "8"}, {"factor": [8]}, {"factor": 10**9}])
def test_a_record_with_an_odd_factor_places_nothing(tmp_path, told):
    lr = CellStack(lr_cells(), ("DNA", "GFP"), "N")
    write_stack(tmp_path / "lr.ome.tif", lr, description="d", record={"degrade": told})
    np.testing.assert_allclose(layers_of(tmp_path / "lr.ome.tif")[0].scale, 1)


def test_sample_layers_open_with_a_contrast_of_their_own():
    hr = np.zeros((3, 2, 64, 64), np.float32)
    hr[:, :, 30, 30] = 255  # a spot finer than an LR pixel
    layers = lr_and_gt_layers(CellStack(hr, ("DNA", "Golgi")), "cells", {})
    assert [options["name"] for _, options, _ in layers[2:]] == ["LR cells DNA", "LR cells Golgi"]
    for data, options, _ in layers:
        assert options["contrast_limits"] == (data.min(), data.max())
    # With the GT's contrast, the LR image would be nearly black.
    assert layers[2][1]["contrast_limits"][1] < 255 / 8


# -- whose files are whose -------------------------------------------------------------------


NAMES_OF_OTHERS = (
    "image.ome.tif",
    "image.ome.tiff",
    "r02c03f01.ome.tif",
    "plate_B01_s1_w1.ome.tif",
    "Scan_20x.ome.tif",
    "cells_8x.ome.tif",
    "well_ABC8x.ome.tif",
    "SR8x.ome.tif",
    "Scan_ab6.4x.ome.tif",
    "image_6.4x.ome.tif",
    "crops.ome.tif",
    "cells_samples.ome.tif",
    "a.tif",
    "a.csv",
)


def names_of_ours(folder) -> list[str]:
    """Return the names that the package itself gives to image files."""
    runs = [Settings(factor=f, method=m) for f in FACTORS for m in ("rls", "pulse", "rls-plus")]
    sr = [folder / f"My plate.B02_{kind_of(settings)}.ome.tif" for settings in runs]
    made = [simulation_paths(folder, SimulateSettings(assay=a)) for a in ("golgi", "translocation")]
    simulated = [path for paths in made for path in paths.values()]
    paths = [*sr, *map(samples_path, sr), *simulated]
    # Of fields, at any ratio of pixel sizes.
    ratios = (1.5, 5, 6.4, 6.45, 8, 10, 12.8, 12.25, 16)
    paths += [
        folder / f"A01_{kind}{ratio:g}x{part}.ome.tif"
        for ratio in ratios
        for kind, part in (("SR", ""), ("cells_SR", ""), ("SR", "_generated"), ("LR", ""))
    ]
    demo = ["demo_LR8x.ome.tif", "demo_SR8x.ome.tif", "demo_truth.ome.tif", "a_SR16x_trace.ome.tif"]
    return [path.name for path in paths if path.suffix == ".tif"] + demo


def test_only_names_that_we_give_are_offered_to_our_reader(tmp_path):
    npe2.PluginManager.instance().discover()
    for name in NAMES_OF_OTHERS:
        assert "napari-rls" not in get_readers(str(tmp_path / name)), name
    for name in names_of_ours(tmp_path):
        assert "napari-rls" in get_readers(str(tmp_path / name)), name


def test_files_of_others_open_as_if_this_were_not_installed(
    make_napari_viewer, tmp_path, monkeypatch
):
    def ask(*_, **__):
        raise AssertionError("the user was asked which reader to take")

    monkeypatch.setattr(qt_reader_dialog.QtReaderDialog, "get_user_choices", ask)
    data = np.random.default_rng(0).integers(0, 255, (3, 16, 16), np.uint8)
    viewer = make_napari_viewer()
    for name in NAMES_OF_OTHERS:
        if name.endswith((".tif", ".tiff")):
            tifffile.imwrite(tmp_path / name, data, photometric="minisblack")
            # What File > Open and a dropped file come to.
            viewer.window._qt_viewer._qt_open([str(tmp_path / name)], stack=False)
            np.testing.assert_array_equal(viewer.layers[-1].data, data)
            assert viewer.layers[-1].source.reader_plugin == "napari"
    assert len(viewer.layers) == 13


def test_a_file_of_another_with_a_name_of_ours_opens_too(make_napari_viewer, tmp_path, monkeypatch):
    data = np.random.default_rng(0).integers(0, 255, (3, 16, 16), np.uint8)
    for name in ("a_SR8x.ome.tif", "b_SR8x.ome.tif"):
        tifffile.imwrite(tmp_path / name, data, photometric="minisblack")
    offered = []

    def choose(dialog):
        offered.append([button.text() for button in dialog.reader_btn_group.buttons()])
        return dialog._get_plugin_choice(), False

    monkeypatch.setattr(qt_reader_dialog.QtReaderDialog, "get_user_choices", choose)
    viewer = make_napari_viewer()
    paths = [str(tmp_path / "a_SR8x.ome.tif"), str(tmp_path / "b_SR8x.ome.tif")]
    viewer.window._qt_viewer._qt_open(paths[:1], stack=False)
    viewer.window._qt_viewer._qt_open(paths, stack=True)
    assert offered[0][0] == "RLS super-resolution"
    np.testing.assert_array_equal(viewer.layers[0].data, data)
    np.testing.assert_array_equal(viewer.layers[1].data, [data, data])


def test_our_own_file_is_opened_by_the_preselected_reader(
    make_napari_viewer, tmp_path, monkeypatch
):
    stack = CellStack(lr_cells(), ("DNA", "GFP"), "N", pixel_size_um=0.25)
    write_stack(tmp_path / "a_SR8x.ome.tif", stack, description="d", record={"generated": True})
    monkeypatch.setattr(
        qt_reader_dialog.QtReaderDialog,
        "get_user_choices",
        lambda dialog: (dialog._get_plugin_choice(), False),
    )
    viewer = make_napari_viewer()
    viewer.window._qt_viewer._qt_open([str(tmp_path / "a_SR8x.ome.tif")], stack=False)
    dna, gfp = viewer.layers
    assert (dna.name, gfp.name) == ("a_SR8x (generated) DNA", "a_SR8x (generated) GFP")
    np.testing.assert_allclose(dna.scale, (1, 0.25, 0.25))
    assert gfp.metadata["napari-rls"]["generated"] is True


def test_files_of_free_names_open_through_the_file_menu(make_napari_viewer, tmp_path, monkeypatch):
    stack = CellStack(lr_cells(), ("DNA", "GFP"), "N", pixel_size_um=2.0)
    write_stack(tmp_path / "mine.ome.tif", stack, description="d")
    (tmp_path / "broken.ome.tif").write_bytes(b"no tiff")
    names = [str(tmp_path / "mine.ome.tif"), str(tmp_path / "broken.ome.tif")]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (names, ""))
    said = []
    monkeypatch.setattr("napari_rls.widgets.contributions.reader.show_error", said.append)
    viewer = make_napari_viewer()
    get_app_model().commands.execute_command("napari-rls.open").result()
    assert [layer.name for layer in viewer.layers] == ["mine DNA", "mine GFP"]
    assert said == ["broken.ome.tif was not written by napari-rls: open it by File > Open."]


def test_a_damaged_record_of_ours_is_told_and_not_passed_over(tmp_path):
    path = tmp_path / "a_SR8x.ome.tif"
    write_stack(path, CellStack(lr_cells(), ("DNA", "GFP"), "N"), description="d")
    path.write_bytes(path.read_bytes().replace(b'<M K="crops">[', b'<M K="crops">{'))
    with pytest.raises(InputError, match="record of crops is damaged"):
        get_reader(str(path))(str(path))
