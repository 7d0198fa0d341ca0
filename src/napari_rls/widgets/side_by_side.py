"""LR, SR of one or more methods, GT side by side in napari's grid, and back to how all was."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari.experimental import link_layers, unlink_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

NAME_SIZE = 8
"""Points."""

IN_A_ROW = 4
"""Images that have room for their names beside each other."""

LINKED = ("contrast_limits", "gamma", "colormap")


class SideBySide:
    """The grid of one comparison; made, it is on, until :meth:`undo`.

    Parameters
    ----------
    viewer
        The viewer.
    columns
        The layers of each grid cell, left to right, the bottom one first; each of the same
        number, SR in the second column. More than :data:`IN_A_ROW` are laid in two rows.
        Layers at the same place share contrast and colour; those that the viewer does not
        have are there for the comparison only.
    """

    def __init__(self, viewer: ViewerModel, columns: Sequence[Sequence[Layer]]) -> None:
        self.layers = [layer for column in columns for layer in column]
        self._viewer = viewer
        self._undo: list[Callable[[], None]] = []
        self._remember_view()
        self._remember_layers()
        self._add([layer for layer in self.layers if layer not in viewer.layers])
        for layer in viewer.layers:
            layer.visible = layer in self.layers
        self._reorder(self.layers)
        for k, channel in enumerate(zip(*columns, strict=True)):
            self._link(channel, bottom=k == 0)
        for column in columns:
            self._name(column[0])
        grid = viewer.canvas.grid
        grid.stride = len(columns[0])
        rows = 1 if len(columns) <= IN_A_ROW else 2
        grid.shape = (rows, math.ceil(len(columns) / rows))
        grid.spacing = 0.02
        grid.enabled = True
        viewer.fit_to_view(layers=self.layers)

    def undo(self) -> None:
        """Put everything back that is still there."""
        for step in reversed(self._undo):
            step()

    def _remember_view(self) -> None:
        camera, grid = self._viewer.scene.camera, self._viewer.canvas.grid
        centre, zoom, angles = camera.center, camera.zoom, camera.angles
        stride, shape, spacing, enabled = grid.stride, grid.shape, grid.spacing, grid.enabled

        def restore() -> None:
            grid.enabled, grid.stride, grid.shape, grid.spacing = enabled, stride, shape, spacing
            camera.center, camera.zoom, camera.angles = centre, zoom, angles

        self._undo.append(restore)

    def _remember_layers(self) -> None:
        before = list(self._viewer.layers)
        looks = [(layer, layer.visible) for layer in before]
        selected = set(self._viewer.layers.selection)

        def restore() -> None:
            for layer, visible in looks:
                layer.visible = visible
            self._reorder(before)
            self._viewer.layers.selection = selected & set(self._viewer.layers)

        self._undo.append(restore)

    def _add(self, layers: Sequence[Layer]) -> None:
        for layer in layers:
            self._viewer.add_layer(layer)

        def remove() -> None:
            for layer in layers:
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)

        self._undo.append(remove)

    def _link(self, layers: Sequence[Layer], *, bottom: bool) -> None:
        own = (*LINKED, "blending", "contrast_limits_range")
        before = [(layer, {name: getattr(layer, name) for name in own}) for layer in layers]
        ranges = [look["contrast_limits_range"] for _, look in before]
        for layer in layers:
            layer.blending = "opaque" if bottom else "additive"
            layer.contrast_limits_range = min(r[0] for r in ranges), max(r[1] for r in ranges)
            # The SR layer, in the second column, has the LR contrast and the bundle's colour.
            for name in LINKED:
                setattr(layer, name, getattr(layers[1], name))
        link_layers(layers, LINKED)

        def restore() -> None:
            unlink_layers(layers, LINKED)
            for layer, look in before:
                layer.contrast_limits_range = look.pop("contrast_limits_range")
                for name, value in look.items():
                    setattr(layer, name, value)

        self._undo.append(restore)

    def _name(self, layer: Layer) -> None:
        """Write a layer's name over it: SR pixels are not to be taken for measured ones."""
        overlay = layer.name_overlay
        visible, size = overlay.visible, overlay.font_size
        overlay.visible, overlay.font_size = True, NAME_SIZE

        def restore() -> None:
            overlay.visible, overlay.font_size = visible, size

        self._undo.append(restore)

    def _reorder(self, order: Sequence[Layer]) -> None:
        """Bring the layers of ``order`` that are still there to the bottom, in this order."""
        layers = self._viewer.layers
        place = 0
        for layer in order:
            if layer in layers:
                layers.move(layers.index(layer), place)
                place += 1
