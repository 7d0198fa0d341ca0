"""Save SR layers as the command line does: one OME-TIFF with record, channel names, pixel size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from napari_builtins.io import napari_write_image

from napari_rls.widgets.inputs import channel_names, layer_crops, pixel_size_um
from napari_rls.widgets.own_layers import input_digest
from napari_rls.widgets.sample_layers import SAMPLE_AXIS
from napari_rls.workflow.collect import PROVENANCE_KEY
from napari_rls.workflow.stack import CellStack, InputError
from napari_rls.workflow.write import record_path, write_generated

LayerTuple = tuple[Any, dict[str, Any], str]

_SUFFIXES = (".tif", ".tiff")


def write_image_layers(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write image layers that napari saves; those of others as if this plugin were not there.

    Parameters
    ----------
    path
        A file that ends in .ome.tif or .ome.tiff.
    layers
        Data, metadata and type of image layers.

    Returns
    -------
    list of str
        The files that were written.

    Raises
    ------
    RuntimeError
        If only some of the layers are SR, they are of several runs, or several are not SR:
        napari takes a ValueError, such as InputError, for a plugin that is not there.
    """
    images = [Layer.create(*layer) for layer in layers]
    generated = [_is_sr(image) for image in images]
    if not any(generated) and len(layers) == 1:
        data, options, _ = layers[0]
        return [written for written in [napari_write_image(path, data, options)] if written]
    if not all(generated):
        raise RuntimeError(
            "Only SR layers of one run go into one file together; save the others each alone."
        )
    try:
        return [str(written) for written in write_sr_layers(Path(path), images)]
    except InputError as error:
        raise RuntimeError(str(error)) from error


def write_sr_layers(path: Path, layers: Sequence[Image]) -> list[Path]:
    """Write the SR layers of a run, one per channel, into one file and the record beside it.

    Raises
    ------
    InputError
        If they are of several runs or of samples, or the name is of another format.
    OSError
        If a file cannot be written.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"The output {path} must be a file that ends in .ome.tif.")
    first = layers[0]
    record = dict(first.metadata[PROVENANCE_KEY])
    runs = {(input_digest(layer), *_run_of(layer), layer.data.shape) for layer in layers}
    if len(runs) > 1:
        raise InputError("These SR layers are of several runs; save those of one.")
    if SAMPLE_AXIS in first.axis_labels:
        raise InputError(
            "These layers are samples; save the SR layers, or let the command line write both."
        )
    names = [(channel_names(layer) or (layer.name,))[0] for layer in layers]
    leading = first.axis_labels[:-2]
    axis = (leading[0] if leading[0].isalpha() else "N") if leading else None
    data = np.stack(
        [np.asarray(layer.data).reshape(-1, *layer.data.shape[-2:]) for layer in layers], axis=1
    )
    crops = layer_crops(first)
    stack = CellStack(
        data,
        tuple(names),
        leading=axis,
        pixel_size_um=pixel_size_um(first),
        crops=crops if len(crops) == len(data) else (),
        name=str(record.get("input", {}).get("name", first.name)),
    )
    record.pop("channels", None)
    write_generated(path, stack, record, [_colour(layer) for layer in layers])
    return [path, record_path(path)]


def _is_sr(layer: Layer) -> bool:
    record = layer.metadata.get(PROVENANCE_KEY)
    return isinstance(layer, Image) and isinstance(record, dict) and bool(record.get("generated"))


def _run_of(layer: Image) -> tuple[str, str]:
    record = layer.metadata[PROVENANCE_KEY]
    return str(record.get("started")), str(record.get("method"))


def _colour(layer: Image) -> str:
    """Return the brightest colour of a layer, #rrggbb."""
    red, green, blue = (round(255 * float(part)) for part in layer.colormap.colors[-1][:3])
    return f"#{red:02x}{green:02x}{blue:02x}"
