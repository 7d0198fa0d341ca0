"""How the LR layers are read: what they say, what is assumed, and which bundle fits them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.errors import BundleError
from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.catalogue import find_bundle
from napari_rls.widgets.cells.guess_layers import guess
from napari_rls.widgets.cells.layer_facts import (
    axis_names,
    channel_names,
    count_channels,
    full_resolution,
    layer_wells,
    names_channel,
    pixel_size_um,
)
from napari_rls.widgets.cells.layer_file import file_facts
from napari_rls.widgets.cells.sources import sources
from napari_rls.workflow.cells.channels import same_name
from napari_rls.workflow.cells.reading import Reading, describe_axes
from napari_rls.workflow.cells.stack import CHANNEL_AXES, told_apart

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_rls.models.manifest import Manifest
    from napari_rls.widgets.cells.input_state import Inputs


def read_layers(inputs: Inputs, manifest: Manifest) -> Reading:
    """Return how the chosen LR layers are read; nothing if they cannot be."""
    wanted = manifest.channel_names
    try:
        found = sources(inputs.lr, inputs.separate, inputs.channels)
    except ValueError:
        return Reading()
    if len(found) != len(wanted) or any(0 in source.shape for source in found):
        return Reading()
    channels, assumed, differing = [], [], []
    for name, source, index in zip(wanted, found, inputs.channels, strict=True):
        layer = source.layer
        known = channel_names(layer)
        if inputs.separate:
            told = known[0] if len(known) == 1 else ""
            agrees, label = names_channel(layer, name), layer.name
            others = [other for other in wanted if names_channel(layer, other)]
        else:
            told = known[index] if len(known) == count_channels(layer) else ""
            agrees, label = same_name(told, name), told or f"channel {index}"
            others = [told] if told else []
        channels.append((name, label))
        if not agrees and (told or others):
            differing.append((name, told or label))
        elif not agrees:
            assumed.append(name)
    first = found[0]
    names = axis_names(first.layer)
    cells = 1 if first.cell_axis is None else first.shape[first.cell_axis]
    return Reading(
        describe_axes(
            full_resolution(first.layer).shape,
            first.channel_axis,
            first.cell_axis,
            names,
        ),
        tuple(channels),
        tuple(assumed),
        tuple(differing),
        () if inputs.separate else _unused(first.layer, inputs.channels),
        tuple(
            dict.fromkeys(s.layer.name for s in found if full_resolution(s.layer).dtype.kind == "b")
        ),
        cells,
        first.channel_axis is not None
        and names[first.channel_axis].strip().lower() not in CHANNEL_AXES,
        layer_wells(first.layer),
        "" if first.cell_axis is None else told_apart(names[first.cell_axis], cells),
        alike=() if inputs.separate else _alike(first.layer, inputs.channels),
        unit=_unknown_unit(first.layer),
    )


def _unknown_unit(layer: Image) -> str:
    """Return the unit of a layer's file, if the pixel size is not known for it."""
    image = file_facts(layer).image
    return "" if image is None or pixel_size_um(layer) is not None else image.header.unit


def fitting_bundle(
    images: Sequence[Image],
    bundles: Iterable[str],
    current: Manifest | None,
    *,
    fields: bool = False,
) -> Manifest | None:
    """Return another bundle than the current one that has the images' channels and size.

    With ``fields``, images are whole fields, of any size.
    """
    for name in bundles:
        manifest = _manifest(name)
        if manifest is None or (current and manifest.content_hash == current.content_hash):
            continue
        inputs = guess(images, manifest, fields=fields)
        reading = read_layers(inputs, manifest) if all(inputs.lr) else Reading()
        if reading.channels and not (reading.assumed or reading.differing or reading.unused):
            return manifest
    return None


def _manifest(name: str) -> Manifest | None:
    try:
        file = find_bundle(name)
        return _read(file, file.stat().st_mtime_ns)
    except (BundleError, OSError):
        return None


@lru_cache(maxsize=32)
def _read(file: Path, _changed: int) -> Manifest:
    return read_manifest(file)


def _alike(layer: Image, used: Sequence[int]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the names of used channels that others have too, with the indices of all."""
    names = channel_names(layer)
    if len(names) != count_channels(layer):
        return ()
    found = {
        tuple(k for k, other in enumerate(names) if same_name(names[index], other)): names[index]
        for index in used
    }
    return tuple((name, places) for places, name in found.items() if len(places) > 1)


def _unused(layer: Image, used: Sequence[int]) -> tuple[str, ...]:
    names, count = channel_names(layer), count_channels(layer)
    labels = names if len(names) == count else [f"channel {k}" for k in range(count)]
    return tuple(labels[k] for k in range(count) if k not in used)
