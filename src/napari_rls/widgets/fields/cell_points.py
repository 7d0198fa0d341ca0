"""The cells of a field as points over the LR layer, which the user may add to, move and delete."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.widgets.cells.layer_facts import full_resolution
from napari_rls.widgets.cells.sr_layers import placement
from napari_rls.widgets.common.view import same_view
from napari_rls.widgets.fields.chosen_cells import in_lr_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_rls.widgets.cells.sources import Source

Array = NDArray[np.float64]

COLOUR = "#ffd43b"

FAINT = f"{COLOUR}59"
"""Colour of rings once outlines of the cells are there."""

SELECTED = "#ffffff"
"""Colour of the rings of selected cells among faint ones."""

CELLS_OF = "napari-rls-cells-of"
"""Key of the metadata of layers of points: name of the LR layer whose cells they are."""

_BORDER = 0.05
"""Width of a ring, as a share of its size."""


class CellPoints:
    """The points of the fields of one LR layer; those of another are made anew.

    Points of a layer of several fields, such as time points, have all of its axes, so that those
    of one are seen where it is.

    Parameters
    ----------
    viewer
        Where the layer is.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._of: Image | None = None
        self._put: dict[int, Array] = {}
        self._anew = False
        self.layer: Points | None = None
        self.left = ""
        """Name of the layer of points that the user had changed when cells were found again."""

    def take_over(self, source: Source, name: str, size: float) -> str:
        """Take the points that the user means for the cells; return what is to be said of it.

        Without points of this field, they are those of the active layer of points, or of the
        only one; else of the active one, if it is of this field too. Points of another field are
        left out. What was drawn elsewhere is shown as cells of this field, and hidden.

        Raises
        ------
        InputError
            If it is not clear which are meant.
        """
        current, active = self.layer_of(source), self._viewer.layers.selection.active
        own = source.layer.name
        if source.cell_axis is not None:
            return ""
        others = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Points)
            and layer is not current
            and len(layer.data)
            and layer.metadata.get(CELLS_OF, own) == own
        ]
        if active in others:
            others = [active]
        elif current is not None:
            return ""
        if len(others) > 1:
            names = ", ".join(layer.name for layer in others)
            raise InputError(
                f"There are several layers of points ({names}): select the one you mean."
            )
        if not others or (current is not None and CELLS_OF not in others[0].metadata):
            return ""
        (meant,) = others
        said = f"The points of the layer {meant.name} are taken for the cells."
        if CELLS_OF in meant.metadata:
            self.layer, self._of, self._put = meant, source.layer, {}
            return said
        places = in_lr_pixels(meant, source.layer, np.asarray(meant.data))
        self.show(source, name, places, size)
        assert self.layer is not None
        self.layer.selected_data = set(map(int, meant.selected_data))
        meant.visible = False
        return said

    def show(self, source: Source, name: str, places: Array, size: float) -> None:
        """Show places (N, 2) in LR pixels over a field, as rings of a size.

        Points that the user has changed meanwhile stay as they are.

        Parameters
        ----------
        source
            Where the field is.
        name
            What it is called.
        places, size
            In LR pixels.
        """
        plane, layer, others = source.first_cell, self.layer_of(source), None
        if layer is not None:
            if self._anew:
                others = self._others(layer, source)
                self.left, layer.visible = layer.name, False
            elif self._edited(layer, source):
                return
            else:
                data = np.concatenate([self._others(layer, source), at_plane(source, places)])
                layer.selected_data = set()
                layer.data = data
                if _faded(layer):
                    layer.border_color = COLOUR
                self._put[plane] = places
                return
        data = at_plane(source, places)
        if others is not None:
            data = np.concatenate([others, data])
        else:
            self._put = {}
        self._put[plane], self._anew = places, False
        called = name if source.cell_axis is None else source.layer.name
        with same_view(self._viewer):
            self.layer = self._viewer.add_points(
                data,
                name=f"Cells of {called}",
                size=size,
                face_color="transparent",
                border_color=COLOUR,
                border_width=_BORDER,
                metadata={CELLS_OF: source.layer.name},
                **_where(source),
            )
        self._of = source.layer

    def places(self, source: Source) -> Array | None:
        """Return the points (N, 2) of a field in LR pixels as they are now; None without a layer.

        Raises
        ------
        InputError
            If there is none left, or some lie outside the field.
        """
        layer = self.layer_of(source)
        if layer is None or (source.cell_axis is not None and not self.known(source)):
            return None
        places = np.array(layer.data, np.float64)[self.rows(source), -2:]
        if not len(places):
            raise InputError(
                f"The layer {layer.name} has no points: add some, or remove it to have cells found."
            )
        # Nuclei that the edge cuts may have their centre beyond it.
        size = np.array(full_resolution(source.layer).shape[-2:])
        outside = int(((places < -1) | (places > size)).any(1).sum())
        if outside:
            raise InputError(
                f"{outside} of the points of {layer.name} lie outside the field: move them into "
                "it, or delete them."
            )
        self._put[source.first_cell] = places
        return places

    def fade(self) -> None:
        """Make rings faint: they are not what was measured, and would cover its outlines."""
        layer = self.layer
        ours = transform_color(COLOUR)[0]
        if layer is not None and np.allclose(layer.border_color, ours, atol=1e-3):
            layer.border_color = FAINT

    def known(self, source: Source) -> bool:
        """Whether cells of a field were found or marked."""
        return source.first_cell in self._put or bool(len(self.rows(source)))

    def rows(self, source: Source) -> NDArray[np.intp]:
        """Return which points of the layer are of a field."""
        layer = self.layer_of(source)
        if layer is None:
            return np.empty(0, np.intp)
        data = np.asarray(layer.data)
        if source.cell_axis is None:
            return np.arange(len(data))
        return np.flatnonzero(np.round(data[:, source.cell_axis]) == source.first_cell)

    def keep_edited(self, source: Source) -> None:
        """Let cells that are looked for have a layer of their own if the user has changed this."""
        layer, self.left = self.layer_of(source), ""
        if layer is not None:
            self._anew = self._edited(layer, source)

    def layer_of(self, source: Source) -> Points | None:
        """Return the layer if it is of this LR layer, and still there."""
        there = self.layer is not None and self.layer in self._viewer.layers
        return self.layer if there and self._of is source.layer else None

    def _others(self, layer: Points, source: Source) -> Array:
        """Return the points of other fields."""
        data: Array = np.delete(np.asarray(layer.data, np.float64), self.rows(source), axis=0)
        return data

    def _edited(self, layer: Points, source: Source) -> bool:
        now = np.asarray(layer.data)[self.rows(source), -2:]
        put = self._put.get(source.first_cell)
        return bool(len(now)) if put is None else not np.array_equal(now, put)


