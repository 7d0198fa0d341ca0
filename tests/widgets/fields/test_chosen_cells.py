"""Which places lie inside shapes, of any kind and in any place of their layer."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_rls.errors import InputError
from napari_rls.widgets.fields.chosen_cells import inside_shapes

SQUARE = np.array([[2.0, 2.0], [2.0, 8.0], [8.0, 8.0], [8.0, 2.0]])
PLACES = np.array([[5.0, 5.0], [2.5, 2.5], [9.0, 5.0], [5.0, 7.5]])


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def field(viewer: ViewerModel):
    place = {"scale": (1, 2.0, 2.0), "translate": (0, 5.0, 7.0)}
    return viewer.add_image(np.zeros((2, 12, 12)), **place)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rectangle", [True, True, False, True]),
        ("ellipse", [True, False, False, True]),
        ("polygon", [True, True, False, True]),
    ],
)
def test_places_are_compared_in_the_world(viewer, kind: str, expected: list[bool]) -> None:
    lr = field(viewer)
    # Drawn in a layer with a scale of its own.
    corners = (SQUARE * 2 + (5.0, 7.0)) / 0.5
    viewer.add_shapes([corners], shape_type=kind, scale=(0.5, 0.5))
    assert inside_shapes(viewer, lr)(PLACES).tolist() == expected


def test_a_turned_rectangle_and_selected_shapes(viewer) -> None:
    lr = viewer.add_image(np.zeros((12, 12)))
    diamond = np.array([[5.0, 1.0], [1.0, 5.0], [5.0, 9.0], [9.0, 5.0]])
    shapes = viewer.add_shapes([diamond, SQUARE + 100], shape_type="rectangle")
    shapes.selected_data = set()
    assert inside_shapes(viewer, lr)(PLACES).tolist() == [True, False, True, True]
    shapes.selected_data = {1}
    with pytest.raises(InputError, match="None of the 4 cells lies inside"):
        inside_shapes(viewer, lr)(PLACES)


def test_what_is_not_drawn_or_not_clear_is_one_sentence(viewer) -> None:
    lr = viewer.add_image(np.zeros((12, 12)))
    with pytest.raises(InputError, match="No shape is drawn"):
        inside_shapes(viewer, lr)
    lines = viewer.add_shapes([SQUARE[:2]], shape_type="line")
    with pytest.raises(InputError, match="Lines of Shapes have no inside"):
        inside_shapes(viewer, lr)
    viewer.add_shapes([SQUARE])
    viewer.layers.selection.active = lr
    with pytest.raises(InputError, match="several layers of shapes"):
        inside_shapes(viewer, lr)
    viewer.layers.selection.active = lines
    with pytest.raises(InputError, match="Lines of Shapes"):
        inside_shapes(viewer, lr)
