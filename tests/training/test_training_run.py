"""Whole runs of a tiny network: resume, interruption, refusals, what lies in the folder."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from run_bench import assert_same_state, crops, run, settings, state
from safetensors.torch import load_file
from tiny_job import full_disk

from napari_rls.errors import TrainingError
from napari_rls.models.stylegan2 import Generator
from napari_rls.training import checkpoint
from napari_rls.training.checkpoint import load_generator, save_generator
from napari_rls.training.dataset import Crops
from napari_rls.training.grid import NOTE, sheet
from napari_rls.training.run import Progress, train
from napari_rls.training.run_folder import RunFolder
from napari_rls.training.training_settings import TrainSettings


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stop_and_resume_equals_going_through(tmp_path: Path, precision: str) -> None:
    run(tmp_path / "through", precision=precision)
    # 28 images: between two R1 steps, path steps, adjustments of p, and in the first epoch;
    # 76: in the second one.
    run(tmp_path / "stopped", stop_at=28, precision=precision)
    run(tmp_path / "stopped", stop_at=76, precision=precision)
    assert not np.array_equal(
        state(tmp_path / "stopped")["average.synthesis.b8.conv1.weight"],
        state(tmp_path / "through")["average.synthesis.b8.conv1.weight"],
    )
    run(tmp_path / "stopped", precision=precision)
    assert_same_state(tmp_path / "through", tmp_path / "stopped")
    through, stopped = (RunFolder(tmp_path / name) for name in ("through", "stopped"))
    assert [r.images for r in stopped.reports()] == [r.images for r in through.reports()]
    assert stopped.reports()[-1].ada_p == through.reports()[-1].ada_p > 0
    assert read_bytes(stopped) == read_bytes(through)


def read_bytes(place: RunFolder) -> dict[str, bytes]:
    """Sheets of a run, and the tensors of its snapshots."""
    bytes_of = {file.name: file.read_bytes() for file in place.path.glob("samples/*")}
    for file in place.path.glob("snapshots/*"):
        for name, tensor in load_file(file).items():
            bytes_of[f"{file.name} {name}"] = tensor.numpy().tobytes()
    return bytes_of


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    run(tmp_path / "through")
    run(tmp_path / "killed", stop_at=40)
    place = RunFolder(tmp_path / "killed")
    kept = place.checkpoint.read_bytes()
    run(tmp_path / "killed", stop_at=80)
    # As a kill leaves it: the old checkpoint, a longer log, a half-written line and drafts.
    place.checkpoint.write_bytes(kept)
    with place.log.open("a") as log:
        log.write('{"images": 10')
    for name in ("checkpoint.safetensors", "samples/000000.png", "snapshots/000000.safetensors"):
        leave_a_draft(place.path / name)
    run(tmp_path / "killed")
    assert_same_state(tmp_path / "through", tmp_path / "killed")
    assert [r.images for r in place.reports()] == [20, 40, 60, 80, 100, 120]
    assert not list(place.path.rglob(".*"))


def leave_a_draft(path: Path) -> None:
    """Leave what a process that is killed while it writes ``path`` leaves."""
    code = (
        "import os, sys; from pathlib import Path; "
        "from napari_rls.files.whole_file import whole_file; "
        "writing = whole_file(Path(sys.argv[1])); "
        "writing.__enter__().write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == -9
    assert list(path.parent.glob(f".{path.name[:30]}.*.tmp/draft"))


def test_ctrl_c_inside_a_step_finishes_the_step_and_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "through")
    batch = Crops.batch

    def interrupted(self: Crops, first: int, count: int) -> torch.Tensor:
        if first == 40:
            signal.raise_signal(signal.SIGINT)
        return batch(self, first, count)

    monkeypatch.setattr(Crops, "batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped")
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert checkpoint.read_numbers(RunFolder(tmp_path / "stopped").checkpoint)["images"] == 44
    run(tmp_path / "stopped")
    assert_same_state(tmp_path / "through", tmp_path / "stopped")


def test_checkpoints_are_due_by_time(tmp_path: Path) -> None:
    often = run(tmp_path / "often", stop_at=20, checkpoint_minutes=1e-9)
    assert all(progress.saved for progress in often)
    rarely = run(tmp_path / "rarely", checkpoint_minutes=60)
    assert [p.saved for p in rarely] == [False] * 29 + [True]


def test_progress_and_folder_tell_the_same(tmp_path: Path) -> None:
    updates = run(tmp_path / "run")
    assert [p.images for p in updates] == list(range(4, 121, 4))
    assert [p.finished for p in updates] == [False] * 29 + [True]
    reports = [p.report for p in updates if p.report]
    assert list(map(repr, reports)) == list(map(repr, RunFolder(tmp_path / "run").reports()))
    assert all(np.isfinite(r.discriminator_loss) and r.images_per_second > 0 for r in reports)
    assert all(-1 <= r.real_sign <= 1 and 0 <= r.ada_p <= 0.8 for r in reports)
    sheets = {p.images: p.samples for p in updates if p.samples is not None}
    assert list(sheets) == [40, 80, 120]
    assert updates[-1].seconds_left == 0
    generator = load_generator(
        tmp_path / "run" / "snapshots" / "000000.safetensors", settings().architecture
    )
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        expected = generator(torch.randn(32, 8, generator=rng))
    np.testing.assert_allclose(sheets[120], expected.numpy(), atol=1e-5)


def test_more_kimg_continue_a_finished_run_and_other_settings_are_refused(tmp_path: Path) -> None:
    run(tmp_path / "run")
    assert run(tmp_path / "run") == []
    before = read_bytes(RunFolder(tmp_path / "run"))
    with pytest.raises(TrainingError, match=r"other settings \(batch_size: 4, now 8\)"):
        run(tmp_path / "run", batch_size=8)
    with pytest.raises(TrainingError, match="50 of them, now 40 others"):
        next(train(crops(40), settings(), tmp_path / "run"))
    assert read_bytes(RunFolder(tmp_path / "run")) == before
    assert [p.images for p in run(tmp_path / "run", kimg=0.128)] == [124, 128]
    run(tmp_path / "through", kimg=0.128)
    assert_same_state(tmp_path / "through", tmp_path / "run")


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(TrainingError, match="no training run; choose an empty or new folder"):
        run(tmp_path)


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    iteration = train(crops(), settings(), tmp_path / "run")
    next(iteration)
    with pytest.raises(TrainingError, match="Another process is training in"):
        run(tmp_path / "run")
    iteration.close()
    assert run(tmp_path / "run")[-1].finished


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(tmp_path / "run", stop_at=20)
    file = RunFolder(tmp_path / "run").checkpoint
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TrainingError, match=r"checkpoint\.safetensors cannot be read"):
        run(tmp_path / "run")


def test_a_disk_that_is_full_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    run(tmp_path / "run", stop_at=20)
    place = RunFolder(tmp_path / "run")
    updates: list[Progress] = []
    iteration = train(crops(), settings(checkpoint_minutes=1e-9), place.path)
    next(iteration)
    kept = place.checkpoint.read_bytes()
    with full_disk(10), pytest.raises(TrainingError, match=r"Cannot write .*free some disk space"):
        updates.extend(iteration)
    # Until its end the run went on and said what was wrong.
    assert [p.images for p in updates] == list(range(28, 120, 4))
    assert all("checkpoint.safetensors" in p.warning and not p.saved for p in updates)
    for images, lost in ((40, "log.jsonl"), (40, "000000.png"), (80, "snapshots")):
        assert [lost in p.warning for p in updates if p.images == images] == [True]
    assert place.checkpoint.read_bytes() == kept
    assert not list(place.path.glob("**/.*"))
    run(place.path)
    run(tmp_path / "through")
    assert_same_state(tmp_path / "through", place.path)
    with full_disk(10), pytest.raises(TrainingError, match=r"run\.json.*free some disk space"):
        run(tmp_path / "new")


def test_start_weights_are_taken_and_warmup_leaves_them(tmp_path: Path) -> None:
    run(tmp_path / "first", stop_at=40)
    start = tmp_path / "start.safetensors"
    first = load_generator_of(tmp_path / "first")
    save_generator(start, first, {})
    warming = settings(warmup_kimg=0.04, ema_rampup=0)
    iteration = train(crops(), warming, tmp_path / "second", start=start)
    for progress in iteration:
        same = all(
            torch.equal(a, b)
            for a, b in zip(progress.average.parameters(), first.parameters(), strict=True)
        )
        assert same == (progress.images <= 40)
        if progress.images == 48:
            break
    iteration.close()
    untouched = {k: v for k, v in state(tmp_path / "second").items() if "adam_g" in k}
    assert {int(v) for k, v in untouched.items() if k.endswith(".step")} <= {2, 3}
    with pytest.raises(TrainingError, match=r"first weights: start\.safetensors, now none"):
        next(train(crops(), warming, tmp_path / "second"))
    with pytest.raises(TrainingError, match="not of the shape"):
        next(train(crops(), settings(w_dim=16), tmp_path / "third", start=start))


def test_the_step_size_falls_at_last_and_resuming_knows_it(tmp_path: Path) -> None:
    falling = settings(decay_after_kimg=0.04, decay_half_kimg=0.02)
    np.testing.assert_allclose([falling.decay(n) for n in (0, 40, 60, 100)], [1, 1, 0.5, 0.125])
    assert settings().decay(10**9) == 1

    def weights(name: str, chosen: TrainSettings, until: int) -> dict[str, torch.Tensor]:
        iteration = train(crops(), chosen, tmp_path / name)
        next(p for p in iteration if p.images == until)
        iteration.close()
        return {k: v for k, v in state(tmp_path / name).items() if k.startswith(("gen", "disc"))}

    def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
        return all(torch.equal(one[n], two[n]) for n in one if not n.endswith("w_avg"))

    assert same(weights("falling", falling, 44), weights("constant", settings(), 44))
    went_on = weights("falling", falling, 80)
    assert not same(went_on, weights("constant", settings(), 80))
    assert same(went_on, weights("through", falling, 80))
    frozen = settings(decay_after_kimg=0.04, decay_half_kimg=1e-6)
    at_once = weights("frozen", frozen, 44)
    # Where nothing is left of the step size, nothing moves any more.
    assert same(at_once, weights("frozen", frozen, 80))


def load_generator_of(folder: Path) -> Generator:
    """G_ema of a run's checkpoint."""
    generator = Generator(settings().architecture)
    prefix = "average."
    generator.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state(folder).items() if k.startswith(prefix)}
    )
    return generator


