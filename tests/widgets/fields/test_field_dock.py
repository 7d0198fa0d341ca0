"""A user with a field in a real window: points, SR in place, what is missing, what is kept."""

from __future__ import annotations

import html
import json

import numpy as np
import pandas as pd
import pytest
from field_bench import COUNTS, OFFSET, drawn_field
from field_window import SCALE, add_field, click, give, layers, put_points

from napari_rls.search.settings import DEFAULT_BUNDLE
from napari_rls.widgets import __main__ as demo_window
from napari_rls.widgets.cells.sr_writer import write_sr_layers
from napari_rls.widgets.common.memory import recall, settings_file
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.fields import field_dock
from napari_rls.widgets.fields.chosen_cells import Which
from napari_rls.widgets.fields.field_dock import FieldWidget
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.fields import psf_of_cells
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.super_resolve.resolver import SuperResolver


def test_from_an_open_field_to_sr_in_its_place(viewer, dock, qtbot):
    lr = add_field(viewer)
    assert "one image of 8 x 16 pixels" in dock.reading.text()
    give(dock, ratio="8")
    assert dock.message.text() == ""
    click(qtbot, dock, dock.run)
    assert dock.message.text().startswith("Done: ")
    assert "The PSF is not known: 0.45 LR pixels are assumed" in dock.message.text()
    sr = layers(viewer, "SR 8x (generated) of plate")
    assert [layer.data.shape for layer in sr] == [(64, 128)] * 2
    assert [layer.colormap.colors[-1].tolist() for layer in sr] != [[1, 1, 1, 1]] * 2
    for layer in sr:
        # HR pixel i lies at LR coordinate (i + 1/2) / ratio - 1/2.
        for i in (0, 17, 60):
            expected = lr[0].data_to_world(((i + 0.5) / 8 - 0.5, (i + 64.5) / 8 - 0.5))
            np.testing.assert_allclose(layer.data_to_world((i, i + 64)), expected)
        record = layer.metadata[PROVENANCE_KEY]
        assert record["generated"] is True
        assert record["microscope"]["ratio"] == 8
        assert record["complete"] is True
    (mask,) = layers(viewer, "Generated in SR")
    assert mask.data.mean() > 0.8
    assert not mask.visible
    # SR degraded again is the LR field.
    means = sr[0].data.reshape(8, 8, 16, 8).mean((1, 3))
    assert np.corrcoef(means.ravel(), lr[0].data.ravel())[0, 1] > 0.8


def test_the_window_shows_the_steps_that_a_run_will_take(make_napari_viewer):
    viewer = make_napari_viewer()
    dock = viewer.window.add_plugin_dock_widget("napari-rls", "Super-resolve a field")[1]

    def shown() -> tuple[int, str]:
        return dock.main.fields["steps"].value, dock.advanced.fields["learning_rate"].value

    def will_be() -> tuple[int, float]:
        taken = dock.controller.shown_settings()
        made = FieldResolver(SuperResolver(dock.state.settings.bundle, dock.state.settings))
        assert made.resolver.settings == taken
        return taken.steps, taken.learning_rate

    assert (shown(), will_be()) == ((40, "0.05"), (40, 0.05))
    # Whatever else is changed, the search stays short, today and as napari starts again.
    dock.main.fields["samples"].value = 2
    assert (shown(), will_be()) == ((40, "0.05"), (40, 0.05))
    kept = settings_file().with_name("field.json")
    assert json.loads(kept.read_text()) == {"samples": 2}
    remembered, _ = recall(kept)
    assert remembered.model_fields_set == {"samples"}
    # No search of this one starts at its field encoder.
    dock.controller.change("bundle", "golgi-simulated-128")
    assert shown() == (100, "0.3")
    dock.controller.change("bundle", DEFAULT_BUNDLE)
    dock.main.fields["steps"].value = 9
    assert (shown(), will_be()) == ((9, "0.05"), (9, 0.05))


