from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from napari.layers._source import layer_source
from train_bench import CENTRES, SMALL, StepByStep, TrainBench, small_plan, write_fields

from napari_rls.errors import InputError
from napari_rls.models.bundle import load_bundle
from napari_rls.training.checkpoint import load_generator
from napari_rls.training.run import train
from napari_rls.training.run_folder import RunFolder
from napari_rls.widgets.common.state import Level, Phase
from napari_rls.widgets.train.train_layers import COLUMNS, GAP, PAGE, montages
from napari_rls.widgets.train.train_plan import TrainPlan
from napari_rls.workflow.train.train_time import remember

CROPS = ["Training crops Hoechst", "Training crops GFP"]
GENERATED = ["Generated samples (not real) Hoechst", "Generated samples (not real) GFP"]


@pytest.fixture
def fields(tmp_path):
    return write_fields(tmp_path / "fields")


@pytest.fixture
def bench(tmp_path):
    return TrainBench(small_plan(tmp_path / "out"), tmp_path / "training.json")


@pytest.fixture
def ready(bench, fields):
    bench.choose(fields)
    return bench


def weights(plan: TrainPlan) -> dict[str, torch.Tensor]:
    return load_bundle(plan.bundle).generator.state_dict()


# -- images and settings -------------------------------------------------------------------


def test_images_tell_their_channels_and_which_is_dna(ready):
    plan = ready.state.plan
    assert (plan.channels, plan.dna_channel) == ("Hoechst,GFP", "Hoechst")
    assert ready.state.found == "4 image files"
    assert ready.state.phase is Phase.IDLE


def test_names_that_the_user_gave_stay(bench, fields):
    bench.controller.change("channels", "protein,DNA stain")
    assert bench.state.plan.dna_channel == "DNA stain"
    bench.choose(fields)
    assert bench.state.plan.channels == "protein,DNA stain"


def test_open_layers_give_their_files(bench, fields):
    bench.controller.choose_open_images()
    assert "No open layer comes from an image file" in bench.said
    bench.viewer.add_image(np.zeros((4, 4)), name="not saved")
    for k in (1, 0):
        with layer_source(path=str(fields / f"f{k}.ome.tif")):
            bench.viewer.add_image(np.zeros((2, 4, 4)), channel_axis=0)
    bench.controller.choose_open_images()
    bench.thread.finish()
    assert bench.state.plan.images == (str(fields / "f1.ome.tif"), str(fields / "f0.ome.tif"))


def test_wrong_input_is_refused_in_a_sentence(bench, tmp_path, fields):
    control, state = bench.controller, bench.state
    control.start()
    assert bench.said == "Choose the images to train on first."
    bench.choose(tmp_path / "nothing*.tif")
    assert "There is no image" in bench.said
    before = state.plan
    for change in (
        lambda: control.change("name", "a/b"),
        lambda: control.change_setting("kimg", "much"),
        lambda: control.change_setting("size", 60),
        lambda: control.change_nuclei("min_area", 0),
    ):
        change()
        assert state.message.level is Level.ERROR
        assert state.plan == before
    control.choose_images([str(fields)])
    bench.thread.finish()
    control.change("channels", "DNA=1,GFP")
    control.start()
    assert "must say for every channel what the files call it" in bench.said
    control.change("channels", "")
    control.find_cells()
    assert bench.said == "Name the channels of the images, as in DNA,GFP."
    assert bench.thread.started == 2
    control.change("channels", "a,b,c")
    bench.train()
    assert "has 2 channel(s)" in bench.said
    assert (state.message.level, state.phase) == (Level.ERROR, Phase.IDLE)


def test_settings_are_remembered(ready):
    ready.controller.change_setting("kimg", 7)
    ready.controller.change("licence", "CC0-1.0")
    again = TrainPlan.load(ready.memory)
    assert again == ready.state.plan
    assert (again.settings.kimg, again.licence) == (7, "CC0-1.0")


# -- crops ---------------------------------------------------------------------------------


def test_cells_are_found_and_shown_before_training(ready):
    ready.controller.find_cells()
    ready.thread.finish()
    counts = "9 crops to train on and 3 to validate on, from 4 fields; dropped: 4 nuclei"
    assert counts in ready.state.found
    assert ready.names == CROPS
    dna, gfp = ready.viewer.layers
    assert dna.data.shape == gfp.data.shape
    assert dna.data.dtype == np.uint8
    # Every crop is centred on a bright disc on a dark ground.
    assert dna.data[0, 8, 8] > 150
    assert dna.data[0, 0, 0] < 60
    assert ready.state.phase is Phase.IDLE
    assert not ready.state.begun
    assert len(CENTRES) == 4


