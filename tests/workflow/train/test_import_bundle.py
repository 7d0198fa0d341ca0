"""``napari-rls bundles import``: a checkpoint in, a bundle out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import plain_rosinality
import pytest
import torch
from official_layout import dumps, snapshot
from tiny_model import random_bundle
from typer.testing import CliRunner, Result

from napari_rls.cli.main import app
from napari_rls.errors import InputError
from napari_rls.models import bundle_file
from napari_rls.models.bundle import load_bundle
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
from napari_rls.workflow.train.import_blueprint import ImportSettings, imported_blueprint

FIT = ("--fit-samples", 200, "--fit-epochs", 1, "--fit-images", 100)


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["bundles", "import", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def official(tmp_path: Path) -> Path:
    path = tmp_path / "network-snapshot-000156.pkl"
    path.write_bytes(dumps(snapshot(random_bundle().generator, tmp_path / "canary")))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "made" / "mine.rls.safetensors"


def test_from_an_official_pickle_to_a_bundle_that_super_resolves(
    official: Path, out: Path, tmp_path: Path
) -> None:
    words = ("--title", "Cells", "--licence", "CC BY 4.0", "--attribution", "A. Nobody")
    words += ("--pixel-size", 0.3, "--intensity-low", 100, "--intensity-high", 4095)
    words += ("--trained-on", "Our own cells", "--images", 5000, "--kimg", 156)
    done = run(official, "--out", out, "--channels", "nucleus, protein", *words, *FIT)
    assert done.stdout.split() == [str(out)]
    assert "a StyleGAN2 generator of stylegan2-ada-pytorch, 32 x 32 pixels" in done.stderr
    assert "flow: epoch 1 of 1" in done.stderr
    assert "encoders: held-out errors" in done.stderr
    assert not (tmp_path / "canary").exists()

    bundle = load_bundle(out)
    manifest = bundle.manifest
    assert (manifest.name, manifest.title) == ("mine", "Cells")
    assert (manifest.licence, manifest.attribution) == ("CC BY 4.0", "A. Nobody")
    assert manifest.channel_names == ("nucleus", "protein")
    assert manifest.pixel_size_um == 0.3
    assert (manifest.intensity.low, manifest.intensity.high) == (100, 4095)
    assert (manifest.training.images, manifest.training.kimg) == (5000, 156)
    digest = hashlib.sha256(official.read_bytes()).hexdigest()
    assert manifest.training.data == (
        "Our own cells; imported from network-snapshot-000156.pkl of stylegan2-ada-pytorch "
        f"(SHA-256 {digest})"
    )
    assert "How good its images are is not known" in manifest.limits
    assert manifest.flow_fit.samples == 200
    assert set(bundle.encoders) == {2, 4, 8, 16}

    original = random_bundle().generator
    z = bundle.draw_z(4, seed=1)
    assert (bundle.generator(z) - original(z)).abs().max() < 1e-6
    assert torch.allclose(bundle.flow.mean, bundle.draw_w(200, 0).mean(0), atol=1e-3)

    lr = CellStack(
        data=(np.random.default_rng(0).random((1, 2, 4, 4)) * 4000).astype(np.float32),
        channels=("nucleus", "protein"),
        name="lr",
    )
    *_, last = super_resolve(lr, bundle, Settings(factor=8, steps=2, device="cpu"))
    assert last.finished


def test_a_rosinality_checkpoint_without_encoders(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "010000.pt"
    state = plain_rosinality.random_state((8, 4), dim=6, layers=2, channels=3)
    torch.save({"g_ema": state}, path)
    run(path, "--out", out, "--channels", "r,g,b", *FIT[:4], "--fit-images", 0)
    bundle = load_bundle(out)
    assert bundle.manifest.encoder is None
    assert bundle.manifest.licence == "not stated"
    assert "010000.pt of rosinality's stylegan2-pytorch" in bundle.manifest.training.data
    w = bundle.draw_w(3, seed=0)
    images = bundle.generator.synthesis(bundle.generator.broadcast(w))
    expected = plain_rosinality.synthesis(state, w)
    assert (images - expected).abs().max() < 1e-5 * expected.abs().max()


def test_refusals_write_nothing(
    official: Path, out: Path, tmp_path: Path, tiny_bundle_file: Path
) -> None:
    target = ("--out", out, "--channels", "a,b")
    assert "There is no checkpoint file x.pkl" in run("x.pkl", *target, code=1).stderr
    given = run(tiny_bundle_file, *target, code=1).stderr
    assert "is a safetensors file: a bundle needs no import" in given
    noise = tmp_path / "noise.pkl"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    assert "noise.pkl is no StyleGAN2 checkpoint; give a network pickle" in (
        run(noise, *target, code=1).stderr
    )
    empty = tmp_path / "empty.pkl"
    empty.touch()
    assert "empty.pkl is no StyleGAN2 checkpoint" in run(empty, *target, code=1).stderr
    few = run(official, "--out", out, "--channels", "a", code=1).stderr
    assert "The generator has 2 image channel(s), but --channels names 1" in few
    twice = run(official, "--out", out, "--channels", "a,a", code=1).stderr
    assert "channel names must differ" in twice
    ending = run(official, "--out", tmp_path / "x.pt", "--channels", "a,b", code=2).stderr
    assert "must be a file that ends in .rls.safetensors" in ending
    named = run(official, *target, "--name", "/", code=1).stderr
    assert "The bundle cannot be described so: name" in named
    dark = run(official, *target, "--intensity-high", -1, code=1).stderr
    assert "intensity.high must be greater than intensity.low" in dark
    assert "fit_images: give at least 100, or 0" in (
        run(official, *target, "--fit-images", 5, code=2).stderr
    )
    assert not out.exists()


def test_a_bundle_is_replaced_only_if_asked_and_only_by_a_whole_one(
    official: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = (official, "--out", out, "--channels", "a,b", *FIT)
    run(*args)
    before = out.read_bytes()
    assert "exists already; give --overwrite" in run(*args, code=2).stderr

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(bundle_file, "_content_hash", full)
    assert "No space left on device" in run(*args, "--seed", 1, "--overwrite", code=1).stderr
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    monkeypatch.undo()
    run(*args, "--seed", 1, "--overwrite")
    assert out.read_bytes() != before


def test_the_flow_of_a_wide_generator_is_wide_too() -> None:
    arch = random_bundle().manifest.architecture.model_copy(update={"w_dim": 512})
    settings = ImportSettings(name="wide")
    assert imported_blueprint(settings, arch, ("a", "b"), "x").flow.hidden == 1024
    with pytest.raises(InputError, match="has 2 image channel"):
        imported_blueprint(settings, arch, ("a", "b", "c"), "x")
