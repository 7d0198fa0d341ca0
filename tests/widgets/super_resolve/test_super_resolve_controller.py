from __future__ import annotations

import json

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from widget_bench import Bench, lr_cells

from napari_rls.errors import SettingsError
from napari_rls.search.settings import Settings
from napari_rls.widgets.cells.input_state import Inputs, InputState
from napari_rls.widgets.cells.run_words import describe_cells
from napari_rls.widgets.common.state import Level, Phase
from napari_rls.widgets.super_resolve.super_resolve_controller import SuperResolveController
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "config" / "settings.json"


@pytest.fixture
def bench(tiny_bundle_file, memory):
    return Bench(tiny_bundle_file, memory)


def record(layer) -> dict:
    return layer.metadata["napari-rls"]


# -- a run ---------------------------------------------------------------------------------


def test_a_run_ends_with_the_images_that_the_api_gives(bench, tiny_bundle):
    cells = lr_cells()
    bench.add_lr(cells)
    bench.controller.start()
    bench.thread.finish()
    *_, last = super_resolve(cells, tiny_bundle, bench.state.settings)
    for c, layer in enumerate(bench.sr):
        np.testing.assert_allclose(layer.data[:, 0], last.sr[:, c], rtol=1e-5, atol=1e-3)
    assert bench.state.phase is Phase.IDLE
    assert bench.said.startswith("Done: 3 of 3 cells")
    assert bench.state.progress.share == 1


def test_the_sr_layers_are_there_before_the_search_has_begun(bench):
    bench.add_lr()
    bench.controller.start()
    assert len(bench.sr) == 2
    assert record(bench.sr[0])["generated"] is False
    assert bench.state.phase is Phase.RUNNING


def test_one_layer_per_channel_is_updated_in_place(bench):
    bench.add_lr()
    bench.controller.start()
    layers, arrays = bench.sr, [layer.data for layer in bench.sr]
    seen = []
    for _ in range(3):
        bench.thread.step()
        seen.append(arrays[0].copy())
    assert bench.sr == layers
    assert all(layer.data is array for layer, array in zip(layers, arrays, strict=True))
    assert not np.array_equal(seen[0], seen[-1])


def test_progress_tells_cells_objective_and_time_left(bench):
    bench.controller.change("batch_size", 2)
    bench.add_lr()
    bench.controller.start()
    assert (bench.state.progress.share, bench.state.progress.text) == (0, "Loading the bundle")
    shares = [bench.thread.step() and bench.state.progress.share for _ in range(5)]
    # Two batches, of two cells and of one, three steps each.
    np.testing.assert_allclose(shares, [2 / 9, 4 / 9, 2 / 3, 7 / 9, 8 / 9])
    assert bench.state.progress.text.startswith("2 of 3 cells, objective ")
    assert bench.state.progress.text.endswith(" s left")


def test_the_device_is_shown_with_the_reason(bench):
    assert "when a run starts" in bench.state.device
    bench.add_lr()
    bench.controller.change("device", "cpu")
    bench.controller.start()
    bench.thread.step()
    assert "CPU" in bench.state.device
    assert "as asked for" in bench.state.device
    assert "float" in bench.state.device


def test_the_result_carries_complete_provenance(bench):
    crop = {"file": "B01.tif", "well": "B01", "y": 3.5, "x": 7.0, "condition": "high"}
    bench.add_lr(metadata={"napari-rls": {"crops": [crop] * 3}})
    bench.controller.change("seed", 5)
    bench.controller.start()
    bench.thread.finish()
    for layer in bench.sr:
        kept = record(layer)
        assert kept["generated"] is True
        assert kept["complete"] is True
        assert kept["settings"]["seed"] == 5
        assert kept["bundle"]["content_hash"] == bench.manifest.content_hash
        assert kept["input"]["name"] == "LR"
        assert [{name: known[name] for name in crop} for known in kept["crops"]] == [crop] * 3
        assert [cell["status"] for cell in kept["cells"]] == ["done"] * 3
        json.dumps(kept)


def test_a_second_run_while_one_is_on_is_impossible(bench):
    bench.add_lr()
    bench.controller.start()
    bench.controller.start()
    assert bench.thread.started == 1
    bench.thread.step()
    bench.controller.cancel()
    bench.controller.start()  # the thread has not ended yet
    assert bench.thread.started == 1
    bench.thread.ended()
    bench.controller.start()
    assert bench.thread.started == 2


# -- cancel ----------------------------------------------------------------------------------


