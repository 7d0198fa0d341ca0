"""Open OME-TIFF files that napari-rls wrote, with everything that they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tifffile

from napari_rls.widgets.layer_data import LayerData, layer_data
from napari_rls.workflow.ome import Header, parse_ome
from napari_rls.workflow.read import read_stack

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
    return layer_data(read_stack(path), name, colours=header.colours, record=header.record)


def _our_header(path: str) -> Header | None:
    try:
        with tifffile.TiffFile(path) as tiff:
            header = parse_ome(tiff.ome_metadata) if tiff.ome_metadata else Header()
    except (OSError, ValueError, tifffile.TiffFileError):
        return None
    return header if header.leading is not None else None
