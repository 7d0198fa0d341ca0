"""``napari-rls train-flow``: HR images and a bundle in, the bundle with a network out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from flow_bench import with_flow
from network_line import TINY_ENCODER, out, run
from safetensors.torch import load_file
from tiny_job import write_fields
from tiny_model import random_bundle

from napari_rls.models.bundle import load_bundle
from napari_rls.models.bundle_file import read_manifest
from napari_rls.training.flow_matching_settings import FlowMatchingSettings
from napari_rls.workflow.train.train_flow import _is_of

LINE = "--width 4 --steps 4 --batch-size 4 --report-steps 2 --threads 1 --device cpu"
FLOW = LINE.split()


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    return write_fields(tmp_path / "fields")


def test_samples_of_another_network_are_not_trusted() -> None:
    trust = load_bundle("golgi-simulated-128").manifest.trust
    by_flow = [(one.factor, one.settings["posterior"]) for one in trust]
    assert by_flow == [(16, "flow"), (32, "flow")]
    assert [_is_of("image", one) for one in trust] == [True, True]
    assert [_is_of("coarse", one) for one in trust] == [False, True]
    bound = trust[0].model_copy(update={"settings": {"posterior": "bound"}})
    assert not _is_of("image", bound)


@pytest.fixture
def known(tmp_path: Path, fields: Path, tiny_bundle_file: Path) -> Path:
    """A bundle with a field encoder that draws expected images."""
    run(fields, "--bundle", tiny_bundle_file, "--out", out(tmp_path, "known"), *TINY_ENCODER)
    return out(tmp_path, "known")


def flow(*args: object, code: int = 0) -> str:
    done = run(*args, name="train-flow", code=code)
    return " ".join(done.stderr.split())


def test_from_fields_to_a_bundle_with_a_network(tmp_path: Path, fields: Path, known: Path) -> None:
    told = flow(fields, "--bundle", known, "--out", out(tmp_path), "--data", "four fields", *FLOW)
    assert "L1 of an image drawn of each of 3 held-out crops: " in told
    assert "of the expected images, which are blurred: " in told
    before, after = load_file(known), load_file(out(tmp_path))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name.split(".")[0] for name in after.keys() - before.keys()} == {"flow_matching"}
    manifests = [read_manifest(path).model_dump() for path in (known, out(tmp_path))]
    changed = {k for k in manifests[0] if manifests[0][k] != manifests[1][k]}
    assert changed == {"flow_matching", "content_hash"}
    bundle = load_bundle(out(tmp_path))
    spec = bundle.manifest.flow_matching
    assert spec.coloured
    assert bundle.flow_matching.coloured
    assert (spec.steps, spec.width, spec.validation, spec.data) == (4, 4, 3, "four fields")
    trained = load_file(tmp_path / "mine-run" / "checkpoint.safetensors")
    for name, tensor in bundle.flow_matching.state_dict().items():
        torch.testing.assert_close(tensor, trained[f"network.{name}"], rtol=1e-3, atol=1e-6)
    told = " ".join(run(out(tmp_path), name="bundles info").stdout.split())
    assert "Flow matching 4 steps on" in told
    assert "crops of four fields; L1 of an image drawn of each of 3 held-out crops 0." in told

    # It starts from the expected images of its field encoder: another one has none.
    again = run(fields, "--bundle", out(tmp_path), "--out", out(tmp_path, "again"), *TINY_ENCODER)
    assert "flow matching was of its old field encoder and is left out" in " ".join(
        again.stderr.split()
    )
    assert load_bundle(out(tmp_path, "again")).flow_matching is None


def test_stop_and_resume_equals_going_through(tmp_path: Path, fields: Path, known: Path) -> None:
    flow(fields, "--bundle", known, "--out", out(tmp_path, "one"), *FLOW)
    flow(fields, "--bundle", known, "--out", out(tmp_path, "two"), *FLOW)
    one, two = (load_bundle(out(tmp_path, name)).manifest for name in ("one", "two"))
    assert one.content_hash == two.content_hash
    told = flow(
        *(fields, "--bundle", known, "--out", out(tmp_path, "one"), *FLOW),
        *("--overwrite", "--resume", "--steps", 9),
        code=1,
    )
    assert "holds a training of other settings (steps: 4, now 9); resume it" in told


def test_coarse_images_are_added_to_what_draws_images(tmp_path: Path) -> None:
    made = with_flow(random_bundle(size=64), coarse=True)
    manifest = made.manifest.model_copy(update={"coarse_flow": None})
    replace(made, manifest=manifest, coarse_flow=None).save(out(tmp_path, "able"))
    (tmp_path / "crops").mkdir()
    for k in range(3):
        crops = np.random.default_rng(k).integers(0, 256, (4, 2, 64, 64), np.uint8)
        tifffile.imwrite(tmp_path / "crops" / f"{k}.ome.tif", crops, metadata={"axes": "TCYX"})
    line = (tmp_path / "crops", *FLOW, "--part", "coarse")
    told = flow(*line, "--bundle", out(tmp_path, "able"), "--out", out(tmp_path, "both"))
    assert "L1 of a coarse image drawn of each of " in told
    before, after = (load_file(out(tmp_path, name)) for name in ("able", "both"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name.split(".")[0] for name in after.keys() - before.keys()} == {"coarse_flow"}
    spec = load_bundle(out(tmp_path, "both")).manifest.coarse_flow
    assert (spec.steps, spec.width, spec.coloured) == (4, 4, False)
    told = " ".join(run(out(tmp_path, "both"), name="bundles info").stdout.split())
    assert "Coarse flow 4 steps on" in told
    assert told.count("; draws first above a ratio of 16") == 1
    # Each of both is trained without the other, and stays as another is trained.
    line = (tmp_path / "crops", *FLOW, "--bundle", out(tmp_path, "both"))
    flow(*line, "--out", out(tmp_path, "again"))
    again = load_file(out(tmp_path, "again"))
    kept = {name for name in after if name.startswith("coarse_flow.")}
    assert all(torch.equal(after[name], again[name]) for name in kept)


def test_what_cannot_have_coarse_images_is_told_so(
    tmp_path: Path, fields: Path, known: Path
) -> None:
    coarse = (*FLOW, "--part", "coarse")
    told = flow(fields, "--bundle", known, "--out", out(tmp_path), *coarse, code=2)
    assert "has no flow matching to draw images of them; add it by train-flow with part" in told
    flow(fields, "--bundle", known, "--out", out(tmp_path, "flow"), *FLOW)
    told = flow(fields, "--bundle", out(tmp_path, "flow"), "--out", out(tmp_path), *coarse, code=2)
    assert "draws cells of 32 HR pixels, and 64 are needed" in told
    made = with_flow(random_bundle(size=64))
    encoder = made.manifest.field_encoder.model_copy(update={"ratios": (4, 16)})
    manifest = made.manifest.model_copy(update={"field_encoder": encoder})
    replace(made, manifest=manifest).save(out(tmp_path, "low"))
    told = flow(fields, "--bundle", out(tmp_path, "low"), "--out", out(tmp_path), *coarse, code=2)
    assert "does not know both the ratio 8 and ratios above 16; add one by train-fields" in told
    assert not list(tmp_path.glob("mine*"))


def test_without_an_expected_image_there_is_nothing_to_start_from(
    tmp_path: Path, fields: Path, tiny_bundle_file: Path
) -> None:
    told = flow(fields, "--bundle", tiny_bundle_file, "--out", out(tmp_path), *FLOW, code=2)
    assert "has no field encoder that draws the expected image" in told
    assert "add one by train-fields." in told
    assert not list(tmp_path.glob("mine*"))


def test_help_shows_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = " ".join(run("--help", name="train-flow").stdout.split())
    for name, info in FlowMatchingSettings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert info.description in text
