"""The table of cells, without Qt: measured after a run, linked with points and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_rls.errors import InputError
from napari_rls.measure.columns import FLAGS
from napari_rls.widgets.cells.hr_means import (
    AGAIN,
    describe_means,
    save_with_means,
    why_no_hr_cells,
)
from napari_rls.widgets.cells.label_layers import LabelLayers, LabelledPart
from napari_rls.widgets.cells.run_words import count_cells
from napari_rls.widgets.common.state import Level, RunOutcome, RunProgress
from napari_rls.widgets.common.view import same_view
from napari_rls.widgets.fields.cell_points import CellPoints, at_plane
from napari_rls.widgets.fields.field_choice import FieldChoice
from napari_rls.widgets.fields.field_link import FieldLink
from napari_rls.widgets.fields.field_state import NO_RESULT
from napari_rls.widgets.fields.result_jobs import TableJob, TableNews

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Points

    from napari_rls.measure.cells import MeasureSettings
    from napari_rls.widgets.cells.sources import Source
    from napari_rls.widgets.fields.field_layers import FieldLayers
    from napari_rls.workflow.fields.field_result import FieldResult
    from napari_rls.workflow.fields.shared import Shared


@dataclass(frozen=True, eq=False)
class LastField:
    """The last result: of each field by its plane, its layers, and how it was made.

    ``measurement`` is what the bundle suggests to measure, ``source`` the LR layer and the planes
    that were begun, ``whole`` are the fields whose cells are all done, ``planes`` how many there
    are, None if one was chosen, and ``shared`` is what they share.
    """

    results: Mapping[int, FieldResult]
    layers: FieldLayers
    measurement: Mapping[str, Any]
    made_with: Mapping[str, Any]
    source: Source
    whole: Mapping[int, FieldResult]
    planes: int | None = None
    shared: Shared | None = None


class FieldTable(FieldChoice):
    """Measure the cells of the last result, as long as its layers are there.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    _last: LastField | None = None
    _labelled: Image | None = None
    _link: FieldLink | None = None

    def _open(self) -> None:
        self.points = CellPoints(self.viewer)
        self.labels = LabelLayers(self.viewer)
        super()._open()

    def measure(self) -> None:
        """Measure the cells of the last run."""
        self._once(self._take_table)

    def _take_table(self) -> None:
        last = self._last
        if last is None or self.state.unmeasured:
            raise InputError(self.state.unmeasured)
        self._begin("Measuring")
        self._say("")
        self._work_on(TableJob(last.whole, last.measurement, last.source, self.state.hr_cells))

    def choose_hr_cells(self, path: Path | None) -> None:
        """Correct means by HR images of a few of the cells when measuring, or not."""
        if path is not None and (why := why_no_hr_cells(path, self._measurement)):
            self._say(why, Level.ERROR)
            return
        # Means are those of the file that is shown, or none.
        self.state.hr_cells, self.state.means = path, None
        self._say(AGAIN if path is not None and self.state.measured is not None else "")

    @property
    def _measurement(self) -> MeasureSettings | None:
        """How cells will be measured, if the bundle tells it."""
        from napari_rls.workflow.measure.measure_settings import measure_settings

        manifest = self.state.manifest
        if manifest is None or not manifest.measurement:
            return None
        return measure_settings(None, None, {}, dict(manifest.measurement))

    def export(self, path: Path) -> None:
        """Write the table of the field's cells and its record, and corrected means beside it."""
        if (measured := self.state.measured) is not None:
            means = self.state.means
            self.state.message = save_with_means(path, measured.table, measured.record, means)

    def close(self) -> None:
        """End the run and keep what was reached; called when the widget is gone."""
        super().close()
        self._unlink()
        self._last = None

    def _receive_table(self, news: TableNews) -> None:
        text = f"{news.done} of {news.total} images"
        self.state.progress = RunProgress(news.done / news.total, text)
        if news.result is not None and news.labels is not None:
            result, self.state.selected = news.result, ()
            self._unlink()
            self.state.means = news.means
            self.state.measured = result
            self._settle(RunOutcome.DONE)
            steps = self._show_labels(news.labels)
            self._in_turns(steps, lambda: self.state.measured is result, "layers of labels")

    def _show_labels(self, labels: Mapping[LabelledPart, Labels]) -> Iterator[None]:
        """Show labels over the SR field, below the points, a layer at a step, and link them."""
        layers, last = self.viewer.layers, self._last
        assert last is not None
        if last.source.layer is not self._labelled:
            # Those of another LR layer stay.
            self.labels, self._labelled = LabelLayers(self.viewer), last.source.layer
        active = layers.selection.active
        with same_view(self.viewer):
            steps = self.labels.show(labels)
            more = next(steps, self)
        while more is None:
            self._to_the_top()
            layers.selection.active = active
            yield
            active = layers.selection.active
            with same_view(self.viewer):
                more = next(steps, self)
        self._link_cells(last)

    def _link_cells(self, last: LastField) -> None:
        """Let rows, points and labels select each other."""
        points = self.points.layer_of(last.source)
        if points is None:
            return
        self.points.fade()
        places = [
            at_plane(replace(last.source, cells=range(plane, plane + 1)), each.cells.places)
            for plane, each in last.whole.items()
        ]
        ratio = next(iter(last.whole.values())).microscope.ratio
        layers = tuple(self.labels.layers.values())
        self._link = FieldLink(
            self.viewer, self.state, points, np.concatenate(places), 1 / ratio, layers
        )
        if self.state.selected:
            # Chosen in the table while labels were being shown.
            self.state.events.selected.emit(self.state.selected)

    def _to_the_top(self) -> Points | None:
        """Bring labels and, over them, points before what was added; return the points."""
        layers, rings = self.viewer.layers, self.points.layer
        for layer in (*self.labels.layers.values(), rings):
            if layer is not None and layer in layers:
                layers.move(layers.index(layer), len(layers))
        return rings if rings is not None and rings in layers else None

    def _unlink(self) -> None:
        if self._link is not None:
            self._link.undo()
            self._link = None

    def _left_out(self) -> str:
        """Return in a sentence which of several fields are not measured, or nothing."""
        last = self._last
        if last is None or last.planes is None or len(last.whole) == last.planes:
            return ""
        return f"Measured are the {len(last.whole)} of {last.planes} fields that are done."

    def _forget(self) -> None:
        """Let go of the last result and its table."""
        self._unlink()
        self._last = None
        self.state.selected, self.state.measured, self.state.means = (), None, None
        self.state.unmeasured = NO_RESULT

    def _keep_earlier(self, last: LastField) -> None:
        """Let an earlier result and what was measured in it have layers of their own."""
        last.layers.keep()
        if self._labelled is last.source.layer:
            self.labels.keep()

    def _clear_labels(self, layers: FieldLayers) -> None:
        """Take away what was measured in an earlier result whose layers show another one now."""
        last = self._last
        if last is not None and set(last.layers.layers) & set(layers.layers):
            self.labels.clear()

    def _say_measured(self, outcome: RunOutcome, why: str, level: Level) -> None:
        measured = self.state.measured
        if outcome is not RunOutcome.DONE or measured is None:
            self._say(why or f"{outcome}: nothing was measured.", level)
            return
        flagged = int((measured.table[FLAGS] != "").sum())
        told, unsure = describe_means(self.state.means)
        notes = [
            f"{outcome}: {count_cells(len(measured.table))} measured.",
            self._left_out(),
            f"Flagged: {flagged} (column {FLAGS})." if flagged else "",
            told,
            *measured.record["warnings"],
        ]
        doubtful = unsure or bool(measured.record["warnings"]) or bool(self._left_out())
        self._say(" ".join(filter(None, notes)), Level.WARNING if doubtful else level)
