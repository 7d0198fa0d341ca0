from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from napari.layers._source import layer_source
from train_bench import CENTRES, SMALL, TrainBench, small_plan, write_fields

from napari_rls.models.bundle import load_bundle
from napari_rls.training.checkpoint import load_generator
from napari_rls.training.run import train
from napari_rls.training.run_folder import RunFolder
from napari_rls.widgets.state import Level, Phase
from napari_rls.widgets.train_layers import COLUMNS, GAP, PAGE, montages
from napari_rls.widgets.train_plan import Plan
from napari_rls.workflow.stack import InputError

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


def weights(plan: Plan) -> dict[str, torch.Tensor]:
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
    assert "No open layer comes from a TIFF file" in bench.said
    bench.viewer.add_image(np.zeros((4, 4)), name="not saved")
    for k in (1, 0):
        with layer_source(path=str(fields / f"f{k}.ome.tif")):
            bench.viewer.add_image(np.zeros((2, 4, 4)), channel_axis=0)
    bench.controller.choose_open_images()
    assert bench.state.plan.images == (str(fields / "f1.ome.tif"), str(fields / "f0.ome.tif"))


def test_wrong_input_is_refused_in_a_sentence(bench, tmp_path, fields):
    control, state = bench.controller, bench.state
    control.train()
    assert bench.said == "Choose the images to train on first."
    control.choose_images([str(tmp_path / "nothing*.tif")])
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
    control.train()
    assert "must say for every channel what the files call it" in bench.said
    control.change("channels", "")
    control.find_cells()
    assert bench.said == "Name the channels of the images, as in DNA,GFP."
    assert bench.thread.started == 1
    control.change("channels", "a,b,c")
    bench.train()
    assert "has 2 channel(s)" in bench.said
    assert (state.message.level, state.phase) == (Level.ERROR, Phase.IDLE)


def test_settings_are_remembered(ready):
    ready.controller.change_setting("kimg", 7)
    ready.controller.change("licence", "CC0-1.0")
    again = Plan.load(ready.memory)
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
    control.train()
    ready.thread.run_until(lambda: state.curves.reports)
    control.cancel()
    assert state.phase is Phase.STOPPING
    control.train()
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
    ready.controller.train()
    ready.thread.run_until(lambda: ready.state.curves.reports)
    ready.controller.cancel()
    ready.thread.close()
    moved = tmp_path / "elsewhere" / "new-run"
    shutil.move(ready.state.plan.run_folder, tmp_path / "elsewhere" / "new-run")
    other = TrainBench(Plan(), tmp_path / "other.json")
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
    assert "begun on the command line" in bench.said
    (tmp_path / "plan.json").write_text(json.dumps({"name": "x", "size": 3}))
    bench.controller.open_run(tmp_path)
    assert "plan.json is no plan of a run: size" in bench.said
    with pytest.raises(InputError, match="cannot be read"):
        Plan.load(tmp_path / "none.json")


def test_a_run_of_other_settings_and_a_bundle_that_is_there_are_not_overwritten(ready):
    ready.train()
    made = ready.state.plan.bundle.read_bytes()
    ready.controller.change_setting("seed", 3)
    ready.train()
    assert "holds a run of other settings (seed: 0, now 3" in ready.said
    shutil.rmtree(ready.state.plan.run_folder)
    ready.controller.change_setting("seed", 0)
    ready.controller.train()
    assert "already; choose another name" in ready.said
    assert ready.state.plan.bundle.read_bytes() == made


def test_a_longer_run_goes_on_where_the_finished_one_ended(ready):
    ready.train()
    ready.controller.change_setting("kimg", 0.06)
    ready.train()
    assert ready.state.curves.reports[-1].images == 60
    assert ready.said.startswith("Done")


def test_layers_that_the_user_took_away_stay_away(ready):
    ready.controller.train()
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
    ready.controller.train()
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
    assert ready.state.warnings == ("More images are needed.",)
    assert ready.said.startswith("Done")


def test_an_unexpected_error_is_told_and_the_widget_goes_on(ready, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("torch is unwell")

    monkeypatch.setattr("napari_rls.training.run.train", broken)
    ready.train()
    assert "An unexpected error ended the work: torch is unwell" in ready.said
    assert ready.state.phase is Phase.IDLE
    assert set(SMALL) <= set(ready.state.plan.settings.model_dump())
