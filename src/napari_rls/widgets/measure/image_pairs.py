"""The images that are measured: which kinds there are, and what their layers say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from napari_rls.widgets.cells.layer_facts import (
    channel_names,
    full_resolution,
    is_called,
)
from napari_rls.widgets.cells.sample_layers import SAMPLE_AXIS
from napari_rls.widgets.cells.sources import Source
from napari_rls.workflow.cells.channels import same_name
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.write import STATISTIC_KEY
from napari_rls.workflow.measure.image_sets import Kind

if TYPE_CHECKING:
    from napari.layers import Image


KINDS: tuple[Kind, ...] = get_args(Kind)


ROLES = ("DNA", "Signal")
"""What the two channels are to a measurement, and their names where no layer tells them."""


@dataclass(frozen=True)
class Pair:
    """Where the two channels of one kind of image are; None where none is chosen."""

    dna: Source | None = None
    signal: Source | None = None

    @property
    def sources(self) -> tuple[Source | None, Source | None]:
        """Both, in the order of :data:`ROLES`."""
        return self.dna, self.signal

    @property
    def both(self) -> tuple[Source, Source]:
        """Both, where both are chosen."""
        assert self.dna is not None
        assert self.signal is not None
        return self.dna, self.signal


Images = Mapping[Kind, Pair]


def is_samples(layer: Image) -> bool:
    """Whether a layer holds samples of SR images, along its first axis."""
    return bool(layer.ndim > 2 and layer.axis_labels[0] == SAMPLE_AXIS)


def record_of(layer: Image) -> Mapping[str, Any]:
    """Return the record of a run in a layer's metadata; empty if there is none."""
    record = layer.metadata.get(PROVENANCE_KEY)
    return record if isinstance(record, dict) else {}


def bundle_record(images: Images) -> Mapping[str, Any]:
    """Return what is known of the bundle of the chosen SR images; empty without one."""
    source = images.get("SR", Pair()).signal
    return record_of(source.layer).get("bundle", {}) if source else {}


def source_name(source: Source) -> str:
    """Return a channel's name, or nothing if its layer does not tell."""
    names, axis = channel_names(source.layer), source.channel_axis
    if len(names) == (1 if axis is None else full_resolution(source.layer).shape[axis]):
        return names[source.index]
    known = record_of(source.layer).get("bundle", {}).get("channels", ())
    return next((name for name in known if is_called(source.layer, name)), "")


def same_run(layers: Iterable[Image], record: Mapping[str, Any]) -> list[Image]:
    """Return the layers of the run that a record is of."""
    return [x for x in layers if record_of(x).get("started") == record.get("started")]


def by_channel(layers: Sequence[Image], channels: Sequence[str]) -> list[Image]:
    """Return one layer per channel: by what it says, else by its name, else by its place."""
    found = []
    for channel in channels:
        said = [
            x for x in layers if len(own := channel_names(x)) == 1 and same_name(own[0], channel)
        ]
        called = [x for x in layers if is_called(x, channel)]
        found += (said or called)[:1]
    if len(set(map(id, found))) == len(channels):
        return found
    return list(layers) if len(layers) == len(channels) else []


def is_statistic(layer: Image) -> bool:
    """Whether a layer is the mean or the deviation of samples, or a trust mask."""
    return STATISTIC_KEY in record_of(layer)
