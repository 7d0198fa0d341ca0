"""LR, SR of one or more methods, GT side by side in napari's grid, and back to how all was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.experimental import link_layers, unlink_layers

from napari_rls.widgets.common.view import fit_view, remove_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

NAME_SIZE = 8
"""Points."""

IN_A_ROW = 4
"""Images that have room for their names beside each other."""

LINKED = ("contrast_limits", "gamma", "colormap")

SPACING = 0.02
"""Distance of the grid's cells, in their size."""


class SideBySide:
    """The grid of one comparison; made, it is on, until :meth:`undo`; :meth:`unfold` fills it.

    Where it cannot be made, the viewer is put back as it was before the error goes on.

    Parameters
    ----------
    viewer
        The viewer.
    columns
        The layers of each grid cell, left to right, the bottom one first; each of the same
        number, SR in the second column. More than :data:`IN_A_ROW` are laid in two rows.
        Layers at the same place share contrast and colour; those that the viewer does not
        have are there for the comparison only.
    places
        Scale, translation and so on that layers of the viewer have for the time.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        columns: Sequence[Sequence[Layer]],
        places: Mapping[Layer, Mapping[str, Any]] = {},
    ) -> None:
        self.layers = [layer for column in columns for layer in column]
        self._named = [column[0] for column in columns]
        self._viewer = viewer
        # What puts things back is noted before they are changed, so that a change that
        # fails half-way is undone as well.
        with ExitStack() as undo:
            undo.callback(self._restore_camera, *self._camera())
            undo.callback(self._restore_layers, *self._looks())
            self._add(undo)
            for layer, place in places.items():
                self._change(undo, layer, place)
            for k, channel in enumerate(zip(*columns, strict=True)):
                self._link(undo, channel, bottom=k == 0)
            self._to_show = [layer for layer in self.layers if not layer.visible]
            for layer in viewer.layers:
                if layer not in self.layers:
                    _set_visible(layer, False)
            self._reorder(self.layers)
            rows = 1 if len(columns) <= IN_A_ROW else 2
            shape = (rows, math.ceil(len(columns) / rows))
            # It goes first, as all else is slow in a grid.
            undo.callback(self._lay_out, *self._grid())
            self._lay_out(True, len(columns[0]), shape, SPACING)
            fit_view(viewer, self.layers)
            self._undo = undo.pop_all()

    def unfold(self) -> Iterator[None]:
        """Bring hidden layers into view and write names over the columns, one at each step.

        Each takes long to draw for the first time.
        """
        for layer in self._to_show:
            _set_visible(layer, True)
            yield
        for layer in self._named:
            # SR pixels are not to be taken for measured ones.
            look = {"visible": True, "font_size": NAME_SIZE}
            self._change(self._undo, layer.name_overlay, look)
            yield

    def undo(self) -> None:
        """Put everything back that is still there."""
        self._undo.close()

    def _grid(self) -> tuple[bool, int, tuple[int, int], float]:
        grid = self._viewer.canvas.grid
        return grid.enabled, grid.stride, grid.shape, grid.spacing

    def _camera(self) -> tuple[Any, ...]:
        camera = self._viewer.scene.camera
        return camera.center, camera.zoom, camera.angles

    def _restore_camera(self, center: Any, zoom: float, angles: Any) -> None:
        camera = self._viewer.scene.camera
        camera.center, camera.zoom, camera.angles = center, zoom, angles

    def _lay_out(self, enabled: bool, stride: int, shape: tuple[int, int], spacing: float) -> None:
        """Set the grid; the canvas is laid out anew once, not after each value."""
        grid = self._viewer.canvas.grid
        events = grid.events
        with events.stride.blocker(), events.shape.blocker(), events.spacing.blocker():
            grid.stride, grid.shape, grid.spacing = stride, shape, spacing
            if grid.enabled != enabled:
                grid.enabled = enabled
                return
        events.shape(value=shape)

    def _looks(self) -> tuple[list[tuple[Layer, bool]], set[Layer]]:
        layers = self._viewer.layers
        return [(layer, layer.visible) for layer in layers], set(layers.selection)

    def _restore_layers(self, looks: list[tuple[Layer, bool]], selected: set[Layer]) -> None:
        for layer, visible in looks:
            _set_visible(layer, visible)
        self._reorder([layer for layer, _ in looks])
        self._viewer.layers.selection = selected & set(self._viewer.layers)

    def _add(self, undo: ExitStack) -> None:
        own = [layer for layer in self.layers if layer not in self._viewer.layers]
        undo.callback(remove_layers, self._viewer, own)
        for layer in own:
            self._viewer.add_layer(layer)

    def _link(self, undo: ExitStack, layers: Sequence[Layer], *, bottom: bool) -> None:
        ranges = [layer.contrast_limits_range for layer in layers]
        span = min(r[0] for r in ranges), max(r[1] for r in ranges)
        # The SR layer, in the second column, has the LR contrast and the bundle's colour.
        shared = {name: getattr(layers[1], name) for name in LINKED}
        blending = "opaque" if bottom else "additive"
        for layer in layers:
            undo.callback(_set_range, layer, tuple(layer.contrast_limits_range))
            layer.contrast_limits_range = span
            self._change(undo, layer, {**shared, "blending": blending})
        undo.callback(unlink_layers, layers, LINKED)
        link_layers(layers, LINKED)

    @staticmethod
    def _change(undo: ExitStack, thing: Any, values: Mapping[str, Any]) -> None:
        """Set attributes of a layer or an overlay; they are put back in the same order."""
        before = {name: getattr(thing, name) for name in values}
        changed = [name for name in values if not _equal(before[name], values[name])]
        undo.callback(_set_all, thing, {name: before[name] for name in changed})
        _set_all(thing, {name: values[name] for name in changed})

    def _reorder(self, order: Sequence[Layer]) -> None:
        """Bring the layers of ``order`` that are still there to the bottom, in this order."""
        layers = self._viewer.layers
        there = [layer for layer in order if layer in layers]
        if list(layers)[: len(there)] == there:
            return
        # The canvas is laid out anew once, not after each move.
        with layers.events.reordered.blocker():
            for place, layer in enumerate(there):
                layers.move(layers.index(layer), place)
        layers.events.reordered(value=layers)


def _equal(one: Any, other: Any) -> bool:
    try:
        return np.array_equal(one, other)
    except (TypeError, ValueError):  # it is set, to be sure
        return False


def _set_all(thing: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(thing, name, value)


def _set_range(layer: Layer, known: tuple[float, float]) -> None:
    """Set the range of the contrast slider, wide enough for the contrast that the layer has.

    napari would cut the contrast of an SR layer whose run has ended in the meantime.
    """
    low, high = layer.contrast_limits
    layer.contrast_limits_range = min(known[0], low), max(known[1], high)


def _set_visible(layer: Layer, visible: bool) -> None:
    # The canvas is laid out anew each time, even where nothing changes.
    if layer.visible != visible:
        layer.visible = visible
