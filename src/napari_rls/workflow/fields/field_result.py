"""What becomes of a field: the result, and the updates on the way to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.fields.microscope import Microscope
from napari_rls.workflow.fields.placed_cells import PlacedCells
from napari_rls.workflow.fields.saturation import Saturation
from napari_rls.workflow.fields.sr_field import SrField
from napari_rls.workflow.fields.tiles import TILES_KEY
from napari_rls.workflow.measure.measurements import SATURATION_KEY
from napari_rls.workflow.super_resolve.resolver import Update
from napari_rls.workflow.super_resolve.result import Collector


@dataclass(frozen=True, eq=False)
class FieldResult:
    """What became of a field.

    Attributes
    ----------
    collector
        SR crops, samples and latents of the cells that were found, with the record of the run.
    cells
        The cells in their places.
    image
        The SR image of the field.
    microscope
        How the field was seen.
    dropped
        Places (M, 2) in LR pixels where a cell was looked for and none is.
    """

    collector: Collector
    cells: PlacedCells
    image: SrField
    microscope: Microscope
    dropped: NDArray[np.float64]

    @property
    def stack(self) -> CellStack:
        """The SR crops, with their places in LR pixels."""
        lr = self.collector.lr
        size = lr.pixel_size_um
        return replace(
            lr,
            data=self.collector.sr,
            pixel_size_um=None if size is None else size / self.microscope.ratio,
        )

    def saturation(self, level: float | None = None) -> Saturation:
        """Look for saturated LR pixels, from a level on or by :func:`saturation_level`."""
        return Saturation.of(self.image.lr, self.cells.lr, level)

    @property
    def record(self) -> dict[str, Any]:
        """How it was made: plain numbers, strings, lists and dicts."""
        return self.collector.provenance() | {
            "microscope": self.microscope.record(),
            "places": self.cells.places.tolist(),
            "dropped": self.dropped.tolist(),
            SATURATION_KEY: self.saturation().record(),
            TILES_KEY: self.microscope.diameter is None,
        }


@dataclass(frozen=True, eq=False)
class FieldUpdate:
    """What has just been done for a field.

    Parameters
    ----------
    stage
        ``found``: nuclei of the LR image; ``scouting``: the short search; ``looked``: nuclei again
        in its images; ``searching``: the search proper; ``done``.
    places
        Centres (N, 2) of the cells in LR pixels, as they are known now.
    message
        A sentence for people, or "".
    step
        The update of the search, while one runs; its cells are those of ``places``.
    result
        What became of the field so far, from the first step of the search proper on; the last
        update has it whole.
    """

    stage: str
    places: NDArray[np.float64]
    message: str = ""
    step: Update | None = None
    result: FieldResult | None = None