def test_cancel_keeps_what_was_reached_and_blanks_the_rest(bench):
    bench.controller.change("batch_size", 2)
    bench.add_lr()
    bench.controller.start()
    *_, last = bench.thread.step(2)
    bench.controller.cancel()
    assert bench.thread.stopped
    assert bench.state.phase is Phase.STOPPING
    for c, layer in enumerate(bench.sr):
        np.testing.assert_array_equal(layer.data[:2, 0], last.sr[:, c])
        assert np.isnan(layer.data[2]).all()
        kept = record(layer)
        assert kept["complete"] is False
        assert [cell["status"] for cell in kept["cells"]] == ["searching", "searching", "waiting"]
    assert bench.said.startswith("Cancelled: none of 3 cells was finished, in ")
    assert "; images of the 2 that the search had begun are on their way, and no" in bench.said
    assert [layer.name for layer in bench.sr] == [
        f"SR 8x (generated, cancelled) of LR {channel}" for channel in ("nucleus", "protein")
    ]


def test_late_results_of_a_cancelled_run_never_land(bench):
    bench.add_lr()
    bench.controller.start()
    bench.thread.step()
    bench.controller.cancel()
    before = [layer.data.copy() for layer in bench.sr]
    bench.thread.step()
    bench.thread.ended()
    late = bench.thread.deliver
    update = bench.thread.step()[0]
    for layer, pixels in zip(bench.sr, before, strict=True):
        np.testing.assert_array_equal(layer.data, pixels)
    first = bench.sr
    bench.controller.start()
    fresh = [layer.data.copy() for layer in bench.sr if layer not in first]
    late(update)
    late(RuntimeError("late"))
    assert bench.state.phase is Phase.RUNNING
    now = [layer.data for layer in bench.sr if layer not in first]
    np.testing.assert_array_equal(now, fresh)


def test_cancel_tells_finished_cells_from_those_begun(bench):
    bench.controller.change("batch_size", 2)
    bench.add_lr()
    bench.controller.start()
    bench.thread.step(4)  # 3 of the first batch
    bench.controller.cancel()
    assert bench.said.startswith("Cancelled: 2 of 3 cells finished, 1 more begun, in ")


def test_cancel_before_the_first_update_leaves_no_layer(bench):
    bench.add_lr()
    bench.controller.start()
    bench.controller.cancel()
    assert bench.sr == []
    assert bench.said.startswith("Cancelled: nothing was computed yet, so that there is no SR")
    assert [layer.name for layer in bench.viewer.layers] == ["LR"]


def test_a_run_keeps_nothing_large_after_its_end(bench):
    bench.add_lr()
    bench.controller.start()
    bench.thread.finish()
    assert bench.controller._run is None


# -- layers that change during a run -----------------------------------------------------


def test_removing_the_sr_layers_cancels_the_run(bench):
    bench.add_lr()
    bench.controller.start()
    bench.thread.step()
    one, other = bench.sr
    bench.viewer.layers.remove(one)
    assert bench.state.phase is Phase.RUNNING
    bench.thread.step()
    bench.viewer.layers.remove(other)
    assert bench.thread.stopped
    assert "was removed" in bench.said


def test_the_lr_layer_may_be_renamed_changed_or_removed_during_a_run(bench, tiny_bundle):
    cells = lr_cells()
    layer = bench.add_lr(cells.copy())
    bench.controller.start()
    bench.thread.step()
    layer.name = "renamed"
    layer.data[:] = 0
    bench.viewer.layers.remove(layer)
    bench.controller.follow_layers()
    bench.thread.finish()
    *_, last = super_resolve(cells, tiny_bundle, bench.state.settings)
    np.testing.assert_allclose(bench.sr[0].data[:, 0], last.sr[:, 0], rtol=1e-5, atol=1e-3)
    assert bench.said.startswith("Done: 3 of 3 cells")
    assert bench.state.inputs.lr == (None,)


def test_what_is_missing_after_a_run_is_known_when_it_ends(bench):
    lr = bench.add_lr()
    bench.controller.start()
    bench.thread.step(1)
    bench.viewer.layers.remove(lr)
    bench.controller.follow_layers()
    bench.thread.finish()
    assert bench.said.startswith("Done")
    assert bench.state.obstacle == "Open an image with LR cells and choose it as the LR layer."
    assert (bench.state.reading, bench.state.estimate) == ("", "")


def test_closing_the_widget_stops_the_run_and_keeps_the_result(bench):
    bench.add_lr()
    bench.controller.start()
    bench.thread.step()
    bench.controller.close()
    assert bench.thread.stopped
    assert record(bench.sr[0])["generated"] is True
    assert not np.isnan(bench.sr[0].data).any()


# -- cells and images that cannot be searched ---------------------------------------------


