"""Bundles whose manifest or tensors nobody can compute with: refused as they are loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_kinds import kind_of_bundle
from safetensors.torch import load_file, save_file

from napari_rls import load_bundle
from napari_rls.errors import BundleError
from napari_rls.models import bundle_file
from napari_rls.models.bundle_file import read_manifest, verify

KEY = "napari-rls"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "kind.rls.safetensors"
    parts = ("encoders", "pix2pix", "direct", "camera", "trust", "discriminator")
    kind_of_bundle(**dict.fromkeys(parts, True)).save(path)
    return path


def refusal(path: Path, load: Callable[[Path], object] = load_bundle) -> str:
    """Return the sentence with which a bundle is refused."""
    with pytest.raises(BundleError) as refused:
        load(path)
    text = str(refused.value)
    assert text.startswith(f"{path.name}: ")
    assert text.endswith("again.")
    assert text.isprintable()
    assert len(text) < 400
    return text


def with_text(path: Path, change: Callable[[str], str]) -> None:
    """Change the stored manifest as text; no hash can be right for what is no JSON."""
    text = change(read_manifest(path).model_dump_json())
    save_file(load_file(path), path, {KEY: text})


def with_value(path: Path, place: str, value: object) -> None:
    """Change one value of the manifest and give it the right hash again."""
    stored = json.loads(read_manifest(path).model_dump_json())
    *outer, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner: Any = stored
    for part in outer:
        inner = inner[part]
    inner[last] = value
    tensors = load_file(path)
    for _ in range(2):
        save_file(tensors, path, {KEY: json.dumps(stored)})
        try:
            stored["content_hash"] = bundle_file._content_hash(path)
        except ValueError:
            return


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('"kimg":0.5', f'"kimg":{"7" * 5000}'), "of 5,000 digits"),
        (lambda text: text.replace('"kimg":0.5', '"kimg":1e400'), "1e400, which is not finite"),
        (lambda text: text.replace('"kimg":0.5', '"kimg":NaN'), "NaN, which is not finite"),
        (lambda text: text.replace('"kimg":0.5', f'"kimg":{"[" * 100_000}'), "nested more than"),
        (lambda text: text[: len(text) // 2], "it is not valid JSON"),
        (lambda text: text + " " * 1_000_001, "longer than 1,000,000"),
        (lambda _: "null", "it must be names with values"),
        (lambda _: "[]", "it must be names with values"),
        (lambda text: text.replace('"name"', '"name":"other","name"', 1), "names name twice"),
        (lambda text: text.replace("Random", "\\ud800", 1), "half a surrogate pair"),
    ],
)
def test_a_manifest_that_is_no_json(path: Path, change: Callable[[str], str], said: str) -> None:
    with_text(path, change)
    for load in (load_bundle, read_manifest, verify):
        assert said in refusal(path, load)


NUMBERS = """
    intensity.low intensity.high camera.slope.0 camera.floor.1 flow_fit.held_out_nats
    flow_fit.ks_distance encoder.noise encoder.held_out_error.0 pix2pix.networks.0.l1
    training.kimg training.kid training.fid pixel_size_um architecture.conv_clamp
    measurement.reach trust.0.settings.lambda_w trust.0.measurement.reach
    trust.0.domain.lr_residual.0 trust.0.domain.log_density.1 trust.0.domain.distance.0
    trust.0.domain.centre.0 trust.0.domain.precision.0.1 trust.0.domain.threshold
    trust.0.domain.false_alarms trust.0.corrections.0.floor trust.0.corrections.0.levels.0
    trust.0.corrections.0.below.0 trust.0.corrections.0.above.1 trust.0.corrections.0.median
    direct.columns.0.centre direct.columns.0.scale direct.columns.0.widening.0
