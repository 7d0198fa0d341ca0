"""How the LR layers are read: what they say, what is assumed, and which bundle fits them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.models.bundle_file import BundleError, read_manifest
from napari_rls.models.catalogue import find_bundle
from napari_rls.widgets.inputs import (
    channel_names,
    count_channels,
    full_resolution,
    guess,
    names_channel,
    sources,
)

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_rls.models.manifest import Manifest
    from napari_rls.widgets.state import Inputs


@dataclass(frozen=True)
class Reading:
    """What the pixels of the LR layers are taken for.

    Parameters
    ----------
    axes
        What the axes run over, in words.
    channels
        For each channel of the bundle, what is taken for it, in words.
    assumed
        Names of those that nothing names.
    differing
        What is taken for each channel whose name is another one, in words.
    unused
        Channels of the layer that are not used, in words.
    masks
        Names of layers that hold True and False only.
    cells
        Number of cells.
    """

    axes: str = ""
    channels: tuple[tuple[str, str], ...] = ()
    assumed: tuple[str, ...] = ()
    differing: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    cells: int = 0

    @property
    def text(self) -> str:
        """What the user should see before a run, or nothing."""
        if not self.channels:
            return ""
        if not (self.assumed or self.differing or self.unused):
            return f"Read as {self.axes}; the channels by their names."
        mapped = ", ".join(f"{found} is {wanted}" for wanted, found in self.channels)
        note = f" (assumed: {', '.join(self.assumed)})" if self.assumed else ""
        return f"Read as {self.axes}; {mapped}{note}."

    @property
    def warnings(self) -> list[str]:
        """What is probably not what the user means, in sentences."""
        said = []
        if self.differing:
            mapped = ", ".join(f"{found} is taken for {wanted}" for wanted, found in self.differing)
            said.append(f"The channels' names differ from the bundle's: {mapped}.")
        if self.unused:
            plural = len(self.unused) > 1
            said.append(
                f"The bundle has fewer channels than the image: {', '.join(self.unused)} "
                f"{'are' if plural else 'is'} not used."
            )
        said += [
            f"{name} holds only True and False, like a mask: the search needs intensities."
            for name in self.masks
        ]
        return said

    def record(self) -> dict[str, Any]:
        """Return this for the record of a run."""
        return {
            "axes": self.axes,
            "channels": dict(self.channels),
            "assumed": list(self.assumed),
            "warnings": self.warnings,
        }


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
            agrees, label = told.lower() == name.lower(), told or f"channel {index}"
            others = [told] if told else []
        channels.append((name, label))
        if not agrees and (told or others):
            differing.append((name, told or label))
        elif not agrees:
            assumed.append(name)
    first = found[0]
    return Reading(
        _axes(first.layer, first.channel_axis, first.cell_axis),
        tuple(channels),
        tuple(assumed),
        tuple(differing),
        () if inputs.separate else _unused(first.layer, inputs.channels),
        tuple(
            dict.fromkeys(s.layer.name for s in found if full_resolution(s.layer).dtype.kind == "b")
        ),
        1 if first.cell_axis is None else first.shape[first.cell_axis],
    )


def fitting_bundle(
    images: Sequence[Image], bundles: Iterable[str], current: Manifest | None
) -> Manifest | None:
    """Return another bundle than the current one that has the images' channels and size."""
    for name in bundles:
        manifest = _manifest(name)
        if manifest is None or (current and manifest.content_hash == current.content_hash):
            continue
        inputs = guess(images, manifest)
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


def _axes(layer: Image, channel_axis: int | None, cell_axis: int | None) -> str:
    shape = full_resolution(layer).shape
    size = f"{shape[-2]} x {shape[-1]} pixels"
    if cell_axis is None:
        cells = f"one cell of {size}"
    else:
        cells = f"{shape[cell_axis]} cells of {size} along {_axis_name(layer, cell_axis)}"
    if channel_axis is None:
        return cells
    return f"{cells}, channels along {_axis_name(layer, channel_axis)}"


def _axis_name(layer: Image, axis: int) -> str:
    label = layer.axis_labels[axis]
    return f"axis {axis} ({label})" if label.isalpha() else f"axis {axis}"


def _unused(layer: Image, used: Sequence[int]) -> tuple[str, ...]:
    names, count = channel_names(layer), count_channels(layer)
    labels = names if len(names) == count else [f"channel {k}" for k in range(count)]
    return tuple(labels[k] for k in range(count) if k not in used)
