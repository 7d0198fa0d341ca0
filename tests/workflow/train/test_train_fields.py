"""``napari-rls train-fields``: HR images and a bundle in, the bundle with a network out."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from network_line import TINY_ENCODER, out, run
from safetensors.torch import load_file
from tiny_job import write_fields

from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.bundle_file import read_manifest
from napari_rls.search.levels import levels_of_crops
from napari_rls.training.discriminator import Discriminator
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.train.train_fields import _compared


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    return write_fields(tmp_path / "fields")


def test_from_fields_to_a_bundle_with_a_network(
    tmp_path: Path, fields: Path, tiny_bundle: Bundle
) -> None:
    old = out(tmp_path, "old")
    judge = Discriminator(tiny_bundle.manifest.architecture).state_dict()
    manifest = tiny_bundle.manifest.model_copy(update={"format_version": 2})
    replace(tiny_bundle, manifest=manifest, discriminator=judge).save(old)
    args = ("--bundle", old, "--out", out(tmp_path), "--data", "four fields", *TINY_ENCODER)
    done = run(fields, *args)
    assert done.stdout.split() == [str(out(tmp_path))]
    assert "crops to train on and 3 to validate on, from 4 fields" in done.stderr
    assert "L1 on 3 held-out crops: " in done.stderr
    assert "images/s" in done.stderr

    before, after = load_file(old), load_file(out(tmp_path))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name.split(".")[0] for name in after.keys() - before.keys()} == {"field_encoder"}
    manifests = [read_manifest(path).model_dump() for path in (old, out(tmp_path))]
    changed = {k for k in manifests[0] if manifests[0][k] != manifests[1][k]}
    assert changed == {"format_version", "field_encoder", "content_hash"}

    bundle = load_bundle(out(tmp_path))
    spec = bundle.manifest.field_encoder
    assert bundle.manifest.format_version == 11
    assert (spec.steps, spec.batch_size, spec.validation, spec.data) == (4, 4, 3, "four fields")
    assert spec.ratios == (4, pytest.approx(32 / 3))
    crops = read_stack(tmp_path / "mine-run" / "crops-training.ome.tif").data
    assert spec.images == len(crops)
    # They have 20 pixels of their surroundings on every side.
    assert crops.shape[-2:] == (72, 72)
    assert spec.levels == levels_of_crops(crops[..., 20:52, 20:52])
    # An encoder of 4 steps leaves much of crops without noise.
    assert [misfit.factor for misfit in spec.misfit] == [4, 8, 16]
    assert spec.crop_factors == (4, 8, 16)
    assert min(min(misfit.deviation) for misfit in spec.misfit) > 0.01
    assert bundle.starting_encoder is bundle.field_encoder
    trained = load_file(tmp_path / "mine-run" / "checkpoint.safetensors")
    for name, tensor in bundle.field_encoder.state_dict().items():
        torch.testing.assert_close(tensor, trained[f"network.{name}"], rtol=1e-3, atol=1e-6)
    told = " ".join(run(out(tmp_path), name="bundles info").stdout.split())
    assert "Field encoder ratios 4 to 10.7, crops at 4x, 8x, 16x; 4 steps on" in told
    assert "crops of four fields; L1 on 3 held-out crops 0." in told

    again = (
        "--bundle",
        out(tmp_path),
        "--out",
        out(tmp_path, "again"),
        *TINY_ENCODER,
        "--hidden",
        8,
    )
    again = (*again, "--no-start")
    told = run(fields, *again).stderr
    assert ", of the interpolated LR images 0." in told
    other = load_bundle(out(tmp_path, "again"))
    assert other.manifest.field_encoder.hidden == 8
    assert other.starting_encoder is None
    told = " ".join(run(out(tmp_path, "again"), name="bundles info").stdout.split())
    assert "for noise and brightness alone, no search starts at it" in told
    resumed = run(fields, *again, "--overwrite", "--resume", "--steps", 9, code=1).stderr
    assert "holds a training of other settings (steps: 4, now 9); resume it" in resumed


def test_an_encoder_that_is_worse_than_what_it_replaces_is_told(
    tmp_path: Path, fields: Path, tiny_bundle_file: Path
) -> None:
    run(fields, "--bundle", tiny_bundle_file, "--out", out(tmp_path), *TINY_ENCODER)
    good = load_bundle(out(tmp_path))
    broken = deepcopy(good.field_encoder)
    with torch.no_grad():
        for weights in (*broken.common.parameters(), *broken.own.parameters()):
            weights.normal_(0, 3, generator=torch.Generator().manual_seed(0))
    spoilt = out(tmp_path, "spoilt")
    replace(good, field_encoder=broken).save(spoilt)
    errors = {}
    for name, old in (("same", out(tmp_path)), ("better", spoilt)):
        told = run(fields, "--bundle", old, "--out", out(tmp_path, name), *TINY_ENCODER).stderr
        errors[name] = float(
            told.split("of the encoder that it replaces ")[1].split()[0].rstrip(".")
        )
        assert "and the encoder that it replaces" not in told
    made = load_bundle(out(tmp_path, "same")).manifest.field_encoder.l1
    assert errors["same"] == pytest.approx(made, rel=1e-3)
    assert errors["better"] > 1.1 * made
    assert _compared(0.09, 0.1, 0.06).startswith(
        ", of the interpolated LR images 0.1000, of the encoder that it replaces 0.0600. It is "
        "worse than the encoder that it replaces, and so will be"
    )
    assert "worse than the interpolated LR images and the encoder" in _compared(0.2, 0.1, 0.06)


def test_refusals(tmp_path: Path, fields: Path, tiny_bundle_file: Path) -> None:
    line = (fields, "--bundle", tiny_bundle_file, "--out", out(tmp_path), *TINY_ENCODER)
    low = " ".join(run(*line, "--ratio-low", 12, code=2).stderr.split())
    assert "At the ratio 12 fewer than three LR pixels lie along the 32 pixels" in low
    assert "give a --ratio-low of 10.6 at most" in low
    order = run(*line, "--ratio-high", 3, code=2).stderr
    assert "ratio_low must not be greater than ratio_high" in order
    none = run(*line, "--channels", "DNA,GFP", code=2).stderr
    assert "must tell for each channel of the bundle" in none
    assert not list(tmp_path.glob("mine*"))


def test_help_shows_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = " ".join(run("--help").stdout.split())
    for name, info in FieldEncoderSettings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert info.description in text
