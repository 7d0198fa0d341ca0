"""From napari layers to LR cells: which layer is what, and a clear word where it does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError, TiffError
from napari_rls.widgets.cells.input_state import Inputs
from napari_rls.workflow.cells.channels import match_names, same_name, shows_dna
from napari_rls.workflow.cells.ome import PROVENANCE_KEY, square_side
from napari_rls.workflow.cells.pixels import as_pixels
from napari_rls.workflow.cells.plate_map import PlateMap, guessed_wells
from napari_rls.workflow.cells.reading import WELLS_KEY
from napari_rls.workflow.cells.stack import (
    CellStack,
    Crop,
    find_axes,
    fitting_factor,
    stack_from_array,
)
from napari_rls.workflow.cells.usable import check_fit
from napari_rls.workflow.cells.wells import WellGuess

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_rls.models.manifest import Manifest


@dataclass(frozen=True)
class Source:
    """A layer that holds one channel of the cells, or all of them along ``channel_axis``.

    ``cells`` are those that are meant; None for all.
    """

    layer: Image
    channel_axis: int | None
    index: int
    cells: range | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The layer's shape with one channel, or none where the layer has too few."""
        shape = list(full_resolution(self.layer).shape)
        if self.channel_axis is not None:
            shape[self.channel_axis] = int(self.index < shape[self.channel_axis])
        if self.cell_axis is not None and self.cells is not None:
            shape[self.cell_axis] = len(self.cells)
        return tuple(shape)

    @property
    def cell_axis(self) -> int | None:
        """The layer's axis that runs over cells, if there is more than one."""
        shape = full_resolution(self.layer).shape
        front = range(len(shape) - 2)
        return next((k for k in front if k != self.channel_axis and shape[k] > 1), None)

    @property
    def first_cell(self) -> int:
        """Index of the first cell that is meant."""
        return 0 if self.cells is None else self.cells.start

    @property
    def pixels(self) -> Any:
        """The channel's pixels, of this shape."""
        data = full_resolution(self.layer)
        keep = [slice(None)] * data.ndim
        if self.channel_axis is not None:
            keep[self.channel_axis] = slice(self.index, self.index + 1)
        if self.cell_axis is not None and self.cells is not None:
            keep[self.cell_axis] = slice(self.cells.start, self.cells.stop)
        return data[tuple(keep)]


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


def channel_names(layer: Image) -> tuple[str, ...]:
    """Return the names of a layer's channels as far as its metadata tells them."""
    record = layer.metadata.get(PROVENANCE_KEY)
    names = record.get("channels", ()) if isinstance(record, dict) else ()
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def sources(
    layers: Sequence[Image | None],
    separate: bool,
    channels: Sequence[int],
    cells: range | None = None,
) -> list[Source]:
    """Return where each channel of the bundle is found, or nothing if a layer is not chosen."""
    if any(layer is None for layer in layers):
        return []
    if separate:
        return [Source(layer, None, 0, cells) for layer in layers]
    (layer,) = layers
    _, axis = find_axes(full_resolution(layer).shape, layer.axis_labels)
    return [Source(layer, axis, index, cells) for index in channels]


def outline(inputs: Inputs, manifest: Manifest) -> CellStack:
    """Return what is known of the LR cells before reading pixels: one blank cell.

    Raises
    ------
    InputError
        If no LR layer is chosen, or the layers are no single cells.
    """
    return _stack(inputs, manifest, pixels=False)


def read_cells(
    inputs: Inputs, manifest: Manifest, factor: int, cells: range | None = None
) -> CellStack:
    """Return a copy of the LR cells, or some, with the bundle's channels in the bundle's order.

    Raises
    ------
    InputError
        If the chosen layers cannot be used with the bundle and the factor.
    """
    # Shapes are checked first: a layer may be lazy and larger than memory.
    check_fit(outline(inputs, manifest), manifest, factor)
    return _some(_stack(inputs, manifest, pixels=True), cells)


