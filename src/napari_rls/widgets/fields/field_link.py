"""Rows of the table and points of the cells select each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import proxy

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Points

    from napari_rls.widgets.fields.field_state import FieldState


class FieldLink:
    """Points and selected cells follow each other, until :meth:`undo`.

    A selected cell is brought to the middle of the view. Points that have been changed since
    are no longer those of the table.

    Parameters
    ----------
    viewer
        The viewer.
    state
        Its ``selected`` are numbers of cells.
    points
        The layer of the cells.
    places
        Where the cells of the table are (N, 2), in LR pixels.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        state: FieldState,
        points: Points,
        places: NDArray[np.float64],
    ) -> None:
        self._viewer, self._state = proxy(viewer), state
        self._points, self._places = points, places
        self._busy = False
        state.events.selected.connect(self._show)
        points.selected_data.events.items_changed.connect(self._follow)

    def undo(self) -> None:
        """Let points and selection alone again."""
        self._state.events.selected.disconnect(self._show)
        self._points.selected_data.events.items_changed.disconnect(self._follow)

    @property
    def _same(self) -> bool:
        return np.array_equal(np.asarray(self._points.data), self._places)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Take what changes in the meantime for an answer, not for a wish."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _show(self, selected: tuple[int, ...]) -> None:
        """Bring the last of the selected cells into the middle of the view."""
        if self._busy or not selected:
            return
        with self._alone():
            if self._same:
                self._points.selected_data = set(selected)
            dims = self._viewer.dims
            if tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1):
                place = self._points.data_to_world(self._places[selected[-1]])
                self._viewer.scene.camera.center = (0.0, *map(float, place))

    def _follow(self, _event: object = None) -> None:
        if self._busy or not self._same:
            return
        with self._alone():
            self._state.selected = tuple(sorted(map(int, self._points.selected_data)))