"""


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, -1e308], ids=str)
@pytest.mark.parametrize("place", NUMBERS.split())
def test_numbers_that_nobody_can_compute_with(path: Path, place: str, value: float) -> None:
    with_value(path, place, value)
    assert "manifest is not valid" in refusal(path)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("encoder.factors", [2] * 20_000, "at most 8 items"),
        ("encoder.factors", [2, 2], "each factor can have one encoder"),
        ("encoder.factors", [0, 2], "encoder.factors.0"),
        ("encoder.held_out_error", [0.5], "a number for each factor"),
        ("pix2pix.networks", [], "does not belong there"),
        ("pix2pix.networks.0.factor", 0, "pix2pix.networks.0.factor"),
        ("pix2pix.networks.0.width", 512, "but the manifest asks for"),
        ("direct.factors", [2, 2], "each factor once"),
        ("direct.factors", [2, 3], "no multiple of the direct factor 3"),
        ("direct.factors", [2], "a widening for each factor"),
        ("direct.factors", [4, 8], "but the manifest asks for"),
        ("direct.columns", [], "direct.columns"),
        ("direct.columns.1.column", "ratio", "each column once"),
        ("direct.columns.0.scale", 0, "direct.columns.0.scale"),
        ("direct.width", 512, "but the manifest asks for"),
        ("channels", [], "manifest is not valid"),
        ("architecture.channel_base", 1, "leaves no feature maps"),
        ("architecture.resolution", 0, "architecture.resolution"),
        ("architecture.resolution", 1024, "manifest is not valid|feature maps"),
        ("architecture.w_dim", 4096, "but the manifest asks for"),
        ("flow.blocks", 32, "is missing"),
        ("flow.hidden", 8192, "but the manifest asks for"),
        ("flow.kind", "realnvp", "does not belong there"),
        ("intensity.high", -1.5, "greater than intensity.low"),
        ("intensity", {"low": 0, "high": 1e-320}, "too near each other"),
        ("intensity", {"low": 1e14, "high": 1e14 + 1}, "too near each other"),
        ("pixel_size_um", 1e-320, "pixel_size_um"),
        ("pixel_size_um", 0, "pixel_size_um"),
        ("training.images", 2**70, "a number of 22 digits"),
        ("training.images", -5, "training.images"),
        ("flow_fit.seed", 2**64 - 1, "flow_fit.seed"),
        ("trust.0.domain.centre", [0.0], "inverse covariance"),
        ("trust.0.domain.precision", [[1.0, 0.0]], "inverse covariance"),
        ("trust.1.factor", 2, "one entry of trust"),
        ("name", "a\n", "name"),
        ("name", "\x1b[31m", "name"),
        ("title", "red \x1b[31m", "title"),
        ("title", "two\nlines", "title"),
        ("limits", "\x07", "limits"),
        ("attribution", "\u202egnp", "attribution"),
        ("created_by", "\x9b2J", "created_by"),
        ("intensity.unit", "\r", "intensity.unit"),
        ("channels.0.name", "DNA\x00", "channels.0.name"),
        ("measurement", {"\x1b]0;x\x07": 1}, "measurement"),
        ("measurement", {"a": [[[[[[[[[[[[[1]]]]]]]]]]]]]}, "nested too deep"),
        ("trust.0.corrections.0.column", "\x1b", "column"),
        ("\x1b[2J", 1, "is not known; leave it out"),
    ],
)
def test_values_that_no_bundle_has(path: Path, place: str, value: object, said: str) -> None:
    with_value(path, place, value)
    assert any(part in refusal(path) for part in said.split("|"))


def with_tensor(path: Path, name: str, tensor: torch.Tensor) -> None:
    manifest = read_manifest(path)
    bundle_file.write(path, manifest, load_file(path) | {name: tensor})


@pytest.mark.parametrize("value", [3e38, float("nan"), float("inf"), -2e9], ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "generator.mapping.fc0.weight",
        "generator.synthesis.b8.conv1.noise_const",
        "flow.mean",
        "pix2pix.2.up.0.weight",
        "direct.layers.0.weight",
        "encoder.4.layers.1.weight",
        "discriminator.fc.weight",
    ],
)
def test_weights_that_nobody_can_compute_with(path: Path, name: str, value: float) -> None:
    found = {n for n in load_file(path) if n.startswith(name.partition(".")[0])}
    name = name if name in found else min(found)
    tensor = load_file(path)[name].float()
    tensor.flatten()[-1] = value
    with_tensor(path, name, tensor)
    assert f"tensor {name} holds NaN, infinite or huge values" in refusal(path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("flow.std", 0.0, "divides by a deviation"),
        ("flow.std", -1.0, "divides by a deviation"),
        ("generator.synthesis.b4.torgb.weight", 9e8, "generator gives numbers that are not finite"),
        ("pix2pix.4.down_norm.1.var", -1.0, "Pix2Pix network of factor 4 gives numbers"),
    ],
)
def test_weights_that_make_no_finite_numbers(
    path: Path, name: str, value: float, said: str
) -> None:
    tensors = load_file(path)
    affine = {n: t.float() for n, t in tensors.items() if n.endswith("affine.bias")}
    changed = {name: torch.full_like(tensors[name].float(), value)}
    if "torgb" in name:
        changed |= {n: torch.full_like(t, 9e8) for n, t in affine.items()}
    bundle_file.write(path, read_manifest(path), tensors | changed)
    assert said in refusal(path)


def test_tensors_of_other_types(path: Path) -> None:
    name = "generator.mapping.fc0.bias"
    shape = load_file(path)[name].shape
    for dtype, said in [(torch.int64, "I64"), (torch.bool, "BOOL"), (torch.complex64, "C64")]:
        with_tensor(path, name, torch.zeros(shape, dtype=dtype))
        assert f"tensor {name} holds {said}, not floats" in refusal(path)
    with_tensor(path, "discriminator.x\x1b[31m", torch.zeros(2, dtype=torch.int8))
    assert r"discriminator.x\x1b[31m holds I8" in refusal(path)


def test_a_header_that_is_quoted_at_length_is_cut(path: Path) -> None:
    header = json.dumps({"__metadata__": "a" * 100_000}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(BundleError, match="is not a complete safetensors file") as refused:
        load_bundle(path)
    assert len(str(refused.value)) < 400


def test_a_file_that_only_claims_to_be_large_is_not_read(path: Path) -> None:
    size = 2**40
    header = json.dumps(
        {
            "__metadata__": {KEY: read_manifest(path).model_dump_json()},
            "payload": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]},
        }
    ).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    assert "is missing" in refusal(path)
