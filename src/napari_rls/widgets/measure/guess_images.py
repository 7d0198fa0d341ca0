"""Guess which layers are which kind of image, and which channel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_rls.widgets.cells.layer_facts import (
    axis_names,
    channel_names,
    full_resolution,
    is_called,
    is_generated,
)
from napari_rls.widgets.cells.sources import Source
from napari_rls.widgets.measure.image_pairs import (
    KINDS,
    Pair,
    by_channel,
    is_samples,
    is_statistic,
    record_of,
    same_run,
    source_name,
)
from napari_rls.workflow.cells.channels import same_name, shows_dna
from napari_rls.workflow.cells.stack import CHANNEL_AXES, find_axes
from napari_rls.workflow.measure.image_sets import Kind

if TYPE_CHECKING:
    from napari.layers import Image


MOST_CHANNELS = 4
"""A layer alone of at most so many planes, without names of its axes, is one cell's channels."""


_LR, _GT = (re.compile(f"(?<![A-Za-z]){kind}(?![A-Za-z])") for kind in ("LR", "GT"))


def channel_choices(layers: Iterable[Image]) -> list[tuple[str, Source]]:
    """Return every channel that can be chosen, and what it is called.

    Three axes without names may be the channels of one cell or cells of one channel: both
    are offered.
    """
    choices = []
    for layer in layers:
        if layer.rgb or is_samples(layer):
            continue
        shape = full_resolution(layer).shape
        try:
            _, axis = find_axes(shape, axis_names(layer))
        except ValueError:
            if len(shape) != 3:
                continue
            axis = None
        if axis is None or _ambiguous(layer, axis):
            choices.append((layer.name, Source(layer, None, 0)))
        if axis is not None:
            names = channel_names(layer)
            known = len(names) == shape[axis]
            choices += [
                (f"{layer.name}, {names[k] if known else f'channel {k}'}", Source(layer, axis, k))
                for k in range(shape[axis])
            ]
    return choices


def guess_images(layers: Sequence[Image]) -> dict[Kind, Pair]:
    """Guess which layers are what, from what they say of themselves, their sizes and names.

    SR is the last run in the viewer; beside it, layers of its size are GT and smaller ones
    LR. Without a run the largest images are HR, or GT if they are called so.
    """
    images = [layer for layer in layers if not layer.rgb and not is_samples(layer)]
    found = dict.fromkeys(KINDS, Pair())
    runs = [layer for layer in images if is_generated(layer) and not is_statistic(layer)]
    own = [layer for layer in images if not is_generated(layer)]
    wanted: tuple[str, ...] = ()
    if runs:
        record = record_of(runs[-1])
        sr = same_run(runs, record)
        measured = record.get("bundle", {}).get("measurement") or {}
        wanted = tuple(measured.get(name, "") for name in ("dna", "signal"))
        found["SR"] = _pick(sr, wanted, record)
        largest = _size(sr[0])
    else:
        largest = max((_size(layer) for layer in own), default=(0, 0))
    whole = [layer for layer in own if _size(layer) == largest]
    smaller = [layer for layer in own if _is_smaller(_size(layer), largest)]
    if not runs and whole and all(_LR.search(layer.name) for layer in whole):
        whole, smaller = [], whole
    called_gt = any(_GT.search(layer.name) for layer in whole)
    found["GT" if runs or called_gt else "HR"] = _pick(whole, wanted)
    found["LR"] = _pick([x for x in smaller if _size(x) == _size(smaller[0])], wanted)
    return found


def _ambiguous(layer: Image, axis: int) -> bool:
    return layer.ndim == 3 and axis_names(layer)[axis].lower() not in CHANNEL_AXES


def _size(layer: Image) -> tuple[int, int]:
    height, width = full_resolution(layer).shape[-2:]
    return height, width


def _is_smaller(size: tuple[int, int], than: tuple[int, int]) -> bool:
    """Whether images are smaller by a whole factor, the same down and across."""
    factor, rest = divmod(than[0], size[0])
    return factor > 1 and rest == 0 and size[1] * factor == than[1]


def _pick(
    layers: Sequence[Image], wanted: Sequence[str] = (), record: Mapping[str, Any] | None = None
) -> Pair:
    """Choose the DNA and the signal channel among layers of one size."""
    if record and (ordered := by_channel(layers, record.get("bundle", {}).get("channels", ()))):
        layers = ordered
    sources = [source for _, source in channel_choices(layers)]
    alone = len(layers) == 1 and any(
        s.channel_axis is not None and s.layer.data.shape[s.channel_axis] <= MOST_CHANNELS
        for s in sources
    )
    sources = [
        s
        for s in sources
        if s.channel_axis is not None
        if alone or not _ambiguous(s.layer, s.channel_axis)
    ] or [s for s in sources if s.channel_axis is None]
    if not sources:
        return Pair()
    dna_name, signal_name = wanted or ("", "")
    dna = _first(sources, lambda s: dna_name and _goes_by(s, dna_name))
    dna = dna or _first(sources, lambda s: shows_dna(source_name(s) or s.layer.name))
    dna = dna or sources[0]
    others = [s for s in sources if s != dna and s.shape == dna.shape]
    signal = _first(others, lambda s: signal_name and _goes_by(s, signal_name))
    return Pair(dna, signal or (others[0] if others else None))


def _goes_by(source: Source, channel: str) -> bool:
    name = source_name(source)
    return same_name(name, channel) if name else is_called(source.layer, channel)


def _first(sources: Iterable[Source], fits: Any) -> Source | None:
    return next((source for source in sources if fits(source)), None)