def highlight(layer: Points, selected: Iterable[int]) -> None:
    """Make the rings of some cells bright, if rings are faint: napari's own mark hardly shows."""
    if _faded(layer):
        colours = np.tile(transform_color(FAINT), (len(layer.data), 1))
        colours[[*selected]] = transform_color(SELECTED)[0]
        layer.border_color = colours


def _faded(layer: Points) -> bool:
    """Whether rings are faint but for selected ones: the user has not chosen other colours."""
    known = [
        np.isclose(layer.border_color, transform_color(colour)[0], atol=1e-3).all(1)
        for colour in (FAINT, SELECTED)
    ]
    return bool(len(layer.data) and np.logical_or(*known).all())


def at_plane(source: Source, places: Array) -> Array:
    """Return places (N, 2) of a field as points of its layer of points, (N, D)."""
    if source.cell_axis is None:
        return places
    points = np.zeros((len(places), source.layer.ndim))
    points[:, source.cell_axis] = source.first_cell
    points[:, -2:] = places
    return points


def _where(source: Source) -> dict[str, Any]:
    """Return scale, translation and so on of points over a layer: all axes, or the last two."""
    layer = source.layer
    if source.cell_axis is not None:
        return placement(replace(source, cells=None), 1)
    plane = [layer.ndim - 2, layer.ndim - 1]
    return {
        "scale": layer.scale[-2:],
        "translate": layer.translate[-2:],
        "rotate": layer.rotate[-2:, -2:],
        "shear": layer.shear[-1:],
        "affine": layer.affine.set_slice(plane),
        "units": layer.units[-2:],
        "axis_labels": layer.axis_labels[-2:],
    }
