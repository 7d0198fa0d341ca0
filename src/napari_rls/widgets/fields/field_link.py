"""Rows of the table, points of the cells and their labels select each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import proxy

import numpy as np
from numpy.typing import NDArray

from napari_rls.widgets.cells.label_layers import label_at
from napari_rls.widgets.common.echo import Echo
from napari_rls.widgets.fields.cell_points import highlight

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Points

    from napari_rls.widgets.fields.field_state import FieldState


_NO_TOOL = "pan_zoom"
"""Mode of a layer while the mouse moves the view."""


class FieldLink:
    """Points, labels and selected cells follow each other, until :meth:`undo`.

    A selected cell is brought to the middle of the view, and a click on a cell selects it unless
    one of napari's tools is chosen. Points without a cell of the table select none, and points
    that have been changed since are no longer those of the table.

    Parameters
    ----------
    viewer
        The viewer.
    state
        Its ``selected`` are numbers of cells.
    points
        The layer of the cells.
    places
        Where the cells of the table are (N, D), as points of the layer.
    tolerance
        How far in LR pixels a cell may lie from its point: the grid of HR pixels moves it.
    labels
        Layers in which cell k of the table has the value k + 1.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        state: FieldState,
        points: Points,
        places: NDArray[np.float64],
        tolerance: float,
        labels: Sequence[Labels] = (),
    ) -> None:
        self._viewer, self._state = proxy(viewer), state
        self._points, self._places = points, places
        self._known = np.array(points.data, np.float64)
        self._points_of = _nearest(places, self._known, tolerance)
        self._labels = tuple(labels)
        self._echo = Echo()
        state.events.selected.connect(self._show)
        points.selected_data.events.items_changed.connect(self._follow)
        for layer in self._labels:
            layer.events.selected_label.connect(self._follow_label)
        viewer.mouse_drag_callbacks.append(self._click)

    def undo(self) -> None:
        """Let points and selection alone again."""
        highlight(self._points, ())
        self._state.events.selected.disconnect(self._show)
        self._points.selected_data.events.items_changed.disconnect(self._follow)
        for layer in self._labels:
            layer.events.selected_label.disconnect(self._follow_label)
        self._viewer.mouse_drag_callbacks.remove(self._click)

    @property
    def _same(self) -> bool:
        return np.array_equal(np.asarray(self._points.data), self._known)

    def _show(self, selected: tuple[int, ...]) -> None:
        """Select the points of cells, and bring the last one into the middle of the view."""
        if self._echo.heard:
            return
        with self._echo.of_own_change():
            if self._same:
                chosen = {self._points_of[cell] for cell in selected if cell in self._points_of}
                self._points.selected_data = chosen
                highlight(self._points, chosen)
            if not selected:
                return
            self._mark(selected[-1])
            dims = self._viewer.dims
            if tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1):
                place = self._points.data_to_world(self._places[selected[-1]])
                if len(place) > 2:
                    point = np.array(dims.point)
                    # The channel that is shown stays.
                    moved = np.ptp(self._places, axis=0)[:-2] > 0
                    point[-len(place) : -2][moved] = np.array(place)[:-2][moved]
                    dims.point = tuple(point)
                self._viewer.scene.camera.center = (0.0, *map(float, place[-2:]))

    def _follow(self, _event: object = None) -> None:
        if self._echo.heard or not self._same:
            return
        with self._echo.of_own_change():
            chosen = set(map(int, self._points.selected_data))
            highlight(self._points, chosen)
            cells = [cell for cell, point in self._points_of.items() if point in chosen]
            self._state.selected = tuple(cells)
            if cells:
                self._mark(cells[-1])

    def _mark(self, cell: int) -> None:
        for layer in self._labels:
            layer.selected_label = cell + 1

    def _follow_label(self, event: Any) -> None:
        cell = event.source.selected_label - 1
        if not self._echo.heard and 0 <= cell < len(self._places):
            self._state.selected = (cell,)

    def _click(self, _viewer: ViewerModel, event: Any) -> Iterator[None]:
        """Select the cell under the mouse, unless it was dragged or a tool is at work."""
        yield
        active = self._viewer.layers.selection.active
        at_work = str(getattr(active, "mode", _NO_TOOL)) != _NO_TOOL
        if event.type == "mouse_move" or at_work:
            return
        label = label_at(self._viewer, reversed(self._labels), event)
        if 0 < label <= len(self._places):
            self._state.selected = (label - 1,)
            return
        if not self._same or not len(self._known):
            return
        place = np.array(self._points.world_to_data(event.position[-self._points.ndim :]))
        apart = np.linalg.norm((self._known - place)[:, -2:], axis=1)
        # Channels are thinner than a pixel there, and fields are one pixel apart.
        apart[np.abs((self._known - place)[:, :-2]).max(1, initial=0) > 0.5] = np.inf
        nearest = int(apart.argmin())
        if apart[nearest] <= float(np.max(self._points.size)) / 2:
            self._points.selected_data = {nearest}


def _nearest(
    places: NDArray[np.float64], points: NDArray[np.float64], tolerance: float
) -> dict[int, int]:
    """Return the nearest point of every place that has one within a distance."""
    if not len(points):
        return {}
    between = places[:, None] - points[None]
    apart = np.linalg.norm(between[..., -2:], axis=-1)
    apart[np.abs(between[..., :-2]).max(-1, initial=0) > 0.5] = np.inf
    nearest = apart.argmin(axis=1)
    return {k: int(at) for k, at in enumerate(nearest) if apart[k, at] <= tolerance}
