"""What "Super-resolve a field" runs, without Qt: finds cells, searches, keeps what is reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from napari_rls.widgets.cells.own_layers import say_how_it_ended
from napari_rls.widgets.cells.run_words import count_cells, describe_progress
from napari_rls.widgets.common.state import Level, Phase, RunOutcome, RunProgress
from napari_rls.widgets.fields.field_job import FieldNews
from napari_rls.widgets.fields.field_layers import FieldLayers
from napari_rls.widgets.fields.field_patches import patches_of
from napari_rls.widgets.fields.field_run import (
    STAGES,
    FieldRun,
    describe_results,
    say_samples,
    why_not_measured,
)
from napari_rls.widgets.fields.field_start import FieldStart
from napari_rls.widgets.fields.field_table import LastField
from napari_rls.widgets.fields.result_jobs import PsfNews, StatisticsNews, TableNews
from napari_rls.workflow.cells.stack import content_digest

if TYPE_CHECKING:
    from napari.utils.events import Event
    from numpy.typing import NDArray

    from napari_rls.widgets.fields.news import News


class FieldController(FieldStart):
    """Turn what the user wants into runs and layers; the view only follows ``state``.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    what: ClassVar[str] = "search"
    cut_short: ClassVar[str] = "The search ended before every cell was done."

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
            self._show_samples(run, news.samples)
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
        self.points.show(run.origin[0], run.image.name, places, run.ring)

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

    def _show_samples(self, run: FieldRun, samples: Sequence[NDArray[np.float32]]) -> None:
        assert run.layers is not None

        def steps(layers: FieldLayers) -> Iterator[None]:
            for _ in layers.show_samples(samples):
                self._to_the_top()
                yield

        self._in_turns(
            steps(run.layers), lambda: self._run is run and self.state.phase is Phase.RUNNING
        )

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
        notes = [why or reached, earlier, *doubts, say_samples(last), *run.notes, *said]
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
        told, layer = [*run.notes, *run.said], self.points.layer
        if run.planes:
            told = [f"Field {k + 1} is left out: {each}" for k, each in run.faults.items()]
        if layer is not None and run.found:
            # What is to be done comes first, as what was assumed takes many lines.
            what_now = (
                f"{count_cells(run.found)} in the layer {layer.name}: add, move or delete points "
                "with napari's tools, then super-resolve."
            )
            ended = "" if outcome is RunOutcome.DONE else f"{outcome}: not looked at again."
            left = self.points.left and (
                f"Points that you had changed are in the hidden layer {self.points.left}: select "
                "it to super-resolve those."
            )
            told = [*filter(None, [ended, what_now, left]), *told]
        self._say(why or " ".join(told) or f"{outcome}: no cell was found.", level)

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
        self._to_the_top()
        if outcome is not RunOutcome.DONE:
            say_how_it_ended(run.layers.every, outcome.lower())
        self._clear_labels(run.layers)
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
