"""The state of a run on disk: one safetensors file, whole or not at all.

Tensors are stored as tensors and the few numbers beside them as JSON in the
file's header, so that one rename replaces both together. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from napari_rls.errors import JsonError, TrainingError
from napari_rls.files.json_file import parse_model
from napari_rls.models.architecture import Architecture
from napari_rls.models.part import LARGEST, Count, Number, Part
from napari_rls.models.stylegan2 import Generator
from napari_rls.training.discriminator import Discriminator
from napari_rls.training.state import read_state, restore_state, state_tensors
from napari_rls.training.tensor_file import opened, read_note, write_safely
from napari_rls.training.trainer import Trainer

_KEY = "napari-rls-training"
_FORMAT = 1
_DISCRIMINATOR = "discriminator."


class _Ada(Part):
    p: float = Field(ge=0, le=1)
    signs: Number
    images: Count


class _Numbers(Part):
    """What a checkpoint holds beside tensors."""

    format: Literal[1]
    dtype: Literal["float32", "bfloat16"]
    images: Count
    steps: Count
    ada: _Ada


def save_checkpoint(path: Path, trainer: Trainer) -> None:
    """Write the whole state of ``trainer``; a checkpoint that is there stays until it is complete.

    Raises
    ------
    TrainingError
        If the file cannot be written, as on a full disk; the previous one is unharmed.
    """
    ada = trainer.ada
    numbers = {
        "format": _FORMAT,
        "dtype": str(trainer.dtype).removeprefix("torch."),
        "images": trainer.images,
        "steps": trainer.steps,
        "ada": {"p": ada.p, "signs": ada.signs, "images": ada.images},
    }
    write_safely(path, dict(_tensors(trainer)), {_KEY: json.dumps(numbers)})


def read_numbers(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds beside tensors: ``dtype``, ``images``, ``steps``, ``ada``.

    Raises
    ------
    TrainingError
        If the file is damaged or is no checkpoint that this version reads.
    """
    return _numbers(path).model_dump()


def load_checkpoint(path: Path, trainer: Trainer) -> None:
    """Bring ``trainer``, made with the same settings and dtype, into the state of a checkpoint.

    Raises
    ------
    TrainingError
        As :func:`read_numbers`, and if a tensor is missing, of another shape or type, or not
        finite; ``trainer`` is then as it was.
    """
    numbers = _numbers(path)
    parts = _networks(trainer), _optimisers(trainer), vars(trainer.streams)
    tensors = read_state(path, *parts, beside={"path_mean": trainer.path_mean})
    restore_state(tensors, *parts)
    trainer.path_mean = tensors["path_mean"].to(trainer.device)
    trainer.images, trainer.steps = numbers.images, numbers.steps
    ada, kept = trainer.ada, numbers.ada
    ada.p, ada.signs, ada.images = kept.p, kept.signs, kept.images


def save_generator(path: Path, generator: Generator, note: Mapping[str, str]) -> None:
    """Write a generator's weights, under their official names, whole or not at all.

    Raises
    ------
    TrainingError
        If the file cannot be written.
    """
    metadata = {"architecture": generator.arch.model_dump_json(), **note}
    write_safely(path, generator.state_dict(), metadata)


def load_generator(path: Path, arch: Architecture, part: str = "generator.") -> Generator:
    """Read a generator of this shape from a bundle or from bare weights.

    Of a checkpoint, ``part`` "average." is the averaged generator G_ema.

    Raises
    ------
    TrainingError
        If the file cannot be read, holds a generator of another shape, or one whose weights
        are not finite.
    """
    generator = Generator(arch)
    with opened(path) as file:
        found = set(file.keys())
        prefix = part if any(name.startswith(part) for name in found) else ""
        _fill(path, file, generator, prefix)
    return generator


def _fill(path: Path, file: Any, network: nn.Module, prefix: str) -> None:
    """Put tensors of an open file into a network; none is read before all have its shapes."""
    state, found = network.state_dict(), set(file.keys())
    for name, tensor in state.items():
        if prefix + name not in found or (
            tuple(file.get_slice(prefix + name).get_shape()) != tensor.shape
        ):
            raise _other(
                path,
                f"its tensor {prefix}{name} is missing or not of the shape "
                f"{tuple(tensor.shape)} that the settings ask for",
            )
    for name, tensor in state.items():
        read = file.get_tensor(prefix + name)
        if not (read.is_floating_point() and (read.abs() <= LARGEST).all()):
            raise _other(path, f"its tensor {prefix}{name} holds NaN, infinite or huge values")
        tensor.copy_(read)


def _other(path: Path, fault: str) -> TrainingError:
    return TrainingError(f"{path} cannot be the start of this run: {fault}.")


@dataclass(frozen=True, eq=False)
class Start:
    """What a run starts from: a generator, and the discriminator that it was trained with.

    Without the latter a new discriminator has to learn first what the generator knows.
    """

    generator: Generator
    discriminator: Discriminator | None = None


def load_start(path: Path, arch: Architecture) -> Start:
    """Read what a run of this shape starts from: a checkpoint, a bundle or bare weights.

    Raises
    ------
    TrainingError
        As :func:`load_generator`, and if the discriminator is of another shape.
    """
    generator = load_generator(path, arch)
    with opened(path) as file:
        if not any(name.startswith(_DISCRIMINATOR) for name in file.keys()):  # noqa: SIM118
            return Start(generator)
        discriminator = Discriminator(arch)
        _fill(path, file, discriminator, _DISCRIMINATOR)
    return Start(generator, discriminator)


def save_start(path: Path, start: Start, note: Mapping[str, str]) -> None:
    """Write what a run can start from, whole or not at all.

    Raises
    ------
    TrainingError
        If the file cannot be written.
    """
    parts = (("generator.", start.generator), (_DISCRIMINATOR, start.discriminator))
    tensors = {p + k: t for p, net in parts if net is not None for k, t in net.state_dict().items()}
    write_safely(path, tensors, {"architecture": start.generator.arch.model_dump_json(), **note})


def _numbers(path: Path) -> _Numbers:
    try:
        return parse_model(read_note(path).get(_KEY, ""), _Numbers)
    except JsonError as error:
        raise TrainingError(
            f"{path} is not a checkpoint that this version of napari-rls reads ({error}); start "
            "the run in another folder."
        ) from None


def _tensors(trainer: Trainer) -> Iterator[tuple[str, Tensor]]:
    yield from state_tensors(_networks(trainer), _optimisers(trainer), vars(trainer.streams))
    yield "path_mean", trainer.path_mean


def _networks(trainer: Trainer) -> dict[str, nn.Module]:
    return {
        "generator.": trainer.generator,
        "average.": trainer.average,
        _DISCRIMINATOR: trainer.discriminator,
    }


def _optimisers(trainer: Trainer) -> dict[str, torch.optim.Adam]:
    return {"adam_g.": trainer.adam_g, "adam_d.": trainer.adam_d}