def read_truth(
    inputs: Inputs, manifest: Manifest, lr: CellStack, cells: range | None = None
) -> NDArray[np.generic] | None:
    """Return a copy of the GT of LR cells (N, C, H, W), or None if no layer is chosen.

    Raises
    ------
    InputError
        If GT layers are chosen that are not of these cells at the bundle's HR size.
    """
    if not any(inputs.gt):
        return None
    if not all(inputs.gt):
        missing = manifest.channel_names[inputs.gt.index(None)]
        raise InputError(f"Choose the GT layer of the channel {missing} too, or none at all.")
    whole = replace(inputs, lr=inputs.gt)
    size = outline(whole, manifest).data.shape[-2:]
    if size != (manifest.hr_size, manifest.hr_size):
        raise InputError(
            f"The GT layer {inputs.gt[0].name} has images of {size[0]} x {size[1]} pixels, but SR "
            f"images of this bundle have {manifest.hr_size} x {manifest.hr_size}."
        )
    truth = _some(_stack(whole, manifest, pixels=True), cells)
    if len(truth) != len(lr):
        raise InputError(
            f"The GT layer {truth.name} and the LR layer {lr.name} do not hold as many cells."
        )
    return truth.data


def _some(stack: CellStack, cells: range | None) -> CellStack:
    if cells is None:
        return stack
    some = slice(cells.start, cells.stop)
    return replace(stack, data=stack.data[some], crops=stack.crops[some])


def possible_factors(inputs: Inputs, manifest: Manifest, factors: Sequence[int]) -> tuple[int, ...]:
    """Return the scale factors that fit the bundle and, if one is chosen, the LR layer."""
    try:
        size = outline(inputs, manifest).data.shape[-2:]
    except InputError:
        return tuple(f for f in factors if manifest.hr_size % f == 0)
    fitting = fitting_factor(*size, manifest.hr_size)
    return () if fitting is None else (fitting,)


def _stack(inputs: Inputs, manifest: Manifest, *, pixels: bool) -> CellStack:
    wanted = manifest.channel_names
    if None in inputs.lr:
        what = f" of the channel {wanted[inputs.lr.index(None)]}" if inputs.separate else ""
        raise InputError(f"Choose the LR layer{what}.")
    if not inputs.separate and 0 < (count := count_channels(inputs.lr[0])) < len(wanted):
        has = "one channel" if count == 1 else f"{count} channels"
        raise InputError(
            f"{inputs.lr[0].name} has {has} and the bundle {manifest.name} needs {len(wanted)} "
            f"({', '.join(wanted)}): choose a layer that has them, or one layer per channel."
        )
    picks = inputs.lr if inputs.separate else inputs.channels
    for k, pick in enumerate(picks):
        if pick in picks[:k]:
            same = f"{wanted[picks.index(pick)]} and {wanted[k]}"
            raise InputError(f"{same} are set to the same channel; choose one for each.")
    parts = [layer_cells(layer, pixels=pixels, single=inputs.separate) for layer in inputs.lr]
    first = parts[0]
    for part in parts[1:]:
        if part.data.shape != first.data.shape:
            raise InputError(
                f"{part.name} has the shape {_shape(part)} but {first.name} has {_shape(first)}; "
                "the layers of one image must have the same shape."
            )
    size = first.data.shape[-2:]
    if not pixels:
        # One pixel stands for all: choosing channels would copy a large image.
        parts = [replace(part, data=part.data[:1, :, :1, :1], crops=()) for part in parts]
    if inputs.separate:
        data = np.concatenate([part.data for part in parts], axis=1)
        stack = replace(parts[0], data=data, channels=wanted)
    else:
        stack = parts[0].select(inputs.channels)
    if pixels:
        return stack
    return replace(stack, data=np.broadcast_to(stack.data, (1, len(stack.channels), *size)))


