"""Read a StyleGAN2 generator out of another program's checkpoint; nothing in it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_rls.errors import CheckpointError, RefusedError
from napari_rls.models.official_checkpoint import TENSORFLOW, read_official
from napari_rls.models.rosinality import read_rosinality
from napari_rls.models.safe_pickle import PROTOCOLS, plain
from napari_rls.models.stylegan2 import Generator
from napari_rls.models.torch_file import LEGACY_START, ZIP_START, read_torch, read_torch_zip

MAX_BYTES: Final = 4 * 2**30
"""Official pickles of 1024 x 1024 pixels have some 0.4 GB, rosinality's checkpoints 1 to 2."""

_GIVE = (
    "give a network pickle (.pkl) of stylegan2-ada-pytorch or a checkpoint (.pt) of rosinality's "
    "stylegan2-pytorch"
)


@dataclass(frozen=True, eq=False)
class ForeignGenerator:
    """A generator and the program whose checkpoint it comes from."""

    generator: Generator
    program: str


def read_checkpoint(path: Path) -> ForeignGenerator:
    """Read the moving average of the generator in an official or rosinality's checkpoint.

    Raises
    ------
    CheckpointError
        If the file is something else, asks for anything that a checkpoint does not need,
        or holds a generator that a bundle cannot hold.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"There is no checkpoint file {path}.")
        return _read(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror or error}).") from None
    except RefusedError as error:
        advice = "nothing in it was run"
        if TENSORFLOW in str(error):
            advice = (
                "it was made with the TensorFlow version; convert it with legacy.py of "
                "stylegan2-ada-pytorch, then import what that writes"
            )
        raise CheckpointError(f"{path.name} was refused: {error}; {advice}.") from None


def _read(path: Path) -> ForeignGenerator:
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path.name} has more than {MAX_BYTES / 2**30:g} GiB; {_GIVE}.")
    with path.open("rb") as file:
        start = file.read(len(LEGACY_START))
    if start.startswith(ZIP_START):
        return _of_torch(path.name, read_torch_zip(path))
    if start == LEGACY_START:
        return _of_torch(path.name, read_torch(path.read_bytes()))
    if start[:1] == b"\x80" and start[1:2] and start[1] in PROTOCOLS:
        return ForeignGenerator(read_official(path.read_bytes()), "stylegan2-ada-pytorch")
    if start[8:9] == b"{":
        raise CheckpointError(
            f"{path.name} is a safetensors file: a bundle needs no import, and other weights are "
            "imported from their own program's .pkl or .pt."
        )
    raise CheckpointError(f"{path.name} is no StyleGAN2 checkpoint; {_GIVE}.")


def _of_torch(name: str, checkpoint: Any) -> ForeignGenerator:
    keys = list(checkpoint) if isinstance(checkpoint, dict) else []
    if "g_ema" in keys:
        return ForeignGenerator(read_rosinality(checkpoint), "rosinality's stylegan2-pytorch")
    if "GAN" in keys or any("to_style1" in str(key) for key in keys):
        raise CheckpointError(
            f"{name} comes from lucidrains' stylegan2-pytorch, whose generator is another "
            f"architecture; {_GIVE}."
        )
    found = ", ".join(plain(str(key)) for key in keys[:5]) or "no dict"
    raise CheckpointError(
        f"{name} is a file of PyTorch, but has no g_ema (found: {found}); {_GIVE}."
    )
