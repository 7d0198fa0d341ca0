"""Files of named tensors: written whole, read with one error for all damage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_rls.errors import TrainingError
from napari_rls.files.json_file import shown
from napari_rls.files.whole_file import whole_file

_MOST_SAID = 200


def read_note(path: Path) -> dict[str, str]:
    """Return what stands beside the tensors of a safetensors file.

    Raises
    ------
    TrainingError
        If the file is damaged.
    """
    with opened(path) as file:
        return dict(file.metadata() or {})


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
        raise damaged(path, _fault(error)) from None


def annotate(path: Path, copy: Path, note: Mapping[str, str]) -> None:
    """Copy a safetensors file and add ``note`` to what stands beside its tensors.

    Raises
    ------
    TrainingError
        If the file is damaged or the copy cannot be written.
    """
    write_safely(copy, read_tensors(path), {**read_note(path), **note})


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


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file; its tensors stay on the disk.

    Raises
    ------
    TrainingError
        If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise damaged(path, _fault(error)) from None


def damaged(path: Path, fault: str) -> TrainingError:
    """Return the error that says what is wrong with a file."""
    return TrainingError(f"{path} cannot be read ({shown(fault, _MOST_SAID)}).")


def _fault(error: Exception) -> str:
    """Return why a library could not read a file: its own words tell of its insides."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is damaged, cut short or of another format"
