"""What "Super-resolve a field" runs, without Qt: finds cells, searches, keeps what is reached."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_rls.errors import InputError
from napari_rls.widgets.cells.own_layers import say_how_it_ended
from napari_rls.widgets.cells.run_words import (
    count_cells,
    describe_cells,
    describe_progress,
    describe_reached,
)
from napari_rls.widgets.common.state import Level, Phase, RunOutcome, RunProgress
from napari_rls.widgets.fields.chosen_cells import Which, inside_shapes, selected_points
from napari_rls.widgets.fields.field_job import (
    FieldJob,
    FieldNews,
    News,
    PsfNews,
    TableNews,
    patches_of,
)
from napari_rls.widgets.fields.field_layers import FieldLayers
from napari_rls.widgets.fields.field_psf import FieldPsf
from napari_rls.widgets.fields.field_table import LastField
from napari_rls.workflow.cells.stack import content_digest

if TYPE_CHECKING:
    from napari.utils.events import Event
    from numpy.typing import NDArray

    from napari_rls.models.manifest import Manifest
    from napari_rls.widgets.cells.sources import Source
    from napari_rls.widgets.fields.chosen_cells import Chosen
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.fields.field_result import FieldResult

_STAGES = {"scouting": "Looking again", "searching": "Searching"}

_RING = 1 / 3
"""Diameter of the ring around a cell, as a share of the side of its crop."""


@dataclass(eq=False)
class _FieldRun:
    """A run: what it works on, and where it shows."""

    image: CellStack
    origin: list[Source]
    manifest: Manifest
    find_only: bool
    ratio: float
    made_with: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    found: int = 0
    result: FieldResult | None = None
    layers: FieldLayers | None = None
    digest: str = ""
    drawn: set[int] = field(default_factory=set)
    kept: int = 0

    def record(self) -> dict[str, Any]:
        """Return the record of the run so far, whose input is the field."""
        assert self.result is not None
        record = self.result.record
        pixels = self.image.data
        record["input"] |= {
            "sha256": self.digest,
            "shape": list(pixels.shape),
            "dtype": str(pixels.dtype),
        }
        return record


def _why_not_measured(run: _FieldRun, outcome: RunOutcome) -> str:
    if outcome is not RunOutcome.DONE:
        return "The run ended before all cells were done: super-resolve again to measure them."
    if not run.manifest.measurement:
        return (
            f"The bundle {run.manifest.name} does not say what to measure: use the command "
            "napari-rls fields, which takes --assay."
        )
    return ""


class FieldController(FieldPsf):
    """Turn what the user wants into runs and layers; the view only follows ``state``.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    what: ClassVar[str] = "search"
    cut_short: ClassVar[str] = "The search ended before every cell was done."

    _run: _FieldRun | None = None

    def choose_cells(self, which: Which) -> None:
        """Choose which cells a run takes."""
        self.state.which = which

    def find(self) -> None:
        """Find the cells of the field and show them as points."""
        self._once(lambda: self._take_field(find_only=True))

    def _take_on(self) -> None:
        """Super-resolve cells at the points or, without points, of those that are found."""
        self._take_field(find_only=False)

    def _take_field(self, *, find_only: bool) -> None:
        state = self.state
        if state.manifest is None:
            return
        self._judge()
        if state.obstacle:
            raise InputError(state.obstacle)
        origin = self._sources()
        image = self._read_field(origin)
        ratio = state.fields.optics.ratio_of(image.pixel_size_um, state.manifest.pixel_size_um)
        fields = state.fields.model_copy(update={"noise": self._noise()})
        made_with = {
            # Where and how fast it is computed is no matter of the result.
            "settings": state.settings.model_dump(exclude={"device", "threads", "batch_size"}),
            "fields": fields,
            "bundle": state.manifest.content_hash,
        }
        run = _FieldRun(image, origin, state.manifest, find_only, ratio, made_with)
        places = chosen = before = None
        if find_only:
            self.points.keep_edited()
        else:
            places = self.points.places(origin[0].layer, origin[0].first_cell)
            chosen = self._chosen(origin[0])
        if chosen is not None:
            if places is not None:
                chosen(places)  # or it is said at once that none is
            before = self._beside(run)
        self._comparison.stop()
        self._run = run
        self._begin("Loading the bundle")
        self._say("")
        near = self._near(origin[0])
        self._work_on(
            FieldJob(image, state.settings, fields, near, places, find_only, chosen, before)
        )

    def _chosen(self, origin: Source) -> Chosen | None:
        """Return what tells which cells a run takes; None for all."""
        which = self.state.which
        if which is Which.SELECTED:
            return selected_points(self.points.of_field(origin.layer, origin.first_cell))
        return inside_shapes(self.viewer, origin.layer) if which is Which.INSIDE else None

    def _beside(self, run: _FieldRun) -> FieldResult | None:
        """Return the earlier result that a run of some cells adds to.

        One of the same field that was made in another way keeps its layers.
        """
        last = self._last
        if last is None or not np.array_equal(last.result.image.lr, run.image.data[0]):
            return None
        if last.made_with == run.made_with:
            return last.result
        last.layers.keep()
        run.notes.append("The SR field of other settings stays, in layers of its own.")
        return None

    # -- a run -------------------------------------------------------------------------

    def _receive(self, news: News) -> None:
        run = self._run
        if isinstance(news, TableNews):
            self._receive_table(news)
            return
        if isinstance(news, PsfNews):
            self._receive_psf(news)
            return
        update = news.update
        if run is None:
            return
        if update.message:
            run.notes.append(update.message)
            self._say(" ".join(run.notes))
        if news.points is not None:
            self._show_points(run, news.points)
        run.result = update.result or run.result
        if news.blank is not None:
            self._show_field(run, news)
        if run.layers is not None and news.cells:
            run.layers.paint(news.patches)
            run.drawn |= set(news.cells)
        if update.step is not None:
            info = update.step.run
            self.state.device = f"Device: {info.device_reason}, {info.precision}"
            progress = describe_progress(update.step)
            text = f"{_STAGES.get(update.stage, update.stage)}: {progress.text}"
            self.state.progress = RunProgress(progress.share, text)
        if news.last:
            self._settle(RunOutcome.DONE)

    def _show_points(self, run: _FieldRun, places: NDArray[np.float64]) -> None:
        run.found = len(places)
        size = run.manifest.hr_size / run.ratio * _RING
        first = run.origin[0]
        self.points.show(first.layer, first.first_cell, run.image.name, places, size)

    def _show_field(self, run: _FieldRun, news: FieldNews) -> None:
        assert news.blank is not None
        run.digest = content_digest(run.image.data)
        run.kept, run.drawn = news.kept, set(range(news.kept))
        run.layers = FieldLayers(
            self.viewer, run.origin, run.image, run.manifest, news.blank, run.ratio, run.digest
        )
        if (rings := self.points.layer) is not None and rings in self.viewer.layers:
            self.viewer.layers.move(self.viewer.layers.index(rings), len(self.viewer.layers))
            self.viewer.layers.selection.active = rings

    def _conclude(self, outcome: RunOutcome, why: str, level: Level) -> None:
        """Make what was reached the result."""
        run = self._run
        if run is None:
            say = self._say_estimated if self._estimating else self._say_measured
            say(outcome, why, level)
            return
        if run.find_only:
            self._say_found(run, outcome, why, level)
            return
        done = self._keep_what_was_reached(run, outcome)
        if run.result is None or not done:
            stays = " Those of earlier runs stay." if run.kept else ""
            self._say(why or f"{outcome}: no cell was super-resolved.{stays}", level)
            return
        collector, info = run.result.collector, run.result.collector.run
        assert info is not None
        failed = {k: c.reason for k, c in enumerate(collector.cells) if c.status == "failed"}
        total = len(collector.cells)
        doubts = [
            describe_cells(failed, total, "kept at the last good step"),
            describe_cells(info.unusual, total, "not to be trusted"),
        ]
        earlier = f"{count_cells(run.kept)} of them by earlier runs." if run.kept else ""
        reached = f"{outcome}: {describe_reached(collector)}."
        notes = [why or reached, earlier, *run.notes, *doubts]
        notes.append(info.intensity.words(collector.lr.channels))
        worst = Level.WARNING if level is Level.INFO and any(doubts) else level
        self._say(" ".join(filter(None, notes)), worst)

    def _say_found(self, run: _FieldRun, outcome: RunOutcome, why: str, level: Level) -> None:
        told = " ".join(run.notes)
        layer = self.points.layer
        if layer is not None and run.found:
            ended = "" if outcome is RunOutcome.DONE else f"{outcome}: not looked at again. "
            told = (
                f"{ended}{told} {count_cells(run.found)} in the layer {layer.name}: add, move or "
                "delete points with napari's tools, then super-resolve."
            )
        self._say(why or told or f"{outcome}: no cell was found.", level)

    def _keep_what_was_reached(self, run: _FieldRun, outcome: RunOutcome) -> bool:
        """Make what was finished the result; return whether anything was."""
        if run.layers is None or run.result is None:
            return False
        cells = run.result.collector.cells
        finished = [k for k, cell in enumerate(cells) if cell.status in ("done", "failed")]
        if len(finished) <= run.kept:
            run.layers.put_back()
            return False
        run.layers.paint(patches_of(run.result, sorted(set(finished) - run.drawn)))
        run.layers.settle(run.record())
        if outcome is not RunOutcome.DONE:
            there = [layer for layer in run.layers.layers if layer in self.viewer.layers]
            say_how_it_ended(there, outcome.lower())
        self._forget()
        measurement = dict(run.manifest.measurement)
        self._last = LastField(run.result, run.layers, measurement, run.made_with)
        self.state.unmeasured = _why_not_measured(run, outcome)
        if run.origin[0].cell_axis is None:
            self._comparison.about(self.state.inputs, [run.layers.layers], run.manifest)
        self.state.lacking = replace(self.state.lacking, compare=self._comparison.obstacle)
        return True

    def _ready(self) -> None:
        # Nothing of the run is held on to but its layers.
        self._run = None
        super()._ready()

    def _layer_removed(self, event: Event) -> None:
        super()._layer_removed(event)
        self.state.lacking = replace(self.state.lacking, compare=self._comparison.obstacle)
        if self._last and not self._last.layers.present and self.state.phase is Phase.IDLE:
            self._forget()
        run = self._run
        if self.state.phase is Phase.RUNNING and run and run.layers and not run.layers.present:
            why = "The SR layer was removed, so the search was cancelled."
            self._settle(RunOutcome.CANCELLED, why)
