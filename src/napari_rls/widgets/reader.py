"""Open OME-TIFF files that napari-rls wrote, with everything that they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_rls.widgets.layer_data import LayerData, layer_data
from napari_rls.workflow.collect import PROVENANCE_KEY
from napari_rls.workflow.ome import Header, parse_ome
from napari_rls.workflow.read import read_frames, read_stack
from napari_rls.workflow.stack import CellStack
from napari_rls.workflow.write import FRAMES_KEY

Reader = Callable[[str], list[LayerData]]


def get_reader(path: str | list[str]) -> Reader | None:
    """Return a reader if the file is one of ours; None leaves it to napari's own."""
    if not isinstance(path, str) or _our_header(path) is None:
        return None
    return read_layers


def read_layers(path: str) -> list[LayerData]:
    """Return one image layer per channel, with crop records and provenance as metadata."""
    header = _our_header(path) or Header()
    name = Path(path).name.removesuffix(".tiff").removesuffix(".tif").removesuffix(".ome")
    for mark in ("generated", "simulated"):
        if header.record.get(mark):
            name = f"{name} ({mark})"
    if FRAMES_KEY not in header.record:
        return layer_data(read_stack(path), name, colours=header.colours, record=header.record)
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


def _frames_layer(frames: NDArray[np.float32], layer: LayerData) -> LayerData:
    """Return a layer (F, N, y, x) like that of one frame."""
    _, options, kind = layer
    record = options["metadata"][PROVENANCE_KEY]
    first = {"scale": 1, "translate": 0, "units": "pixel", "axis_labels": record[FRAMES_KEY]}
    wider = {name: [value, *options[name]] for name, value in first.items()}
    return frames, options | wider, kind


def _our_header(path: str) -> Header | None:
    try:
        with tifffile.TiffFile(path) as tiff:
            header = parse_ome(tiff.ome_metadata) if tiff.ome_metadata else Header()
    except (OSError, ValueError, tifffile.TiffFileError):
        return None
    return header if header.leading is not None else None