def test_points_lie_over_the_cells_and_are_taken_as_they_were_edited(viewer, dock, qtbot):
    lr = add_field(viewer)
    give(dock, ratio="8")
    click(qtbot, dock, dock.look)
    (points,) = layers(viewer, "Cells of")
    assert dock.message.text().startswith("6 cells in the layer Cells of plate DNA: add, ")
    assert "0.45 LR pixels are assumed" in dock.message.text()
    assert not layers(viewer, "SR")
    truth = drawn_field(8.0, 1, 2).places
    apart = np.hypot(*(np.asarray(points.data)[:, None] - truth).transpose(2, 0, 1)).min(0)
    assert (apart < 0.75).all()
    np.testing.assert_allclose(points.data_to_world(truth[0]), lr[0].data_to_world(truth[0]))
    by_hand = np.array([[4.0, 11.0], [3.0, 4.0]])
    put_points(dock, by_hand)
    click(qtbot, dock, dock.run)
    assert "2 of 2 cells" in dock.message.text()
    record = layers(viewer, "SR")[0].metadata[PROVENANCE_KEY]
    places = np.array(record["places"])
    assert np.abs(np.sort(places, 0) - np.sort(by_hand, 0)).max() <= 0.5 / 8
    np.testing.assert_array_equal(points.data, places)


def test_looking_again_leaves_points_alone_that_were_edited(viewer, dock, qtbot):
    add_field(viewer)
    give(dock, ratio="8")
    click(qtbot, dock, dock.look)
    put_points(dock, np.array([[4.0, 11.0]]))
    click(qtbot, dock, dock.look)
    edited, found = layers(viewer, "Cells of")
    np.testing.assert_array_equal(edited.data, [[4.0, 11.0]])
    assert len(found.data) > 1
    # One set of rings is seen, and the other one can be gone back to.
    assert (edited.visible, found.visible) == (False, True)
    assert f"are in the hidden layer {edited.name}: select it" in dock.message.text()
    viewer.layers.selection.active = edited
    click(qtbot, dock, dock.run)
    assert "Done: 1 of 1 cells" in dock.message.text()
    assert f"The points of the layer {edited.name} are taken" in dock.message.text()


def test_points_that_were_drawn_without_finding_are_taken(viewer, dock, qtbot):
    lr = add_field(viewer)
    give(dock, ratio="8")
    places = drawn_field(8.0, 1, 2).places
    drawn = viewer.add_points([lr[0].data_to_world(places[0])], name="by hand")
    click(qtbot, dock, dock.run)
    assert "Done: 1 of 1 cells" in dock.message.text()
    assert "The points of the layer by hand are taken for the cells." in dock.message.text()
    (points,) = layers(viewer, "Cells of plate DNA")
    np.testing.assert_allclose(points.data_to_world(points.data[0]), drawn.data[0], atol=SCALE / 8)
    assert not drawn.visible
    # What was added to it later is not what is meant, unless it is chosen again.
    drawn.add([0.0, 0.0])
    viewer.layers.selection.active = drawn
    click(qtbot, dock, dock.run)
    assert "Done: 1 of 1 cells" in dock.message.text()


def test_points_of_another_field_are_not_taken(viewer, dock, qtbot):
    lr = add_field(viewer)
    give(dock, ratio="8")
    other = {"napari-rls-cells-of": "another field"}
    viewer.add_points([[4.0, 4.0]], metadata=other)
    drawn = [viewer.add_points(np.array([lr[0].data_to_world((4, 4))]), name=n) for n in "ab"]
    viewer.layers.selection.active = lr[0]
    dock.run.native.click()
    assert "There are several layers of points (a, b): select" in dock.message.text()
    for layer in drawn:
        viewer.layers.remove(layer)
    click(qtbot, dock, dock.run)
    assert "nuclei found" in dock.message.text()


def test_what_is_nearest_to_the_middle_of_the_view_comes_first(viewer, dock, qtbot):
    lr = add_field(viewer)
    give(dock, ratio="8")
    click(qtbot, dock, dock.look)
    put_points(dock, drawn_field(8.0, 1, 2).places)
    viewer.scene.camera.center = tuple(lr[0].data_to_world((4.0, 12.0)))
    click(qtbot, dock, dock.run)
    places = layers(viewer, "SR")[0].metadata[PROVENANCE_KEY]["places"]
    assert places[0][1] > places[1][1]


def test_a_second_run_shows_its_result_in_the_same_layers(viewer, dock, qtbot):
    add_field(viewer)
    give(dock, ratio="8")
    click(qtbot, dock, dock.run)
    before = set(viewer.layers)
    click(qtbot, dock, dock.run)
    assert set(viewer.layers) == before


