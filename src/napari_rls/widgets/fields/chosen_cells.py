"""Which cells of a field are to be super-resolved: all, those in drawn shapes, selected points."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from napari_rls.errors import InputError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]


class Which(StrEnum):
    """Which cells a run takes, in the words of the dock."""

    ALL = "All cells"
    INSIDE = "Cells inside shapes"
    SELECTED = "Selected points"


class Chosen(Protocol):
    """Tells which of some places are chosen."""

    def __call__(self, places: Array) -> Mask:
        """Return which of places (N, 2) in LR pixels are.

        Raises
        ------
        InputError
            If none is.
        """


@dataclass(frozen=True, eq=False)
class Selected:
    """The selected points of the layer that holds the places."""

    selected: tuple[int, ...]

    def __call__(self, places: Array) -> Mask:
        """Return which places are selected."""
        if not self.selected:
            raise InputError("None of the points of the field is selected.")
        mask = np.zeros(len(places), np.bool_)
        mask[list(self.selected)] = True
        return mask


@dataclass(frozen=True, eq=False)
class Unfinished:
    """The cells that an earlier run has not finished.

    Parameters
    ----------
    finished
        Places (N, 2) of those that it has, in LR pixels.
    tolerance
        How far a cell may lie from its place.
    """

    finished: Array
    tolerance: float

    def __call__(self, places: Array) -> Mask:
        """Return which places are of no finished cell."""
        apart = np.linalg.norm(places[:, None] - self.finished[None], axis=-1)
        return np.asarray(apart.min(axis=1, initial=np.inf) > self.tolerance)


@dataclass(frozen=True, eq=False)
class Inside:
    """The insides of shapes, as they were when a run began.

    Parameters
    ----------
    name
        Of their layer.
    shapes
        The kind of each, and its corners (K, 2) in LR pixels.
    """

    name: str
    shapes: tuple[tuple[str, Array], ...]

    def __call__(self, places: Array) -> Mask:
        """Return which places lie inside any of the shapes."""
        mask = np.zeros(len(places), np.bool_)
        for kind, corners in self.shapes:
            mask |= _inside(kind, corners, places)
        if not mask.any():
            raise InputError(
                f"None of the {len(places)} cells lies inside the shapes of {self.name}: draw one "
                "around the cells that you want."
            )
        return mask


def selected_points(points: Points | None, rows: NDArray[np.intp]) -> Selected:
    """Return which of the points of a field, some rows of a layer, are selected.

    Raises
    ------
    InputError
        If none is.
    """
    if points is None:
        raise InputError("There are no points to select: find cells first, or add points.")
    if not points.selected_data:
        raise InputError(
            f"No point is selected in {points.name}: select some with napari's arrow tool, or "
            "choose other cells to run."
        )
    selected = np.isin(rows, [*points.selected_data])
    return Selected(tuple(map(int, np.flatnonzero(selected))))


def inside_shapes(viewer: ViewerModel, lr: Image) -> Inside:
    """Return the shapes that are drawn, or the selected ones of their layer.

    Of several layers of shapes the active one is meant.

    Raises
    ------
    InputError
        If nothing is drawn, or several layers may be meant.
    """
    layers = [layer for layer in viewer.layers if isinstance(layer, Shapes)]
    active = viewer.layers.selection.active
    if len(layers) > 1 and active in layers:
        layers = [active]
    drawn = [layer for layer in layers if len(layer.data)]
    if not drawn:
        raise InputError(
            "No shape is drawn: add a Shapes layer, draw a rectangle around the cells that you "
            "want, and run again."
        )
    if len(drawn) > 1:
        names = ", ".join(layer.name for layer in drawn)
        raise InputError(f"There are several layers of shapes ({names}): select the one you mean.")
    layer = drawn[0]
    meant = sorted(map(int, layer.selected_data)) or range(len(layer.data))
    shapes = tuple(
        (str(layer.shape_type[k]), in_lr_pixels(layer, lr, np.asarray(layer.data[k])))
        for k in meant
        if layer.shape_type[k] not in ("line", "path")
    )
    if not shapes:
        raise InputError(
            f"Lines of {layer.name} have no inside: draw a rectangle, an ellipse or a polygon."
        )
    return Inside(layer.name, shapes)


def in_lr_pixels(layer: Layer, lr: Image, places: Array) -> Array:
    """Return places (K, ndim) of a layer in pixels (K, 2) of the LR layer's last two axes."""
    found = []
    for place in places:
        world = np.zeros(lr.ndim)
        world[-2:] = np.array(layer.data_to_world(place))[-2:]
        found.append(np.array(lr.world_to_data(world))[-2:])
    return np.array(found, np.float64)


def _inside(kind: str, corners: Array, places: Array) -> Mask:
    if kind == "polygon":
        from skimage.measure import points_in_poly

        return np.asarray(points_in_poly(places, corners), np.bool_)
    # Rectangles and the boxes of ellipses, turned and sheared as they may be.
    centre = corners.mean(axis=0)
    sides = np.column_stack([corners[1] - corners[0], corners[3] - corners[0]]) / 2
    if abs(np.linalg.det(sides)) < 1e-12:
        return np.zeros(len(places), np.bool_)
    across = np.linalg.solve(sides, (places - centre).T)
    if kind == "ellipse":
        return np.asarray((across**2).sum(axis=0) <= 1)
    return np.asarray((np.abs(across) <= 1).all(axis=0))
