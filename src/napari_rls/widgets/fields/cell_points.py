"""The cells of a field as points over the LR layer, which the user may add to, move and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.widgets.cells.layer_facts import full_resolution
from napari_rls.widgets.common.view import same_view

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Points

COLOUR = "#ffd43b"

_BORDER = 0.05
"""Width of a ring, as a share of its size."""


class CellPoints:
    """The points of one field; those of another are made anew.

    Parameters
    ----------
    viewer
        Where the layer is.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._of: tuple[Image, int] | None = None
        self._put: NDArray[np.float64] = np.empty((0, 2))
        self.layer: Points | None = None

    def show(
        self, lr: Image, index: int, name: str, places: NDArray[np.float64], size: float
    ) -> None:
        """Show places (N, 2) in LR pixels over a field of a layer, as rings of a size.

        Points that the user has changed meanwhile stay as they are.

        Parameters
        ----------
        lr
            The layer.
        index
            Which field of it, where there are several.
        name
            What the field is called.
        places, size
            In LR pixels.
        """
        layer = self.of_field(lr, index)
        if layer is not None:
            if not self._edited(layer):
                layer.selected_data = set()
                layer.data = self._put = places
            return
        self._put = places
        with same_view(self._viewer):
            self.layer = self._viewer.add_points(
                places,
                name=f"Cells of {name}",
                size=size,
                face_color="transparent",
                border_color=COLOUR,
                border_width=_BORDER,
                **_plane_of(lr),
            )
        self._of = (lr, index)

    def places(self, lr: Image, index: int) -> NDArray[np.float64] | None:
        """Return the points (N, 2) of a field in LR pixels as they are now; None without a layer.

        Raises
        ------
        InputError
            If there is none left, or some lie outside the field.
        """
        layer = self.of_field(lr, index)
        if layer is None:
            return None
        places = np.array(layer.data, np.float64)
        if not len(places):
            raise InputError(
                f"The layer {layer.name} has no points: add some, or remove it to have cells found."
            )
        # Nuclei that the edge cuts may have their centre beyond it.
        size = np.array(full_resolution(lr).shape[-2:])
        outside = int(((places < -1) | (places > size)).any(1).sum())
        if outside:
            raise InputError(
                f"{outside} of the points of {layer.name} lie outside the field: move them into "
                "it, or delete them."
            )
        self._put = places
        return places

    def keep_edited(self) -> None:
        """Let cells that are looked for have a layer of their own if the user has changed this."""
        if self.layer is not None and self._edited(self.layer):
            self.layer = None

    def of_field(self, lr: Image, index: int) -> Points | None:
        """Return the layer if it is of this field, and still there."""
        there = self.layer is not None and self.layer in self._viewer.layers
        return self.layer if there and self._of == (lr, index) else None

    def _edited(self, layer: Points) -> bool:
        return not np.array_equal(np.asarray(layer.data), self._put)


def _plane_of(layer: Image) -> dict[str, Any]:
    """Return scale, translation and so on of a layer's last two axes."""
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
