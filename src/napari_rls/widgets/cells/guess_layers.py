"""Guess which layers hold the LR and GT cells, by what they say, their shapes and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_rls.errors import InputError
from napari_rls.widgets.cells.input_state import Inputs
from napari_rls.widgets.cells.layer_facts import (
    axis_names,
    channel_names,
    comes_generated,
    count_channels,
    full_resolution,
    holds_intensities,
    names_channel,
)
from napari_rls.workflow.cells.channels import match_names, shows_dna
from napari_rls.workflow.cells.stack import find_axes, fitting_factor

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_rls.models.manifest import Manifest


def guess(
    layers: Sequence[Image],
    manifest: Manifest,
    *,
    separate: bool | None = None,
    fields: bool = False,
) -> Inputs:
    """Guess the LR and GT layers from names and shapes; None is left where nothing fits.

    Layers named after the bundle's channels are taken one per channel; else the first
    layer with as many channels is taken whole; else as many layers of one channel and of
    the same shape, in the order of their names or their own; else a layer with more
    channels. ``separate`` leaves only one of these ways. Layers of the HR size become the GT.
    With ``fields``, LR layers are those of neither the size of an LR cell nor of an HR one, or
    else those of a single image.
    """
    wanted = manifest.channel_names
    own, lr = _possible(layers, manifest)
    if fields:
        lr = possible_fields(own, manifest)
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


def possible_fields(layers: Sequence[Image], manifest: Manifest) -> list[Image]:
    """Return the layers that have the size of neither LR nor HR cells, or else single images."""
    fields = [layer for layer in layers if _is_field(layer, manifest)]
    return fields or [*filter(_is_single, layers)]


def unclear_layers(layers: Sequence[Image], manifest: Manifest) -> str:
    """Return a sentence if layers may be one cell each, or one channel each; else nothing.

    So are two layers (2, y, x) without names of axes or channels.
    """
    wanted = manifest.channel_names
    _, lr = _possible(layers, manifest)
    whole = _whole(lr, len(wanted))
    if whole is None or whole.ndim != 3 or axis_names(whole)[0].isalpha():
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
    own = [layer for layer in layers if not comes_generated(layer) and holds_intensities(layer)]
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


def _factor(layer: Image, manifest: Manifest) -> int | None:
    height, width = full_resolution(layer).shape[-2:]
    return fitting_factor(height, width, manifest.hr_size)


def _is_field(layer: Image, manifest: Manifest) -> bool:
    size = full_resolution(layer).shape[-2:]
    return size != (manifest.hr_size,) * 2 and _factor(layer, manifest) is None


def _is_single(layer: Image) -> bool:
    shape = full_resolution(layer).shape
    try:
        several, _ = find_axes(shape, axis_names(layer))
    except ValueError:
        return False
    return several is None or shape[several] == 1


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
            found += [*(x for x in mates if _stem(x, name) == twin), *mates][:1]
        if len(found) == len(wanted):
            return tuple(found)
    return ()


def _stem(layer: Image, channel: str) -> str:
    name: str = layer.name
    return name.lower().removesuffix(channel.lower())


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
