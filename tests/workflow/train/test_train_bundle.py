"""The training job: what is kept, what is done again, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file, save_file
from tiny_job import CARD, SETTINGS, full_disk, images, job, run, write_fields
from typer.testing import CliRunner

from napari_rls.cli.main import app
from napari_rls.errors import InputError, KeptError, TrainingError
from napari_rls.evaluation.features import NAME
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.manifest import Intensity
from napari_rls.models.stylegan2 import Generator
from napari_rls.training.checkpoint import load_generator
from napari_rls.training.run_folder import RunFolder, Score
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.train.bundle_card import Card, blueprint_of
from napari_rls.workflow.train.train_bundle import JobUpdate, train_bundle
from napari_rls.workflow.train.train_job import TrainJob, kept_job, settled

GROWING = {
    "grow_kimg": 0.02,
    "settings": SETTINGS.model_copy(update={"warmup_kimg": 0.008}),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_fields(tmp_path / "fields")
    return tmp_path


def stages(updates: list[JobUpdate]) -> list[str]:
    return list(dict.fromkeys(update.stage for update in updates))


def assert_same_run(one: TrainJob, two: TrainJob) -> None:
    first, second = (load_file(RunFolder(j.folder).checkpoint) for j in (one, two))
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


def bundle_of(plan: TrainJob) -> Bundle:
    return load_bundle(plan.out)


def test_stages_and_what_they_tell(folder: Path) -> None:
    plan = job(folder)
    updates = run(plan)
    assert stages(updates) == ["crops", "training", "fitting", "done"]
    (unscored,) = [update for update in updates if "not scored" in update.message]
    assert "that takes at least 10 held-out crops" in unscored.message
    (cut,) = [update for update in updates if update.crops]
    assert cut.crops is not None
    assert (len(cut.crops.training), len(cut.crops.validation)) == (9, 3)
    assert cut.overview is not None
    assert cut.overview.stat().st_size > 1000
    steps = [update.step for update in updates if update.step]
    assert [step.images for step in steps] == list(range(4, 44, 4))
    assert updates[-1].bundle == plan.out
    training = bundle_of(plan).manifest.training
    assert (training.images, training.validation, training.kimg) == (9, 3, 0.04)


def test_files_of_one_channel_each_train_the_same_bundle(folder: Path) -> None:
    for k, image in enumerate(images()):
        for c in (0, 1):
            file = folder / "single" / f"f{k}_w{c + 1}.tif"
            file.parent.mkdir(exist_ok=True)
            tifffile.imwrite(file, image[c], photometric="minisblack")
    whole = job(folder)
    single = job(
        folder,
        images=(str(folder / "single"),),
        pattern="{field}_{channel}.tif",
        sources=("w1", "w2"),
        folder=folder / "other",
    )
    run(whole)
    made = bundle_of(whole)
    run(single)
    assert_same_run(whole, single)
    assert bundle_of(single).manifest.content_hash == made.manifest.content_hash


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int64", "float16"])
def test_crops_are_cut_once(folder: Path, dtype: str) -> None:
    for k, image in enumerate(images()):
        tifffile.imwrite(
            folder / "fields" / f"f{k}.tif", image.astype(dtype), photometric="minisblack"
        )
    plan = job(folder)
    stopped = run(plan, stop_at=(16, 12))
    (cut,) = [update.crops for update in stopped if update.crops]
    resumed = run(plan)
    (kept,) = [update.crops for update in resumed if update.crops]
    assert not [u for u in resumed if "nuclei dropped" in u.message]
    for one, two in ((cut.training, kept.training), (cut.validation, kept.validation)):
        np.testing.assert_array_equal(one.data, two.data)
        assert one.data.dtype == two.data.dtype == np.dtype(dtype)
        assert (one.crops, one.channels) == (two.crops, two.channels)
    assert (cut.summary(), cut.intensity) == (kept.summary(), kept.intensity)


def test_other_images_are_cut_anew_and_refused(folder: Path) -> None:
    plan = job(folder)
    run(plan, stop_at=(16, 12))
    (folder / "run" / "crops-training.ome.tif").write_bytes(b"damaged")
    assert any("nuclei dropped" in update.message for update in run(plan, stop_at=(16, 20)))
    (folder / "fields" / "f3.tif").unlink()
    with pytest.raises(TrainingError, match="holds a run of other settings"):
        run(plan)


@pytest.mark.parametrize("stop_at", [(8, 12), (16, 4), (16, 28)])
def test_a_growing_run_that_was_stopped_ends_the_same(
    folder: Path, stop_at: tuple[int, int]
) -> None:
    through = job(folder, folder=folder / "through", **GROWING)
    assert [u.size for u in run(through) if u.step] == [8] * 5 + [16] * 10
    stopped = job(folder, out=folder / "other.rls.safetensors", **GROWING)
    assert "fitting" not in stages(run(stopped, stop_at))
    assert not stopped.out.exists()
    run(stopped)
    assert_same_run(through, stopped)
    assert bundle_of(through).manifest.content_hash == bundle_of(stopped).manifest.content_hash


def test_the_full_size_starts_from_the_half(folder: Path) -> None:
    plan = job(folder, **GROWING)
    # D learns alone at first, so that the generator is still the grown one.
    run(plan, stop_at=(16, 4))
    small = load_file(plan.folder / "half" / "checkpoint.safetensors")
    now = RunFolder(plan.folder).checkpoint
    large = load_generator(now, SETTINGS.architecture, part="generator.").state_dict()
    shared = [name for name in large if f"generator.{name}" in small]
    assert len(shared) > 20
    assert all(torch.equal(large[name], small[f"generator.{name}"]) for name in shared)
    assert not large["synthesis.b16.torgb.weight"].any()


def test_a_run_starts_from_both_networks_of_a_bundle(folder: Path) -> None:
    first = job(folder)
    run(first)
    second = job(
        folder, start=first.out, folder=folder / "second", out=folder / "b.rls.safetensors"
    )
    learning = second.but(settings=SETTINGS.model_copy(update={"learning_rate": 1e-9}))
    run(learning, stop_at=(16, 4))
    before, after = (load_file(RunFolder(j.folder).checkpoint) for j in (first, learning))
    names = [name for name in before if name.startswith("discriminator.")]
    assert len(names) > 10
    for name in names:
        torch.testing.assert_close(after[name], before[name], rtol=1e-3, atol=1e-3)


def test_a_start_of_another_shape_is_refused(folder: Path) -> None:
    first = job(folder)
    run(first)
    tensors = load_file(first.out)
    tensors["discriminator.b4.out.weight"] = torch.zeros(1, 3)
    save_file(tensors, folder / "other.safetensors")
    with pytest.raises(
        TrainingError, match=r"discriminator.b4.out.weight is missing or not of the shape"
    ):
        run(first.but(start=folder / "other.safetensors", folder=folder / "x"))


def test_a_growing_run_goes_on_only_as_it_was(folder: Path) -> None:
    growing, plain = job(folder, **GROWING), job(folder, folder=folder / "plain")
    run(growing, stop_at=(16, 8))
    run(plain, stop_at=(16, 8))
    with pytest.raises(TrainingError, match=r"half the size for 0\.02 kimg, now 0\.03 are asked"):
        run(growing.but(grow_kimg=0.03))
    with pytest.raises(InputError, match="too few: after growing, the discriminator learns alone"):
        run(growing.but(settings=SETTINGS))
    with pytest.raises(TrainingError, match=r"first weights: grown\.safetensors, now none"):
        run(growing.but(grow_kimg=0))
    with pytest.raises(TrainingError, match="began at full size"):
        run(plain.but(**GROWING))
    with pytest.raises(InputError, match="leave out the start weights"):
        run(growing.but(start=folder / "x.safetensors"))
    with pytest.raises(InputError, match="cannot start at half the size"):
        run(growing.but(settings=SETTINGS.model_copy(update={"size": 8})))


def test_other_words_need_no_other_fit(folder: Path) -> None:
    plan = job(folder)
    run(plan)
    first = bundle_of(plan)
    assert "fitting" not in stages(run(plan))
    assert bundle_of(plan).manifest.content_hash == first.manifest.content_hash
    assert "fitting" not in stages(run(plan.but(card=CARD.but(title="Another"))))
    other = bundle_of(plan)
    assert other.manifest.title == "Another"
    same = {"title": "A tiny one", "content_hash": first.manifest.content_hash}
    assert other.manifest.model_copy(update=same) == first.manifest
    assert all(torch.equal(first.tensors()[name], t) for name, t in other.tensors().items())
    for change in ({"fit_samples": 400}, {"fit_epochs": 2}):
        assert "fitting" in stages(run(job(folder, **change)))
    longer = SETTINGS.model_copy(update={"kimg": 0.06})
    assert "fitting" in stages(run(plan.but(settings=longer)))
    assert bundle_of(plan).manifest.training.kimg == 0.06


def test_the_bundle_is_made_of_the_best_generator(folder: Path) -> None:
    plan = job(folder)
    run(plan, stop_at=(16, 20))
    best = Generator(SETTINGS.architecture)
    score = Score(images=20, kid=-1.0, kid_std=0.001, fid=12.5, features="none such")
    RunFolder(plan.folder).add_best(best, score, {})
    run(plan)
    made = bundle_of(plan)
    weights = best.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in made.generator.state_dict().items())
    training = made.manifest.training
    assert (training.kimg, training.kid, training.fid) == (0.02, -1.0, 12.5)
    assert (training.features, training.validation) == ("none such", 3)


def test_the_last_generator_is_taken_on_demand_with_its_own_score(folder: Path) -> None:
    plan = job(folder)
    run(plan)
    place = RunFolder(plan.folder)
    place.add_best(Generator(SETTINGS.architecture), Score(20, -1.0, 0.001, 12.5, "f"), {})
    place.add_score(Score(20, -1.0, 0.001, 12.5, "f"))
    place.add_score(Score(40, 3.0, 0.1, 99.0, "f"))
    run(plan)
    assert bundle_of(plan).manifest.training.kid == -1.0
    assert "training" not in stages([u for u in run(plan.but(generator="last")) if u.step])
    made = bundle_of(plan)
    weights = load_generator(place.checkpoint, SETTINGS.architecture, part="average.").state_dict()
    assert all(torch.equal(weights[k], v) for k, v in made.generator.state_dict().items())
    training = made.manifest.training
    assert (training.kimg, training.kid, training.fid) == (0.04, 3.0, 99.0)


def test_generators_are_scored_by_the_crops_held_out(folder: Path) -> None:
    for k in range(4, 8):
        (folder / "fields" / f"f{k}.tif").write_bytes((folder / "fields" / "f0.tif").read_bytes())
    plan = job(
        folder,
        settings=SETTINGS.model_copy(update={"size": 32, "snapshot_kimg": 0.02}),
        validation=(str(folder / "fields" / "f[4-7].tif"),),
    )
    updates = run(plan)
    assert not [update for update in updates if "not scored" in update.message]
    scores = [update.step.score for update in updates if update.step and update.step.score]
    assert [score.images for score in scores] == [20, 40]
    best = min(scores, key=lambda score: score.kid)
    training = bundle_of(plan).manifest.training
    assert (training.kid, training.fid, training.features) == (best.kid, best.fid, NAME)
    assert training.kimg == best.images / 1000


def test_the_share_goes_from_0_to_1_through_all_stages(folder: Path) -> None:
    updates = run(job(folder))
    shares = [update.share for update in updates]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    stage = {name: [u for u in updates if u.stage == name] for name in stages(updates)}
    assert [u.part for u in stage["crops"]] == [0, 0.25, 0.5, 0.75, 1, 1]
    trained = [u for u in stage["training"] if u.step]
    assert trained[-1].share < stage["fitting"][0].share < 1
    assert trained[-1].part == 1
    fitted = [u.part for u in stage["fitting"]]
    # An epoch of the flow, the generated images, an epoch of each of three encoders.
    assert len(fitted) >= 1 + 2 + 3 * 20
    assert len(set(fitted)) > 60
    assert all(u.seconds_left is not None and u.seconds_left >= 0 for u in stage["fitting"])
    # What is left after the last step are the fits.
    assert trained[-1].seconds_left == pytest.approx(stage["fitting"][0].seconds_left, rel=0.5)
    assert [u for u in updates if u.unscored]


def test_a_growing_run_has_one_bar_too(folder: Path) -> None:
    updates = run(job(folder, **GROWING))
    shares = [update.share for update in updates]
    assert shares == sorted(shares)
    half = [u for u in updates if u.step and u.size == 8]
    full = [u for u in updates if u.step and u.size == 16]
    assert half[-1].part == full[-1].part == 1
    assert half[-1].share < full[0].share < full[-1].share < 1
    assert half[-1].seconds_left > full[-1].seconds_left


def test_a_run_can_be_finished_at_any_time(folder: Path) -> None:
    plan = job(folder)
    for why in ("there is nothing to finish", "there is nothing to finish"):
        with pytest.raises(InputError, match=why):
            list(train_bundle(plan, finish=True))
        run(plan, stop_at=(16, 4))
        RunFolder(plan.folder).checkpoint.unlink()
    run(plan, stop_at=(16, 20))
    best = Generator(SETTINGS.architecture)
    score = Score(images=12, kid=0.5, kid_std=0.001, fid=12.5, features="none such")
    RunFolder(plan.folder).add_best(best, score, {})
    before = RunFolder(plan.folder).checkpoint.read_bytes()
    updates = list(train_bundle(plan, finish=True))
    assert stages(updates) == ["crops", "fitting", "done"]
    assert [u.share for u in updates] == sorted(u.share for u in updates)
    made = bundle_of(plan)
    assert made.manifest.training.kimg == 0.012
    weights = best.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in made.generator.state_dict().items())
    assert RunFolder(plan.folder).checkpoint.read_bytes() == before
    # Killed before the first checkpoint, but not before the first score.
    RunFolder(plan.folder).checkpoint.unlink()
    list(train_bundle(plan, finish=True))
    assert not bundle_of(plan).discriminator
    with pytest.raises(TrainingError, match=r"other settings \(seed: 0, now 1"):
        list(train_bundle(plan.but(settings=SETTINGS.model_copy(update={"seed": 1})), finish=True))


def test_a_run_at_half_the_size_cannot_be_finished(folder: Path) -> None:
    plan = job(folder, **GROWING)
    run(plan, stop_at=(8, 8))
    with pytest.raises(InputError, match="still at half the size"):
        list(train_bundle(plan, finish=True))
    run(plan, stop_at=(16, 8))
    list(train_bundle(plan, finish=True))
    assert bundle_of(plan).manifest.training.kimg == 0.008


def test_the_record_tells_the_whole_job_wherever_the_folder_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    plan = job(
        folder,
        images=("fields/f[0-2].tif",),
        validation=("fields/f3.tif",),
        folder=Path("run"),
        sources=("0", "1"),
        dna_channel="0",
        generator="last",
    )
    run(plan, stop_at=(16, 12))
    moved = (folder / "run").rename(folder / "moved")
    kept = kept_job(moved)
    assert kept == settled(plan).but(folder=moved)
    assert kept.images == (str(folder / "fields" / "f[0-2].tif"),)
    assert kept.dna_channel == "DNA"
    run(kept, stop_at=(16, 20))
    assert kept_job(moved) == kept


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "no record of a training job"),
        (b"[]", r"no record of a training job: it must be names with values\.$"),
        (b"null", r"no record of a training job: it must be names with values\.$"),
        (b"\xff\xfe", r"no record of a training job: it is no UTF-8 text \(byte 0\)\.$"),
        (b"[" * 100_000, r"no record of a training job: it is nested more than 50 deep\.$"),
        (b'{"images": ["x"], "surprise": 1}', "no record of a training job"),
    ],
)
def test_a_damaged_record_is_said_to_be_one(tmp_path: Path, text: bytes, why: str) -> None:
    with pytest.raises(InputError, match="holds no training run"):
        kept_job(tmp_path)
    (tmp_path / "job.json").write_bytes(text)
    with pytest.raises(InputError, match=why):
        kept_job(tmp_path)


def test_a_record_of_an_earlier_version_is_read(folder: Path) -> None:
    plan = job(folder)
    run(plan, stop_at=(16, 4))
    path = plan.folder / "job.json"
    record = json.loads(path.read_text())
    words = ("name", "title", "licence", "attribution", "pixel_size_um")
    record["card"] = {name: record["card"][name] for name in words}
    path.write_text(json.dumps(record))
    assert kept_job(plan.folder) == settled(plan)


def test_a_blueprint_in_place_of_words(folder: Path) -> None:
    told = blueprint_of(CARD, SETTINGS, 300).model_copy(
        update={
            "limits": "Known ones.",
            "intensity": Intensity(note="stretched", low=0.0, high=255.0),
            "data": "Four fields.",
        }
    )
    plan = job(folder, card=told)
    run(plan)
    manifest = bundle_of(plan).manifest
    assert (manifest.limits, manifest.intensity.note) == ("Known ones.", "stretched")
    assert (manifest.training.data, manifest.training.images) == ("Four fields.", 9)
    assert kept_job(plan.folder).card == told
    with pytest.raises(InputError, match="not one of this size and channels"):
        run(plan.but(settings=SETTINGS.model_copy(update={"size": 32})))


def test_start_weights_that_are_not_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*x\.safetensors to start from"):
        run(job(folder, start=folder / "x.safetensors"))


def test_words_that_cannot_stand_are_refused_before_there_is_a_job() -> None:
    with pytest.raises(InputError, match="cannot be described so: name"):
        CARD.but(name="/")
    with pytest.raises(InputError, match="cannot be described so: title"):
        Card.of(name="x", title="\x1b[2J")


def test_a_folder_of_other_files_is_left_alone(folder: Path) -> None:
    plan = job(folder, folder=folder / "fields")
    with pytest.raises(TrainingError, match="holds files but no training run"):
        run(plan)
    assert len(list((folder / "fields").iterdir())) == 4


def test_a_full_disk(folder: Path) -> None:
    plan = job(folder)
    with (
        full_disk(1000),
        pytest.raises(TrainingError, match=r"Cannot write .*free some disk space"),
    ):
        run(plan)
    run(plan, stop_at=(16, 12))
    run(plan)
    first = plan.out.read_bytes()
    with full_disk(5000), pytest.raises(KeptError, match=r"tiny\.rls\.safe.* no other place"):
        run(plan)
    assert plan.out.read_bytes() == first


def test_crops_record_tells_the_split(folder: Path) -> None:
    plan = job(folder)
    run(plan, stop_at=(16, 4))
    record = json.loads((plan.folder / "crops.json").read_text())
    assert (len(record["files"]["training"]), len(record["files"]["validation"])) == (3, 1)
    assert not set(record["files"]["training"]) & set(record["files"]["validation"])


def test_a_training_that_is_finished_early_says_so(folder: Path) -> None:
    plan = job(folder, fit_samples=3000, fit_epochs=10)
    run(plan, stop_at=(16, 12))
    *_, last = train_bundle(plan, finish=True)
    early = "Its training was finished early, at 0.012 of 0.04 thousand images."
    assert last.doubts == (early,)
    assert last.message.endswith(early)
    manifest = load_bundle(plan.out).manifest
    assert manifest.limits.endswith(early)
    # The flow is fitted whenever a bundle is made.
    assert manifest.flow_fit.epochs == 10
    assert manifest.flow_fit.ks_distance < 0.3
    assert manifest.flow_doubt == ""
    run(plan)
    assert "finished early" not in load_bundle(plan.out).manifest.limits


def test_a_flow_that_does_not_fit_is_told(folder: Path) -> None:
    plan = job(folder, fit_samples=200, fit_epochs=1)
    *_, last = run(plan)
    manifest = load_bundle(plan.out).manifest
    assert manifest.flow_fit.ks_distance > 0.3
    assert last.doubts == (manifest.flow_doubt,)
    assert manifest.flow_doubt.startswith("The flow of the bundle tiny does not describe its")
    told = " ".join(CliRunner().invoke(app, ["bundles", "info", str(plan.out)]).stdout.split())
    assert "lambda_w has nothing to go by" in told
    lr = folder / "lr.ome.tif"
    write_stack(lr, CellStack(np.eye(4)[None, None].repeat(2, 1), ("DNA", "GFP")), description="")
    options = ["--bundle", str(plan.out), "--out", str(folder / "sr"), "--steps", "1"]
    done = CliRunner().invoke(app, ["super-resolve", str(lr), *options, "--samples", "0"])
    assert done.exit_code == 0, done.output
    assert manifest.flow_doubt in " ".join(done.stderr.split())
