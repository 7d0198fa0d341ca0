"""What the objects in an official network pickle become as it is read: inert records.

The pickle is a dict of networks. Each is a record of its class's name, its state and
the source code of the module it comes from; the official reader runs that code, this
one drops it. Tensors are torch.save files inside the pickle and stay unread until a
generator has been found that asks for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from napari_rls.errors import RefusedError
from napari_rls.models.safe_pickle import Table, plain
from napari_rls.models.torch_file import read_torch

LARGE: Final = 2**40
"""More than any number in a checkpoint."""

_VERSION = 6
_MAX_MODULES = 500
_NUMBERS = re.compile(r"[<>|=]?[biufc]\d{1,2}")


@dataclass(eq=False)
class Module:
    """Stands in for a network or a part of one."""

    kind: str
    state: dict[str, Any] = field(default_factory=dict)

    def set_state(self, state: object) -> None:
        """Take the state of one of torch's own containers."""
        if not isinstance(state, dict):
            raise RefusedError(f"the state of {plain(self.kind)} in it is no dict")
        self.state = state

    def part(self, name: str) -> dict[str, Any]:
        """Return ``_parameters``, ``_buffers`` or ``_modules``."""
        found = self.state.get(name)
        if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
            raise RefusedError(f"its {plain(self.kind)} has no {name}")
        return found

    def modules(self) -> dict[str, Module]:
        """Return this and all modules in it by their names, as in ``synthesis.b4.``."""
        found = {"": self}
        waiting = [("", self)]
        while waiting:
            prefix, module = waiting.pop()
            for name, part in module.part("_modules").items():
                if isinstance(part, Module):
                    found[f"{prefix}{name}."] = part
                    waiting.append((f"{prefix}{name}.", part))
                elif part is not None:
                    raise RefusedError(f"its {plain(prefix + name)} is no module")
                # A module that holds itself would go on for ever.
                if len(found) > _MAX_MODULES:
                    raise RefusedError(f"its network has more than {_MAX_MODULES} modules")
        return found


@dataclass(frozen=True, eq=False)
class Storage:
    """The numbers of a tensor, as a torch.save file that is not read yet."""

    data: bytes

    @cached_property
    def tensor(self) -> Tensor:
        """All of them, in one row."""
        found = read_torch(self.data)
        if not isinstance(found, torch.storage.TypedStorage):
            raise RefusedError("one of its tensors is stored in an unknown way")
        return torch.empty(0, dtype=found.dtype).set_(found)


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that is not read yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self) -> Tensor:
        """Return the tensor.

        Raises
        ------
        RefusedError
            If it has more elements than are stored.
        """
        numbers = self.storage.tensor
        last = self.offset + sum(
            (n - 1) * step for n, step in zip(self.shape, self.stride, strict=True)
        )
        if math.prod(self.shape) > len(numbers) or last >= len(numbers):
            raise RefusedError("one of its tensors has more elements than are stored")
        return numbers.as_strided(self.shape, self.stride, self.offset)


class _DType:
    """Stands in for a numpy dtype of plain numbers."""

    def __init__(self, code: object, *_: bool) -> None:
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            shown = plain(code) if isinstance(code, str) else "unknown"
            raise RefusedError(f"it holds numpy numbers of type {shown}")
        self.dtype = np.dtype(code)

    def set_state(self, state: object) -> None:
        match state:
            case (int(), str(order), None, None, None, *_) if order in {"<", ">", "|", "="}:
                self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]
            case _:
                raise RefusedError("it holds numpy numbers of a structured type")


def _persistent(meta: dict[str, Any]) -> Module:
    if meta["type"] != "class" or meta["version"] != _VERSION:
        raise RefusedError("its networks are stored in an unknown version of the official format")
    if not isinstance(meta["class_name"], str):
        raise RefusedError("one of its networks has no name")
    module = Module(meta["class_name"])
    module.set_state(meta["state"])
    return module


def _tensor(storage: object, offset: object, shape: object, stride: object, *_: object) -> object:
    sizes, steps, (start,) = _counts(shape), _counts(stride), _counts((offset,))
    if not isinstance(storage, Storage) or len(sizes) != len(steps):
        raise RefusedError("one of its tensors is stored in an unknown way")
    return StoredTensor(storage, start, sizes, steps)


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(type(n) is int and 0 <= n < LARGE for n in values):
        raise RefusedError("one of its tensors has a shape that is none")
    return values


def _parameter(tensor: object, *_: object) -> object:
    return tensor


def _storage(data: object) -> Storage:
    if not isinstance(data, bytes):
        raise RefusedError("one of its tensors is stored in an unknown way")
    return Storage(data)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError("it holds bytes in another encoding than latin1")
    return text.encode("latin1")


def _scalar(dtype: _DType, data: bytes) -> Any:
    return np.frombuffer(data, dtype.dtype, count=1)[0].item()


def _dict(pairs: object = ()) -> dict[Any, Any]:
    # Pairs would put keys into a dict unseen; later items come one by one.
    if pairs != ():
        raise RefusedError("it makes a dict in an unknown way")
    return {}


def _items(items: object = ()) -> list[Any]:
    """Stand in for a set: a list, since nothing here needs a set."""
    if not isinstance(items, (list, tuple)):
        raise RefusedError("it makes a set in an unknown way")
    return list(items)


def _container(kind: str) -> Callable[[], Module]:
    return lambda: Module(kind)


TABLE: Table = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.storage._load_from_bytes": _storage,
    "torch.device": lambda *_: None,
    "dnnlib.util.EasyDict": _dict,
    "collections.OrderedDict": _dict,
    "_codecs.encode": _encode,
    **dict.fromkeys(["builtins.set", "__builtin__.set"], _items),
    **dict.fromkeys(["builtins.bytes", "__builtin__.bytes"], lambda: b""),
    **dict.fromkeys(["numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"], _scalar),
    "numpy.dtype": _DType,
    **{
        f"torch.nn.modules.{name}": _container(name.rpartition(".")[2])
        for name in (
            "module.Module", "container.Sequential", "container.ModuleList",
            "container.ModuleDict", "container.ParameterList", "container.ParameterDict",
        )
    },
}  # fmt: skip
"""All names that the official pickles use."""
