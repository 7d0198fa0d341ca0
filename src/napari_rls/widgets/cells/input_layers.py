"""From napari layers to LR cells, and a clear word where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.widgets.cells.input_state import Inputs
from napari_rls.widgets.cells.layer_facts import (
    axis_names,
    count_channels,
    layer_cells,
    layer_crops,
)
from napari_rls.widgets.cells.layer_file import file_name
from napari_rls.widgets.cells.sources import sources
from napari_rls.workflow.cells.pixels import as_pixels
from napari_rls.workflow.cells.stack import CellStack, Crop, fitting_factor
from napari_rls.workflow.cells.usable import check_fit

if TYPE_CHECKING:
    from napari_rls.models.manifest import Manifest


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


def read_field(inputs: Inputs, manifest: Manifest, index: int) -> CellStack:
    """Return a copy of an LR field, the one of an index where there are several.

    Pixels of others are not read.

    Raises
    ------
    InputError
        If the chosen layers cannot be used with the bundle.
    """
    blank = outline(inputs, manifest)
    found = sources(inputs.lr, inputs.separate, inputs.channels, range(index, index + 1))
    size, first = blank.data.shape[-2:], found[0].layer
    planes = [np.array(as_pixels(x.pixels, x.layer.name)).reshape(size) for x in found]
    crops, axis = layer_crops(first), found[0].cell_axis
    # As a run of files calls it, by which wells and HR images of the same field are found.
    named = file_name(x.layer for x in found) or blank.name
    crop = crops[index] if index < len(crops) else Crop(named)
    return replace(
        blank,
        data=np.stack(planes)[None],
        channels=manifest.channel_names,
        crops=(crop if axis is None else crop.of_frame(axis_names(first)[axis], index),),
        leading=None,
        name=blank.name if axis is None else f"{blank.name}_{index + 1}",
    )


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
    size, first = outline(whole, manifest).data.shape[-2:], whole.lr[0]
    assert first is not None
    if size != (manifest.hr_size, manifest.hr_size):
        raise InputError(
            f"The GT layer {first.name} has images of {size[0]} x {size[1]} pixels, but SR "
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
        height, width = outline(inputs, manifest).data.shape[-2:]
    except InputError:
        return tuple(f for f in factors if manifest.hr_size % f == 0)
    fitting = fitting_factor(height, width, manifest.hr_size)
    return () if fitting is None else (fitting,)


def _stack(inputs: Inputs, manifest: Manifest, *, pixels: bool) -> CellStack:
    wanted = manifest.channel_names
    if None in inputs.lr:
        what = f" of the channel {wanted[inputs.lr.index(None)]}" if inputs.separate else ""
        raise InputError(f"Choose the LR layer{what}.")
    whole = inputs.lr[0]
    assert whole is not None
    if not inputs.separate and 0 < (count := count_channels(whole)) < len(wanted):
        has = "one channel" if count == 1 else f"{count} channels"
        raise InputError(
            f"{whole.name} has {has} and the bundle {manifest.name} needs {len(wanted)} "
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


def _shape(stack: CellStack) -> str:
    cells, _, height, width = stack.data.shape
    return f"{cells} x {height} x {width}"
