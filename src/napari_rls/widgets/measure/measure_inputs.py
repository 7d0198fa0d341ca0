"""From napari layers to images that are measured: which layer is which kind and channel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.widgets.cells.input_layers import (
    Source,
    channel_names,
    full_resolution,
    is_generated,
    layer_cells,
)
from napari_rls.widgets.cells.sample_layers import SAMPLE_AXIS
from napari_rls.workflow.cells.channels import same_name, shows_dna
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.stack import CHANNEL_AXES, CellStack, find_axes
from napari_rls.workflow.cells.write import STATISTIC_KEY
from napari_rls.workflow.measure.image_sets import ImageSet, Kind

if TYPE_CHECKING:
    from napari.layers import Image

KINDS: tuple[Kind, ...] = get_args(Kind)

ROLES = ("DNA", "Signal")
"""What the two channels are to a measurement, and their names where no layer tells them."""

MOST_CHANNELS = 4
"""A layer alone of at most so many planes, without names of its axes, is one cell's channels."""

_LR, _GT = (re.compile(f"(?<![A-Za-z]){kind}(?![A-Za-z])") for kind in ("LR", "GT"))


@dataclass(frozen=True)
class Pair:
    """Where the two channels of one kind of image are; None where none is chosen."""

    dna: Source | None = None
    signal: Source | None = None

    @property
    def sources(self) -> tuple[Source | None, Source | None]:
        """Both, in the order of :data:`ROLES`."""
        return self.dna, self.signal


Images = Mapping[Kind, Pair]


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
            _, axis = find_axes(shape, layer.axis_labels)
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


def is_samples(layer: Image) -> bool:
    """Whether a layer holds samples of SR images, along its first axis."""
    return bool(layer.ndim > 2 and layer.axis_labels[0] == SAMPLE_AXIS)


def record_of(layer: Image) -> Mapping[str, Any]:
    """Return the record of a run in a layer's metadata; empty if there is none."""
    record = layer.metadata.get(PROVENANCE_KEY)
    return record if isinstance(record, dict) else {}


def guess_images(layers: Sequence[Image]) -> dict[Kind, Pair]:
    """Guess which layers are what, from what they say of themselves, their sizes and names.

    SR is the last run in the viewer; beside it, layers of its size are GT and smaller ones
    LR. Without a run the largest images are HR, or GT if they are called so.
    """
    images = [layer for layer in layers if not layer.rgb and not is_samples(layer)]
    found = dict.fromkeys(KINDS, Pair())
    runs = [layer for layer in images if is_generated(layer) and not _is_statistic(layer)]
    own = [layer for layer in images if not is_generated(layer)]
    wanted: tuple[str, ...] = ()
    if runs:
        record = record_of(runs[-1])
        sr = _layers_of_run(runs, record)
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


@dataclass(frozen=True, eq=False)
class ChosenSet:
    """Images of a kind that were chosen to be measured, not copied yet.

    Parameters
    ----------
    kind
        What they are.
    sources
        Where their channels are.
    channels
        What the channels are called.
    record
        Provenance of SR images.
    samples
        Layers of the samples of the same run.
    """

    kind: Kind
    sources: Sequence[Source]
    channels: tuple[str, ...]
    record: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[Image] = ()

    def read(self) -> ImageSet:
        """Return a copy of the images; meant for a thread.

        Raises
        ------
        InputError
            If the layers of the channels do not go together.
        """
        stack = _joined(self.sources, self.channels, self.record)
        return ImageSet(self.kind, stack, _samples(self.samples, stack), self.record)


def choose_sets(images: Images, layers: Sequence[Image]) -> tuple[list[ChosenSet], tuple[str, str]]:
    """Return the chosen images, and the names of the DNA and the signal channel.

    Parameters
    ----------
    images
        The channels of every kind of image.
    layers
        All image layers, among which samples of SR images are found.

    Raises
    ------
    InputError
        If nothing, or half of a pair, is chosen, or an SR layer of the run is gone.
    """
    chosen = {kind: pair for kind in KINDS if any((pair := images.get(kind, Pair())).sources)}
    if not chosen:
        raise InputError("Choose the DNA and the signal layer of at least one kind of image.")
    for kind, pair in chosen.items():
        _check(kind, pair)
    record = _record_of_run(chosen["SR"]) if "SR" in chosen else {}
    run = _whole_run(layers, record)
    known = tuple(record["bundle"]["channels"]) if run else ()
    names = _role_names(chosen, run, known)
    sets = []
    for kind, pair in chosen.items():
        if kind == "SR" and run:
            sources = [Source(layer, _channel_axis(layer), 0) for layer in run]
            samples = _by_channel(_layers_of_run(filter(is_samples, layers), record), known)
            sets.append(ChosenSet(kind, sources, known, record, samples))
        else:
            sets.append(ChosenSet(kind, pair.sources, names))
    return sets, names


def bundle_record(images: Images) -> Mapping[str, Any]:
    """Return what is known of the bundle of the chosen SR images; empty without one."""
    source = images.get("SR", Pair()).signal
    return record_of(source.layer).get("bundle", {}) if source else {}


def _check(kind: Kind, pair: Pair) -> None:
    for role, source in zip(ROLES, pair.sources, strict=True):
        if source is None:
            raise InputError(f"Choose the {role} layer of the {kind} images too.")
    if pair.dna == pair.signal:
        raise InputError(
            f"DNA and signal of the {kind} images are the same channel; choose one for each."
        )