def test_cancel_keeps_the_cells_that_were_finished(viewer, dock, qtbot):
    add_field(viewer)
    give(dock, ratio="8")
    click(qtbot, dock, dock.look)
    put_points(dock, drawn_field(8.0, 1, 2).places)
    dock.main.fields["steps"].value = 60
    dock.advanced.fields["batch_size"].value = 1
    dock.run.native.click()
    qtbot.waitUntil(lambda: "1 of 2 cells" in dock.bar.format(), timeout=120_000)
    dock.cancel.native.click()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=30_000)
    assert dock.message.text().startswith("Cancelled: 1 of 2 cells finished")
    sr = layers(viewer, "SR")
    assert [layer.name[:30] for layer in sr] == ["SR 8x (generated, cancelled) o"] * 2
    record = sr[0].metadata[PROVENANCE_KEY]
    assert record["complete"] is False
    assert [cell["status"] for cell in record["cells"]].count("done") == 1
    assert not dock.measure.enabled
    assert "super-resolve again to measure" in dock.measure.native.toolTip()
    (mask,) = layers(viewer, "Generated in SR")
    assert 0.4 < mask.data.mean() < 0.6


def test_cancel_before_a_cell_is_finished_takes_the_sr_layers_away(viewer, dock, qtbot):
    add_field(viewer)
    give(dock, ratio="8")
    dock.main.fields["steps"].value = 10_000
    dock.run.native.click()
    qtbot.waitUntil(lambda: bool(layers(viewer, "SR")), timeout=120_000)
    dock.cancel.native.click()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=30_000)
    assert dock.message.text() == "Cancelled: no cell was super-resolved."
    assert not layers(viewer, "SR")
    assert len(layers(viewer, "Cells of")) == 1


def test_the_ratio_must_be_given_where_pixel_sizes_do_not_tell_it(viewer, dock):
    add_field(viewer)
    sentence = 'pixel size is not; give the ratio, "Ratio of pixel sizes", which is HR pixels'
    assert sentence in dock.message.text()
    for button in (dock.look, dock.run):
        assert not button.enabled
        assert sentence in html.unescape(button.native.toolTip())
    give(dock, ratio="8")
    assert dock.look.enabled
    give(dock, ratio="1")
    assert dock.message.text() == "Settings of the field: ratio must be 1.5 or more."
    assert dock.optics.fields["ratio"].value == "8"


def test_a_layer_that_is_no_field_of_the_bundle_is_one_sentence(viewer, dock):
    give(dock, ratio="8")
    viewer.add_image(np.zeros((20, 30), np.uint16), name="one channel")
    assert "one channel has one channel and the bundle" in dock.message.text()
    assert not dock.run.enabled
    assert "one channel has one channel" in dock.run.native.toolTip()


def test_a_field_of_the_size_of_a_cell_is_taken_but_a_stack_of_cells_is_not(viewer, dock):
    give(dock, ratio="8")
    cells = viewer.add_image(np.ones((5, 2, 8, 8), np.uint16), name="cells")
    assert "The open images have the size of single cells" in dock.message.text()
    viewer.layers.remove(cells)
    viewer.add_image(np.ones((2, 32, 32), np.uint16), name="field")
    assert "one image of 32 x 32 pixels" in dock.reading.text()
    assert dock.run.enabled


def test_wrong_noise_is_one_sentence(viewer, dock):
    add_field(viewer)
    give(dock, ratio="8", noise="100,2")
    assert "The noise is '100,2'; give auto, or three numbers" in dock.message.text()
    assert not dock.run.enabled


def test_points_outside_or_none_are_one_sentence(viewer, dock, qtbot):
    add_field(viewer)
    give(dock, ratio="8")
    click(qtbot, dock, dock.look)
    put_points(dock, np.array([[4.0, 4.0], [4.0, 40.0]]))
    dock.run.native.click()
    assert "1 of the points of Cells of plate DNA lie outside the field" in dock.message.text()
    put_points(dock, np.empty((0, 2)))
    dock.run.native.click()
    assert "has no points: add some" in dock.message.text()
    assert dock.state.phase is Phase.IDLE


def test_what_was_refused_is_forgotten_once_the_old_value_is_back(viewer, dock):
    add_field(viewer)
    give(dock, ratio="8")
    give(dock, ratio="0.5")
    assert "ratio must be 1.5 or more" in dock.message.text()
    assert dock.state.optics.ratio == 8
    give(dock, ratio="8")
    assert dock.message.text() == ""