def layer_cells(layer: Image, *, pixels: bool, single: bool = False) -> CellStack:
    """Return all channels of a layer; with ``single`` the layer is one channel."""
    data = full_resolution(layer)
    axes = [*layer.axis_labels, *(["s"] if layer.rgb else [])]
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
        } or guessed_wells([c.file or layer.name for c in _unplaced(layer)], plate_map)
        return {file: guess for file, guess in guesses.items() if guess.well}
    except (AttributeError, KeyError, TypeError):  # metadata that somebody else has written
        return {}


def _unplaced(layer: Image) -> list[Crop]:
    """Return a layer's crops of which no well is known."""
    return [crop for crop in layer_crops(layer) or (Crop(),) if not crop.well]


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
            return None
        sides.append(float((scale * unit).to("um").magnitude))
    try:
        return square_side(sides[1], sides[0])
    except TiffError as error:
        raise InputError(f"{layer.name} cannot be used: {error}; {error.remedy}.") from None


def _shape(stack: CellStack) -> str:
    cells, _, height, width = stack.data.shape
    return f"{cells} x {height} x {width}"


def guess(layers: Sequence[Image], manifest: Manifest, *, separate: bool | None = None) -> Inputs:
    """Guess the LR and GT layers from names and shapes; None is left where nothing fits.

    Layers named after the bundle's channels are taken one per channel; else the first
    layer with as many channels is taken whole; else as many layers of one channel and of
    the same shape, in the order of their names or their own; else a layer with more
    channels. ``separate`` leaves only one of these ways. Layers of the HR size become the GT.
    """
    wanted = manifest.channel_names
    own, lr = _possible(layers, manifest)
    gt = [layer for layer in own if full_resolution(layer).shape[-2:] == (manifest.hr_size,) * 2]
    named = _named_after(lr, wanted)
    alike = named or _in_order(_alike(lr, len(wanted)), wanted)
    lr_whole, gt_whole = _whole(lr, len(wanted)), _whole(gt, len(wanted))
    if separate is None:
        exact = lr_whole is not None and count_channels(lr_whole) == len(wanted)
        if unclear_layers(layers, manifest):
            return Inputs(
                True, (None,) * len(wanted), (None,) * len(wanted), tuple(range(len(wanted)))
            )
        separate = bool(alike and (not exact or lr_whole in alike))
    if separate:
        nothing = (None,) * len(wanted)
        gt_alike = _named_after(gt, wanted) or _in_order(_alike(gt, len(wanted)), wanted)
        return Inputs(True, alike or nothing, gt_alike or nothing, tuple(range(len(wanted))))
    return Inputs(False, (lr_whole,), (gt_whole,), match_channels(lr_whole, wanted))


def unclear_layers(layers: Sequence[Image], manifest: Manifest) -> str:
    """Return a sentence if layers may be one cell each, or one channel each; else nothing.

    So are two layers (2, y, x) without names of axes or channels.
    """
    wanted = manifest.channel_names
    _, lr = _possible(layers, manifest)
    whole = _whole(lr, len(wanted))
    if whole is None or whole.ndim != 3 or whole.axis_labels[0].isalpha():
        return ""
    shape = full_resolution(whole).shape
    alike = [x for x in lr if full_resolution(x).shape == shape]
    told = _named_after(lr, wanted) or any(_tells_channel(x, wanted) for x in alike)
    if told or shape[0] != len(wanted) or len(alike) < 2:
        return ""
    names, size = ", ".join(x.name for x in alike), ", ".join(map(str, shape))
    return (
        f"The layers {names} of shape ({size}) may be one channel each of {shape[0]} cells, or "
        "one cell each with its channels: choose one LR layer per channel, or one LR layer."
    )


def _possible(layers: Sequence[Image], manifest: Manifest) -> tuple[list[Image], list[Image]]:
    """Return the layers that may hold fluorescence, and those of them that may be LR."""
    own = [layer for layer in layers if not is_generated(layer) and holds_intensities(layer)]
    return own, [layer for layer in own if _factor(layer, manifest) is not None]


