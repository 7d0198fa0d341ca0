"""The viewer's camera and layers: fit layers into view, add all or none, remove together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

MARGIN = 0.05
"""Share of the canvas that stays free around what is fitted into it, as in napari."""


def fit_view(viewer: ViewerModel, layers: Sequence[Layer]) -> None:
    """Move the camera such that layers fill the canvas or, in a grid, one of its cells.

    The viewer may have more dimensions than the layers, as other layers bring them along;
    napari's own ``fit_to_view(layers=...)`` ends in an ``IndexError`` then.
    """
    if not layers:
        return
    shown = [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    edges = np.array([_edges(viewer, layer, shown) for layer in layers])
    low, high = edges[:, 0].min(0), edges[:, 1].max(0)
    size = np.where(high > low, high - low, 1)
    camera, room = viewer.scene.camera, np.array(viewer.canvas.viewbox_size(viewer.layers))
    camera.center = tuple(map(float, (low + high) / 2))
    # In 3D, what fits from every side.
    ratios = room / size if len(size) == 2 else room / np.linalg.norm(size)
    camera.zoom = float((1 - MARGIN) * ratios.min())


def _edges(viewer: ViewerModel, layer: Layer, axes: Sequence[int]) -> tuple[list[float], ...]:
    """Return the lower and upper edges of a layer's pixels along axes, counted from the last."""
    extent = viewer.layers.get_extent([layer])
    low, high = extent.world[0] - extent.step / 2, extent.world[1] + extent.step / 2
    # A layer without an axis is everywhere along it.
    known = [-axis <= len(low) for axis in axes]
    return (
        [float(low[axis]) if there else -0.5 for axis, there in zip(axes, known, strict=True)],
        [float(high[axis]) if there else 0.5 for axis, there in zip(axes, known, strict=True)],
    )


def remove_layers(viewer: ViewerModel, layers: Sequence[Layer]) -> None:
    """Remove layers that are still there, together: napari collects garbage after each removal."""
    there = [layer for layer in layers if layer in viewer.layers]
    if not there:
        return
    with viewer.layers.batched_update():
        for layer in there:
            viewer.layers.remove(layer)


@contextmanager
def same_view(viewer: ViewerModel) -> Iterator[None]:
    """Leave the camera where it is: napari moves it when a layer brings a new dimension."""
    camera = viewer.scene.camera
    center, zoom, angles, first = camera.center, camera.zoom, camera.angles, not viewer.layers
    yield
    if not first:
        camera.center, camera.zoom, camera.angles = center, zoom, angles


@contextmanager
def all_or_none(viewer: ViewerModel) -> Iterator[None]:
    """Take the layers that were added out again where what adds them fails."""
    before = set(viewer.layers)
    try:
        yield
    except BaseException:
        remove_layers(viewer, [layer for layer in viewer.layers if layer not in before])
        raise