def test_channels_first_without_names_are_doubted(viewer, dock):
    field = drawn_field(8.0, 1, 2).lr.data[0]
    series = np.stack([field, field, field], axis=1)
    assert series.shape[:2] == (2, 3)
    viewer.add_image(series, name="c t y x")
    give(dock, ratio="8")
    assert "Its other axis has 2, as many as the bundle has channels" in dock.message.text()
    viewer.layers.clear()
    viewer.add_image(series, name="c t y x", axis_labels=("c", "t", "y", "x"))
    assert "Its other axis" not in dock.message.text()
    assert "Read as 3 fields" in dock.reading.text()


def test_of_several_fields_the_one_that_is_shown_is_taken(viewer, dock, qtbot):
    field = drawn_field(8.0, 1, 2).lr
    stack = np.stack([np.full_like(field.data[0], 100), field.data[0]])
    viewer.add_image(stack, name="series", axis_labels=("t", "c", "y", "x"))
    give(dock, ratio="8")
    viewer.dims.set_current_step(0, 1)
    told = "Of 2 fields along t the one that is shown is taken, field 2."
    assert told in dock.reading.text()
    click(qtbot, dock, dock.run)
    sr = layers(viewer, "SR")
    assert [layer.data.shape for layer in sr] == [(1, 1, 64, 128)] * 2
    assert sr[0].data_to_world((0, 0, 0, 0))[0] == 1
    assert sr[0].metadata[PROVENANCE_KEY]["input"]["name"] == "series_2"
    click(qtbot, dock, dock.measure)
    assert set(dock.state.measured.table["Metadata_T"]) == {2}


