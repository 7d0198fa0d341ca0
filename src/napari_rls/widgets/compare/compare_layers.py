"""The SR layers of a comparison, method by method, side by side as long as they are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_rls.widgets.cells.layer_facts import cell_in_view
from napari_rls.widgets.cells.sources import Source, sources
from napari_rls.widgets.cells.sr_layers import SrLayers
from napari_rls.widgets.common.view import all_or_none
from napari_rls.workflow.cells.stack import content_digest
from napari_rls.workflow.compare.method_results import BICUBIC
from napari_rls.workflow.super_resolve.result import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_rls.widgets.cells.comparison import Comparison
    from napari_rls.widgets.compare.compare_state import CompareState
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.compare.method_results import CompareUpdate


@dataclass(eq=False)
class _Column:
    """The layers of one method, what it reached, and whether that is final."""

    sr: SrLayers
    collector: Collector
    settled: bool = False


class CompareLayers:
    """Layers per method and channel, the upsampled LR image first; layers of earlier runs again.

    Until a method has reached a cell, its layers show the LR image, upsampled.

    Parameters
    ----------
    viewer
        Where the layers are added.
    comparison
        What lays them side by side.
    state
        Bundle, layers and methods of the comparison.
    lr
        The LR cells.
    cells
        Which of the LR layer's they are, None for all.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        comparison: Comparison,
        state: CompareState,
        lr: CellStack,
        cells: range | None,
    ) -> None:
        self._viewer = viewer
        self._comparison = comparison
        self._state = state
        self._lr = lr
        self._digest = content_digest(lr.data)
        inputs = state.inputs
        self._origin = sources(inputs.lr, inputs.separate, inputs.channels, cells)
        self._columns: dict[str, _Column] = {}

    def build(self) -> Iterator[None]:
        """Show the layers, method by method; yield in between.

        They do not lie side by side then, unless these very layers did before. The window takes
        long to draw a layer for the first time, and is to draw a few at a time.
        """
        inputs, manifest = self._state.inputs, self._state.manifest
        assert manifest is not None
        for method in (BICUBIC, *self._state.methods):
            with all_or_none(self._viewer):
                sr = SrLayers(self._viewer, self._origin, self._lr, manifest, method, self._digest)
            self._columns[method] = _Column(sr, Collector(self._lr, manifest.hr_size))
            yield
        columns = [column.sr.layers for column in self._columns.values()]
        if not self._comparison.shows(inputs, columns):
            self._comparison.stop()
        self._comparison.about(inputs, columns, manifest)
        self._bring_into_view(self._origin[0])

    def __contains__(self, layer: Layer) -> bool:
        return any(layer in column.sr.layers for column in self._columns.values())

    @property
    def present(self) -> bool:
        """Whether any of the methods' layers is still in the viewer."""
        return any(column.sr.present for name, column in self._columns.items() if name != BICUBIC)

    def show(self, message: CompareUpdate) -> None:
        """Show what a message holds in the layers of its method."""
        column = self._columns.get(message.method)
        if column is None:
            return
        search, result = message.search, message.result
        if search is not None:
            first = column.collector.run is None
            column.collector.add(search)
            column.sr.show(search.cells, search.sr)
            if first:
                column.sr.mark(column.collector.provenance())
        if result is not None and result.ran and result.sr is not None:
            column.sr.settle(result.sr, dict(result.record) or self._baseline())
            column.settled = True
        elif result is not None:
            self._remove([message.method])

    def settle(self) -> None:
        """Keep what methods reached that have no result; take away the layers of the others.

        Where layers showed an earlier result, that is shown again.
        """
        for column in self._columns.values():
            if not column.settled and column.collector.reached:
                column.sr.settle(column.collector.sr, column.collector.provenance())
                column.settled = True
        nothing = [name for name, column in self._columns.items() if not column.settled]
        kept = self._columns.keys() - nothing
        self._remove(self._columns.keys() if kept <= {BICUBIC} else nothing)
        for column in self._columns.values():
            column.sr.accept()

    def _remove(self, methods: Iterable[str]) -> None:
        """Take the layers of methods out of the viewer; the others move together."""
        again = self._state.comparing
        for method in list(methods):
            self._columns.pop(method).sr.put_back()
        if again and not self._state.comparing and self.present:
            self._comparison.start()

    def _baseline(self) -> dict[str, Any]:
        """Return the record of the upsampled image."""
        return {
            "generated": False,
            "note": "The LR image, upsampled (bicubic), without any model.",
            "input": {"sha256": self._digest},
        }

    def _bring_into_view(self, source: Source) -> None:
        """Show a cell that is compared, if none is in view."""
        layer, axis = source.layer, source.cell_axis
        if axis is None or source.cells is None:
            return
        if cell_in_view(self._viewer, layer, axis) not in source.cells:
            place = np.zeros(layer.ndim)
            place[axis] = source.first_cell
            dims = self._viewer.dims
            dims.set_point(axis + dims.ndim - layer.ndim, layer.data_to_world(place)[axis])
