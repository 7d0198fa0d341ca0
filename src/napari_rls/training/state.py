"""All that changes in a step of a training, as named tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from napari_rls.files.json_file import shown
from napari_rls.models.part import LARGEST
from napari_rls.training.tensor_file import damaged, opened, read_tensors


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


def read_state(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Adam],
    streams: Mapping[str, torch.Generator],
    beside: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """Read the tensors of :func:`state_tensors` if they are those of these very objects.

    Parameters
    ----------
    path
        The file.
    networks, optimisers, streams
        What they are to be restored to.
    beside
        Further tensors by their names; they may be NaN.

    Raises
    ------
    TrainingError
        If one is missing, of another shape or type, or holds what no training leaves.
    """
    expected = dict(state_tensors(networks, {}, streams)) | dict(beside)
    moments = dict(_moments(optimisers))
    with opened(path) as file:
        found = set(file.keys())
        # An optimiser knows nothing of a weight that had no gradient yet.
        for names in moments.values():
            if found & names.keys():
                expected |= names
        for name in sorted(expected.keys() | found):
            if name not in expected or name not in found:
                what = "is missing" if name in expected else "does not belong there"
                raise damaged(path, f"its tensor {shown(name)} {what}")
            entry, tensor = file.get_slice(name), expected[name]
            if tuple(entry.get_shape()) != tensor.shape or entry.get_dtype() != _code(tensor):
                raise damaged(path, f"its tensor {name} is of another shape or type")
    tensors = read_tensors(path)
    for name, tensor in tensors.items():
        least = 1 if name.endswith(".step") else 0 if name.endswith("_sq") else -LARGEST
        whole = not name.endswith(".step") or bool(tensor == tensor.round())
        fine = (tensor >= least) & (tensor <= LARGEST) | (tensor.isnan() & (name in beside))
        if not whole or not fine.all():
            raise damaged(path, f"its tensor {name} holds what no training leaves")
    for name in streams:
        try:
            torch.Generator().set_state(tensors[f"stream.{name}"])
        except RuntimeError:
            raise damaged(path, f"its random stream {name} is none") from None
    return tensors


def restore_state(
    tensors: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Adam],
    streams: Mapping[str, torch.Generator],
) -> None:
    """Bring networks, optimisers and streams into the state of :func:`state_tensors`."""
    for prefix, network in networks.items():
        network.load_state_dict(part(tensors, prefix))
    for prefix, adam in optimisers.items():
        _restore_adam(adam, part(tensors, prefix))
    for name, stream in streams.items():
        stream.set_state(tensors[f"stream.{name}"])


def _moments(
    optimisers: Mapping[str, torch.optim.Adam],
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield what Adam keeps of each weight, under its names."""
    for prefix, adam in optimisers.items():
        for index, parameter in enumerate(adam.param_groups[0]["params"]):
            of = f"{prefix}{index}."
            kept = {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
            yield of, {of + name: tensor for name, tensor in kept.items()}


def _code(tensor: Tensor) -> str:
    """Return the type of a tensor in the words of safetensors."""
    return {torch.float32: "F32", torch.uint8: "U8"}[tensor.dtype]


def _restore_adam(adam: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """Set Adam's moments; in the memory order of their weights, as Adam itself makes them."""
    adam.state.clear()
    for index, parameter in enumerate(adam.param_groups[0]["params"]):
        for name, tensor in part(tensors, f"{index}.").items():
            ordered = torch.empty_like(parameter) if name != "step" else torch.empty_like(tensor)
            adam.state[parameter][name] = ordered.copy_(tensor).detach()


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