def test_bad_cells_are_skipped_with_number_and_reason_and_the_rest_is_done(bench):
    cells = lr_cells(5).astype(np.float32)
    cells[1, 0, 2, 2] = np.nan
    cells[3] = 7
    bench.add_lr(cells)
    bench.controller.start()
    assert "1 of 5 cells skipped (#1): it holds NaN or infinite values." in bench.said
    assert "1 of 5 cells skipped (#3): every pixel has the same value." in bench.said
    assert bench.state.message.level is Level.WARNING
    bench.thread.finish()
    assert "Done: 3 of 5 cells" in bench.said
    pixels = bench.sr[0].data
    assert np.isnan(pixels[[1, 3]]).all()
    assert np.isfinite(pixels[[0, 2, 4]]).all()
    assert [cell["status"] for cell in record(bench.sr[0])["cells"]] == [
        "done", "skipped", "done", "skipped", "done"
    ]  # fmt: skip


def test_nothing_starts_when_no_cell_can_be_searched(bench):
    bench.add_lr(np.full((2, 2, 4, 4), 7.0))
    bench.controller.start()
    assert bench.thread.started == 0
    assert bench.sr == []
    assert "no cell can be searched" in bench.said
    assert bench.state.message.level is Level.ERROR


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float64])
def test_sr_is_in_the_unit_of_the_lr_image_whatever_its_type(bench, dtype):
    cells = lr_cells().astype(dtype)
    if np.dtype(dtype).itemsize > 1:
        cells = cells * dtype(100)
    if np.issubdtype(dtype, np.signedinteger):
        cells = cells - dtype(3000)
    bench.add_lr(cells)
    bench.controller.change("intensity", "match")
    bench.controller.start()
    bench.thread.finish()
    span = float(cells.max()) - float(cells.min())
    for c, layer in enumerate(bench.sr):
        assert layer.data.dtype == np.float32
        middle = cells[:, c].astype(float).mean()
        assert abs(layer.data.mean() - middle) < span


def test_the_wrong_size_is_told_at_once_and_nothing_starts(bench):
    bench.add_lr()
    bench.controller.choose_inputs(
        Inputs(False, (bench.viewer.add_image(lr_cells(size=5), name="odd"),), (None,), (0, 1))
    )
    assert "odd has cells of 5 x 5 pixels" in bench.said
    assert "16 x 16, 8 x 8, 4 x 4" in bench.said
    bench.controller.start()
    assert bench.thread.started == 0


def test_an_hr_image_in_the_place_of_an_lr_image_is_told_before_a_run(bench):
    hr = bench.viewer.add_image(lr_cells(size=32), name="sharp")
    bench.controller.choose_inputs(Inputs(False, (hr,), (None,), (0, 1)))
    assert "sharp has cells of 32 x 32 pixels, as large as the SR images" in bench.said
    bench.controller.start()
    assert bench.thread.started == 0
    # A part of an HR image has the size of an LR image, and not its pixels.
    options = {"scale": (1, 1, 0.5, 0.5), "units": ("pixel", "pixel", "um", "um")}
    part = bench.viewer.add_image(lr_cells(size=8), name="part", **options)
    bench.controller.choose_inputs(Inputs(False, (part,), (None,), (0, 1)))
    assert "it seems to be an HR image; give an LR one" in bench.said
    assert bench.state.message.level is Level.WARNING
    part.scale = (1, 1, 2, 2)
    bench.controller.check()
    assert "HR image" not in bench.said


def test_an_error_in_the_thread_is_told_in_its_one_sentence(bench):
    bench.add_lr()
    bench.controller.start()
    bench.thread.deliver(SettingsError("cuda is not available: no driver; use device 'auto'."))
    bench.thread.ended()
    assert bench.said == "cuda is not available: no driver; use device 'auto'."
    assert bench.state.message.level is Level.ERROR
    assert bench.state.phase is Phase.IDLE
    assert bench.sr == []


def test_an_unexpected_error_is_told_and_keeps_what_was_reached(bench):
    heard = []
    notification_manager.notification_ready.connect(heard.append)
    bench.add_lr()
    bench.controller.start()
    bench.thread.step()
    bench.thread.deliver(RuntimeError("boom"))
    notification_manager.notification_ready.disconnect(heard.append)
    assert bench.said.startswith("An unexpected error ended the search: boom")
    assert [str(notice.exception) for notice in heard] == ["boom"]
    assert record(bench.sr[0])["complete"] is False


def test_a_thread_that_ends_early_is_not_taken_for_done(bench):
    bench.add_lr()
    bench.controller.start()
    bench.thread.step()
    bench.thread.ended()
    assert bench.state.phase is Phase.IDLE
    assert "before every cell was done" in bench.said


def test_many_skipped_cells_are_summed_up():
    text = describe_cells(dict.fromkeys(range(20), "it is blank"), 30, "skipped")
    assert text == "20 of 30 cells skipped (#0, #1, #2, #3, #4, #5, #6, #7, ...): it is blank."


# -- which layers ---------------------------------------------------------------------------


