"""SR cells in files: the images of a run as OME-TIFF with its record, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.ome import ome_metadata
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import (
    FRAMES_KEY,
    GENERATED,
    STATISTIC_KEY,
    MadePixels,
    record_path,
    stem,
    write_json,
    write_ome,
    write_stack,
)

if TYPE_CHECKING:
    from napari_rls.workflow.super_resolve.result import Collector


def result_stack(result: Collector) -> CellStack:
    """Return the SR cells of a run; pixels are smaller than LR pixels by the factor, or ratio."""
    if result.run is None:
        raise ValueError("the run has not produced anything yet")
    manifest = result.run.manifest
    # Of cells in a field it is no whole number, and their factor that of the nearest encoder.
    factor = result.run.operator.get("ratio", result.run.settings.factor)
    size = result.lr.pixel_size_um
    return replace(
        result.lr,
        data=result.sr,
        channels=manifest.channel_names,
        pixel_size_um=size / factor if size is not None else manifest.pixel_size_um,
        name=f"{result.lr.name} {kind_of(result.run.settings)}",
    )


def write_result(path: Path, result: Collector, notes: Mapping[str, Any] | None = None) -> None:
    """Write the SR cells of a run, finished or not, as OME-TIFF and the record beside it.

    The record is ``path`` with the suffix ``.json``. Cells that were not reached are NaN.
    ``notes`` are added to the record.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    manifest = result.run.manifest if result.run else None
    colours = [channel.colour for channel in manifest.channels] if manifest else []
    write_generated(path, result_stack(result), result.provenance() | dict(notes or {}), colours)


def write_generated(
    path: Path,
    stack: CellStack,
    record: Mapping[str, Any],
    colours: Sequence[str],
    pixels: MadePixels | None = None,
) -> None:
    """Write SR cells and the record of the run that made them, see :func:`write_result`.

    ``pixels`` are those of a field, made as they are written, instead of the stack's.

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
        pixels=pixels,
    )
    write_json(record_path(path), record)


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
