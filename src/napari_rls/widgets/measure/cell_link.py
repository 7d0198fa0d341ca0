"""Viewer and selected cells follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import proxy

import numpy as np

from napari_rls.widgets.cells.label_layers import label_at
from napari_rls.widgets.common.echo import Echo

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event

    from napari_rls.widgets.measure.measure_layers import MeasureLayers
    from napari_rls.widgets.measure.measure_state import MeasureState


class CellLink:
    """Viewer and selected cells follow each other, until :meth:`undo`.

    A selected cell is brought into view, its nucleus in the centre. The slider, a click on
    a label and a label chosen in napari's controls select cells.
    """

    def __init__(self, viewer: ViewerModel, state: MeasureState, layers: MeasureLayers) -> None:
        self._viewer, self._state, self.layers = proxy(viewer), state, layers
        self._echo = Echo()
        state.events.selected.connect(self._show)
        viewer.dims.events.current_step.connect(self._follow_slider)
        for layer in layers.layers.values():
            layer.events.selected_label.connect(self._follow_label)
        viewer.mouse_drag_callbacks.append(self._click)
        self._follow_slider()

    def undo(self) -> None:
        """Let viewer and selection alone again."""
        self._state.events.selected.disconnect(self._show)
        self._viewer.dims.events.current_step.disconnect(self._follow_slider)
        for layer in self.layers.layers.values():
            layer.events.selected_label.disconnect(self._follow_label)
        self._viewer.mouse_drag_callbacks.remove(self._click)

    def _show(self, selected: tuple[int, ...]) -> None:
        """Bring the last of the selected cells into view."""
        if self._echo.heard or not selected:
            return
        with self._echo.of_own_change():
            cell, dims = selected[-1], self._viewer.dims
            self._mark(cell)
            point, place = np.array(dims.point), self.layers.centre_of(cell)
            point[-len(place) :] = place
            dims.point = tuple(point)
            shown = tuple(point[list(dims.displayed)])
            self._viewer.scene.camera.center = (*(0.0,) * (3 - len(shown)), *shown)

    def _select(self, cell: int) -> None:
        with self._echo.of_own_change():
            self._state.selected = (cell,)
            self._mark(cell)

    def _mark(self, cell: int) -> None:
        for layer in self.layers.layers.values():
            layer.selected_label = cell + 1

    def _follow_slider(self, _event: Event | None = None) -> None:
        cell = self.layers.in_view
        if not self._echo.heard and cell is not None and self._state.selected[-1:] != (cell,):
            self._select(cell)

    def _follow_label(self, event: Event) -> None:
        cell = event.source.selected_label - 1
        if not self._echo.heard and 0 <= cell < len(self.layers):
            self._state.selected = (cell,)

    def _click(self, _viewer: ViewerModel, event: Any) -> Iterator[None]:
        """Select the cell under the mouse, unless it was dragged."""
        yield
        if event.type == "mouse_move":
            return
        if label := label_at(self._viewer, self.layers.layers.values(), event):
            self._state.selected = (label - 1,)
