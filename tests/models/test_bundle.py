"""Bundle files: what goes in comes out, and nothing that is not whole and honest is read."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_job import returned

from napari_rls import load_bundle
from napari_rls.errors import BundleError
from napari_rls.models import bundle_file
from napari_rls.models.blueprint import Blueprint
from napari_rls.models.bundle import Bundle
from napari_rls.models.bundle_file import read_manifest, verify
from napari_rls.models.catalogue import embedded_bundles, find_bundle
from napari_rls.models.manifest import EncoderShape, Training
from napari_rls.training.assemble import assemble
from napari_rls.training.checkpoint import load_start
from napari_rls.training.discriminator import Discriminator


@pytest.fixture
def saved(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.rls.safetensors"
    tiny_bundle.save(path)
    return path


def rewrite(path: Path, **changes: object) -> None:
    """Change fields of the stored manifest and give it the right hash again."""
    tensors, stored = load_file(path), json.loads(read_manifest(path).model_dump_json())
    for _ in range(2):
        save_file(tensors, path, {"napari-rls": json.dumps(stored | changes)})
        stored["content_hash"] = bundle_file._content_hash(path)


def test_round_trip(tiny_bundle: Bundle, saved: Path) -> None:
    back = load_bundle(saved)
    assert back.manifest == tiny_bundle.manifest.model_copy(
        update={"content_hash": back.manifest.content_hash}
    )
    state = tiny_bundle.generator.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in back.generator.state_dict().items())
    w = tiny_bundle.draw_w(10, seed=1)
    assert torch.allclose(back.flow.log_prob(w), tiny_bundle.flow.log_prob(w), rtol=1e-2)
    assert not any(p.requires_grad for p in back.generator.parameters())


def test_a_discriminator_is_kept_for_whoever_trains_on(tiny_bundle: Bundle, tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Discriminator(tiny_bundle.manifest.architecture)
    path = tmp_path / "with.rls.safetensors"
    kept = replace(tiny_bundle, discriminator=judge.state_dict()).save(path)
    assert kept.manifest.content_hash != tiny_bundle.save(tmp_path / "x").manifest.content_hash
    images = tiny_bundle.generator(tiny_bundle.draw_z(4, 0))
    expected = judge(images)
    judge.load_state_dict(load_bundle(path).discriminator)
    torch.testing.assert_close(judge(images), expected, rtol=0.01, atol=0.01)
    started = load_start(path, tiny_bundle.manifest.architecture)
    assert started.discriminator is not None
    assert torch.equal(started.discriminator(images), judge(images))


def test_the_hash_is_of_the_content(tiny_bundle: Bundle, saved: Path, tmp_path: Path) -> None:
    again = tiny_bundle.save(tmp_path / "other name.rls.safetensors")
    assert again.manifest.content_hash == verify(saved).content_hash
    renamed = Bundle(
        tiny_bundle.manifest.model_copy(update={"limits": "none"}),
        tiny_bundle.generator,
        tiny_bundle.flow,
    ).save(tmp_path / "x.rls.safetensors")
    assert renamed.manifest.content_hash != again.manifest.content_hash


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.9, 0.9999])
def test_truncated(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleError, match="not a complete safetensors file"):
        load_bundle(saved)


def test_every_flipped_bit_is_noticed(saved: Path) -> None:
    content = saved.read_bytes()
    positions = torch.randint(len(content), (60,), generator=torch.Generator().manual_seed(0))
    (header,) = struct.unpack("<Q", content[:8])
    for position in [*positions.tolist(), 8, header // 2, header, len(content) - 1]:
        flipped = bytearray(content)
        flipped[position] ^= 4
        saved.write_bytes(flipped)
        with pytest.raises(BundleError):
            load_bundle(saved)


def test_newer_format(saved: Path) -> None:
    rewrite(saved, format_version=99)
    with pytest.raises(BundleError, match=r"newer napari-rls .bundle format 99.*update napari-rls"):
        load_bundle(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": {"resolution": 2**30, "image_channels": 1}}, "architecture.resolution"),
        ({"channels": [{"name": "DNA"}]}, "1 channel names for a generator of 2"),
        ({"name": "../../evil"}, "name"),
        ({"hook": "os.system('true')"}, "(hook"),
        ({"title": 3}, "title"),
    ],
)
def test_manifest_that_is_not_valid(saved: Path, changes: dict[str, object], message: str) -> None:
    rewrite(saved, **changes)
    with pytest.raises(BundleError, match="manifest is not valid") as error:
        load_bundle(saved)
    assert message in str(error.value)


def test_architecture_that_the_tensors_do_not_have(saved: Path) -> None:
    arch = read_manifest(saved).architecture.model_copy(update={"channel_max": 2048})
    rewrite(saved, architecture=arch.model_dump())
    with pytest.raises(BundleError, match=r"has the shape .* but the manifest asks for"):
        load_bundle(saved)


def test_tensors_that_are_missing_superfluous_or_not_finite(saved: Path) -> None:
    whole, manifest = load_file(saved), read_manifest(saved)
    const = "generator.synthesis.b4.const"
    for tensors, message in [
        ({k: v for k, v in whole.items() if k != const}, f"{const} is missing"),
        (whole | {"payload": torch.zeros(3)}, "payload does not belong there"),
        (whole | {const: whole[const] * torch.nan}, f"{const} holds NaN"),
    ]:
        bundle_file.write(saved, manifest, tensors)
        with pytest.raises(BundleError, match=message):
            load_bundle(saved)


def test_files_that_are_no_bundles(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(BundleError, match="not a napari-rls bundle"):
        load_bundle(path)
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'echo pwned'\ntR.")
    with pytest.raises(BundleError, match="not a complete safetensors file"):
        load_bundle(path)
    with pytest.raises(BundleError, match=r"embedded bundles .bbbc013-translocation-64"):
        load_bundle("no-such-bundle")


def test_a_write_that_fails_leaves_the_old_file(
    tiny_bundle: Bundle, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        tiny_bundle.save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_embedded_bundles_are_whole_and_small() -> None:
    files = embedded_bundles()
    assert set(files) == {"bbbc013-translocation-64", "golgi-simulated-128"}
    assert sum(path.stat().st_size for path in files.values()) <= 40_000_000
    for name, path in files.items():
        manifest = verify(path)
        assert manifest.name == name
        assert find_bundle(name) == path
        source = "BBBC013v1" if name.startswith("bbbc013") else "simulated by napari-rls"
        assert source in manifest.attribution
        assert manifest.training.kimg


def test_assembled_bundle_estimates_w_from_lr(tiny_bundle: Bundle, tmp_path: Path) -> None:
    manifest = tiny_bundle.manifest
    blueprint = Blueprint(
        **{n: getattr(manifest, n) for n in Blueprint.model_fields if n not in ("encoder", "data")},
        encoder=EncoderShape(factors=(2, 4), hidden=64, samples=4000, noise=0.0, seed=0),
        data="none",
    )
    fits = returned(assemble(tiny_bundle.generator, blueprint, epochs=1, samples=2000))
    training = Training(data=blueprint.data)
    found = blueprint.manifest(training, fits.flow_fit, fits.encoder)
    made = Bundle(found, tiny_bundle.generator, fits.flow, fits.encoders)
    assert made.manifest.encoder is not None
    assert max(made.manifest.encoder.held_out_error) < 0.5
    assert made.manifest.flow_fit.samples == 2000
    made.save(tmp_path / "made.rls.safetensors")
    back = load_bundle(tmp_path / "made.rls.safetensors")
    w = made.draw_w(500, seed=9)
    lr = torch.nn.functional.interpolate(
        made.generator.synthesis(made.generator.broadcast(w)),
        scale_factor=0.25,
        mode="bicubic",
        antialias=True,
    )
    error = ((back.encoders[4](lr) - w) / back.flow.std).square().mean()
    assert error < 0.6
