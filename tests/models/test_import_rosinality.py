"""Checkpoints of rosinality's stylegan2-pytorch, and other files of PyTorch."""

from __future__ import annotations

import argparse
import contextlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain_rosinality as plain
import pytest
import torch

from napari_rls.errors import CheckpointError
from napari_rls.models.architecture import Architecture
from napari_rls.models.import_checkpoint import read_checkpoint

WIDTHS = (8, 8, 4)
TAPS = torch.tensor([1.0, 2.0, 1.0])


def checkpoint(**changes: Any) -> dict[str, Any]:
    """Return what rosinality's training writes."""
    g_ema = plain.random_state(WIDTHS, dim=6, layers=2, channels=3)
    g = torch.nn.Linear(2, 2)
    optimiser = torch.optim.Adam(g.parameters())
    g(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    training = {"g": g.state_dict(), "d": g.state_dict(), "g_optim": optimiser.state_dict()}
    args = argparse.Namespace(size=16, latent=6, path="cells.lmdb")
    return training | {"g_ema": g_ema, "args": args, "ada_aug_p": 0.0} | changes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "010000.pt"


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(path)
    text = str(refused.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


@pytest.mark.parametrize("zipped", [True, False])
def test_images_equal_those_of_rosinalitys_arithmetic(path: Path, zipped: bool) -> None:
    found = checkpoint()
    torch.save(found, path, _use_new_zipfile_serialization=zipped)
    foreign = read_checkpoint(path)
    assert foreign.program == "rosinality's stylegan2-pytorch"
    generator = foreign.generator
    assert generator.arch == Architecture(
        resolution=16, image_channels=3, z_dim=6, w_dim=6, mapping_layers=2, channel_base=64,
        channel_max=8,
    )  # fmt: skip
    state = found["g_ema"]
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    w = plain.mapping(state, z)
    assert torch.allclose(generator.mapping(z), w, atol=1e-5)
    expected = plain.synthesis(state, w)
    images = generator.synthesis(generator.broadcast(w))
    assert expected.std() > 0.1
    assert (images - expected).abs().max() < 1e-5 * expected.abs().max()


def test_the_mean_w_is_the_files_or_drawn(path: Path) -> None:
    average = torch.arange(6.0)
    torch.save(checkpoint(latent_avg=average), path)
    assert torch.equal(read_checkpoint(path).generator.mapping.w_avg, average)
    torch.save(checkpoint(), path)
    mapping = read_checkpoint(path).generator.mapping
    w = mapping(torch.randn(20_000, 6, generator=torch.Generator().manual_seed(3)))
    assert (mapping.w_avg - w.mean(0)).abs().max() < 6 * w.std() / 100


def change(name: str, tensor: object) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.update({name: tensor})


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.pop(name)


REFUSED = [
    (drop("noises.noise_3"), "tensor synthesis.b16.conv0.noise_const is missing"),
    (drop("to_rgb1.bias"), "its tensor synthesis.b4.torgb.bias is missing"),
    (change("convs.1.more", torch.zeros(1)), "it has a tensor convs.1.more, which rosinality's"),
    (change("convs.99.noise.weight", torch.zeros(1)), "which no StyleGAN2 generator has"),
    (change("convs.100.noise.weight", torch.zeros(1)), "it has a tensor convs.100.noise.weight"),
    (change("input.input", torch.zeros(2, 8, 4, 4)), "its tensor input.input has the shape (2, 8"),
    (change("input.input", "text"), "its input.input is no tensor"),
    (
        change("convs.0.conv.blur.kernel", torch.full((4, 4), 0.25)),
        "its synthesis.b8.conv0.resample_filter is the filter [1, 1, 1, 1], not [1, 3, 3, 1]",
    ),
    (
        change("convs.0.conv.blur.kernel", torch.outer(TAPS, TAPS) / 4),
        "its synthesis.b8.conv0.resample_filter is the filter [1, 2, 1], not [1, 3, 3, 1]",
    ),
    (
        change("noises.noise_0", torch.zeros(1, 1, 4, 4, dtype=torch.int64)),
        "its tensor synthesis.b4.conv1.noise_const holds int64, not floating-point numbers",
    ),
    (
        change("noises.noise_0", torch.zeros(1).expand(1, 1, 4, 4)),
        "its noises.noise_0 is no tensor, or has more elements than are stored",
    ),
]


@pytest.mark.parametrize(("alter", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_a_bundle_cannot_hold_is_refused_by_name(
    path: Path, alter: Callable[[dict[str, Any]], None], said: str
) -> None:
    found = checkpoint()
    alter(found["g_ema"])
    torch.save(found, path)
    assert said in refusal(path)


def test_other_files_of_pytorch_are_named(path: Path) -> None:
    torch.save({"GAN": {"G.blocks.0.to_style1.weight": torch.zeros(1)}, "version": "1.8"}, path)
    assert "comes from lucidrains' stylegan2-pytorch" in refusal(path)
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    assert "has no g_ema (found: weight, bias)" in refusal(path)
    torch.save(torch.zeros(3), path)
    assert "has no g_ema (found: no dict)" in refusal(path)
    torch.save({"g_ema": torch.zeros(3)}, path)
    assert "its g_ema is no state dict" in refusal(path)
    torch.save(torch.nn.Linear(2, 2), path)
    assert "it asks for torch.nn.modules.linear.Linear; nothing in it was run" in refusal(path)


class Opens:
    """An object whose pickle makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.canary)!r}, 'w').close()",)


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_files_of_pytorch_are_refused(path: Path, tmp_path: Path, zipped: bool) -> None:
    canary = tmp_path / "canary"
    found = checkpoint(args=Opens(canary))
    torch.save(found, path, _use_new_zipfile_serialization=zipped)
    torch.load(path, weights_only=False)
    assert canary.exists()
    canary.unlink()
    assert "eval; nothing in it was run" in refusal(path)
    assert not canary.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_cut_off_file_is_refused(path: Path, zipped: bool) -> None:
    torch.save(checkpoint(), path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    for end in range(200, len(data), len(data) // 12):
        path.write_bytes(data[:end])
        assert "cut off" in refusal(path)


def test_a_function_that_only_takes_memory_is_not_called(path: Path) -> None:
    class Takes:
        def __reduce__(self) -> tuple[Any, ...]:
            return bytearray, (2**40,)

    torch.save(checkpoint(args=Takes()), path)
    assert "bytearray; nothing in it was run" in refusal(path)


def rewritten(path: Path, change: Callable[[str, bytes], bytes], compression: int) -> None:
    """Write a zip file's entries again."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, change(name, data))


def test_zip_files_that_unpack_to_more_than_they_are_are_refused(path: Path) -> None:
    torch.save(checkpoint(), path)
    rewritten(path, lambda _, data: data, zipfile.ZIP_DEFLATED)
    assert "parts of it are compressed" in refusal(path)
    torch.save(checkpoint(), path)
    rewritten(path, lambda n, data: data[:8] if "/data/" in n else data, zipfile.ZIP_STORED)
    assert "its tensors are larger than the file, or missing" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "text")
    assert "it is a zip file, but no file of torch.save" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(()))
    assert "it is a TorchScript program" in refusal(path)


def test_zip_files_that_can_be_read_in_two_ways_are_refused(path: Path) -> None:
    torch.save(checkpoint(), path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        harmless = archive.read(name)
    bomb = io.BytesIO()
    torch.save({"g_ema": {"input.input": torch.zeros(1)}}, bomb)
    with zipfile.ZipFile(bomb) as archive:
        other = archive.read("archive/data.pkl")
    for twin in (name, name.upper(), name.replace("data", "Data"), name.replace("pkl", "PKL")):
        for first, second in ((name, twin), (twin, name)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                with zipfile.ZipFile(path, "w") as archive:
                    archive.writestr(first, harmless if first == name else other)
                    archive.writestr(second, other if first == name else harmless)
            assert "two of its parts have one name" in refusal(path)
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("010000/data.pkl~more", other)
    path.write_bytes(path.read_bytes().replace(b"~", b"\0"))
    assert "a name that can be read in two ways" in refusal(path)
    # Another zip file in front, to which the offsets in the directory could point.
    path.write_bytes(whole)
    rewritten(path, lambda n, data: other if n == name else data, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes() + whole)
    with contextlib.suppress(CheckpointError):
        assert read_checkpoint(path).generator.arch.resolution == 16


def test_a_damaged_name_or_key_in_a_file_of_pytorch_is_one_sentence(path: Path) -> None:
    torch.save(checkpoint(), path)
    whole = path.read_bytes()
    name = b"010000/data/0"
    at = whole.rindex(name)
    # Flags of the entry in the directory: its name is UTF-8, which it is not.
    flags = whole.rindex(b"PK\x01\x02", 0, at) + 8
    spoilt = bytearray(whole)
    spoilt[flags : flags + 2] = (0x800).to_bytes(2, "little")
    spoilt[at : at + 2] = b"\xff\xfe"
    path.write_bytes(bytes(spoilt))
    assert "it is damaged or cut off ('utf-8' codec can't decode" in refusal(path)
    torch.save(checkpoint(), path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    # The list of keys that stands before the numbers.
    keys = whole.rindex(b"\x80\x02]q\x00(X")
    size = int.from_bytes(whole[keys + 7 : keys + 11], "little")
    spoilt = bytearray(whole)
    spoilt[keys + 11 : keys + 11 + size] = b"x" * size
    path.write_bytes(bytes(spoilt))
    assert "PyTorch does not read it (storage key 'xxx" in refusal(path)
