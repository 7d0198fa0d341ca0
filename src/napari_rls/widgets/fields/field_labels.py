"""What was measured in fields as layers of labels in the place of the SR field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.measure.registry import registry
from napari_rls.widgets.cells.label_layers import (
    TABLE_KEY,
    LabelledPart,
    features_of,
    labels_layer,
)
from napari_rls.widgets.cells.sr_layers import placement
from napari_rls.workflow.cells.ome import PROVENANCE_KEY

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_rls.widgets.cells.sources import Source
    from napari_rls.workflow.fields.field_result import FieldResult
    from napari_rls.workflow.measure.measurements import Measurements


def draw_field_labels(
    measured: Measurements,
    labels: Sequence[Mapping[str, NDArray[np.int32]]],
    results: Mapping[int, FieldResult],
    source: Source,
) -> dict[LabelledPart, Labels]:
    """Return the labels of a measurement; meant for a thread, as layers take time to make.

    Parameters
    ----------
    measured
        What was measured: cell k of its table has the value k + 1.
    labels
        Label images (N, S, S) of the cells of each field, by the parts of the cell.
    results
        What became of each field, by its plane.
    source
        The LR layer, and the planes that are labelled.
    """
    parts: dict[LabelledPart, Labels] = {}
    metadata: dict[str, Any] = {PROVENANCE_KEY: measured.record, TABLE_KEY: measured.table}
    ratio = next(iter(results.values())).microscope.ratio
    small = np.min_scalar_type(len(measured.table))
    # What is drawn last lies on top: nuclei, which are listed first.
    for overlay in reversed(registry()[measured.record["settings"]["assay"]].overlays):
        if overlay.part not in labels[0]:
            continue
        planes = len(source.cells) if source.cells is not None else 1
        height, width = next(iter(results.values())).image.shape[1:]
        pixels = np.zeros((planes, height, width), small)
        first = 0
        for (plane, result), own in zip(results.items(), labels, strict=True):
            image = result.image.labels(own[overlay.part])
            pixels[plane - source.first_cell] = np.where(image, image + first, 0)
            first += len(result.cells)
        nucleus = overlay.part == "nucleus"
        parts["SR", overlay.part] = labels_layer(
            pixels.reshape(*source.shape[:-2], height, width),
            overlay,
            f"SR {overlay.title} of {source.layer.name}",
            metadata=metadata,
            features=features_of(measured.table, "SR") if nucleus else None,
            **placement(source, ratio),
        )
    return parts
