"""What a layer of cells says of itself: its channels, its pixels, where its cells are from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_rls.errors import InputError, TiffError
from napari_rls.widgets.cells.layer_file import file_facts
from napari_rls.workflow.cells.channels import same_name
from napari_rls.workflow.cells.lengths import square_side
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.pixels import as_pixels
from napari_rls.workflow.cells.plate_map import PlateMap, guessed_wells_of
from napari_rls.workflow.cells.reading import WELLS_KEY
from napari_rls.workflow.cells.stack import (
    CellStack,
    Crop,
    find_axes,
    stack_from_array,
)
from napari_rls.workflow.cells.wells import WellGuess

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer


def full_resolution(layer: Image) -> Any:
    """Return a layer's pixels; of a multiscale layer, the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def cell_in_view(viewer: ViewerModel, layer: Layer, axis: int | None) -> int | None:
    """Return which image along a layer's axis over cells is shown, or None if many are or none.

    Without such an axis there is one cell, which is shown.
    """
    if axis is None:
        return 0
    if axis + viewer.dims.ndim - layer.ndim in viewer.dims.displayed:
        return None
    place = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    cell = round(float(place[axis]))
    return cell if 0 <= cell < layer.data.shape[axis] else None


def axis_names(layer: Image) -> tuple[str, ...]:
    """Return what a layer's axes are called: by its labels, or else by its file."""
    labels: tuple[str, ...] = tuple(layer.axis_labels)
    if any(label.strip().isalpha() for label in labels):
        return labels
    image = file_facts(layer).image
    if image is None:
        return labels
    return tuple(name or label for name, label in zip(image.axes, labels, strict=True))


def channel_names(layer: Image) -> tuple[str, ...]:
    """Return the names of a layer's channels as far as its metadata or its file tells them."""
    record = layer.metadata.get(PROVENANCE_KEY)
    if record is None:
        image = file_facts(layer).image
        return image.header.channels if image else ()
    names = record.get("channels", ()) if isinstance(record, dict) else ()
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def layer_cells(layer: Image, *, pixels: bool, single: bool = False) -> CellStack:
    """Return all channels of a layer; with ``single`` the layer is one channel.

    Raises
    ------
    InputError
        If they are no cells, or the layer's file is incomplete.
    """
    if problem := file_facts(layer).problem:
        raise InputError(problem)
    data = full_resolution(layer)
    axes = [*axis_names(layer), *(["s"] if layer.rgb else [])]
    array = np.broadcast_to(np.zeros((), data.dtype), data.shape)
    if pixels:
        array = np.array(as_pixels(data, layer.name))
    if single and array.ndim >= 2 and not layer.rgb:
        array = np.expand_dims(array, -3)
        axes.insert(-2, "c")
    stack = stack_from_array(array, axes=axes, channels=channel_names(layer), name=layer.name)
    crops = layer_crops(layer)
    return replace(
        stack,
        crops=crops if len(crops) == len(stack) else (),
        pixel_size_um=pixel_size_um(layer),
    )


def layer_crops(layer: Image) -> tuple[Crop, ...]:
    """Return where the cells of a layer were cut from, as far as its metadata tells it."""
    record = layer.metadata.get(PROVENANCE_KEY)
    entries = record.get("crops", ()) if isinstance(record, dict) else ()
    try:
        return tuple(Crop(**entry) for entry in entries)
    except TypeError:
        return ()


def layer_wells(layer: Image, plate_map: PlateMap | None = None) -> dict[str, WellGuess]:
    """Return the wells that names of files tell of a layer's cells, as tables get them.

    Those that were taken when the cells were cut are in the layer's record.
    """
    record = layer.metadata.get(PROVENANCE_KEY)
    record = record if isinstance(record, dict) else {}
    read = record.get("input", {}).get("read", {}) if "generated" in record else {}
    try:
        told = {**read.get(WELLS_KEY, {}), **record.get(WELLS_KEY, {})}
        guesses = {
            str(file): WellGuess(str(guess["well"]), tuple(map(str, guess["others"])))
            for file, guess in told.items()
        } or guessed_wells_of(layer_crops(layer), layer.name, plate_map)
        return {file: guess for file, guess in guesses.items() if guess.well}
    except (AttributeError, KeyError, TypeError):  # metadata that somebody else has written
        return {}


def pixel_size_um(layer: Image) -> float | None:
    """Return the side of a layer's pixels in micrometres, None if it is not known.

    Raises
    ------
    InputError
        If they are not square.
    """
    sides = []
    for unit, scale in zip(layer.units[-2:], layer.scale[-2:], strict=True):
        if not unit.is_compatible_with("um"):
            return _pixel_size_elsewhere(layer)
        sides.append(float((scale * unit).to("um").magnitude))
    try:
        return square_side(sides[1], sides[0])
    except TiffError as error:
        raise InputError(f"{layer.name} cannot be used: {error}; {error.remedy}.") from None


def _pixel_size_elsewhere(layer: Image) -> float | None:
    """Return the side of the pixels of a layer without units by its file or its run's record."""
    record = layer.metadata.get(PROVENANCE_KEY)
    if record is None:
        image = file_facts(layer).image if (layer.scale == 1).all() else None
        return image.header.pixel_size_um if image else None
    if not is_generated(layer):
        return None
    size = record.get("input", {}).get("pixel_size_um")
    factor = record.get("settings", {}).get("factor")
    return size / factor if size and factor else None


def is_generated(layer: Image) -> bool:
    """Whether a layer is the result of a search, finished or not."""
    record = layer.metadata.get(PROVENANCE_KEY)
    return isinstance(record, dict) and "generated" in record


def comes_generated(layer: Image) -> bool:
    """Whether a layer is the result of a search, by its own record or that of its file.

    napari's own reader leaves the record out, which our files of images have.
    """
    if is_generated(layer):
        return True
    image = file_facts(layer).image
    return bool(image is not None and image.header.record.get("generated"))


def holds_intensities(layer: Image) -> bool:
    """Whether a layer may hold fluorescence: no RGB picture, no mask of True and False."""
    return not layer.rgb and full_resolution(layer).dtype.kind != "b"


def count_channels(layer: Image) -> int:
    """Return how many channels a layer has; 0 if it does not hold single cells."""
    shape = full_resolution(layer).shape
    try:
        _, axis = find_axes(shape, axis_names(layer))
    except ValueError:
        return 0
    return 1 if axis is None else int(shape[axis])


def names_channel(layer: Image, channel: str) -> bool:
    """Whether a layer says that it is of one channel: by its record, or its name's end."""
    names = channel_names(layer)
    told = len(names) == 1 and same_name(names[0], channel)
    return told or is_called(layer, channel)


def is_called(layer: Image, channel: str) -> bool:
    """Whether a layer's name ends with that of a channel."""
    name: str = layer.name
    return name.strip().casefold().endswith(channel.strip().casefold())