def test_layers_are_guessed_anew_until_the_user_chooses(bench):
    cells = lr_cells()
    lr = [bench.viewer.add_image(cells[:, 0], name="LR nucleus")]
    bench.controller.follow_layers()
    lr.append(bench.viewer.add_image(cells[:, 1], name="LR protein"))
    bench.controller.follow_layers()
    assert bench.state.inputs.lr == tuple(lr)
    own = Inputs(True, (lr[1], lr[0]), (None, None), (0, 1))
    bench.controller.choose_inputs(own)
    bench.viewer.add_image(cells, name="whole")
    bench.controller.follow_layers()
    assert bench.state.inputs == own
    bench.viewer.layers.remove(lr[0])
    bench.controller.follow_layers()
    assert bench.state.inputs.lr == (lr[1], None)
    assert bench.said == "Choose the LR layer of the channel protein."


def test_the_sr_layers_of_a_run_are_taken_neither_for_lr_nor_for_gt(bench):
    bench.add_lr()
    bench.controller.start()
    bench.controller.follow_layers()
    assert bench.state.inputs.gt == (None,)
    bench.thread.finish()
    bench.controller.follow_layers()
    assert bench.state.inputs.gt == (None,)
    assert bench.said.startswith("Done")


# -- settings ------------------------------------------------------------------------------


def test_settings_are_remembered_from_one_start_to_the_next(bench, memory):
    bench.controller.change("lambda_c", 0.03)
    bench.controller.change("steps", 77)
    later = InputState()
    SuperResolveController(ViewerModel(), later, bench.thread.launch, memory)
    assert later.settings == bench.state.settings
    assert (later.settings.lambda_c, later.settings.steps) == (0.03, 77)
    assert later.manifest.name == "tiny"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "not valid JSON"),
        ('{"steps": -1}', "steps"),
        ('{"bundle": "gone.rls.safetensors"}', "gone.rls.safetensors, is gone"),
    ],
)
def test_what_cannot_be_remembered_is_ignored_with_a_message(tmp_path, content, sentence):
    path = tmp_path / "settings.json"
    path.write_text(content)
    state = InputState()
    SuperResolveController(ViewerModel(), state, lambda *_: None, path)
    assert state.settings == Settings()
    assert sentence in state.message.text
    assert state.message.level is Level.WARNING


def test_settings_saved_by_the_widget_are_those_of_the_command_line(bench, tmp_path):
    bench.controller.change("lambda_w", 3e-5)
    path = tmp_path / "mine.json"
    bench.controller.save_settings(path)
    assert Settings.load(path) == bench.state.settings
    Settings(steps=9, seed=4, bundle=bench.state.settings.bundle).save(path)
    bench.controller.load_settings(path)
    assert bench.state.settings == Settings.load(path)


def test_a_method_brings_its_settings_into_the_form(bench):
    bench.controller.change("seed", 7)
    bench.controller.change("lambda_w", 3e-5)
    bundle, factor = bench.state.settings.bundle, bench.state.settings.factor
    bench.controller.change("method", "pulse")
    expected = Settings(method="pulse", seed=7, bundle=bundle, factor=factor)
    assert bench.state.settings.model_dump() == expected.model_dump()
    bench.controller.change("lambda_w", 1e-5)
    assert "lambda_w must be 0.0 for the method pulse" in bench.said
    assert bench.state.settings.lambda_w == 0
    bench.controller.change("method", "rls")
    assert (bench.state.settings.lambda_w, bench.state.settings.steps) == (5e-5, 100)


def test_layers_of_another_method_say_so(bench):
    bench.add_lr()
    bench.controller.change("method", "pulse")
    bench.controller.change("steps", 3)
    bench.controller.start()
    bench.thread.finish()
    assert [layer.name.split(" (")[0] for layer in bench.sr] == ["SR 8x pulse"] * 2


def test_a_wrong_value_or_file_changes_nothing_and_is_told(bench, tmp_path):
    before = bench.state.settings
    shown = []
    bench.state.events.settings.connect(shown.append)
    bench.controller.change("steps", 0)
    assert shown == [before]  # the field goes back to what holds
    assert "steps" in bench.said
    bench.controller.load_settings(tmp_path / "none.json")
    assert "Cannot read" in bench.said
    bench.controller.change("bundle", str(tmp_path / "none.rls.safetensors"))
    assert "There is no bundle" in bench.said
    assert bench.state.settings == before


def test_the_factor_follows_the_size_of_the_lr_image(bench):
    bench.add_lr(lr_cells(size=4))
    assert (bench.state.factors, bench.state.settings.factor) == ((8,), 8)
    bench.viewer.layers.clear()
    bench.add_lr(lr_cells(size=2))
    assert (bench.state.factors, bench.state.settings.factor) == ((16,), 16)
