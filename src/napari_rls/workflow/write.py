"""Write cells as OME-TIFF and records as JSON: whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_rls.models.whole_file import whole_file
from napari_rls.search.settings import Settings
from napari_rls.workflow.ome import ome_metadata
from napari_rls.workflow.stack import CellStack

if TYPE_CHECKING:
    from napari_rls.workflow.collect import Collector

GENERATED = "generated pixels, not measured"
"""How SR images are called wherever they appear."""

FRAMES_KEY = "frames"
"""Key of the record of a file with several images per cell: what a frame is."""

STATISTIC_KEY = "statistic"
"""Key of the record of a file whose pixels are taken over the samples of a cell: which one."""

_OME_LEADING = ("T", "Z")
_OME_INTEGERS = frozenset(("int8", "int16", "int32", "uint8", "uint16", "uint32"))


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
) -> None:
    """Write a stack as an OME-TIFF, whole or not at all.

    The axes are those of the stack: (C, y, x) without a leading axis, (N, C, y, x)
    with one. OME knows only T and Z, so that any other leading axis is stored as T,
    its true name beside it. Channel names, pixel size and crop records are kept, so
    that :func:`~napari_rls.workflow.read.read_stack` returns an equal stack.

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
    write_ome(path, data, metadata | {"axes": axes})


def result_stack(result: Collector) -> CellStack:
    """Return the SR cells of a run; pixels are smaller than LR pixels by the factor."""
    if result.run is None:
        raise ValueError("the run has not produced anything yet")
    factor, manifest = result.run.settings.factor, result.run.manifest
    size = result.lr.pixel_size_um
    return replace(
        result.lr,
        data=result.sr,
        channels=manifest.channel_names,
        pixel_size_um=size / factor if size is not None else manifest.pixel_size_um,
        name=f"{result.lr.name} {kind_of(result.run.settings)}",
    )


def write_result(path: Path, result: Collector) -> None:
    """Write the SR cells of a run, finished or not, as OME-TIFF and the record beside it.

    The record is ``path`` with the suffix ``.json``. Cells that were not reached are NaN.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    manifest = result.run.manifest if result.run else None
    colours = [channel.colour for channel in manifest.channels] if manifest else []
    write_generated(path, result_stack(result), result.provenance(), colours)


def write_generated(
    path: Path, stack: CellStack, record: Mapping[str, Any], colours: Sequence[str]
) -> None:
    """Write SR cells and the record of the run that made them, see :func:`write_result`.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    said = [str(record.get("warning") or record.get("note", ""))]
    if record.get(STATISTIC_KEY):
        said.append(f"Each pixel is the {record[STATISTIC_KEY]} of a cell.")
    if not record.get("complete", True):
        said.append("Incomplete: the run was stopped before its end.")
    write_stack(
        path,
        stack,
        title=f"{stack.name} ({GENERATED})" if record.get("generated") else stack.name,
        description=" ".join(said),
        colours=colours,
        record=record,
    )
    write_json(record_path(path), record)


def write_frames(
    path: Path, result: Collector, frames: NDArray[np.float32], kind: str, record: Mapping[str, Any]
) -> None:
    """Write several images per cell as OME-TIFF, whole or not at all: T is the frame, Z the cell.

    Parameters
    ----------
    path
        The file to write.
    result
        The run that they are of.
    frames
        Images (F, N, C, H, W), float32, in the LR image's unit.
    kind
        What a frame is: ``step`` or ``sample``.
    record
        What the record says beside the run's own.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    write_generated_frames(
        path, result_stack(result), frames, kind, {**result.provenance(), **record}
    )


def write_generated_frames(
    path: Path,
    stack: CellStack,
    frames: NDArray[np.float32],
    kind: str,
    record: Mapping[str, Any],
    colours: Sequence[str] = (),
) -> None:
    """Write several images per cell and the record of their run, see :func:`write_frames`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    metadata = ome_metadata(
        stack,
        title=f"{stack.name} {kind}s ({GENERATED})",
        description=f"{record['warning']} T is the {kind}, Z is the cell.",
        colours=tuple(colours),
        record={**record, FRAMES_KEY: kind},
    )
    write_ome(path, frames, metadata | {"axes": "TZCYX"})


def write_samples(path: Path, result: Collector) -> None:
    """Write the samples of a run as OME-TIFF, see :func:`write_frames`.

    Raises
    ------
    ValueError
        If the run has none.
    OSError
        If the file cannot be written.
    """
    if result.samples is None:
        raise ValueError("the run has no samples")
    write_frames(path, result, result.samples, "sample", {})


def kind_of(settings: Settings) -> str:
    """Return how the SR cells of a run are called: SR8x, or SR8x_pulse for another method."""
    method = "" if settings.method == "rls" else f"_{settings.method}"
    return f"SR{settings.factor}x{method}"


def samples_path(image: Path) -> Path:
    """Return the path of the samples beside an SR file."""
    return image.with_name(f"{stem(image)}_samples.ome.tif")


def trace_path(image: Path) -> Path:
    """Return the path of the images on the way beside an SR file."""
    return image.with_name(f"{stem(image)}_trace.ome.tif")


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


def write_ome(path: Path, data: NDArray[np.generic], metadata: Mapping[str, Any]) -> None:
    """Write pixels as an OME-TIFF with tifffile's ``metadata``, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as draft:
        try:
            tifffile.imwrite(
                draft, data, ome=True, photometric="minisblack", metadata=dict(metadata)
            )
        except OSError as error:
            if error.errno is None:  # numpy's words for a full disk are two numbers.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
            raise
