"""The table of a field's cells, without Qt: measured after a run, linked with the points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.errors import InputError
from napari_rls.measure.columns import FLAGS
from napari_rls.widgets.cells.run_words import count_cells
from napari_rls.widgets.common.save_table import save_table
from napari_rls.widgets.common.state import Level, RunOutcome, RunProgress
from napari_rls.widgets.fields.cell_points import CellPoints
from napari_rls.widgets.fields.field_choice import FieldChoice
from napari_rls.widgets.fields.field_job import TableJob, TableNews
from napari_rls.widgets.fields.field_link import FieldLink
from napari_rls.widgets.fields.field_state import NO_RESULT

if TYPE_CHECKING:
    from napari_rls.widgets.fields.field_layers import FieldLayers
    from napari_rls.workflow.fields.field_result import FieldResult
    from napari_rls.workflow.measure.measurements import Measurements


@dataclass(frozen=True, eq=False)
class LastField:
    """The last result, its layers, what the bundle suggests to measure, and how it was made."""

    result: FieldResult
    layers: FieldLayers
    measurement: Mapping[str, Any]
    made_with: Mapping[str, Any]


class FieldTable(FieldChoice):
    """Measure the cells of the last result, as long as its layers are there.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    _last: LastField | None = None
    _link: FieldLink | None = None

    def _open(self) -> None:
        self.points = CellPoints(self.viewer)
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
        self._work_on(TableJob(last.result, last.measurement))

    def export(self, path: Path) -> None:
        """Write the table of the field's cells and its record."""
        if (measured := self.state.measured) is not None:
            self.state.message = save_table(path, measured.table, measured.record)

    def close(self) -> None:
        """End the run and keep what was reached; called when the widget is gone."""
        super().close()
        self._unlink()
        self._last = None

    def _receive_table(self, news: TableNews) -> None:
        text = f"{news.done} of {news.total} images"
        self.state.progress = RunProgress(news.done / news.total, text)
        if news.result is not None:
            self._show_table(news.result)
            self._settle(RunOutcome.DONE)

    def _show_table(self, result: Measurements) -> None:
        state, last = self.state, self._last
        assert last is not None
        self._unlink()
        state.selected = ()
        state.measured = result
        if self.points.layer is not None:
            places, pixel = last.result.cells.places, 1 / last.result.microscope.ratio
            self._link = FieldLink(self.viewer, state, self.points.layer, places, pixel)

    def _unlink(self) -> None:
        if self._link is not None:
            self._link.undo()
            self._link = None

    def _forget(self) -> None:
        """Let go of the last result and its table."""
        self._unlink()
        self._last = None
        self.state.selected, self.state.measured = (), None
        self.state.unmeasured = NO_RESULT

    def _say_measured(self, outcome: RunOutcome, why: str, level: Level) -> None:
        measured = self.state.measured
        if outcome is not RunOutcome.DONE or measured is None:
            self._say(why or f"{outcome}: nothing was measured.", level)
            return
        flagged = int((measured.table[FLAGS] != "").sum())
        notes = [
            f"{outcome}: {count_cells(len(measured.table))} measured.",
            f"Flagged: {flagged} (column {FLAGS})." if flagged else "",
            *measured.record["warnings"],
        ]
        doubtful = bool(measured.record["warnings"])
        self._say(" ".join(filter(None, notes)), Level.WARNING if doubtful else level)
