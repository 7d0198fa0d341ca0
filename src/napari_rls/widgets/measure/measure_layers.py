"""What was measured as labels layers over the images, and the selection of cells among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.measure.registry import registry
from napari_rls.widgets.cells.label_layers import (
    TABLE_KEY,
    LabelLayers,
    LabelledPart,
    features_of,
    labels_layer,
)
from napari_rls.widgets.cells.layer_facts import axis_names, cell_in_view
from napari_rls.widgets.cells.sources import Source
from napari_rls.widgets.cells.sr_layers import placement
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.stack import find_axes

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_rls.widgets.measure.image_pairs import Images
    from napari_rls.workflow.measure.image_sets import Kind
    from napari_rls.workflow.measure.measurements import Measurements

FIRST_IN_VIEW: tuple[Kind, ...] = ("SR", "GT", "HR", "LR")
"""The first of these that was measured is the one whose labels are in view."""


@dataclass(frozen=True, eq=False)
class DrawnLabels:
    """Labels of a measurement, ready for a viewer.

    Parameters
    ----------
    layers
        Labels of every kind of image in the place of the images, what is in view last, and
        so on top. Cell k has the value k + 1. Those of nuclei carry the rows of their kind as
        features, with a row before them for the background, so that row and value go together.
    kind
        The kind of image that is in view.
    centres
        Where each cell (N, 2) is in its image.
    cell_axis
        The layers' axis over cells, if there is one.
    """

    layers: dict[LabelledPart, Labels]
    kind: Kind
    centres: NDArray[np.float64]
    cell_axis: int | None


def draw_labels(result: Measurements, images: Images) -> DrawnLabels:
    """Return the labels of a measurement; meant for a thread, as layers take time to make.

    Parameters
    ----------
    result
        What was measured.
    images
        The layers that it was measured on.
    """
    shown = next(kind for kind in FIRST_IN_VIEW if kind in result.labels)
    metadata = {PROVENANCE_KEY: result.record, TABLE_KEY: result.table}
    layers: dict[LabelledPart, Labels] = {}
    assay = registry()[result.record["settings"]["assay"]]
    overlays = {overlay.part: overlay for overlay in assay.overlays}
    for kind in reversed([k for k in FIRST_IN_VIEW if k in result.labels]):
        for part, labels in result.labels[kind].items():
            pixels, place = _in_place(images[kind].both[1], labels)
            layers[kind, part] = labels_layer(
                pixels,
                overlays[part],
                f"{kind} {overlays[part].title}",
                metadata=metadata,
                features=features_of(result.table, kind) if part == "nucleus" else None,
                visible=kind == shown,
                **place,
            )
    nuclei = layers[shown, "nucleus"]
    source = images[shown].both[1]
    cell_axis = find_axes(nuclei.data.shape, axis_names(source.layer))[0]
    if source.channel_axis is None and nuclei.ndim == 3:
        cell_axis = 0
    return DrawnLabels(layers, shown, _centres(result.labels[shown]["nucleus"]), cell_axis)


class MeasureLayers(LabelLayers):
    """The labels layers of a viewer's last measurement.

    Parameters
    ----------
    viewer
        Where they are.
    """

    _drawn: DrawnLabels | None = None

    def show_drawn(self, drawn: DrawnLabels) -> Iterator[None]:
        """Show a measurement in the place of the last one, a layer at each step."""
        self._drawn = drawn
        yield from self.show(drawn.layers)

    @property
    def nuclei(self) -> Labels:
        """The nuclei of the images in view."""
        assert self._drawn is not None
        return self.layers[self._drawn.kind, "nucleus"]

    def __len__(self) -> int:
        return 0 if self._drawn is None else len(self._drawn.centres)

    def centre_of(self, cell: int) -> NDArray[np.float64]:
        """Return where a cell's nucleus is, or its image without one, in the world."""
        assert self._drawn is not None
        place = np.zeros(self.nuclei.ndim)
        place[-2:] = self._drawn.centres[cell]
        if self._drawn.cell_axis is not None:
            place[self._drawn.cell_axis] = cell
        return np.asarray(self.nuclei.data_to_world(place))

    @property
    def in_view(self) -> int | None:
        """The cell whose image is shown, or None where there are many or none."""
        assert self._drawn is not None
        return cell_in_view(self._viewer, self.nuclei, self._drawn.cell_axis)


def _in_place(
    source: Source, labels: NDArray[np.int32]
) -> tuple[NDArray[np.integer[Any]], dict[str, Any]]:
    """Return labels (N, H, W) in the shape of the images' layer, and where they go."""
    height, width = labels.shape[-2:]
    shape = (*source.shape[:-2], height, width)
    # Small numbers go to the graphics card as they are; larger ones napari converts each time.
    small = labels.astype(np.min_scalar_type(len(labels)), copy=False)
    return small.reshape(shape), placement(source, height / source.shape[-2])


def _centres(nuclei: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the centre (N, 2) of every nucleus (N, H, W), or of the image without one."""
    height, width = nuclei.shape[-2:]
    centres = np.tile([(height - 1) / 2, (width - 1) / 2], (len(nuclei), 1))
    for k, image in enumerate(nuclei):
        where = np.nonzero(image)
        if where[0].size:
            centres[k] = np.mean(where, axis=1)
    return centres
