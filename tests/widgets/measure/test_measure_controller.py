"""Measuring in the viewer: which layers, what is said, labels in place, linked selection."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from measure_bench import RATIO, MeasureBench, iou, two_channels
from napari.components import ViewerModel
from widget_bench import Bench, lr_cells

from napari_rls.errors import InputError
from napari_rls.widgets.cells.label_layers import TABLE_KEY
from napari_rls.widgets.common.state import Level, Phase
from napari_rls.widgets.measure.guess_images import guess_images
from napari_rls.widgets.measure.image_pairs import Pair
from napari_rls.widgets.measure.measure_controller import CHANGED, MeasureController, describe
from napari_rls.widgets.measure.measure_state import state_of
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.table_files import read_table

RATIOS = (2.0, 4.0, 0.5)


@pytest.fixture
def bench(tmp_path):
    return MeasureBench(tmp_path / "measurement.json")


def chosen(bench) -> dict[str, list[str]]:
    """Names of the chosen layers of every kind that has any."""
    return {
        kind: [source.layer.name for source in pair.sources]
        for kind, pair in bench.state.images.items()
        if all(pair.sources)
    }


# -- which layers --------------------------------------------------------------------------


def test_any_image_of_cells_is_measured_and_the_ratios_are_right(bench):
    bench.add("plate", two_channels(RATIOS))
    assert chosen(bench) == {"HR": ["plate DNA", "plate GFP"]}
    bench.measure()
    assert bench.state.phase is Phase.IDLE
    np.testing.assert_allclose(bench.table[RATIO], RATIOS, rtol=1e-6)
    assert set(bench.table["Metadata_Image"]) == {"HR"}
    assert bench.said.startswith("Done: 3 cells in HR measured in ")


def test_one_layer_with_a_channel_axis_is_measured_too(bench):
    names = {"napari-rls": {"channels": ["DNA", "GFP"]}}
    axes = ("n", "c", "y", "x")
    bench.viewer.add_image(two_channels(RATIOS), axis_labels=axes, metadata=names, name="cells")
    bench.controller.guess()
    bench.measure()
    column = "Math_Ratio_NucleusCytoplasm_GFP"
    np.testing.assert_allclose(bench.table[column], RATIOS, rtol=1e-6)


def test_one_cell_without_a_cell_axis_is_measured(bench):
    for c, channel in enumerate(("DNA", "GFP")):
        bench.viewer.add_image(two_channels([4.0])[0, c], name=channel)
    bench.controller.guess()
    bench.measure()
    assert bench.table[RATIO].tolist() == pytest.approx([4.0])
    assert bench.state.selected == (0,)


def test_small_layers_beside_large_ones_are_lr(bench):
    bench.add("GT plate", two_channels(RATIOS))
    small = two_channels(RATIOS).reshape(3, 2, 12, 4, 12, 4).mean((3, 5))
    bench.add("LR plate", small)
    assert chosen(bench) == {
        "GT": ["GT plate DNA", "GT plate GFP"],
        "LR": ["LR plate DNA", "LR plate GFP"],
    }
    bench.measure()
    assert list(bench.table["Metadata_Image"]) == ["LR"] * 3 + ["GT"] * 3


def test_a_run_is_found_with_its_samples_lr_and_gt(tiny_bundle_file, tmp_path):
    run = Bench(tiny_bundle_file, tmp_path / "settings.json", samples=2, sample_steps=2)
    run.add_lr()
    run.viewer.add_image(lr_cells(size=32), name="GT")
    run.controller.change("factor", 8)
    run.controller.start()
    run.thread.finish()
    state = state_of(run.viewer)
    thread = type(run.thread)()
    control = MeasureController(run.viewer, state, thread.launch, tmp_path / "m.json")
    images = state.images
    assert all(source.layer in run.sr for source in images["SR"].sources)
    assert images["LR"].dna.layer.name == "LR"
    assert images["GT"].signal.layer.name == "GT"
    control.start()
    thread.finish()
    table = state.result.table
    assert set(table["Metadata_Image"]) == {"LR", "SR", "GT"}
    interval = table.loc[table["Metadata_Image"] == "SR", "Metadata_Interval"]
    assert interval.str.startswith("2 samples, uncorrected").all()
    sr = next(entry for entry in state.result.record["images"] if entry["kind"] == "SR")
    assert sr["run"]["bundle"]["content_hash"] == run.manifest.content_hash


def test_the_summary_tells_what_lr_images_leave_open(bench):
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    result = bench.state.result
    assert "leave" not in describe(result, 1.0)
    result.record["images"].append({"left_open": {RATIO: 0.163, "Nuclei_AreaShape_Area": 0.5}})
    assert describe(result, 1.0).endswith(
        f"By the samples, the LR images leave 16 % of the variance of {RATIO} over cells open."
    )


def test_a_cancelled_run_is_measured_flagged_and_said(tiny_bundle_file, tmp_path):
    run = Bench(tiny_bundle_file, tmp_path / "settings.json", steps=5, batch_size=2)
    run.add_lr()
    run.controller.start()
    run.thread.step(2)
    run.controller.cancel()
    run.thread.ended()
    state = state_of(run.viewer)
    thread = type(run.thread)()
    control = MeasureController(run.viewer, state, thread.launch, tmp_path / "m.json")
    control.start()
    thread.finish()
    sr = state.result.table[state.result.table["Metadata_Image"] == "SR"]
    assert sr["Quality_Unfinished"].tolist() == [True, True, True]
    assert "was interrupted: 3 of 3 cells are not finished (flag Unfinished)" in state.message.text
    assert state.message.level is Level.WARNING


def test_what_is_missing_is_said(bench):
    bench.controller.start()
    assert bench.said == "Choose the DNA and the signal layer of at least one kind of image."
    assert bench.state.message.level is Level.ERROR
    layers = bench.add("plate", two_channels(RATIOS))
    pair = guess_images(layers)["HR"]
    bench.controller.choose_images({"HR": Pair(pair.dna, None)})
    bench.controller.start()
    assert bench.said == "Choose the Signal layer of the HR images too."
    bench.controller.choose_images({"HR": Pair(pair.dna, pair.dna)})
    bench.controller.start()
    assert "are the same channel; choose one for each." in bench.said
    assert bench.thread.started == 0


def test_layers_that_leave_are_forgotten(bench):
    layers = bench.add("plate", two_channels(RATIOS))
    bench.controller.choose_images(bench.state.images)
    bench.viewer.layers.remove(layers[1])
    bench.controller.follow_layers()
    assert bench.state.images["HR"].signal is None
    bench.viewer.layers.clear()
    bench.controller.follow_layers()
    assert chosen(bench) == {}


# -- settings ------------------------------------------------------------------------------


def test_settings_are_changed_checked_and_remembered(bench, tmp_path):
    bench.controller.change_assay("gap", 2.0)
    bench.controller.change_nucleus("min_area", 25)
    assert bench.state.settings.translocation.gap == 2.0
    assert bench.state.settings.translocation.nucleus.min_area == 25
    bench.controller.change_assay("gap", -1.0)
    assert bench.state.settings.translocation.gap == 2.0
    assert bench.said.startswith("Wrong setting: translocation.gap")
    bench.controller.change("assay", "spots")
    again = MeasureController(
        ViewerModel(), type(bench.state)(), None, tmp_path / "measurement.json"
    )
    assert again.state.settings == bench.state.settings


def test_a_plate_map_names_the_conditions_and_a_wrong_one_is_refused(bench, tmp_path):
    crops = [{"file": "f", "well": w, "condition": "", "y": 0, "x": 0} for w in ("A1", "A2", "A2")]
    bench.add("plate", two_channels(RATIOS), metadata={"napari-rls": {"crops": crops}})
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    bench.controller.choose_plate_map(wrong)
    assert bench.state.message.level is Level.ERROR
    assert bench.state.plate_map is None
    other = tmp_path / "other.csv"
    other.write_text("well,condition\nH12,drug\n")
    bench.controller.choose_plate_map(other)
    assert bench.state.message.level is Level.WARNING
    assert bench.said == (
        "other.csv does not tell the condition of A1, A2; it is left empty. The map tells of H12, "
        "and of none of these images."
    )
    good = tmp_path / "plate.csv"
    good.write_text("well,condition\nA01,control\nA02,drug\n")
    bench.controller.choose_plate_map(good)
    assert bench.said == ""
    bench.measure()
    assert bench.table["Metadata_Condition"].tolist() == ["control", "drug", "drug"]


def write_hr(path: Path, ratios: list[float], names: list[str]) -> Path:
    crops = tuple(Crop(f"{name}_HR.tif", y=5.0, x=5.0) for name in names)
    hr = CellStack(two_channels(ratios), ("DNA", "GFP"), crops=crops)
    write_stack(path, hr, description="HR")
    return path


def test_hr_cells_correct_means_that_are_shown_and_saved(bench, tmp_path):
    names = [f"A{k:02d}" for k in range(1, 11)]
    crops = [{"file": f"{name}.tif", "y": 5, "x": 5} for name in names]
    ratios = np.linspace(1, 3, 10)
    told = {"axis_labels": ("n", "y", "x"), "metadata": {"napari-rls": {"crops": crops}}}
    bench.add("plate", two_channels(ratios), **told)
    plate = tmp_path / "plate.csv"
    rows = [f"{name},{'high' if k > 4 else 'low'}" for k, name in enumerate(names)]
    plate.write_text("\n".join(["well,condition", *rows]))
    bench.controller.choose_plate_map(plate)
    bench.controller.choose_hr_cells(tmp_path / "none.ome.tif")
    assert bench.state.message.level is Level.ERROR
    assert bench.state.hr_cells is None
    one = CellStack(two_channels([1.0])[:, :1], ("DNA",))
    write_stack(tmp_path / "one.ome.tif", one, description="HR")
    bench.controller.choose_hr_cells(tmp_path / "one.ome.tif")
    assert bench.said.startswith("one.ome.tif has 1 channel (DNA), and 2 are measured")
    assert bench.state.message.level is Level.ERROR
    assert bench.state.hr_cells is None
    chosen = [0, 1, 2, 3, 6, 7, 8, 9]
    hr = write_hr(tmp_path / "hr.ome.tif", 2 * ratios[chosen], [names[k] for k in chosen])
    bench.controller.choose_hr_cells(hr)
    bench.controller.choose_images({"SR": bench.state.images["HR"]})
    bench.measure()
    assert "The tab Means has the means that the HR cells of hr.ome.tif correct." in bench.said
    means = bench.state.means.table
    of = means[(means["Mean_Of"] == "condition") & (means["Measurement"] == RATIO)]
    expected = [ratios[:5].mean() + ratios[:4].mean(), ratios[5:].mean() + ratios[6:].mean()]
    np.testing.assert_allclose(of["Mean_Corrected"], expected, rtol=1e-5)
    bench.controller.export(tmp_path / "cells.csv")
    bench.thread.finish()
    assert "cells_means.csv" in bench.said
    assert (tmp_path / "cells_means.csv").is_file()
    bench.controller.choose_hr_cells(None)
    assert bench.state.means is None
    bench.controller.choose_hr_cells(hr)
    assert bench.said == "Measure again to correct means by HR cells."
    write_hr(hr, [1, 2], ["B01", "B02"])
    bench.measure()
    assert bench.state.message.level is Level.WARNING
    assert "Means are not corrected: Only 0 of the 2 HR cells" in bench.said
    assert len(bench.table) == 10


# -- a run ---------------------------------------------------------------------------------


def test_cancel_keeps_what_was_measured_before(bench):
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    before = bench.state.result
    bench.controller.start()
    bench.thread.step()
    bench.controller.cancel()
    assert bench.thread.stopped
    assert bench.state.phase is Phase.STOPPING
    bench.thread.finish()  # what comes late is not looked at
    assert bench.state.phase is Phase.IDLE
    assert bench.state.result is before
    assert bench.said == "Cancelled: what was measured before stays."


def test_layers_that_do_not_go_together_are_named(bench):
    bench.add("GT one", two_channels(RATIOS))
    bench.add("LR two", two_channels(RATIOS[:2])[..., ::2, ::2])
    bench.controller.start()
    (error,) = _errors(bench)
    bench.thread.deliver(error)
    assert "LR two holds 2 cells but GT one 3" in bench.said
    assert bench.state.result is None


def _errors(bench):
    try:
        list(bench.thread.job.updates())
    except Exception as error:  # noqa: BLE001
        return [error]
    return []


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".h5ad"])
def test_an_exported_table_reads_back_equal(bench, tmp_path, ending):
    bench.controller.export(tmp_path / f"early{ending}")
    assert bench.said == "There is no table yet: measure first."
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    path = tmp_path / f"table{ending}"
    bench.controller.export(path)
    assert (bench.said, bench.state.saving) == (f"Saving the table to {path}.", True)
    bench.controller.export(tmp_path / "twice.csv")  # one at a time
    bench.thread.finish()
    assert (bench.said, bench.state.saving) == (f"Table saved to {path}.", False)
    assert not (tmp_path / "twice.csv").exists()
    table, record = read_table(path)
    pd.testing.assert_frame_equal(table, bench.table)
    assert record == json.loads(json.dumps(bench.state.result.record))
    bench.controller.export(tmp_path / "table.xlsx")
    bench.thread.finish()
    assert "must be a file that ends in .csv, .parquet or .h5ad" in bench.said


# -- labels and selection ------------------------------------------------------------------


def test_labels_lie_over_the_pixels_that_were_measured(bench):
    options = {"scale": (1, 0.5, 0.5), "translate": (0, 3, 4), "rotate": 10}
    (dna, _) = bench.add("GT plate", two_channels(RATIOS), **options)
    small = two_channels(RATIOS).reshape(3, 2, 12, 4, 12, 4).mean((3, 5))
    bench.add("LR plate", small, scale=(1, 2, 2), translate=(0, 3.75, 4.75))
    bench.measure()
    nuclei = bench.layer("GT nuclei")
    assert nuclei.data.shape == dna.data.shape
    for corner in ([0, 0, 0], [2, 47, 47]):
        np.testing.assert_allclose(nuclei.data_to_world(corner), dna.data_to_world(corner))
    for k in range(3):
        assert set(np.unique(nuclei.data[k])) == {0, k + 1}
        assert iou(nuclei.data[k] > 0, dna.data[k] > 100) > 0.9
    ring = bench.layer("GT cytoplasm rings").data
    assert not (ring.astype(bool) & nuclei.data.astype(bool)).any()
    assert ring[1].max() == 2
    # LR is measured as upsampled: its labels are as fine as the others and in its place.
    lr = bench.layer("LR nuclei")
    assert lr.data.shape == (3, 48, 48)
    np.testing.assert_allclose(lr.data_to_world([0, 1.5, 1.5]), [0, 3.75, 4.75], atol=1e-9)
    assert nuclei.visible
    assert not lr.visible


def test_rows_of_features_and_label_values_go_together(bench):
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    features = bench.layer("HR nuclei").features
    assert features["index"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(features[RATIO], [np.nan, *RATIOS])
    labels = bench.layer("HR nuclei")
    assert labels.metadata[TABLE_KEY] is bench.table
    assert labels.metadata["napari-rls"]["settings"]["assay"] == "translocation"


def test_a_second_measurement_is_shown_in_the_layers_of_the_first(bench):
    dna, _ = bench.add("plate", two_channels(RATIOS))
    bench.measure()
    before = list(bench.viewer.layers)
    bench.layer("HR nuclei").opacity = 0.5
    removed = []
    bench.viewer.layers.events.removed.connect(removed.append)
    # The cells are others now, bigger, and somewhere else.
    dna.data = np.concatenate([dna.data[::-1] + 0, dna.data[:1]])
    bench.layer("plate GFP").data = two_channels([*RATIOS[::-1], 3.0])[:, 1]
    for layer in bench.viewer.layers[:2]:
        layer.scale = (1, 2, 2)
    bench.measure()
    assert list(bench.viewer.layers) == before
    assert not removed  # napari takes half a second for each
    nuclei = bench.layer("HR nuclei")
    assert nuclei.data.shape == (4, 48, 48)
    assert nuclei.scale.tolist() == [1, 2, 2]
    np.testing.assert_allclose(nuclei.features[RATIO][1:], [*RATIOS[::-1], 3.0], rtol=1e-6)
    assert nuclei.metadata[TABLE_KEY] is bench.table
    assert nuclei.opacity == 0.5  # how it looks is the user's


def test_images_that_change_after_they_were_measured_are_told_once(bench):
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    assert bench.said.startswith("Done: ")
    layer = bench.viewer.layers["plate GFP"]
    layer.data = layer.data + 1
    assert bench.said.startswith("Images have changed since they were measured")
    assert bench.state.message.level is Level.WARNING
    bench.measure()
    assert "have changed" not in bench.said
    bench.controller.close()
    said = bench.said
    layer.data = layer.data + 1
    assert bench.said == said


def test_a_table_of_before_is_told_until_another_is_there(bench, tmp_path):
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    layer = bench.viewer.layers["plate GFP"]
    layer.data = layer.data + 1

    def told() -> bool:
        return CHANGED in bench.said and bench.state.message.level is not Level.INFO

    bench.controller.start()
    assert told()
    bench.controller.cancel()
    bench.thread.finish()
    assert bench.said == f"Cancelled: what was measured before stays. {CHANGED}"
    assert told()
    bench.controller.change_nucleus("min_area", 3)
    assert told()
    bench.controller.export(tmp_path / "cells.csv")
    bench.thread.finish()
    assert "cells.csv" in bench.said
    assert told()
    bench.controller.start()
    bench.thread.deliver(InputError("The images cannot be measured."))
    bench.thread.ended()
    assert bench.said.startswith("The images cannot be measured.")
    assert told()
    bench.measure()
    assert "have changed" not in bench.said


def test_images_that_change_while_they_are_measured_are_told_of_the_table_alone(bench):
    bench.add("plate", two_channels(RATIOS))
    layer = bench.viewer.layers["plate GFP"]
    bench.controller.start()
    layer.data = layer.data + 1
    assert "have changed" not in bench.said  # there is no table yet
    bench.controller.cancel()
    bench.thread.finish()
    assert bench.said == "Cancelled: nothing was measured."
    bench.controller.start()
    layer.data = layer.data + 1
    bench.thread.finish()
    assert bench.said.startswith("Done: ")
    assert bench.said.endswith(CHANGED)


def test_layers_of_what_is_no_longer_measured_or_was_removed(bench):
    bench.add("GT plate", two_channels(RATIOS))
    small = two_channels(RATIOS).reshape(3, 2, 12, 4, 12, 4).mean((3, 5))
    layers = bench.add("LR plate", small)
    bench.measure()
    for layer in layers:
        bench.viewer.layers.remove(layer)
    bench.viewer.layers.remove(bench.layer("GT nuclei"))
    bench.measure()
    names = {layer.name for layer in bench.viewer.layers}
    assert names == {"GT plate DNA", "GT plate GFP", "GT cytoplasm rings", "GT nuclei"}
    bench.state.selected = (1,)
    assert bench.layer("GT nuclei").selected_label == 2


def test_labels_come_one_by_one_and_the_next_run_waits_for_them(tmp_path):
    bench, steps = MeasureBench(tmp_path / "measurement.json"), []
    bench.controller._soon = steps.append
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    assert bench.state.result is not None  # the table is there at once
    assert len(bench.viewer.layers) == 2
    steps.pop()()
    assert [layer.name for layer in bench.viewer.layers][2:] == ["HR nuclei"]
    assert bench.state.phase is Phase.STOPPING
    bench.controller.start()
    assert bench.thread.started == 1
    while steps:
        steps.pop()()
    assert [layer.name for layer in bench.viewer.layers][2:] == ["HR nuclei", "HR cytoplasm rings"]
    assert bench.state.phase is Phase.IDLE
    assert bench.said.startswith("Done: 3 cells")
    assert bench.state.selected == (bench.viewer.dims.current_step[0],)


def test_a_panel_closed_before_all_labels_are_there_leaves_the_rest_usable(tmp_path):
    bench, steps = MeasureBench(tmp_path / "measurement.json"), []
    bench.controller._soon = steps.append
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    steps.pop()()
    bench.controller.close()
    steps.pop()()
    assert len(bench.viewer.layers) == 3
    assert bench.state.phase is Phase.IDLE
    bench.controller._soon = lambda step: step()
    bench.measure()
    assert len(bench.viewer.layers) == 4


def test_a_selected_cell_comes_into_view_and_the_slider_selects(bench):
    bench.add("plate", two_channels(RATIOS, centre=(20.0, 28.0)), translate=(0, 100, 0))
    bench.measure()
    assert bench.state.selected == (bench.viewer.dims.current_step[0],)
    bench.state.selected = (2,)
    assert bench.viewer.dims.current_step[0] == 2
    np.testing.assert_allclose(bench.viewer.scene.camera.center[-2:], (120, 28), atol=0.6)
    assert bench.layer("HR nuclei").selected_label == 3
    bench.viewer.dims.set_current_step(0, 1)
    assert bench.state.selected == (1,)
    bench.layer("HR nuclei").selected_label = 1
    assert bench.state.selected == (0,)
    assert bench.viewer.dims.current_step[0] == 0


def test_a_new_measurement_lets_go_of_the_old_link(bench):
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    old, callbacks = bench.state.link, list(bench.viewer.mouse_drag_callbacks)
    bench.measure()
    assert bench.state.link is not old
    assert len(bench.viewer.mouse_drag_callbacks) == len(callbacks)
    assert old._click not in bench.viewer.mouse_drag_callbacks


def click(bench, world, *, dragged: bool = False) -> None:
    """Click on a place in the world, as napari tells mouse callbacks."""
    event = SimpleNamespace(
        type="mouse_press", position=world, view_direction=None, dims_displayed=(1, 2)
    )
    callback = bench.state.link._click(bench.viewer, event)
    next(callback)
    event.type = "mouse_move" if dragged else "mouse_release"
    with pytest.raises(StopIteration):
        next(callback)


def test_a_click_on_a_label_selects_its_cell_but_dragging_and_the_background_do_not(bench):
    bench.add("plate", two_channels(RATIOS))
    bench.measure()
    shown = bench.viewer.dims.current_step[0]
    bench.state.selected = ()
    click(bench, (shown, 23.0, 23.0), dragged=True)
    click(bench, (shown, 1.0, 1.0))
    assert bench.state.selected == ()
    click(bench, (shown, 23.0, 23.0))
    assert bench.state.selected == (shown,)


def test_wells_of_names_are_told_before_measuring_and_kept_in_the_record(bench, tmp_path):
    bench.add("HR", two_channels(RATIOS))
    for layer in bench.viewer.layers:
        layer.metadata = {"napari-rls": {"crops": [{"file": "B03_D05.tif"}] * len(layer.data)}}
    bench.controller.follow_layers()
    assert "B03_D05.tif as D05, not B03" in bench.state.notes
    bench.measure()
    told = bench.state.result.record["wells_from_names"]
    assert told == {"B03_D05.tif": {"well": "D05", "others": ["B03"]}}
    assert set(bench.state.result.table["Metadata_Well"]) == {"D05"}
    plate = tmp_path / "plate.csv"
    plate.write_text("well,condition\nB03,high\n")
    bench.controller.choose_plate_map(plate)
    assert "B03_D05.tif as B03, not D05" in bench.state.notes


def test_channels_that_no_name_tells_apart_are_told_before_measuring(bench):
    bench.add("HR", two_channels(RATIOS))
    assert bench.state.notes == ""
    axes, names = ("n", "c", "y", "x"), {"napari-rls": {"channels": ["GFP", "GFP"]}}
    bench.viewer.layers.clear()
    bench.viewer.add_image(two_channels(RATIOS), axis_labels=axes, metadata=names, name="cells")
    bench.controller.guess()
    assert bench.state.notes == (
        "The channels are called GFP and GFP, which cannot name columns: the table calls them DNA "
        "and Signal."
    )
    bench.measure()
    np.testing.assert_allclose(bench.table["Math_Ratio_NucleusCytoplasm_Signal"], RATIOS, rtol=1e-6)
