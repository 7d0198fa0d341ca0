"""Write cells as OME-TIFF and records as JSON: whole or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_rls.files.whole_file import whole_file
from napari_rls.workflow.cells.ome import ome_metadata
from napari_rls.workflow.cells.stack import CellStack

GENERATED = "generated pixels, not measured"
"""How SR images are called wherever they appear."""

FRAMES_KEY = "frames"
"""Key of the record of a file with several images per cell: what a frame is."""

STATISTIC_KEY = "statistic"
"""Key of the record of a file whose pixels are taken over the samples of a cell: which one."""

TRUST_MASK = "trust mask (1: the pixel can be trusted, 0: not)"
"""What is said there of a mask of pixels that can be trusted."""

TILE = 1024
"""Side of the tiles of images that are made as they are written."""

_BIG = 2**32 - 2**26
"""Bytes of pixels beyond which a file is a BigTIFF: others end at 4 GiB."""

_OME_LEADING = ("T", "Z")
_OME_INTEGERS = frozenset(("int8", "int16", "int32", "uint8", "uint16", "uint32"))


@dataclass(frozen=True, eq=False)
class MadePixels:
    """An image (C, y, x) whose pixels are made as they are written, as it is larger than memory.

    Parameters
    ----------
    shape
        Channels, rows and columns.
    dtype
        Of the pixels, one that OME knows.
    make
        Makes the part of a channel between rows and columns.
    compress
        Whether it is written with lossless compression, as for images of few values.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    make: Callable[[int, slice, slice], NDArray[np.generic]]
    compress: bool = False

    def tiles(self) -> Iterator[NDArray[np.generic]]:
        """Make the image, tile by tile of a side of :data:`TILE`."""
        channels, height, width = self.shape
        for channel in range(channels):
            for top in range(0, height, TILE):
                for left in range(0, width, TILE):
                    rows, columns = (
                        slice(first, min(first + TILE, size))
                        for first, size in ((top, height), (left, width))
                    )
                    yield self.make(channel, rows, columns).astype(self.dtype, copy=False)

    def written(self) -> dict[str, Any]:
        """Return it as what tifffile writes: an image of one tile in one piece."""
        options: dict[str, Any] = {"compression": "zlib"} if self.compress else {}
        if max(self.shape[1:]) <= TILE:
            return {"data": np.stack(list(self.tiles())), **options}
        size = math.prod(self.shape) * self.dtype.itemsize
        return {
            "data": self.tiles(),
            "shape": self.shape,
            "dtype": self.dtype,
            "tile": (TILE, TILE),
            "bigtiff": size > _BIG,
            **options,
        }


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, whole or not at all."""
    with whole_file(path) as draft:
        draft.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_stack(
    path: Path,
    stack: CellStack,
    *,
    description: str,
    title: str = "",
    colours: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
    pixels: MadePixels | None = None,
) -> None:
    """Write a stack as an OME-TIFF, whole or not at all.

    The axes are those of the stack: (C, y, x) without a leading axis, (N, C, y, x)
    with one. OME knows only T and Z, so that any other leading axis is stored as T,
    its true name beside it. Channel names, pixel size and crop records are kept, so
    that :func:`~napari_rls.workflow.cells.read.read_stack` returns an equal stack.

    Parameters
    ----------
    path
        The file to write.
    stack
        The cells; types that OME does not know are stored as float.
    description, title
        What the images are; the title is the stack's name if not given.
    colours
        Display colours of the channels, #rrggbb, or none.
    record
        Provenance: plain numbers, strings, lists and dicts.
    pixels
        Those of a stack without a leading axis, instead of its data.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    data = _ome_typed(stack.data)
    axes = "CYX"
    if stack.leading is None:
        data = data[0]
    else:
        axes = (stack.leading if stack.leading in _OME_LEADING else "T") + axes
    metadata = ome_metadata(
        stack,
        title=title or stack.name,
        description=description,
        colours=tuple(colours),
        record=record,
    )
    write_ome(path, data if pixels is None else pixels, metadata | {"axes": axes})


def record_path(image: Path) -> Path:
    """Return the path of the JSON record beside an image file."""
    return image.with_name(f"{stem(image)}.json")


def stem(path: Path) -> str:
    """Return a file's name without .tif, .tiff, .ome.tif or .ome.tiff."""
    return path.stem.removesuffix(".ome")


def _ome_typed(data: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the data as they are, or in the smallest float type that OME and they share."""
    if data.dtype.name in _OME_INTEGERS:
        return data
    wanted = np.float64 if data.dtype.kind in "iu" else np.result_type(data.dtype, np.float32)
    return data.astype(wanted, copy=False)


def write_ome(
    path: Path, data: NDArray[np.generic] | MadePixels, metadata: Mapping[str, Any]
) -> None:
    """Write pixels as an OME-TIFF with tifffile's ``metadata``, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = data.written() if isinstance(data, MadePixels) else {"data": data}
    with whole_file(path) as draft:
        try:
            tifffile.imwrite(
                draft, **pixels, ome=True, photometric="minisblack", metadata=dict(metadata)
            )
        except OSError as error:
            if error.errno is None:  # numpy's words for a full disk are two numbers.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
            raise