def test_pages_hold_every_image_where_it_belongs():
    images = np.random.default_rng(0).random((PAGE + 2, 2, 16, 16))
    pages = montages(images)
    step = 16 + round(GAP * 16)
    assert pages.shape[:2] == (2, 2)
    for k, image in enumerate(images):
        page, place = divmod(k, PAGE)
        y, x = (step * index for index in divmod(place, COLUMNS))
        np.testing.assert_array_equal(pages[page, :, y : y + 16, x : x + 16], image)


# -- a run ---------------------------------------------------------------------------------


def test_a_run_ends_with_a_bundle_curves_and_samples_that_say_what_they_are(ready):
    ready.controller.change("licence", "CC0-1.0")
    ready.controller.change("pixel_size", "0.5")
    ready.train()
    state, plan = ready.state, ready.state.plan
    assert state.message.text.startswith(f"Done: the bundle is {plan.bundle}")
    assert state.bundle == plan.bundle
    manifest = load_bundle(plan.bundle).manifest
    assert (manifest.name, manifest.licence, manifest.pixel_size_um) == ("mine", "CC0-1.0", 0.5)
    place = RunFolder(plan.run_folder)
    kept = [list(asdict(report).values()) for report in place.reports()]
    shown = [list(asdict(report).values()) for report in state.curves.reports]
    np.testing.assert_array_equal(shown, kept)
    assert [report.images for report in state.curves.reports] == [12, 20, 32, 40]
    assert state.curves.scores == tuple(place.scores())
    assert state.curves.best == place.best_score()
    assert state.device == "cpu, float32"

    assert ready.names == CROPS + GENERATED
    average = load_generator(place.checkpoint, plan.job().settings.architecture, part="average.")
    z = torch.randn(PAGE, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        last = (average(z).numpy() + 1) * 127.5
    for c, layer in enumerate(ready.viewer.layers[2:]):
        np.testing.assert_allclose(layer.data[:16, 17:33], last[1, c], atol=1e-3)
        record = layer.metadata["napari-rls"]
        assert (record["generated"], record["images_shown"]) == (True, 40)
        real = ready.viewer.layers[c]
        assert tuple(layer.contrast_limits) == tuple(real.contrast_limits)
        assert layer.extent.world[0][-2] > real.extent.world[1][-2]


def test_cancel_keeps_a_checkpoint_and_resume_ends_as_if_nothing_had_been(ready, tmp_path):
    through = TrainBench(small_plan(tmp_path / "through"), tmp_path / "other.json")
    through.choose(tmp_path / "fields")
    through.train()

    state, control = ready.state, ready.controller
    control.start()
    ready.thread.run_until(lambda: state.curves.reports)
    control.cancel()
    assert state.phase is Phase.STOPPING
    control.start()
    assert ready.thread.started == 2  # looked, trained: not a third time
    ready.thread.close()
    folder = state.plan.run_folder
    assert ready.said.startswith(f"Stopped; {folder} keeps a checkpoint. Resume goes on")
    assert (folder / "checkpoint.safetensors").exists()
    assert state.begun
    assert state.bundle is None
    assert not state.plan.bundle.exists()

    ready.train()
    assert [report.images for report in state.curves.reports] == [12, 20, 32, 40]
    ours, theirs = weights(state.plan), weights(through.state.plan)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_is_opened_from_its_folder_even_if_that_was_moved(ready, tmp_path):
    ready.controller.change_setting("seed", 5)
    ready.controller.start()
    ready.thread.run_until(lambda: ready.state.curves.reports)
    ready.controller.cancel()
    ready.thread.close()
    moved = tmp_path / "elsewhere" / "new-run"
    shutil.move(ready.state.plan.run_folder, tmp_path / "elsewhere" / "new-run")
    other = TrainBench(TrainPlan(), tmp_path / "other.json")
    other.controller.open_run(moved)
    plan = other.state.plan
    assert plan.settings == ready.state.plan.settings
    assert (plan.images, plan.name) == (ready.state.plan.images, "new")
    assert other.state.begun
    other.train()
    assert other.state.bundle == tmp_path / "elsewhere" / "new.rls.safetensors"
    assert [report.images for report in other.state.curves.reports] == [12, 20, 32, 40]


def test_folders_without_a_run_that_can_go_on_are_refused(bench, tmp_path):
    bench.controller.open_run(tmp_path)
    assert "holds no training run" in bench.said
    (tmp_path / "run.json").write_text("{}")
    bench.controller.open_run(tmp_path)
    assert "was begun by an earlier version and has no record" in bench.said
    (tmp_path / "job.json").write_text(json.dumps({"images": ["x"], "size": 3}))
    bench.controller.open_run(tmp_path)
    assert "job.json is no record of a training job" in bench.said
    with pytest.raises(InputError, match="cannot be read"):
        TrainPlan.load(tmp_path / "none.json")


def test_a_run_of_other_settings_and_a_bundle_that_is_there_are_not_overwritten(ready):
    ready.train()
    made = ready.state.plan.bundle.read_bytes()
    ready.controller.change_setting("seed", 3)
    ready.train()
    assert "holds a run of other settings (seed: 0, now 3" in ready.said
    shutil.rmtree(ready.state.plan.run_folder)
    ready.controller.change_setting("seed", 0)
    ready.controller.start()
    assert "already; choose another name" in ready.said
    assert ready.state.plan.bundle.read_bytes() == made


def test_a_longer_run_goes_on_where_the_finished_one_ended(ready):
    ready.train()
    ready.controller.change_setting("kimg", 0.06)
    ready.train()
    assert ready.state.curves.reports[-1].images == 60
    assert ready.said.startswith("Done")


def test_finish_now_stops_the_run_and_makes_a_bundle_of_what_there_is(ready):
    state, control = ready.state, ready.controller
    control.finish()
    assert ready.thread.started == 1  # there is nothing to finish
    control.start()
    assert not state.stoppable
    ready.thread.run_until(lambda: len(state.curves.reports) == 2)
    assert state.stoppable
    control.finish()
    assert state.phase is Phase.STOPPING
    ready.thread.close()
    # The bundle is made at once.
    assert state.phase is Phase.RUNNING
    assert not state.stoppable
    ready.thread.finish()
    assert ready.said.startswith(f"Done: the bundle is {state.plan.bundle}")
    assert load_bundle(state.plan.bundle).manifest.training.kimg == 0.02
    assert state.begun
    # Training can still go on.
    ready.train()
    assert load_bundle(state.plan.bundle).manifest.training.kimg == 0.04


def test_a_run_that_was_cancelled_is_finished_later(ready):
    state, control = ready.state, ready.controller
    control.start()
    ready.thread.run_until(lambda: len(state.curves.reports) == 2)
    control.cancel()
    ready.thread.close()
    assert "Finish now makes a bundle of it as it is" in ready.said
    assert not state.plan.bundle.exists()
    control.finish()
    ready.thread.finish()
    assert state.bundle == state.plan.bundle
    assert load_bundle(state.bundle).manifest.training.kimg == 0.02


def test_the_bar_is_full_at_the_end_only(ready):
    shares, texts = [], []

    def note(progress):
        shares.append(progress.share)
        texts.append(progress.text)

    ready.state.events.progress.connect(note)
    ready.train()
    assert shares[-1] == 1
    assert shares.index(1) == len(shares) - 2  # with the bundle, and "Done"
    assert shares[1:] == sorted(shares[1:])
    last = max(k for k, text in enumerate(texts) if "kimg" in text)
    fitting = [k for k, text in enumerate(texts) if text.startswith("Fitting flow and encoders")]
    assert len(fitting) > 60
    assert shares[last] < shares[fitting[0]] < shares[fitting[-1]]
    assert " left" in texts[last]
    assert " left" in texts[fitting[30]]


def test_finding_cells_has_a_bar_of_its_own(ready):
    seen = []
    ready.state.events.progress.connect(lambda progress: seen.append(progress.share))
    ready.controller.find_cells()
    ready.thread.finish()
    assert [round(share, 2) for share in seen][:5] == [0, 0.25, 0.5, 0.75, 1]


def test_how_long_training_takes_is_told_before_it_begins(bench, fields):
    assert bench.state.estimate == ""
    remember(bench.state.plan.settings, 1.0)  # an image a second
    bench.choose(fields)
    # 40 images, and fits as slow.
    assert re.fullmatch(r"About 4\d s for 0\.04 kimg .*\(estimate\)\.", bench.state.estimate)
    bench.controller.change_setting("kimg", 7.2)
    assert bench.state.estimate == "About 2.0 h for 7.2 kimg on this machine (estimate)."
    bench.controller.change_setting("kimg", 0.04)
    bench.train()
    assert bench.state.estimate == ""


def test_on_a_new_machine_a_few_steps_are_timed_beside_the_user(tmp_path, fields):
    beside = StepByStep()
    bench = TrainBench(small_plan(tmp_path / "out"), tmp_path / "t.json", beside.launch)
    assert beside.started == 0
    bench.choose(fields)
    assert "Measuring how fast this machine trains" in bench.state.estimate
    assert bench.state.phase is Phase.IDLE
    bench.controller.change_setting("kimg", 7)
    beside.finish()
    assert bench.state.estimate.startswith("About ")
    assert "for 7 kimg on this machine (estimate)." in bench.state.estimate
    assert beside.started == 1


def test_what_is_said_of_kid_is_the_same_everywhere(ready):
    assert ready.state.no_score == "not measured yet"
    ready.train()
    # Three held-out cells are too few for it.
    assert not ready.state.scored
    assert ready.state.no_score.startswith("not measured: too few held-out cells")


def test_put_away_crops_and_samples_give_way_to_what_else_is_in_view(ready):
    ready.train()
    other = ready.viewer.add_image(np.ones((20, 30)), translate=(500, 500))
    ready.controller.put_away()
    assert [layer for layer in ready.viewer.layers if layer.visible] == [other]
    assert ready.viewer.scene.camera.center[-2:] == (509.5, 514.5)


def test_layers_stay_the_same_from_one_look_at_the_cells_to_the_next(ready):
    removed = []
    ready.viewer.layers.events.removed.connect(lambda event: removed.append(event.value))
    ready.controller.find_cells()
    ready.thread.finish()
    layers = list(ready.viewer.layers)
    ready.viewer.layers[0].contrast_limits = (1, 2)
    ready.train()
    assert list(ready.viewer.layers)[:2] == layers
    # The same crops: what the user did to the layers stays.
    assert tuple(layers[0].contrast_limits) == (1, 2)
    ready.controller.change("name", "other")
    ready.controller.change_setting("size", 32)
    ready.controller.find_cells()
    ready.thread.finish()
    assert list(ready.viewer.layers) == layers
    assert layers[0].data.shape[-1] > 6 * 32
    assert set(map(str, removed)) == set(GENERATED)


def test_cells_are_shown_beside_layers_of_more_dimensions(ready):
    ready.viewer.add_image(np.zeros((2, 3, 2, 8, 8)), name="samples")
    ready.train()
    assert ready.said.startswith("Done"), ready.said
    assert ready.names == ["samples", *CROPS, *GENERATED]


def test_layers_that_the_user_took_away_stay_away(ready):
    ready.controller.start()
    ready.thread.run_until(lambda: len(ready.names) == 4)
    ready.viewer.layers.remove(GENERATED[0])
    other = np.zeros((3, 3), np.float32)
    ready.viewer.layers[GENERATED[1]].data = other
    ready.thread.finish()
    assert ready.names == [*CROPS, GENERATED[1]]
    assert ready.viewer.layers[GENERATED[1]].data is other
    assert ready.said.startswith("Done")


def edges(layer) -> np.ndarray:
    """Return where a layer's first pixels begin and its last ones end, (2, 2)."""
    return layer.extent.world + np.outer([-0.5, 0.5], layer.scale)


def test_a_run_that_grows_shows_coarse_samples_in_the_same_place(ready):
    ready.controller.change("grow_kimg", "0.02")
    for name, value in {"size": 32, "warmup_kimg": 0.01}.items():
        ready.controller.change_setting(name, value)
    ready.controller.start()
    ready.thread.run_until(lambda: len(ready.names) == 4)
    coarse = edges(ready.viewer.layers[-1])
    assert "at 16 x 16 pixels" in ready.state.progress.text
    assert ready.viewer.layers[-1].data.shape[-1] < ready.viewer.layers[0].data.shape[-1]
    ready.thread.finish()
    assert ready.said.startswith("Done")
    np.testing.assert_allclose(edges(ready.viewer.layers[-1]), coarse)
    assert ready.viewer.layers[-1].data.shape[-1] == ready.viewer.layers[0].data.shape[-1]
    assert [report.images for report in ready.state.curves.reports] == [12, 20, 32, 40]


def test_a_warning_of_training_is_kept_in_sight_once(ready, monkeypatch):
    def warned(*args, **options):
        for step in train(*args, **options):
            yield replace(step, warning="More images are needed.")

    monkeypatch.setattr("napari_rls.training.run.train", warned)
    ready.train()
    warnings = [told for told in ready.state.warnings if told.startswith("More")]
    assert warnings == ["More images are needed."]
    # So small a fit is no good either.
    assert ready.state.warnings[-1].startswith("The flow of the bundle mine does not describe")
    assert ready.said.startswith("Done")


def test_an_unexpected_error_is_told_and_the_widget_goes_on(ready, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("torch is unwell")

    monkeypatch.setattr("napari_rls.training.run.train", broken)
    ready.train()
    assert "An unexpected error ended the work: torch is unwell" in ready.said
    assert ready.state.phase is Phase.IDLE
    assert set(SMALL) <= set(ready.state.plan.settings.model_dump())
