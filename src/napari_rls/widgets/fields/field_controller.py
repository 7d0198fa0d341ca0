"""What "Super-resolve a field" runs, without Qt: finds cells, searches, keeps what is reached."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from napari_rls.errors import InputError
from napari_rls.widgets.cells.own_layers import say_how_it_ended
from napari_rls.widgets.cells.run_words import count_cells, describe_progress
from napari_rls.widgets.common.state import Level, Phase, RunOutcome, RunProgress
from napari_rls.widgets.fields.chosen_cells import Which, inside_shapes, selected_points
from napari_rls.widgets.fields.field_job import FieldJob, FieldNews
from napari_rls.widgets.fields.field_layers import FieldLayers
from napari_rls.widgets.fields.field_patches import patches_of
from napari_rls.widgets.fields.field_psf import FieldPsf
from napari_rls.widgets.fields.field_run import (
    STAGES,
    FieldRun,
    describe_results,
    why_not_measured,
)
from napari_rls.widgets.fields.field_table import LastField
from napari_rls.widgets.fields.planes_job import PlanesJob
from napari_rls.widgets.fields.result_jobs import PsfNews, StatisticsNews, TableNews
from napari_rls.widgets.fields.series import go_on
from napari_rls.workflow.cells.stack import content_digest

if TYPE_CHECKING:
    from napari.utils.events import Event
    from numpy.typing import NDArray

    from napari_rls.widgets.cells.sources import Source
    from napari_rls.widgets.fields.chosen_cells import Chosen
    from napari_rls.widgets.fields.news import News
    from napari_rls.widgets.fields.planes_job import Read
    from napari_rls.workflow.fields.field_result import FieldResult

_RING = 1 / 3
"""Diameter of the ring around a cell, as a share of the side of its crop."""

MOST_SAMPLES = 2e9
"""Bytes of the samples of SR fields that the window shows."""


class FieldController(FieldPsf):
    """Turn what the user wants into runs and layers; the view only follows ``state``.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    what: ClassVar[str] = "search"
    cut_short: ClassVar[str] = "The search ended before every cell was done."

    _run: FieldRun | None = None

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
        origin, read = self._sources(), self._reader()
        image = read(origin[0].first_cell)
        ratio = state.fields.optics.ratio_of(image.pixel_size_um, state.manifest.pixel_size_um)
        fields = state.fields.model_copy(update={"noise": self._noise()})
        made_with = {
            # Where and how fast it is computed is no matter of the result.
            "settings": state.settings.model_dump(exclude={"device", "threads", "batch_size"}),
            "fields": fields,
            "bundle": state.manifest.content_hash,
        }
        planes = state.planes if state.every else None
        run = FieldRun(image, origin, state.manifest, find_only, ratio, made_with, planes)
        job = FieldJob(
            image,
            state.settings,
            fields,
            self._near(origin[0]),
            find_only=find_only,
            estimate=self._width,
            most_samples=MOST_SAMPLES / (planes or 1),
        )
        whole = self._of_all(run, job, read) if planes else self._of_one(run, job)
        self._comparison.stop()
        self._run = run
        shared = planes and not find_only and run.shared is None
        looks = ", looking at what the fields share" if shared else ""
        self._begin(f"Loading the bundle{looks}")
        self._say("")
        self._work_on(whole)

    def _of_one(self, run: FieldRun, job: FieldJob) -> FieldJob:
        """Return the job of the one field that is shown."""
        source = run.origin[0]
        if run.find_only:
            self.points.keep_edited(source)
            return job
        places = self.points.places(source)
        chosen = self._chosen(source)
        before = None
        if chosen is not None:
            if places is not None:
                chosen(places)  # or it is said at once that none is
            before = self._beside(run)
        return replace(job, places=places, chosen=chosen, before=before)

    def _of_all(self, run: FieldRun, job: FieldJob, read: Read) -> PlanesJob:
        """Return the job of all fields of the layer, or of those that are not done yet."""
        assert run.planes is not None
        count = run.planes
        every = PlanesJob(job, read, count, tuple(range(count)))
        each = [replace(run.origin[0], cells=range(k, k + 1)) for k in range(count)]
        if run.find_only:
            for source in each:
                self.points.keep_edited(source)
            return every
        places = {k: self.points.places(s) for k, s in enumerate(each) if self.points.known(s)}
        known = {k: found for k, found in places.items() if found is not None}
        if self.state.which is Which.ALL:
            earlier = go_on(run, self._last, replace(every, places=known))
            if earlier is not None:
                return earlier
            chosen: dict[int, Chosen] = {}
        elif self.state.which is Which.INSIDE:
            chosen = dict.fromkeys(range(count), inside_shapes(self.viewer, each[0].layer))
        else:
            chosen = {
                k: selected_points(self.points.layer_of(s), self.points.rows(s))
                for k, s in enumerate(each)
            }
        if self._last is not None and self._last.source.layer is each[0].layer:
            self._last.layers.keep()
            run.notes.append("The SR fields of the earlier run stay, in layers of their own.")
        return replace(every, places=known, chosen=chosen)

    def _chosen(self, origin: Source) -> Chosen | None:
        """Return what tells which cells a run takes; None for all."""
        which = self.state.which
        if which is Which.SELECTED:
            return selected_points(self.points.layer_of(origin), self.points.rows(origin))
        return inside_shapes(self.viewer, origin.layer) if which is Which.INSIDE else None

    def _beside(self, run: FieldRun) -> FieldResult | None:
        """Return the earlier result that a run of some cells adds to.

        One of the same field that was made in another way keeps its layers.
        """
        last = self._last
        if last is None or last.planes is not None:
            return None
        (result,) = last.results.values()
        if not np.array_equal(result.image.lr, run.image.data[0]):
            return None
        if last.made_with == run.made_with:
            return result
        last.layers.keep()
        run.notes.append("The SR field of other settings stays, in layers of its own.")
        return None

    # -- a run -------------------------------------------------------------------------

    def _receive(self, news: News) -> None:
        run = self._run
        if isinstance(news, TableNews):
            self._receive_table(news)
        elif isinstance(news, PsfNews):
            self._receive_psf(news)
        elif isinstance(news, StatisticsNews):
            self._receive_statistics(news)
        elif run is not None:
            self._receive_field(run, news)

    def _receive_field(self, run: FieldRun, news: FieldNews) -> None:
        update = news.update
        if news.begins is not None:
            self._close_field(run)
            run.begin(news.plane, news.begins)
        run.shared = news.shared or run.shared
        if news.fault:
            run.faults[news.plane] = news.fault
        if update.message:
            (run.notes if news.shared else run.said).append(update.message)
            self._say(" ".join([*run.notes, *run.said]))
        if news.points is not None:
            self._show_points(run, news.points)
        run.result = update.result or run.result
        if news.blank is not None:
            self._show_field(run, news)
        if run.layers is not None and news.samples:
            run.layers.show_samples(news.samples)
            self._to_the_top()
        if run.layers is not None and news.cells:
            run.layers.paint(news.patches)
            run.drawn |= set(news.cells)
        if update.step is not None:
            info = update.step.run
            self.state.device = f"Device: {info.device_reason}, {info.precision}"
            progress = describe_progress(update.step)
            text = f"{run.place()}{STAGES.get(update.stage, update.stage)}: {progress.text}"
            self.state.progress = RunProgress(run.share(progress.share), text)
        if news.last:
            self._settle(RunOutcome.DONE)

    def _show_points(self, run: FieldRun, places: NDArray[np.float64]) -> None:
        run.found += len(places) if run.planes else len(places) - run.found
        size = run.manifest.hr_size / run.ratio * _RING
        self.points.show(run.origin[0], run.image.name, places, size)

    def _show_field(self, run: FieldRun, news: FieldNews) -> None:
        assert news.blank is not None
        run.digest = content_digest(run.image.data)
        run.kept, run.drawn = news.kept, set(range(news.kept))
        if run.layers is not None:
            run.layers.begin(news.plane, news.blank)
            return
        digest = "" if run.planes else run.digest
        run.layers = FieldLayers(
            self.viewer,
            run.origin,
            run.image,
            run.manifest,
            news.blank,
            run.ratio,
            digest,
            run.planes,
        )
        if rings := self._to_the_top():
            self.viewer.layers.selection.active = rings

    def _conclude(self, outcome: RunOutcome, why: str, level: Level) -> None:
        """Make what was reached the result."""
        run = self._run
        if run is None:
            self._say_other(outcome, why, level)
            return
        if run.find_only:
            self._say_found(run, outcome, why, level)
            return
        last = self._keep_what_was_reached(run, outcome)
        if last is None:
            stays = " Those of earlier runs stay." if run.kept else ""
            faults = " ".join(dict.fromkeys(run.faults.values()))
            self._say(why or faults or f"{outcome}: no cell was super-resolved.{stays}", level)
            return
        reached, doubts = describe_results(run, last, outcome)
        earlier = f"{count_cells(run.kept)} of them by earlier runs." if run.kept else ""
        said = [] if run.planes else run.said
        notes = [why or reached, earlier, *run.notes, *said, *doubts, _say_samples(last)]
        if run.planes is None:
            (result,) = last.results.values()
            info = result.collector.run
            assert info is not None
            notes.append(info.intensity.words(result.collector.lr.channels))
        worst = Level.WARNING if level is Level.INFO and doubts else level
        self._say(" ".join(filter(None, notes)), worst)

    def _say_other(self, outcome: RunOutcome, why: str, level: Level) -> None:
        """Say how a run ended that is no search."""
        if self._computing is not None:
            done = "Mean and SD of the samples are layers over the SR field."
            ended = done if outcome is RunOutcome.DONE else f"{outcome}: nothing was computed."
            self._say(why or ended, level)
        elif self._estimating:
            self._say_estimated(outcome, why, level)
        else:
            self._say_measured(outcome, why, level)

    def _say_found(self, run: FieldRun, outcome: RunOutcome, why: str, level: Level) -> None:
        told = " ".join([*run.notes, *run.said])
        layer = self.points.layer
        if run.planes:
            told = " ".join(f"Field {k + 1} is left out: {each}" for k, each in run.faults.items())
        if layer is not None and run.found:
            ended = "" if outcome is RunOutcome.DONE else f"{outcome}: not looked at again. "
            told = (
                f"{ended}{told} {count_cells(run.found)} in the layer {layer.name}: add, move or "
                "delete points with napari's tools, then super-resolve."
            ).strip()
        self._say(why or told or f"{outcome}: no cell was found.", level)

    def _close_field(self, run: FieldRun) -> None:
        """Make what was finished of the field a result."""
        layers, result, finished = run.layers, run.result, run.finished
        if layers is None or result is None or len(finished) <= run.kept:
            return
        missing = sorted(set(finished) - run.drawn)
        layers.paint(patches_of(result, missing, samples=layers.samples is not None))
        layers.settle(run.record())
        run.results[run.plane] = result

    def _keep_what_was_reached(self, run: FieldRun, outcome: RunOutcome) -> LastField | None:
        """Make what was finished the result, if anything was."""
        self._close_field(run)
        if run.layers is None:
            return None
        if not run.results:
            run.layers.put_back()
            return None
        run.layers.mark(complete=outcome is RunOutcome.DONE)
        if outcome is not RunOutcome.DONE:
            say_how_it_ended(run.layers.every, outcome.lower())
        self._forget()
        source = run.origin[0]
        if run.planes:
            source = replace(source, cells=range(run.layers.begun))
        last = self._last = LastField(
            dict(sorted(run.results.items())),
            run.layers,
            dict(run.manifest.measurement),
            run.made_with,
            source,
            dict(sorted(run.whole.items())) if run.planes else run.results,
            run.planes,
            run.shared,
        )
        self.state.unmeasured = why_not_measured(run, outcome)
        if source.cell_axis is None:
            self._comparison.about(self.state.inputs, [run.layers.layers], run.manifest)
        self._note_result()
        return last

    def _ready(self) -> None:
        # Nothing of the run is held on to but its layers.
        self._run = None
        super()._ready()

    def _layer_removed(self, event: Event) -> None:
        super()._layer_removed(event)
        self._note_result()
        if self._last and not self._last.layers.present and self.state.phase is Phase.IDLE:
            self._forget()
        run = self._run
        if self.state.phase is Phase.RUNNING and run and run.layers and not run.layers.present:
            why = "The SR layer was removed, so the search was cancelled."
            self._settle(RunOutcome.CANCELLED, why)


def _say_samples(last: LastField) -> str:
    """Return in a sentence where the samples of a result are, or why they are not shown."""
    samples = [each.collector.samples for each in last.results.values()]
    if samples[0] is None:
        return ""
    shown = last.layers.samples
    if shown is not None and shown.layers:
        return f"The samples are in the hidden layer {shown.layers[0].name!r}."
    return (
        "The samples are not shown, as those of the whole field would have more than "
        f"{MOST_SAMPLES / 1e9:g} GB: crop the layer to see them. Intervals are of them."
    )