def _label(layer: Image, wanted: Sequence[str]) -> str:
    """Return the wanted channel that a layer says it is, or its own name."""
    return next((name for name in wanted if names_channel(layer, name)), layer.name)


def _tells_channel(layer: Image, wanted: Sequence[str]) -> bool:
    label = _label(layer, wanted)
    return label in wanted or shows_dna(label)


def _in_order(layers: tuple[Image, ...], wanted: Sequence[str]) -> tuple[Image, ...]:
    """Return one layer per channel in the order that some of their names tell."""
    try:
        order = match_names([_label(x, wanted) for x in layers], wanted, "") if layers else None
    except InputError:
        order = None
    return tuple(layers[k] for k in order) if order else layers


def match_channels(layer: Image | None, wanted: Sequence[str]) -> tuple[int, ...]:
    """Return for each wanted channel its index in the layer: by name, else by position."""
    names = channel_names(layer) if layer is not None else ()
    try:
        return match_names(names, wanted, "") or tuple(range(len(wanted)))
    except InputError:
        return tuple(range(len(wanted)))


def is_generated(layer: Image) -> bool:
    """Whether a layer is the result of a search, finished or not."""
    record = layer.metadata.get(PROVENANCE_KEY)
    return isinstance(record, dict) and "generated" in record


def _factor(layer: Image, manifest: Manifest) -> int | None:
    return fitting_factor(*full_resolution(layer).shape[-2:], manifest.hr_size)


def holds_intensities(layer: Image) -> bool:
    """Whether a layer may hold fluorescence: no RGB picture, no mask of True and False."""
    return not layer.rgb and full_resolution(layer).dtype.kind != "b"


def count_channels(layer: Image) -> int:
    """Return how many channels a layer has; 0 if it does not hold single cells."""
    shape = full_resolution(layer).shape
    try:
        _, axis = find_axes(shape, layer.axis_labels)
    except ValueError:
        return 0
    return 1 if axis is None else int(shape[axis])


def names_channel(layer: Image, channel: str) -> bool:
    """Whether a layer says that it is of one channel: by its record, or its name's end."""
    names = channel_names(layer)
    called = layer.name.strip().casefold().endswith(channel.strip().casefold())
    return (len(names) == 1 and same_name(names[0], channel)) or called


def _named_after(layers: Sequence[Image], wanted: Sequence[str]) -> tuple[Image, ...]:
    """Return one layer for every channel that layers say they are, all of one shape, or nothing.

    Those whose names differ by the channel alone go before others.
    """
    candidates = [[x for x in layers if names_channel(x, name)] for name in wanted]
    for first in candidates[0]:
        found = [first]
        shape, twin = full_resolution(first).shape, _stem(first, wanted[0])
        for name, others in zip(wanted[1:], candidates[1:], strict=True):
            mates = [x for x in others if full_resolution(x).shape == shape and x not in found]
            found += sorted(mates, key=lambda x, name=name, twin=twin: _stem(x, name) != twin)[:1]
        if len(found) == len(wanted):
            return tuple(found)
    return ()


def _stem(layer: Image, channel: str) -> str:
    return layer.name.lower().removesuffix(channel.lower())


def _alike(layers: Sequence[Image], channels: int) -> tuple[Image, ...]:
    """Return the layers of one channel and of the same shape that are just so many, or nothing."""
    shapes: dict[tuple[int, ...], list[Image]] = {}
    for layer in layers:
        shape = tuple(full_resolution(layer).shape)
        if len(shape) <= 3 or count_channels(layer) == 1:
            shapes.setdefault(shape, []).append(layer)
    return next((tuple(x) for x in shapes.values() if len(x) == channels > 1), ())


def _whole(layers: Sequence[Image], channels: int) -> Image | None:
    """Return the first layer with exactly so many channels, or else with more."""
    more = [layer for layer in layers if count_channels(layer) >= channels]
    exact = (layer for layer in more if count_channels(layer) == channels)
    return next(exact, next(iter(more), None))
