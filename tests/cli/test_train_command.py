"""``napari-rls train``: fields in, a bundle out; interruption, resumption, refusals."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from cli_bench import TINY, TINY_LINE
from safetensors.torch import load_file
from tiny_job import SETTINGS, images, returned, write_fields
from typer.testing import CliRunner, Result

from napari_rls.cli import train as command
from napari_rls.cli.main import app
from napari_rls.errors import InputError
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.models.bundle import load_bundle
from napari_rls.models.manifest import Intensity
from napari_rls.search.settings import Settings
from napari_rls.training.checkpoint import read_numbers
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
from napari_rls.workflow.train.cut_crops import intensity_of, prepare
from napari_rls.workflow.train.fields import find_fields
from napari_rls.workflow.train.train_bundle import JobUpdate


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["train", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    return write_fields(tmp_path / "fields")


def out(tmp_path: Path, name: str = "mine") -> Path:
    return tmp_path / f"{name}.rls.safetensors"


def test_from_fields_to_a_bundle_that_super_resolves(tmp_path: Path, fields: Path) -> None:
    card = ("--licence", "CC0-1.0", "--pixel-size", 0.5)
    done = run(fields, "--out", out(tmp_path), *card, *TINY)
    assert done.stdout.split() == [str(out(tmp_path))]
    counts = "9 crops to train on and 3 to validate on, from 4 fields; dropped: 4 nuclei"
    assert counts in done.stderr
    assert "ADA p" in done.stderr
    assert "images/s" in done.stderr
    assert (tmp_path / "mine-run" / "crops.png").stat().st_size > 1000

    bundle = load_bundle(out(tmp_path))
    manifest = bundle.manifest
    assert (manifest.name, manifest.licence, manifest.attribution) == (
        "mine", "CC0-1.0", "not stated",
    )  # fmt: skip
    assert manifest.channel_names == ("DNA", "GFP")
    assert manifest.pixel_size_um == 0.5
    assert (manifest.training.images, manifest.training.kimg) == (9, 0.04)
    assert (manifest.intensity.low, manifest.intensity.high) == (0, 255)
    assert set(bundle.encoders) == {2, 4, 8}
    average = load_file(tmp_path / "mine-run" / "checkpoint.safetensors")
    for name, tensor in bundle.generator.state_dict().items():
        assert torch.equal(tensor, average[f"average.{name}"])

    hr = returned(prepare(find_fields([str(fields)], ("DNA", "GFP")), SETTINGS)).validation
    lr = degrade_stack(hr, DegradeSettings(factor=4))
    *_, last = super_resolve(lr, bundle, Settings(factor=4, steps=2, device="cpu"))
    assert last.finished


def test_help_shows_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = " ".join(run("--help").stdout.split())
    own = {"channels", "intensity", "camera"}
    for name, info in (TrainSettings.model_fields | NucleusSettings.model_fields).items():
        if name not in own:
            assert f"--{name.replace('_', '-')} " in text or f"--{name}/--no-{name}" in text
            assert info.description in text
            assert f"default {info.default})" in text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stop_and_resume_makes_the_same_bundle(
    tmp_path: Path, fields: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    run(fields, "--out", out(tmp_path, "through"), "--name", "same", *TINY)
    args = (fields, "--out", out(tmp_path, "stopped"), "--name", "same", *TINY)
    show = command._View.update

    def stop(self: command._View, update: JobUpdate) -> None:
        show(self, update)
        if update.step and update.step.images == 20:
            signal.raise_signal(number)

    monkeypatch.setattr(command._View, "update", stop)
    stopped = run(*args, code=code)
    assert "the same command with --resume goes on with it" in stopped.stderr
    assert not out(tmp_path, "stopped").exists()
    monkeypatch.undo()
    assert "give --resume to go on" in run(*args, code=2).stderr
    changed = run(*args, "--resume", "--r1-gamma", 5, code=1).stderr
    assert "holds a run of other settings (r1_gamma: 0.3, now 5.0)" in changed
    run(*args, "--resume")
    through, resumed = load_file(out(tmp_path, "through")), load_file(out(tmp_path, "stopped"))
    assert through.keys() == resumed.keys()
    assert all(torch.equal(through[name], resumed[name]) for name in through)


def test_a_run_that_was_killed_ends_the_same(tmp_path: Path, fields: Path) -> None:
    longer = ["--kimg", "0.4", "--checkpoint-minutes", "0.0001", "--name", "same"]
    args = [str(fields), "--out", str(out(tmp_path, "killed")), *TINY, *longer]
    code = "from napari_rls.cli.main import app; app()"
    process = subprocess.Popen([sys.executable, "-c", code, "train", *args])
    checkpoint = tmp_path / "killed-run" / "checkpoint.safetensors"
    deadline = time.monotonic() + 100
    while not checkpoint.exists() or read_numbers(checkpoint)["images"] < 20:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 20 <= read_numbers(checkpoint)["images"] < 400
    assert not out(tmp_path, "killed").exists()
    run(*args, "--resume")
    run(fields, "--out", out(tmp_path, "through"), *TINY, *longer)
    folders = (tmp_path / "killed-run", tmp_path / "through-run")
    one, two = (load_file(folder / "checkpoint.safetensors") for folder in folders)
    assert one.keys() == two.keys()
    assert not [name for name in one if not torch.equal(one[name], two[name])]
    hashes = [
        load_bundle(out(tmp_path, name)).manifest.content_hash for name in ("killed", "through")
    ]
    assert hashes[0] == hashes[1]


def test_a_file_for_each_channel_growing_and_images_to_validate_on(tmp_path: Path) -> None:
    for k, image in enumerate(images()):
        for c in (0, 1):
            plane = image[c].astype(np.uint16)
            tifffile.imwrite(tmp_path / f"A{k:02d}_w{c + 1}.tif", plane, photometric="minisblack")
    words = TINY_LINE.replace("--channels DNA,GFP", "--channels DNA=w1,GFP=w2").split()
    more = ["--channel-files", "{field}_{channel}.tif", "--warmup-kimg", 0.01, "--grow-kimg", 0.02]
    held = ["--validation", tmp_path / "A00*.tif", "--validation", tmp_path / "A03*.tif"]
    done = run(tmp_path / "A*.tif", "--out", out(tmp_path), *words, *more, *held)
    assert "6 crops to train on and 6 to validate on, from 4 fields" in done.stderr
    assert "First at 8 x 8 pixels." in done.stderr
    assert "Now at 16 x 16 pixels." in done.stderr
    assert "\n8 px: 100 %, " in done.stderr
    assert load_bundle(out(tmp_path)).manifest.channel_names == ("DNA", "GFP")
    again = ["--resume", "--overwrite"]
    run(tmp_path / "A*.tif", "--out", out(tmp_path), *words, *more, *held, *again)


def stop_after(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """Have Ctrl-C pressed once so many images were shown."""
    show = command._View.update

    def stop(self: command._View, update: JobUpdate) -> None:
        show(self, update)
        if update.step and update.step.images == images:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command._View, "update", stop)


def test_resume_needs_the_folder_alone_and_takes_changes(
    tmp_path: Path, fields: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--title", "Mine", "--licence", "CC0-1.0", "--dna-channel", "DNA")
    run(fields, "--out", out(tmp_path, "through"), "--name", "same", *words, *TINY)
    with monkeypatch.context() as patch:
        stop_after(patch, 20)
        monkeypatch.chdir(tmp_path)
        run("fields", "--out", "stopped.rls.safetensors", "--name", "same", *words, *TINY, code=130)
    # From elsewhere, and without a word on images, channels, settings or the bundle.
    monkeypatch.chdir(fields)
    again = run("--run", tmp_path / "stopped-run", "--resume", "--licence", "CC-BY-4.0")
    assert "are of these images; no new cut" in again.stderr
    assert again.stdout.split() == [str(out(tmp_path, "stopped"))]
    one, two = (load_bundle(out(tmp_path, name)) for name in ("through", "stopped"))
    assert two.manifest.licence == "CC-BY-4.0"
    same = {"licence": "CC0-1.0", "content_hash": one.manifest.content_hash}
    assert two.manifest.model_copy(update=same) == one.manifest
    first, second = one.tensors(), two.tensors()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_finish_makes_a_bundle_of_a_run_that_was_stopped(
    tmp_path: Path, fields: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ("--run", tmp_path / "mine-run")
    assert "holds no run to resume" in run(*place, "--finish", code=2).stderr
    with monkeypatch.context() as patch:
        stop_after(patch, 20)
        stopped = run(fields, "--out", out(tmp_path), *TINY, code=130)
    assert "with --finish makes a bundle of what it has" in stopped.stderr
    done = run(*place, "--finish")
    assert done.stdout.split() == [str(out(tmp_path))]
    assert "\nflow and encoders: 100 %" in done.stderr
    manifest = load_bundle(out(tmp_path)).manifest
    assert (manifest.training.kimg, set(manifest.encoder.factors)) == (0.02, {2, 4, 8})
    assert "exists already; give --overwrite" in run(*place, "--resume", code=2).stderr
    run(*place, "--resume", "--overwrite")
    assert load_bundle(out(tmp_path)).manifest.training.kimg == 0.04


def test_how_long_it_takes_is_said_before_training_begins(tmp_path: Path, fields: Path) -> None:
    first = run(fields, "--out", out(tmp_path), *TINY).stderr
    assert "Measuring how fast this machine trains." in first
    assert re.search(r"\nAbout .* for 0\.04 kimg on this machine \(estimate\)\.\n", first)
    told = first.index("on this machine (estimate)")
    assert first.index("9 crops to train on") < told < first.index("\n16 px: ")
    second = run(fields, "--out", out(tmp_path, "second"), *TINY).stderr
    assert "Measuring" not in second
    assert "for 0.04 kimg on this machine (estimate)." in second


def test_refusals(tmp_path: Path, fields: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    target = ("--out", out(tmp_path))
    assert "Give the images: files, folders or patterns and their" in run(*target, code=2).stderr
    assert "Give the bundle to write: --out" in run(fields, "--channels", "DNA", code=2).stderr
    said = run(empty, *target, *TINY, code=2).stderr
    assert f"{empty} holds no TIFF, LIF, CZI or ND2 file" in said
    assert "There is no image" in run(tmp_path / "x*.tif", *target, *TINY, code=2).stderr
    assert "holds no run to resume" in run(fields, *target, *TINY, "--resume", code=2).stderr
    few = run(fields, *target, *TINY, "--batch-size", 40, code=2).stderr
    assert "12 cells are too few to train on: at least 40, a batch, are needed" in few
    one = run(fields / "f0.tif", *target, *TINY, "--batch-size", 2, code=2).stderr
    assert "and none can be held out to validate on" in one
    ending = run(fields, "--out", tmp_path / "x.pt", *TINY, code=2).stderr
    assert "must be a file that ends in .rls.safetensors" in ending
    named = run(fields, *target, *TINY, "--name", "/", code=2).stderr
    assert "The bundle cannot be described so: name" in named
    unclear = run(fields, *target, *TINY, "--channels", "DNA=w1,GFP", code=2).stderr
    assert "must say for every channel what the files call it" in unclear
    other = run(fields, *target, *TINY, "--run", fields, code=1).stderr
    assert "holds files but no training run; choose an empty or new folder" in other
    odd = np.zeros((3, 96, 96), np.uint8)
    tifffile.imwrite(fields / "odd.tif", odd, photometric="minisblack")
    mixed = run(fields, *target, *TINY, code=2).stderr
    assert "odd.tif has 3 channel(s), but --channels names 2 (DNA, GFP)" in mixed
    assert not out(tmp_path).exists()
    assert not (tmp_path / "mine-run").exists()


def test_intensities_of_other_than_8_bit_images_are_a_robust_range() -> None:
    dim, bright = np.linspace(100, 200, 10_001), np.linspace(300, 4000, 10_001)
    pixels = np.stack([dim, bright])
    pixels[1, 5] = np.nan
    pixels[1, -1] = 65_535
    chosen = intensity_of([pixels], np.dtype(np.uint16))
    assert chosen.low == pytest.approx(100.1)
    assert chosen.high == pytest.approx(3996.3, abs=1)
    assert intensity_of([pixels], np.dtype(np.uint8)) == Intensity(unit="8-bit grey levels")
    with pytest.raises(InputError, match="no contrast"):
        intensity_of([np.ones((2, 9))], np.dtype(np.float32))