def drawn_around(viewer, lr, place: np.ndarray, *, half: float = 2.0):
    """Draw a rectangle around a place in LR pixels, in the layer's own coordinates."""
    corners = [place + np.array(to) * half for to in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    return viewer.add_shapes([np.array([lr.data_to_world(corner) for corner in corners])])


def choose(dock: FieldWidget, which: Which) -> None:
    dock.which.native.setCurrentText(str(which))
    assert dock.state.which is which


def test_cells_cannot_be_chosen_where_nothing_is_drawn_or_selected(viewer, dock, qtbot):
    lr = add_field(viewer)
    give(dock, ratio="8")
    choose(dock, Which.SELECTED)
    dock.run.native.click()
    assert "There are no points to select: find cells first" in dock.message.text()
    choose(dock, Which.INSIDE)
    dock.run.native.click()
    assert "No shape is drawn: add a Shapes layer" in dock.message.text()
    click(qtbot, dock, dock.look)
    drawn_around(viewer, lr[0], np.array([40.0, 40.0]))
    dock.run.native.click()
    assert "cells lies inside the shapes of Shapes" in dock.message.text()
    choose(dock, Which.SELECTED)
    dock.controller.points.layer.selected_data = set()
    dock.run.native.click()
    assert "No point is selected in Cells of plate DNA" in dock.message.text()
    assert dock.state.phase is Phase.IDLE


def test_cells_that_are_chosen_later_add_to_the_sr_field(viewer, dock, qtbot):
    lr = add_field(viewer)
    give(dock, ratio="8")
    choose(dock, Which.INSIDE)
    click(qtbot, dock, dock.look)
    places = np.concatenate([drawn_field(8.0, 1, 2).places, [[1.0, 7.0]]])
    put_points(dock, places)
    (points,) = layers(viewer, "Cells of")
    drawn_around(viewer, lr[0], places[1])
    click(qtbot, dock, dock.run)
    assert dock.message.text().startswith("Done: 1 of 1 cells")
    np.testing.assert_array_equal(points.data, places)
    sr = layers(viewer, "SR")
    first = sr[0].data.copy()
    (mask,) = layers(viewer, "Generated in SR")
    assert 0.4 < mask.data.mean() < 0.6

    choose(dock, Which.SELECTED)
    points.selected_data = {0}
    click(qtbot, dock, dock.run)
    assert "2 of 2 cells" in dock.message.text()
    assert "1 cell of them by earlier runs." in dock.message.text()
    assert layers(viewer, "SR") == sr
    # The first one is as it was, but where crops overlap.
    np.testing.assert_array_equal(sr[0].data[:, 72:], first[:, 72:])
    assert np.abs(sr[0].data[:, :56] - first[:, :56]).max() > 1
    assert mask.data.mean() > 0.8
    record = sr[0].metadata[PROVENANCE_KEY]
    assert [cell["status"] for cell in record["cells"]] == ["done", "done"]
    kept, added = np.array(record["places"])
    assert np.abs(kept - places[1]).max() <= 0.5 / 8
    assert np.abs(added - places[0]).max() <= 0.5 / 8

    # Rows are cells of both runs, and each selects its point.
    click(qtbot, dock, dock.measure)
    qtbot.waitUntil(lambda: dock.controller._link is not None)
    assert len(dock.state.measured.table) == 2
    dock.state.selected = (0,)
    assert set(points.selected_data) == {1}
    points.selected_data = {0}
    assert dock.state.selected == (1,)

    # Made in another way, it is a field of its own, and what was measured in the other one too.
    outlines = layers(viewer, "SR nuclei of plate DNA")
    dock.main.fields["steps"].value = 4
    click(qtbot, dock, dock.run)
    assert [layer.name for layer in outlines] == ["SR nuclei of plate DNA (kept)"]
    assert outlines[0] in viewer.layers
    assert not outlines[0].visible
    assert "The SR field of other settings stays, in layers of its own." in dock.message.text()
    assert [layer.name.endswith("(kept)") for layer in layers(viewer, "SR 8x")] == [True] * 2 + [
        False
    ] * 2


def test_outlines_go_with_the_result_that_they_were_measured_in(viewer, dock, qtbot):
    add_field(viewer)
    give(dock, ratio="8")
    for _ in range(2):
        click(qtbot, dock, dock.run)
        assert not [layer for layer in viewer.layers if layer.name.startswith("SR nuclei")]
        sr = layers(viewer, "SR 8x")
        click(qtbot, dock, dock.measure)
        qtbot.waitUntil(lambda: dock.controller._link is not None)
        assert len(layers(viewer, "SR nuclei of plate DNA")) == 1
        assert layers(viewer, "SR 8x") == sr


def test_the_psf_width_is_estimated_shown_and_forgotten(viewer, dock, qtbot, monkeypatch):
    monkeypatch.setattr(psf_of_cells, "_DRAWN", 100)  # no more than it takes
    add_field(viewer)
    assert not dock.estimate.enabled
    give(dock, ratio="8")
    click(qtbot, dock, dock.estimate)
    estimate = dock.state.psf.estimate
    assert dock.message.text().startswith("PSF width by ")
    assert "It is filled in." in dock.message.text()
    assert dock.state.optics.psf_sigma == estimate.sigma
    assert float(dock.optics.fields["psf_sigma"].value) == estimate.sigma
    assert not dock.plot.isHidden()
    pixels = dock.state.psf.pixels
    assert pixels.shape[2] == 4
    assert pixels[..., :3].std() > 5
    give(dock, ratio="4")
    assert dock.plot.isHidden()
    dock.lens.fields["psf"].value = "bicubic"
    give(dock, psf_sigma="")
    dock.lens.fields["psf"].value = "bicubic"
    assert "has no width" in dock.estimate.native.toolTip()


def test_a_saved_sr_field_has_its_record(viewer, dock, qtbot, tmp_path):
    add_field(viewer, units="um")
    give(dock, ratio="8")
    click(qtbot, dock, dock.run)
    files = write_sr_layers(tmp_path / "sr.ome.tif", layers(viewer, "SR"))
    assert [file.name for file in files] == ["sr.ome.tif", "sr.json"]
    saved = read_stack(files[0])
    assert saved.data.shape == (1, 2, 64, 128)
    np.testing.assert_array_equal(saved.data[0, 0], layers(viewer, "SR")[0].data)
    assert saved.pixel_size_um == pytest.approx(SCALE / 8)
    assert '"microscope"' in files[1].read_text()
    # Opened without its record, it is not offered as a field to super-resolve again.
    viewer.layers.clear()
    (opened,) = viewer.open(files[0], plugin="napari")
    assert PROVENANCE_KEY not in opened.metadata
    assert not any(dock.state.inputs.lr)
    assert not dock.run.enabled


def test_the_dock_saves_the_sr_field_under_its_ratio(viewer, dock, qtbot, tmp_path, monkeypatch):
    add_field(viewer)
    give(dock, ratio="6.5")
    assert "super-resolve first" in dock.save_sr.native.toolTip()
    click(qtbot, dock, dock.run)
    offered = []

    def choose(_dock, name: str):
        offered.append(name)
        return tmp_path / name

    monkeypatch.setattr(field_dock, "ask_sr_file", choose)
    dock.save_sr.native.click()
    assert offered == ["plate DNA_SR6.5x.ome.tif"]
    assert dock.message.text() == (
        f"SR saved to {tmp_path / offered[0]}, its record to plate DNA_SR6.5x.json."
    )
    viewer.layers.remove(layers(viewer, "SR")[0])
    assert dock.save_sr.enabled
    viewer.layers.remove(layers(viewer, "SR")[0])
    assert not dock.save_sr.enabled


def test_rows_and_points_select_each_other_and_the_table_is_exported(
    viewer, dock, qtbot, tmp_path, monkeypatch
):
    lr = add_field(viewer)
    give(dock, ratio="8")
    assert "super-resolve first" in dock.measure.native.toolTip()
    assert "measure first" in dock.export.native.toolTip()
    click(qtbot, dock, dock.look)
    put_points(dock, drawn_field(8.0, 1, 2).places)
    click(qtbot, dock, dock.run)
    click(qtbot, dock, dock.measure)
    qtbot.waitUntil(lambda: dock.controller._link is not None)
    assert dock.message.text().startswith("Done: 2 cells measured.")
    # What stands for no light is subtracted, as the command does.
    record = layers(viewer, "SR")[0].metadata[PROVENANCE_KEY]
    offset = dock.state.measured.record["settings"]["camera_offset"]
    assert offset == pytest.approx(record["intensity"]["low"][1], rel=1e-5)
    table = dock.state.measured.table
    assert len(table) == dock.table.table.rowCount() == 2
    (points,) = layers(viewer, "Cells of")
    for row in (1, 0):
        dock.table.selectRow(row)
        cell = int(dock.table.table.cells[row])
        assert set(points.selected_data) == {cell}
        centre = viewer.scene.camera.center[-2:]
        np.testing.assert_allclose(centre, points.data_to_world(points.data[cell]))
        place = table[["Location_Center_Y", "Location_Center_X"]].to_numpy()[cell]
        np.testing.assert_allclose(lr[0].data_to_world(place), centre, atol=SCALE)
    points.selected_data = {1}
    assert dock.state.selected == (1,)
    assert {index.row() for index in dock.table.selectedIndexes()} == {1}
    dock.table.clearSelection()
    assert set(points.selected_data) == set()
    assert np.allclose(points.border_color[:, 3], 0.35, atol=0.01)
    path = tmp_path / "cells.csv"
    monkeypatch.setattr(field_dock, "ask_where", lambda *_: path)
    dock.export.native.click()
    assert dock.message.text() == f"Table saved to {path}."
    assert len(pd.read_csv(path)) == 2
    # Another run has no table yet.
    click(qtbot, dock, dock.run)
    assert dock.results.isHidden()
    assert not dock.export.enabled


def test_the_sample_field_opens_ready_to_run_once_its_bundle_is_chosen(viewer, dock, qtbot):
    viewer.open_sample("napari-rls", "simulated-field")
    assert "fit the bundle golgi-simulated-128 (DNA, Golgi): choose it" in dock.message.text()
    dock.controller.change("bundle", "golgi-simulated-128")
    assert "the channels by their names" in dock.reading.text()
    # Its pixel size and the bundle's tell the ratio.
    assert dock.state.optics.ratio == 8
    click(qtbot, dock, dock.look)
    assert "cells in the layer Cells of LR field (simulated, not real) DNA" in dock.message.text()


@pytest.mark.parametrize("sample", ["generated-lr-cells", "simulated-translocation"])
def test_samples_of_cells_are_called_cells(viewer, dock, sample):
    dock.controller.change("bundle", DEFAULT_BUNDLE)
    viewer.open_sample("napari-rls", sample)
    assert "The open images have the size of single cells" in dock.message.text()
    assert "or Super-resolve cells in the menu of plugins." in dock.message.text()


def test_the_dock_for_cells_names_this_one(viewer):
    add_field(viewer)
    cells = viewer.window.add_plugin_dock_widget("napari-rls", "Super-resolve cells")[1]
    assert "If it is a whole field, choose Super-resolve a field" in cells.message.text()


def test_the_demo_s_field_is_super_resolved_and_measured(make_napari_viewer, monkeypatch, qtbot):
    # A viewer that is closed after the test.
    monkeypatch.setattr(demo_window.napari, "Viewer", make_napari_viewer)
    viewer, widget = demo_window.open_field(cells=2)
    assert widget.state.settings.bundle == "golgi-simulated-128"
    assert widget.state.optics.ratio == 8
    widget.controller.use_settings(widget.state.settings.model_copy(update={"steps": 2}))
    demo_window.work_on(widget)
    qtbot.waitUntil(lambda: widget.state.measured is not None, timeout=120_000)
    qtbot.waitUntil(lambda: widget.state.phase is Phase.IDLE, timeout=10_000)
    names = [layer.name for layer in viewer.layers]
    assert names[:2] == [f"LR field (simulated cells, not real) {c}" for c in ("DNA", "Golgi")]
    assert any(name.startswith("SR 8x (generated) of LR field") for name in names)
    assert any(name.startswith("Cells of LR field") for name in names)
    assert widget.table.isVisibleTo(widget)
    assert not settings_file().with_name("field.json").exists()


def test_hr_cells_correct_the_means_of_a_field(viewer, dock, qtbot, tmp_path):
    drawn = drawn_field(8.0, 2, 3)
    path = tmp_path / "B03_LR8x.ome.tif"
    write_stack(path, drawn.lr, description="a field")
    viewer.open(path, plugin="napari-rls")
    tiles = [drawn.hr[:, y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64, 128)]
    crops = tuple(Crop("B03_HR.tif", "", y, x) for y in (31.5, 95.5) for x in (31.5, 95.5, 159.5))
    pixels = (np.stack(tiles) * COUNTS + OFFSET).round().astype(np.uint16)
    hr = CellStack(pixels, drawn.lr.channels, crops=crops, name="few.ome.tif")
    write_stack(tmp_path / "few.ome.tif", hr, description="HR")
    give(dock, ratio="8")
    click(qtbot, dock, dock.run)
    # What cannot be read changes nothing.
    dock.hr_cells.chosen.emit(tmp_path / "none.ome.tif")
    assert dock.message.text() == f"There is no file {tmp_path / 'none.ome.tif'}."
    assert dock.hr_cells.name.text() == "none"
    click(qtbot, dock, dock.measure)
    assert not dock.results.isTabVisible(1)
    dock.hr_cells.chosen.emit(tmp_path / "few.ome.tif")
    assert dock.hr_cells.name.text() == "few.ome.tif"
    assert dock.message.text() == "Measure again to correct means by HR cells."
    click(qtbot, dock, dock.measure)
    assert "means that the HR cells of few.ome.tif correct" in dock.message.text()
    assert dock.results.isTabVisible(1)
    means = dock.state.means.table.iloc[0]
    shown = [dock.means.table.item(0, at).text() for at in range(6)]
    assert shown[:2] == ["SR", "B03"]
    assert shown[2] == f"{means['Mean_Corrected']:.3g}"
    assert shown[5] == f"6 / {len(dock.state.measured.table)}"
    dock.controller.export(tmp_path / "cells.csv")
    written = pd.read_csv(tmp_path / "cells_means.csv")
    assert written.Count_HRCells.iloc[0] == 6
    assert set(pd.read_csv(tmp_path / "cells.csv").Metadata_File) == {"B03_LR8x.ome.tif"}
    # Means are of the file that is chosen: without it there are none.
    dock.hr_cells.remove.native.click()
    assert not dock.results.isTabVisible(1)
    dock.controller.export(tmp_path / "without.csv")
    assert (tmp_path / "without.csv").is_file()
    assert not (tmp_path / "without_means.csv").exists()
    dock.hr_cells.chosen.emit(tmp_path / "few.ome.tif")
    click(qtbot, dock, dock.measure)
    assert dock.results.isTabVisible(1)
    click(qtbot, dock, dock.run)
    assert dock.results.isHidden()
    assert dock.state.means is None
    dock.hr_cells.remove.native.click()
    assert dock.state.hr_cells is None
