"""From chosen layers to sets of images that are measured; samples of a run go along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.widgets.cells.layer_facts import (
    axis_names,
    full_resolution,
    layer_cells,
)
from napari_rls.widgets.cells.sources import Source
from napari_rls.widgets.measure.image_pairs import (
    KINDS,
    ROLES,
    Images,
    Pair,
    by_channel,
    is_samples,
    is_statistic,
    record_of,
    same_run,
    source_name,
)
from napari_rls.workflow.cells.channels import same_name
from napari_rls.workflow.cells.stack import CellStack, find_axes
from napari_rls.workflow.measure.image_sets import ImageSet, Kind

if TYPE_CHECKING:
    from napari.layers import Image


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
            samples = by_channel(same_run(filter(is_samples, layers), record), known)
            sets.append(ChosenSet(kind, sources, known, record, samples))
        else:
            sets.append(ChosenSet(kind, pair.both, names))
    return sets, names


def told_names(images: Images) -> str:
    """Return the sentence that says what columns call channels whose own names are of no use."""
    chosen = {kind: pair for kind, pair in images.items() if all(pair.sources)}
    sr = chosen.get("SR", Pair()).signal
    if not chosen or (sr and record_of(sr.layer).get("bundle")):
        return ""
    dna, signal = _own_names(chosen)
    if not _is_unclear(dna, signal):
        return ""
    return (
        f"The channels are called {dna} and {signal}, which cannot name columns: the table calls "
        f"them {' and '.join(ROLES)}."
    )


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
    dna, signal = pair.both
    layer = signal.layer
    record = record_of(layer)
    if record.get("generated") is False:
        raise InputError(f"{layer.name} is not searched yet; measure after the run.")
    if record.get("started") != record_of(dna.layer).get("started"):
        raise InputError("DNA and signal of the SR images are of two runs; choose those of one.")
    return record


def _role_names(chosen: Images, run: Sequence[Image], known: Sequence[str]) -> tuple[str, str]:
    """Return what the two channels are called; the bundle knows best."""
    if run:
        dna, signal = (known[run.index(source.layer)] for source in chosen["SR"].both)
        return dna, signal
    dna, signal = _own_names(chosen)
    return ROLES if _is_unclear(dna, signal) else (dna, signal)


def _own_names(chosen: Images) -> tuple[str, str]:
    """Return what the layers call the two channels; what they are to a measurement if nothing."""
    kinds = sorted(chosen, key=("GT", "HR", "LR", "SR").index)
    dna, signal = (
        next(filter(None, (source_name(chosen[kind].both[k]) for kind in kinds)), role)
        for k, role in enumerate(ROLES)
    )
    return dna, signal


def _is_unclear(dna: str, signal: str) -> bool:
    """Whether two channels cannot be told by these names; a number would be taken for an index."""
    return same_name(dna, signal) or dna.isdecimal() or signal.isdecimal()


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
    own = [x for x in layers if not is_samples(x) and not is_statistic(x)]
    found = by_channel(same_run(own, record), channels)
    if not found:
        raise InputError(
            f"An SR layer of the run is gone (its channels are {', '.join(channels)}); "
            "super-resolve again."
        )
    return found


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
    return find_axes(full_resolution(layer).shape, axis_names(layer))[1]
