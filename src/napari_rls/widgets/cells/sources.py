"""Where the channels of cells are: a layer each, or one layer along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_rls.widgets.cells.layer_facts import axis_names, full_resolution
from napari_rls.workflow.cells.stack import (
    find_axes,
)

if TYPE_CHECKING:
    from napari.layers import Image


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


def sources(
    layers: Sequence[Image | None],
    separate: bool,
    channels: Sequence[int],
    cells: range | None = None,
) -> list[Source]:
    """Return where each channel of the bundle is found, or nothing if a layer is not chosen."""
    there = [layer for layer in layers if layer is not None]
    if len(there) < len(layers):
        return []
    if separate:
        return [Source(layer, None, 0, cells) for layer in there]
    (layer,) = there
    _, axis = find_axes(full_resolution(layer).shape, axis_names(layer))
    return [Source(layer, axis, index, cells) for index in channels]
