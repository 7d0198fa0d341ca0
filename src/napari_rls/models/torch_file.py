"""Read what ``torch.save`` wrote, with sizes checked before any memory is taken.

PyTorch's own ``weights_only`` reading runs nothing that a file brings, but it takes
the memory that a file asks for before it looks whether the file holds as much.
"""

from __future__ import annotations

import argparse
import io
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import torch

from napari_rls.errors import RefusedError
from napari_rls.models.safe_pickle import Name, load, plain

ZIP_START: Final = b"PK\x03\x04"
LEGACY_START: Final = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""How files of PyTorch up to 1.5, and every tensor in a plain pickle, begin."""

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1,
    "BoolStorage": 1,
}  # fmt: skip


def _nothing(*_: object) -> None:
    """Stand in for an object that only torch itself needs."""


class _Namespace:
    """Stands in for the options that rosinality's training keeps."""

    def set_state(self, state: object) -> None:
        """Leave it out."""


_TABLE: Mapping[str, Callable[..., object]] = {
    **{f"torch.{name}": _nothing for name in _BYTES},
    "torch._utils._rebuild_tensor_v2": _nothing,
    "torch._utils._rebuild_parameter": _nothing,
    "torch.Size": _nothing,
    "torch.device": _nothing,
    "collections.OrderedDict": lambda *_: _Ordered(),
    "argparse.Namespace": lambda *_: _Namespace(),
}


class _Ordered(dict[Any, Any]):
    """Stands in for a state dict, which has a state itself: versions of its modules."""

    def set_state(self, state: object) -> None:
        """Leave it out."""


def read_torch(data: bytes) -> Any:
    """Read a ``torch.save`` file of the old format, from before PyTorch 1.6.

    Raises
    ------
    RefusedError
        If it brings anything but tensors and plain values, or asks for more memory than
        it has bytes.
    """
    _check_legacy(data)
    return _load(io.BytesIO(data))


def read_torch_zip(path: Path) -> Any:
    """Read a ``torch.save`` file of the present format; tensors stay on the disk until used.

    Raises
    ------
    RefusedError
        As :func:`read_torch`.
    """
    _check_zip(path)
    return _load(path)


def _load(file: io.BytesIO | Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(
                file, map_location="cpu", weights_only=True, mmap=isinstance(file, Path)
            )
    except Exception as error:  # damaged files raise all sorts of errors
        raise RefusedError(f"PyTorch does not read it ({_reason(error)})") from error


def _check_legacy(data: bytes) -> None:
    """Check the pickles of an old file, and that it is as long as they say."""
    file = io.BytesIO(data)
    if load(file, {}) != _MAGIC or load(file, {}) != _VERSION:
        raise RefusedError("it is no file of torch.save")
    load(file, {})
    sizes = _Sizes()
    load(file, _TABLE, sizes.add)
    load(file, {})
    # Before each storage stands the number of its elements.
    needed = sum(sizes.of.values()) + 8 * len(sizes.of)
    if needed > len(data) - file.tell():
        raise RefusedError("it is cut off, or its tensors are larger than the file")


def _check_zip(path: Path) -> None:
    """Check the pickle of a zip file, and that its tensors are as large as it says."""
    sizes = _Sizes()
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path.stat().st_size)
            if any(PurePosixPath(name).name == "constants.pkl" for name in entries):
                raise RefusedError("it is a TorchScript program, not a checkpoint")
            pickles = [name for name in entries if PurePosixPath(name).name == "data.pkl"]
            if len(pickles) != 1:
                raise RefusedError("it is a zip file, but no file of torch.save")
            data = archive.read(pickles[0])
        # What is checked must be what PyTorch reads, which has a zip reader of its own.
        if torch._C.PyTorchFileReader(str(path)).get_record("data.pkl") != data:
            raise RefusedError("it is a zip file that can be read in two ways")
        load(io.BytesIO(data), _TABLE, sizes.add)
    except (RefusedError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # damaged files raise all sorts of errors
        raise RefusedError(f"it is damaged or cut off ({_reason(error)})") from error
    folder = PurePosixPath(pickles[0]).parent
    for key, size in sizes.of.items():
        entry = entries.get(str(folder / "data" / key))
        if entry is None or entry.file_size < size:
            raise RefusedError("its tensors are larger than the file, or missing")


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the parts of a zip file of this size by their names, if each has one of its own."""
    listed = archive.infolist()
    # PyTorch takes names that differ in case for one.
    if len({entry.orig_filename.casefold() for entry in listed}) < len(listed):
        raise RefusedError("two of its parts have one name")
    if any(entry.orig_filename != entry.filename for entry in listed):
        raise RefusedError("one of its parts has a name that can be read in two ways")
    if any(
        entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size
        for entry in listed
    ):
        raise RefusedError("parts of it are compressed, which PyTorch never does")
    if sum(entry.file_size for entry in listed) > size:
        raise RefusedError("its parts are larger than the file")
    return {entry.filename: entry for entry in listed}


def _reason(error: Exception) -> str:
    return plain((str(error).splitlines() or [""])[0]) or type(error).__name__


class _Sizes:
    """Bytes of the tensors that a pickle refers to, by their key."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def add(self, reference: object) -> None:
        """Note ('storage', type, key, device, number of elements, view or nothing)."""
        match reference:
            case ("storage", Name(kind), str(key), str(), int(count), *view) if (
                kind.removeprefix("torch.") in _BYTES and count >= 0 and view in ([], [None])
            ):
                size = count * _BYTES[kind.removeprefix("torch.")]
                self.of[key] = max(size, self.of.get(key, 0))
            case _:
                raise RefusedError("one of its tensors is stored in an unknown way")


def fits(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor has no more elements than it has memory."""
    wanted = math.prod(tensor.shape) * tensor.element_size()
    return wanted <= tensor.untyped_storage().nbytes()