def _record_of_run(pair: Pair) -> Mapping[str, Any]:
    """Return the record of SR images, which have to be there already; empty for other tools'."""
    layer = pair.signal.layer
    record = record_of(layer)
    if record.get("generated") is False:
        raise InputError(f"{layer.name} is not searched yet; measure after the run.")
    if record.get("started") != record_of(pair.dna.layer).get("started"):
        raise InputError("DNA and signal of the SR images are of two runs; choose those of one.")
    return record


def _role_names(chosen: Images, run: Sequence[Image], known: Sequence[str]) -> tuple[str, str]:
    """Return what the two channels are called; the bundle knows best."""
    if run:
        dna, signal = (known[run.index(source.layer)] for source in chosen["SR"].sources)
        return dna, signal
    kinds = sorted(chosen, key=("GT", "HR", "LR", "SR").index)
    names = [
        next(filter(None, (_source_name(chosen[kind].sources[k]) for kind in kinds)), role)
        for k, role in enumerate(ROLES)
    ]
    # A number would be taken for an index.
    unclear = same_name(*names) or any(name.isdecimal() for name in names)
    return ROLES if unclear else (names[0], names[1])


def _source_name(source: Source) -> str:
    """Return a channel's name, or nothing if its layer does not tell."""
    names, axis = channel_names(source.layer), source.channel_axis
    if len(names) == (1 if axis is None else full_resolution(source.layer).shape[axis]):
        return names[source.index]
    known = record_of(source.layer).get("bundle", {}).get("channels", ())
    return next((name for name in known if _is_called(source.layer, name)), "")


def _is_called(layer: Image, channel: str) -> bool:
    return layer.name.strip().casefold().endswith(channel.strip().casefold())


def _joined(
    sources: Sequence[Source], channels: tuple[str, ...], record: Mapping[str, Any] | None = None
) -> CellStack:
    """Return a copy of the cells whose channels these are."""
    parts = [
        layer_cells(s.layer, pixels=True, single=s.channel_axis is None).select([s.index])
        for s in sources
    ]
    first = parts[0]
    for part in parts[1:]:
        if part.data.shape != first.data.shape:
            raise InputError(
                f"{first.name} has the shape {first.data.shape} but {part.name} "
                f"{part.data.shape}; the channels of a kind must have the same."
            )
    data = np.concatenate([part.data for part in parts], axis=1)
    name = _name(first.name, channels, record or {})
    return replace(first, data=data, channels=channels, name=name)


def _name(layer: str, channels: Sequence[str], record: Mapping[str, Any]) -> str:
    """Return the name of the images, as it is without a channel's; for SR, that of the LR."""
    name = str(record.get("input", {}).get("name", layer))
    for channel in channels:
        shorter = name.removesuffix(channel).rstrip(" _-")
        if shorter and shorter != name:
            return shorter
    return name


def _layers_of_run(layers: Iterable[Image], record: Mapping[str, Any]) -> list[Image]:
    return [x for x in layers if record_of(x).get("started") == record.get("started")]


def _whole_run(layers: Sequence[Image], record: Mapping[str, Any]) -> list[Image]:
    """Return a run's SR layers in the order of the bundle's channels; none if it is no run's.

    What the bundle knows of cells like these is about all of its channels.

    Raises
    ------
    InputError
        If a channel's layer is gone.
    """
    channels = record.get("bundle", {}).get("channels", ())
    if not channels or not record.get("started"):
        return []
    own = [x for x in layers if not is_samples(x) and not _is_statistic(x)]
    found = _by_channel(_layers_of_run(own, record), channels)
    if not found:
        raise InputError(
            f"An SR layer of the run is gone (its channels are {', '.join(channels)}); "
            "super-resolve again."
        )
    return found


def _by_channel(layers: Sequence[Image], channels: Sequence[str]) -> list[Image]:
    """Return one layer per channel: by what it says, else by its name, else by its place."""
    found = []
    for channel in channels:
        said = [x for x in layers if len(own := channel_names(x)) == 1 and same_name(*own, channel)]
        called = [x for x in layers if _is_called(x, channel)]
        found += (said or called)[:1]
    if len(set(map(id, found))) == len(channels):
        return found
    return list(layers) if len(layers) == len(channels) else []


def _samples(layers: Sequence[Image], like: CellStack) -> NDArray[np.float32] | None:
    """Return samples (S, N, C, H, W) from a layer per channel; None if they do not fit."""
    cells, _, height, width = like.data.shape
    try:
        planes = [
            np.array(full_resolution(x), np.float32).reshape(-1, cells, height, width)
            for x in layers
        ]
        return np.stack(planes, axis=2) if planes else None
    except ValueError:
        return None


def _channel_axis(layer: Image) -> int | None:
    return find_axes(full_resolution(layer).shape, layer.axis_labels)[1]


def _is_statistic(layer: Image) -> bool:
    return STATISTIC_KEY in record_of(layer)


def _ambiguous(layer: Image, axis: int) -> bool:
    return layer.ndim == 3 and layer.axis_labels[axis].lower() not in CHANNEL_AXES


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
    if record and (ordered := _by_channel(layers, record.get("bundle", {}).get("channels", ()))):
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
    dna = dna or _first(sources, lambda s: shows_dna(_source_name(s) or s.layer.name))
    dna = dna or sources[0]
    others = [s for s in sources if s != dna and s.shape == dna.shape]
    signal = _first(others, lambda s: signal_name and _goes_by(s, signal_name))
    return Pair(dna, signal or (others[0] if others else None))


def _goes_by(source: Source, channel: str) -> bool:
    name = _source_name(source)
    return same_name(name, channel) if name else _is_called(source.layer, channel)


def _first(sources: Iterable[Source], fits: Any) -> Source | None:
    return next((source for source in sources if fits(source)), None)
