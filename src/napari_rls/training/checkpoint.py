"""The state of a run on disk: one safetensors file, whole or not at all.

Tensors are stored as tensors and the few numbers beside them as JSON in the
file's header, so that one rename replaces both together. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_rls.models.architecture import Architecture
from napari_rls.models.stylegan2 import Generator
from napari_rls.models.whole_file import whole_file
from napari_rls.training.discriminator import Discriminator
from napari_rls.training.settings import TrainingError
from napari_rls.training.trainer import Trainer

_KEY = "napari-rls-training"
_FORMAT = 1
_DISCRIMINATOR = "discriminator."


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
    text = read_note(path).get(_KEY)
    numbers: dict[str, Any] = json.loads(text) if text else {}
    if numbers.get("format") != _FORMAT:
        raise TrainingError(
            f"{path} is not a checkpoint that this version of napari-rls reads; start the run "
            "in another folder."
        )
    return numbers


def load_checkpoint(path: Path, trainer: Trainer) -> None:
    """Bring ``trainer``, made with the same settings and dtype, into the state of a checkpoint.

    Raises
    ------
    TrainingError
        As :func:`read_numbers`.
    """
    numbers = read_numbers(path)
    tensors = read_tensors(path)
    restore_state(tensors, _networks(trainer), _optimisers(trainer), vars(trainer.streams))
    trainer.path_mean = tensors["path_mean"].to(trainer.device)
    trainer.images, trainer.steps = numbers["images"], numbers["steps"]
    for name, value in numbers["ada"].items():
        setattr(trainer.ada, name, value)


def save_generator(path: Path, generator: Generator, note: Mapping[str, str]) -> None:
    """Write a generator's weights, under their official names, whole or not at all.

    Raises
    ------
    TrainingError
        If the file cannot be written.
    """
    metadata = {"architecture": generator.arch.model_dump_json(), **note}
    write_safely(path, generator.state_dict(), metadata)


def read_note(path: Path) -> dict[str, str]:
    """Return what stands beside the tensors of a safetensors file.

    Raises
    ------
    TrainingError
        If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises
    ------
    TrainingError
        If the file is damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def annotate(path: Path, copy: Path, note: Mapping[str, str]) -> None:
    """Copy a safetensors file and add ``note`` to what stands beside its tensors.

    Raises
    ------
    TrainingError
        If the file is damaged or the copy cannot be written.
    """
    write_safely(copy, load_file(path), {**read_note(path), **note})


def load_generator(path: Path, arch: Architecture, part: str = "generator.") -> Generator:
    """Read a generator of this shape from a bundle or from bare weights.

    Of a checkpoint, ``part`` "average." is the averaged generator G_ema.

    Raises
    ------
    TrainingError
        If the file cannot be read or holds a generator of another shape.
    """
    tensors = read_tensors(path)
    tensors = _part(tensors, part) or tensors
    generator = Generator(arch)
    for name, tensor in generator.state_dict().items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            raise TrainingError(
                f"{path} cannot be the start of this run: its tensor {name} is missing or not "
                f"of the shape {tuple(tensor.shape)} that the settings ask for."
            )
    generator.load_state_dict({name: tensors[name] for name in generator.state_dict()})
    return generator


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
    tensors = _part(load_file(path), _DISCRIMINATOR)
    if not tensors:
        return Start(generator)
    discriminator = Discriminator(arch)
    try:
        discriminator.load_state_dict(tensors)
    except RuntimeError:
        raise TrainingError(
            f"{path} cannot be the start of this run: its discriminator has not the shape that "
            "the settings ask for."
        ) from None
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


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_safely(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file under a temporary name and rename it once it is complete.

    Raises
    ------
    TrainingError
        If it cannot be written; what was at ``path`` is unharmed.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with whole_file(path) as draft:
            save_file(plain, draft, metadata)
    except (SafetensorError, OSError) as error:
        raise TrainingError(
            f"Cannot write {path} ({error}); the previous one, if any, is unharmed: free some "
            "disk space, then resume."
        ) from None


def state_tensors(
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Adam],
    streams: Mapping[str, torch.Generator],
) -> Iterator[tuple[str, Tensor]]:
    """Yield all that changes in a step under its name; the keys are prefixes of names."""
    for prefix, network in networks.items():
        for name, tensor in network.state_dict().items():
            yield prefix + name, tensor
    for prefix, adam in optimisers.items():
        for index, parameter in enumerate(adam.param_groups[0]["params"]):
            for name, tensor in adam.state[parameter].items():
                yield f"{prefix}{index}.{name}", tensor
    for name, stream in streams.items():
        yield f"stream.{name}", stream.get_state()


def restore_state(
    tensors: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Adam],
    streams: Mapping[str, torch.Generator],
) -> None:
    """Bring networks, optimisers and streams into the state of :func:`state_tensors`."""
    for prefix, network in networks.items():
        network.load_state_dict(_part(tensors, prefix))
    for prefix, adam in optimisers.items():
        _restore_adam(adam, _part(tensors, prefix))
    for name, stream in streams.items():
        stream.set_state(tensors[f"stream.{name}"])


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


def _restore_adam(adam: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """Set Adam's moments; in the memory order of their weights, as Adam itself makes them."""
    adam.state.clear()
    for index, parameter in enumerate(adam.param_groups[0]["params"]):
        for name, tensor in _part(tensors, f"{index}.").items():
            ordered = torch.empty_like(parameter) if name != "step" else torch.empty_like(tensor)
            adam.state[parameter][name] = ordered.copy_(tensor).detach()


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _damaged(path: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{path} cannot be read ({error}).")
