"""Open OME-TIFF files that napari-rls wrote, with everything that they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import napari
import npe2
import numpy as np
import tifffile
from napari.layers import Layer
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog

from napari_rls.errors import InputError
from napari_rls.search.settings import FACTORS
from napari_rls.widgets.cells.layer_data import LayerData, layer_data
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.read import read_frames, read_header, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import FRAMES_KEY

Reader = Callable[[str], list[LayerData]]

IMAGES = "OME-TIFF (*.ome.tif *.ome.tiff);;TIFF (*.tif *.tiff)"


def get_reader(path: str | list[str]) -> Reader:
    """Return the reader of a file whose name is like one of ours.

    Where it is another's after all, or several files are to be stacked, it is read as if this
    plugin were not there: napari calls a reader that refuses a file an error.
    """
    return read_layers if isinstance(path, str) and is_ours(path) else read_as_napari


def is_ours(path: str) -> bool:
    """Whether napari-rls wrote a file."""
    try:
        with tifffile.TiffFile(path) as tiff:
            return f'"{PROVENANCE_KEY}"' in (tiff.ome_metadata or "")
    except (OSError, ValueError, tifffile.TiffFileError):
        return False


def read_as_napari(path: str | list[str]) -> list[LayerData]:
    """Return what napari's own reader makes of a file or of a stack of files."""
    paths: list[str | Path] = [path] if isinstance(path, str) else [*path]
    read = npe2.read(paths, stack=not isinstance(path, str), plugin_name="napari")
    return cast("list[LayerData]", read)


def open_written_cells(viewer: napari.Viewer) -> None:
    """Ask for files that napari-rls wrote, of any name, and open them with all that they say."""
    names, _ = QFileDialog.getOpenFileNames(None, "Open cells written by napari-rls", "", IMAGES)
    for name in names:
        if not is_ours(name):
            show_error(f"{Path(name).name} was not written by napari-rls: open it by File > Open.")
            continue
        try:
            layers = read_layers(name)
        except InputError as error:
            show_error(str(error))
        else:
            for data, options, kind in layers:
                viewer.add_layer(Layer.create(data, options, kind))


def read_layers(path: str) -> list[LayerData]:
    """Return one image layer per channel, with crop records and provenance as metadata.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    header = read_header(path)
    name = Path(path).name.removesuffix(".tiff").removesuffix(".tif").removesuffix(".ome")
    for mark in ("generated", "simulated"):
        if header.record.get(mark):
            name = f"{name} ({mark})"
    if FRAMES_KEY not in header.record:
        return layer_data(
            read_stack(path),
            name,
            colours=header.colours,
            record=header.record,
            factor=_degraded(header.record),
        )
    frames, _ = read_frames(path)
    stack = CellStack(
        frames[0],
        header.channels,
        leading=header.leading or "N",
        pixel_size_um=header.pixel_size_um,
        crops=header.crops,
    )
    layers = layer_data(stack, name, colours=header.colours, record=header.record)
    return [_frames_layer(frames[:, :, c], layer) for c, layer in enumerate(layers)]


def _degraded(record: Mapping[str, Any]) -> int:
    """Return by what factor LR cells were degraded: they cover the HR cells that they come from."""
    told = record.get("degrade")
    factor = told.get("factor") if isinstance(told, dict) and not record.get("generated") else 1
    return factor if factor in FACTORS else 1


def _frames_layer(frames: NDArray[np.float32], layer: LayerData) -> LayerData:
    """Return a layer (F, N, y, x) like that of one frame."""
    _, options, kind = layer
    record = options["metadata"][PROVENANCE_KEY]
    first = {"scale": 1, "translate": 0, "units": "pixel", "axis_labels": record[FRAMES_KEY]}
    wider = {name: [value, *options[name]] for name, value in first.items()}
    return frames, options | wider, kind
