"""Clicks on the cells of a table in a real window."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt

from napari_rls.widgets.fields.field_link import FieldLink
from napari_rls.widgets.fields.field_state import FieldState


def test_a_click_on_a_cell_selects_it(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    # The second point is of no cell, and cells are not in the order of the points.
    data = np.array([[4.0, 4.0], [4.0, 12.0], [10.0, 8.0]])
    points = viewer.add_points(data, size=3, scale=(2, 2))
    state = FieldState()
    link = FieldLink(viewer, state, points, data[[2, 0]] + 0.05, 0.1)

    def click_on(place: tuple[float, float]) -> None:
        viewer.scene.camera.center = tuple(points.data_to_world(place))
        viewer.screenshot(flash=False)  # the camera moves when it is drawn
        canvas = viewer.window._qt_viewer.canvas.native
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())

    click_on((4.0, 4.0))
    assert set(points.selected_data) == {0}
    assert state.selected == (1,)
    click_on((10.5, 8.5))
    assert state.selected == (0,)
    click_on((7.0, 4.0))
    assert state.selected == (0,)
    click_on((4.0, 12.0))
    assert state.selected == ()
    # A tool of napari's is not disturbed, and selects as it does.
    points.mode = "select"
    click_on((10.0, 8.0))
    assert state.selected == (0,)
    points.mode = "pan_zoom"
    link.undo()
    click_on((4.0, 4.0))
    assert state.selected == (0,)
