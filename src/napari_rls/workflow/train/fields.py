"""Which files make up a field: one with all channels, or one for each by a pattern of names."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_rls.errors import InputError
from napari_rls.text import name_of
from napari_rls.workflow.cells.channels import choose_channels, split_names
from napari_rls.workflow.cells.original_file import ORIGINALS
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.tiff_file import one_of_each_set

_SUFFIXES = (".tif", ".tiff", *ORIGINALS)
_PLACEHOLDER = re.compile(r"(\{field\}|\{channel\}|\*)")


@dataclass(frozen=True)
class FieldFiles:
    """A field of view: one file with all channels, or a file for each, in their order."""

    name: str
    files: tuple[Path, ...]


def parse_channels(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split ``DNA,GFP`` or ``DNA=w1,GFP=w2`` into names and what the files call the channels.

    Returns
    -------
    names, sources
        The second is empty where the text has no ``=``.

    Raises
    ------
    InputError
        If only some of the names have an ``=``, or one stands there twice.
    """
    pairs = [part.partition("=") for part in split_names(text)]
    if len({equals for _, equals, _ in pairs}) > 1 or any(e and not s.strip() for _, e, s in pairs):
        raise InputError(
            f"{text} must say for every channel what the files call it, as in DNA=w1,GFP=w2, or "
            "for none."
        )
    names = tuple(name.strip() for name, _, _ in pairs)
    sources = tuple(source.strip() for _, equals, source in pairs if equals)
    for given in (names, sources):
        if len({name.casefold() for name in given}) < len(given):
            raise InputError(f"{text} names a channel twice; every channel can be used once.")
    return names, sources


def find_images(inputs: Sequence[str]) -> list[Path]:
    """Return the images that files, folders and glob patterns name, each once.

    Raises
    ------
    InputError
        If one of them names no TIFF, LIF, CZI or ND2 file.
    """
    found: dict[Path, None] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if _is_image(p))
            missing = (
                f"The folder {path} holds no TIFF, LIF, CZI or ND2 file; give the folder of the "
                "images."
            )
        elif path.is_file():
            files, missing = [path], ""
        else:
            names = glob.glob(text, recursive=True)  # noqa: PTH207  Path.glob takes no absolute one
            files = [p for p in map(Path, sorted(names)) if _is_image(p)]
            missing = f"There is no image {text}; give files, folders of them or patterns."
        if not files:
            raise InputError(missing)
        found |= dict.fromkeys(files)
    return list(found)


def find_fields(
    inputs: Sequence[str],
    channels: Sequence[str],
    *,
    sources: Sequence[str] = (),
    pattern: str = "",
) -> list[FieldFiles]:
    """Return the fields that files, folders and glob patterns name.

    Parameters
    ----------
    inputs
        Files, folders, patterns of the shell.
    channels
        Names of the channels.
    sources
        What stands in the file names for each channel; the channels' names if empty.
    pattern
        How a file that holds one channel is named, as in ``{field}_{channel}*.tif``:
        ``{field}`` is what the files of one field share, ``{channel}`` the channel, ``*``
        anything. With slashes, folders belong to it, as in ``{channel}/{field}.tif``.
        Files of other names are left out. If empty, every file is a field, or a part of an
        OME-TIFF set, which is one.

    Raises
    ------
    InputError
        If there is no image, no name fits the pattern, two files fit for one channel,
        or a channel is missing.
    """
    files = find_images(inputs)
    if not pattern:
        return [FieldFiles(str(path), (path,)) for path in one_of_each_set(files)[0]]
    tokens = tuple(sources or channels)
    name = _compiled(pattern, tokens)
    depth = pattern.count("/") + 1
    fields: dict[str, dict[str, Path]] = {}
    for path in files:
        match = name.fullmatch("/".join(path.parts[-depth:]))
        if match is None:
            continue
        # A field of the same name in another folder is another field.
        found = fields.setdefault(str(Path(*path.parts[:-depth]) / match["field"]), {})
        token = match["channel"]
        if token in found:
            raise InputError(
                f"{found[token].name} and {path.name} both fit the pattern {pattern} as channel "
                f"{token} of one field; make it narrower."
            )
        found[token] = path
    if not fields:
        raise InputError(
            f"No file name fits the pattern {pattern} with the channels {', '.join(tokens)}; the "
            f"first file is {files[0].name}."
        )
    _check_complete(fields, channels, tokens)
    return [FieldFiles(f, tuple(found[token] for token in tokens)) for f, found in fields.items()]


def read_field(field: FieldFiles, names: Sequence[str], sources: Sequence[str] = ()) -> CellStack:
    """Read a field's channels, in the order of ``names`` and called so.

    Parameters
    ----------
    field
        The field.
    names
        Names of the channels. In a file of several channels they are taken by these
        names where it has all of them, and as they come otherwise.
    sources
        Where to find each channel in a file of several: name or index from 0.

    Raises
    ------
    InputError
        If a file cannot be read or the channels are others.
    """
    if len(field.files) > 1:
        stack = _joined([read_stack(path) for path in field.files], field)
    else:
        path = field.files[0]
        stack = choose_channels(read_stack(path), sources, names)
        if len(stack.channels) != len(names):
            raise InputError(
                f"{path} has {len(stack.channels)} channel(s), but --channels names {len(names)} "
                f"({', '.join(names)}); all images need these channels, in this order, or name "
                "each by its place in the file, as in DNA=0,GFP=2."
            )
    return replace(stack, channels=tuple(names), name=field.name)


def _joined(stacks: Sequence[CellStack], field: FieldFiles) -> CellStack:
    first = stacks[0]
    for stack, path in zip(stacks, field.files, strict=True):
        if len(stack.channels) != 1:
            raise InputError(
                f"{path} holds {len(stack.channels)} channels, but with --channel-files every "
                "file holds one."
            )
        for what, mine, its in (
            ("shape", first.data.shape, stack.data.shape),
            ("pixel type", first.data.dtype, stack.data.dtype),
            ("pixel size", first.pixel_size_um, stack.pixel_size_um),
        ):
            if mine != its:
                raise InputError(
                    f"{path} and {field.files[0]} are one field but differ in {what} ({its} and "
                    f"{mine}); leave the field out or export it again."
                )
    names = tuple(name_of(path) for path in field.files)
    return replace(first, data=np.concatenate([s.data for s in stacks], axis=1), channels=names)


def _compiled(pattern: str, tokens: Sequence[str]) -> re.Pattern[str]:
    for placeholder in ("{field}", "{channel}"):
        if pattern.count(placeholder) != 1:
            raise InputError(
                f"The pattern {pattern} must hold {placeholder} once, as in "
                "{field}_{channel}.tif."
            )
    # Longer tokens first, so that w10 is not read as w1.
    choice = "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True))
    meanings = {"{field}": "(?P<field>.+)", "{channel}": f"(?P<channel>{choice})", "*": "[^/]*"}
    parts = _PLACEHOLDER.split(pattern)
    return re.compile("".join(meanings.get(part, re.escape(part)) for part in parts))


def _check_complete(
    fields: dict[str, dict[str, Path]], channels: Sequence[str], tokens: Sequence[str]
) -> None:
    lacking = [(f, t) for f, found in fields.items() for t in tokens if t not in found]
    if not lacking:
        return
    name, token = lacking[0]
    others = f" (and {len(lacking) - 1} more such)" if len(lacking) > 1 else ""
    raise InputError(
        f"The field {name} has no file of the channel {channels[tokens.index(token)]} "
        f"({token}){others}; add it or leave the field's other files out."
    )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.is_file() and not path.name.startswith(".")
