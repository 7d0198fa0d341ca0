"""What was measured as layers of labels: how they look, and new ones in the place of old ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import proxy

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray

from napari_rls.measure.columns import IMAGE
from napari_rls.widgets.cells.own_layers import PLACE, keep
from napari_rls.widgets.common.view import remove_layers

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from napari_rls.measure.assay import Overlay
    from napari_rls.workflow.measure.image_sets import Kind

TABLE_KEY = "napari-rls-table"
"""Key of the whole table in the metadata of labels layers."""

LabelledPart = tuple["Kind", str]
"""Kind of image, and part of the cell that an overlay of the assay is of."""


def label_at(viewer: ViewerModel, layers: Iterable[Labels], event: Any) -> int:
    """Return the value of the first of some layers that shows a label under the mouse, or 0."""
    for layer in layers:
        if layer.visible and layer in viewer.layers:
            value = layer.get_value(
                event.position,
                view_direction=event.view_direction,
                dims_displayed=list(event.dims_displayed),
                world=True,
            )
            if value:
                return int(value)
    return 0


def labels_layer(
    pixels: NDArray[np.integer[Any]], overlay: Overlay, name: str, **options: Any
) -> Labels:
    """Return a layer of outlines in the colour of a part of the cell."""
    layer = Labels(
        pixels,
        name=name,
        # One colour for all: napari has others compiled first, which takes seconds.
        colormap=CyclicLabelColormap(colors=["transparent", overlay.colour]),
        opacity=1,
        **options,
    )
    layer.contour = 1
    return layer


class LabelLayers:
    """Layers of labels, of which new ones take the place of those that were there.

    Parameters
    ----------
    viewer
        Where they are.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        # The state of a viewer holds these layers, and must not keep the viewer alive.
        self._viewer = proxy(viewer)
        self.layers: dict[LabelledPart, Labels] = {}

    def show(self, layers: Mapping[LabelledPart, Labels]) -> Iterator[None]:
        """Show layers in the place of the last ones, one at each step.

        Layers that are there get new pixels: napari takes long to remove one and add another.
        """
        for key in [key for key in self.layers if key not in layers]:
            yield from self._remove(self.layers.pop(key))
        for key, new in layers.items():
            old = self.layers.get(key)
            if old is not None and old in self._viewer.layers and old.ndim == new.ndim:
                _refill(old, new)
            else:
                if old is not None:
                    yield from self._remove(old)
                self.layers[key] = new
                self._viewer.add_layer(new)
            yield

    def clear(self) -> None:
        """Take the layers away, as what they outline is no longer shown."""
        remove_layers(self._viewer, list(self.layers.values()))
        self.layers = {}

    def keep(self) -> None:
        """Rename the layers, let go of them and hide them: later ones do not take their place."""
        there = [layer for layer in self.layers.values() if layer in self._viewer.layers]
        keep(there)
        for layer in there:
            # Or they would lie over the next result, which they do not outline.
            layer.visible = False
        self.layers = {}

    def _remove(self, layer: Labels) -> Iterator[None]:
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
            yield


def _refill(old: Labels, new: Labels) -> None:
    """Give a layer what another one shows, in its place; how it looks stays."""
    old.data = new.data
    for name in PLACE:
        if not np.array_equal(getattr(old, name), getattr(new, name)):
            setattr(old, name, getattr(new, name))
    old.features = new.features
    old.metadata = new.metadata


def features_of(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the rows of a kind by label value: the first is the background's."""
    import pandas as pd

    rows = table[table[IMAGE] == kind].reset_index(drop=True)
    nothing = {"b": False, "f": np.nan}
    background = {n: [nothing.get(column.dtype.kind, "")] for n, column in rows.items()}
    features = pd.concat([pd.DataFrame(background), rows], ignore_index=True)
    features.insert(0, "index", range(len(features)))
    return features
