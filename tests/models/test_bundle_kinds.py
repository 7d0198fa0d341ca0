"""Every kind of bundle that a manifest allows is written, and read again as it was."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_kinds import TINY, kind_of_bundle, outputs
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from tiny_job import full_disk

from napari_rls import load_bundle
from napari_rls.models import bundle_file
from napari_rls.models.architecture import Architecture
from napari_rls.models.bundle import Bundle
from napari_rls.models.bundle_file import read_manifest

PARTS = (
    "encoders",
    "field_encoder",
    "flow_matching",
    "pix2pix",
    "direct",
    "camera",
    "trust",
    "discriminator",
)
KINDS: dict[str, dict[str, Any]] = {
    **{f"with {part}": {part: True} for part in PARTS},
    "with all": dict.fromkeys(PARTS, True),
    "realnvp with all": {**dict.fromkeys(PARTS, True), "flow": {"kind": "realnvp"}},
    **{
        f"{kind} of {blocks} blocks, {layers} layers, {dim} dimensions": {
            "flow": {"kind": kind, "blocks": blocks, "hidden_layers": layers, "hidden": 3},
            "w_dim": dim,
        }
        for (kind, dim), blocks, layers in product(
            [("maf", 1), ("maf", 2), ("maf", 5), ("realnvp", 2), ("realnvp", 5)], (1, 3), (1, 3)
        )
    },
    "one channel": {"image_channels": 1},
    "three channels": {"image_channels": 3, "encoders": True, "pix2pix": True, "camera": True},
    "sixteen channels": {"image_channels": 16},
    "64 pixels": {"resolution": 64, "channel_base": 64, "encoders": True, "pix2pix": True},
    "coarse images": {
        "resolution": 64, "channel_base": 64, "flow_matching": True, "coarse_flow": True
    },
    "z of one dimension": {"z_dim": 1},
    "eight layers of mapping": {"mapping_layers": 8},
    "wide at full size": {"channel_base": 512, "channel_max": 3},
    "clamped": {"conv_clamp": 256},
}  # fmt: skip


def same(first: Bundle, second: Bundle) -> None:
    before, after = outputs(first), outputs(second)
    assert before.keys() == after.keys()
    for name, numbers in before.items():
        assert numbers.isfinite().all(), name
        assert torch.equal(numbers, after[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind: str, tmp_path: Path) -> None:
    made = kind_of_bundle(**KINDS[kind])
    saved = made.save(tmp_path / "kind.rls.safetensors")
    back = load_bundle(tmp_path / "kind.rls.safetensors")
    assert back.manifest == saved.manifest
    assert back.manifest == made.manifest.model_copy(
        update={"content_hash": saved.manifest.content_hash}
    )
    same(made, back)
    again = back.save(tmp_path / "again.rls.safetensors")
    assert again.manifest.content_hash == saved.manifest.content_hash


_SINCE_5 = ("field_encoder", "coarse_flow")

ADDED = {
    1: ("measurement", "trust", "pix2pix", "camera", *_SINCE_5, "flow_matching", "direct"),
    2: ("pix2pix", "camera", *_SINCE_5, "flow_matching", "direct"),
    3: ("camera", *_SINCE_5, "flow_matching", "direct"),
    4: (*_SINCE_5, "flow_matching", "direct"),
    5: ("flow_matching", "direct", "coarse_flow"),
    6: ("direct", "coarse_flow"),
    7: ("coarse_flow",),
    8: ("coarse_flow",),
}
"""Fields that a format has not yet."""


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("kind", ["maf", "realnvp"])
def test_older_formats_are_read_as_they_were_written(
    version: int, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "old.rls.safetensors"
    missing = ADDED.get(version, ())
    known = ("encoders", "field_encoder", "flow_matching", "pix2pix", "direct", "camera", "trust")
    parts = {part: part not in missing for part in known}
    made = kind_of_bundle(**parts, flow={"kind": kind})
    made.save(path)
    tensors, stored = load_file(path), json.loads(read_manifest(path).model_dump_json())
    stored = {k: v for k, v in stored.items() if k not in missing} | {"format_version": version}
    if version < 8 and stored.get("flow_matching"):
        assert stored["flow_matching"].pop("coloured") is False
    for _ in range(2):
        save_file(tensors, path, {"napari-rls": json.dumps(stored)})
        stored["content_hash"] = bundle_file._content_hash(path)
    back = load_bundle(path)
    assert back.manifest.format_version == version
    same(made, back)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channel_base": 4}, "channel_base 4 leaves no feature maps at 8 pixels"),
        ({"conv_clamp": float("nan")}, "conv_clamp"),
        ({"conv_clamp": 1e-320}, "conv_clamp"),
    ],
)
def test_shapes_that_no_network_can_have(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Architecture.model_validate(TINY | changes)
    assert said in str(refused.value)


@pytest.mark.parametrize("without", [{"resolution": 32}, {"flow_matching": False}])
def test_coarse_images_need_what_images_are_drawn_by_and_pixels(without: dict[str, Any]) -> None:
    enough = {"resolution": 64, "channel_base": 64, "flow_matching": True, "coarse_flow": True}
    with pytest.raises(ValidationError, match="need flow matching and 64 HR pixels along a cell"):
        kind_of_bundle(**enough | without)


def test_a_coupling_needs_two_dimensions() -> None:
    with pytest.raises(ValidationError, match="realnvp needs 2 dimensions of w"):
        kind_of_bundle(flow={"kind": "realnvp"}, w_dim=1)


def test_a_full_disk_is_an_error_and_leaves_the_older_bundle(tmp_path: Path) -> None:
    path = tmp_path / "kind.rls.safetensors"
    kind_of_bundle().save(path)
    before = path.read_bytes()
    with full_disk(1000), pytest.raises(OSError, match="File too large") as error:
        kind_of_bundle(encoders=True).save(path)
    assert error.value.filename == str(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