def test_divergence_stops_the_run_and_saves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A start with such a weight would be refused.
    monkeypatch.setattr(checkpoint, "LARGEST", 1e38)
    generator = Generator(settings().architecture)
    with torch.no_grad():
        generator.get_parameter("synthesis.b8.torgb.bias").fill_(1e38)
    save_generator(tmp_path / "start.safetensors", generator, {})
    for minutes, images in ((60, 20), (1e-9, 4)):
        place = RunFolder(tmp_path / f"run{images}")
        iteration = train(
            crops(),
            settings(checkpoint_minutes=minutes),
            place.path,
            start=tmp_path / "start.safetensors",
        )
        with pytest.raises(TrainingError, match=rf"diverged at {images} images.*lower learning_"):
            list(iteration)
        assert not place.checkpoint.exists()


def test_sample_sheets_say_that_they_are_generated(tmp_path: Path) -> None:
    run(tmp_path / "run", stop_at=40)
    with Image.open(tmp_path / "run" / "samples" / "000000.png") as picture:
        assert picture.text["Description"] == NOTE
        assert picture.size == (8 * 8 * 2, 4 * 8 * 2)
    images = np.full((3, 2, 8, 8), -1.0)
    images[1, 0], images[2, 1] = 1.0, 0.0
    pixels = sheet(images, colours=("#0000ff", "#00ff00"))
    assert pixels.shape == (8, 24, 3)
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[0, 8].tolist() == [0, 0, 255]
    assert pixels[0, 16].tolist() == [0, 128, 0]


def test_run_json_holds_the_settings(tmp_path: Path) -> None:
    run(tmp_path / "run", stop_at=4)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert TrainSettings.model_validate(record["settings"]) == settings()
    assert record["crops"] == 50
