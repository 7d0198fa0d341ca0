"""The bundle on disk: one safetensors file whose header holds the manifest.

Nothing in it can execute. What can be read without torch (the manifest, the
hash) is read without torch, so that a list of bundles opens at once.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from napari_rls.errors import BundleError, JsonError
from napari_rls.files.json_file import first_fault, parse_json, shown
from napari_rls.files.whole_file import whole_file
from napari_rls.models.manifest import FORMAT_VERSION, Manifest

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".rls.safetensors"
_KEY = "napari-rls"
_MAX_MANIFEST_BYTES = 1_000_000
_MAX_HEADER_BYTES = 100_000_000
"""What safetensors itself allows."""

_CHUNK = 1 << 20
_MOST_SAID = 200


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a bundle file; its tensors are not looked at.

    Raises
    ------
    BundleError
        If the file is missing, is no bundle, is damaged, or needs a newer version.
    """
    text = _metadata(path).get(_KEY)
    if text is None:
        raise BundleError(
            f"{path.name} is a safetensors file but not a napari-rls bundle; "
            "choose a bundle made by napari-rls."
        )
    try:
        raw = parse_json(text, most=_MAX_MANIFEST_BYTES)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise BundleError(
                f"{path.name} was made by a newer napari-rls (bundle format {version}, this "
                f"version reads up to {FORMAT_VERSION}); update napari-rls to use it."
            )
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise _invalid(path, first_fault(error)) from None
    except JsonError as error:
        raise _invalid(path, str(error)) from None


def verify(path: Path) -> Manifest:
    """Check the content hash of a bundle file and return its manifest.

    Raises
    ------
    BundleError
        As :func:`read_manifest`, and if a single bit differs from what was written.
    """
    manifest = read_manifest(path)
    try:
        found = _content_hash(path)
    except JsonError as error:
        raise _invalid(path, str(error)) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if found != manifest.content_hash:
        raise BundleError(
            f"{path.name} is damaged or was altered (its content hash does not match); "
            "fetch or make the bundle again."
        )
    return manifest


def _content_hash(path: Path) -> str:
    """Return the SHA-256 over the stored manifest without its hash, and every tensor.

    The manifest is hashed as it was written, not as this version would write it.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = parse_json(file.read(length), most=_MAX_HEADER_BYTES)
        stored = parse_json(header.pop("__metadata__")[_KEY])
        stored.pop("content_hash", None)
        digest = hashlib.sha256(json.dumps(stored, sort_keys=True).encode())
        for name in sorted(header):
            entry = header[name]
            digest.update(f"{name} {entry['dtype']} {entry['shape']}".encode())
            begin, end = entry["data_offsets"]
            file.seek(8 + length + begin)
            for part in _chunks(file, end - begin):
                digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True)
class Entry:
    """What a safetensors file says of a tensor; ``dtype`` is its own word, as in "F32"."""

    shape: tuple[int, ...]
    dtype: str


def read_shapes(path: Path) -> dict[str, Entry]:
    """Return what a bundle file says of its tensors; none of them is read.

    Raises
    ------
    BundleError
        If the file is damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {n: Entry(tuple(p.get_shape()), p.get_dtype()) for n, p in parts.items()}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a bundle file onto the CPU."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def write(path: Path, manifest: Manifest, tensors: Mapping[str, Tensor]) -> Manifest:
    """Write a bundle whole or not at all; return the manifest with its content hash.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk.
    """
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with whole_file(path) as draft:
            save_file(contiguous, draft, {_KEY: manifest.model_dump_json()})
            manifest = manifest.model_copy(update={"content_hash": _content_hash(draft)})
            save_file(contiguous, draft, {_KEY: manifest.model_dump_json()})
    except SafetensorError as error:
        raise _system_error(error, path) from None
    return manifest


def _system_error(error: SafetensorError, path: Path) -> OSError:
    """Return the error of the system that safetensors tells in words alone."""
    told = re.search(r"os error (\d+)", str(error)) if os.name == "posix" else None
    if told is None:
        return OSError(errno.EIO, str(error), str(path))
    return OSError(int(told[1]), os.strerror(int(told[1])), str(path))


def _metadata(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        raise BundleError(f"There is no bundle file {path}.")
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def _invalid(path: Path, fault: str) -> BundleError:
    return BundleError(
        f"{path.name}: the manifest is not valid ({fault}); fetch or make the bundle again."
    )


def _unreadable(path: Path, error: Exception) -> BundleError:
    return BundleError(
        f"{path.name} is not a complete safetensors file ({shown(str(error), _MOST_SAID)}); fetch "
        "or make the bundle again."
    )


def _chunks(file: Any, size: int) -> Iterator[bytes]:
    while size > 0:
        part = file.read(min(size, _CHUNK))
        if not part:
            return
        size -= len(part)
        yield part
