"""What "Super-resolve cells" runs, without Qt: starts, shows, keeps what is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from napari_rls.widgets.cells.layer_reading import read_layers
from napari_rls.widgets.cells.own_layers import say_how_it_ended
from napari_rls.widgets.cells.run_words import (
    count_cells,
    describe_cells,
    describe_progress,
    describe_reached,
)
from napari_rls.widgets.cells.sample_layers import (
    DEVIATION,
    MEAN,
    SAMPLES,
    TRUST,
    SampleLayers,
    further_layers,
)
from napari_rls.widgets.cells.sources import sources
from napari_rls.widgets.cells.sr_layers import SrLayers
from napari_rls.widgets.common.state import Level, Phase, RunOutcome
from napari_rls.widgets.common.view import remove_layers
from napari_rls.widgets.super_resolve.estimate import describe_time, note_run
from napari_rls.widgets.super_resolve.result_controller import ResultController
from napari_rls.widgets.super_resolve.search_job import SearchJob
from napari_rls.workflow.cells.stack import content_digest
from napari_rls.workflow.super_resolve.result import Collector

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Image
    from napari.utils.events import Event
    from numpy.typing import NDArray

    from napari_rls.models.manifest import Manifest
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.super_resolve.updates import Update


@dataclass(eq=False)
class _SearchRun:
    """A run: what it works on, and where it shows."""

    sr: SrLayers
    collector: Collector
    digest: str
    samples: SampleLayers | None = None
    hidden: Sequence[Image] = ()
    earlier_samples: SampleLayers | None = None

    def record(self) -> dict[str, Any]:
        """Return the record of the run so far."""
        return self.collector.provenance()


class SuperResolveController(ResultController):
    """Turn what the user wants into runs and layers; the view only follows ``state``.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    what: ClassVar[str] = "search"
    cut_short: ClassVar[str] = "The search ended before every cell was done."

    _run: _SearchRun | None = None

    def check(self) -> None:
        """Check the input and estimate how long a run will take."""
        super().check()
        if self.state.phase is Phase.IDLE:
            self._estimate()

    def _estimate(self) -> None:
        state = self.state
        if state.manifest is None:
            return
        cells = 0 if state.obstacle else read_layers(state.inputs, state.manifest).cells
        state.estimate = (
            describe_time(state.settings, state.manifest, cells, self._memory) if cells else ""
        )

    # -- a run -------------------------------------------------------------------------

    def _take_on(self) -> None:
        """Show the SR layers and start the search."""
        state = self.state
        if state.manifest is None:
            return
        settings, inputs, manifest = state.settings, state.inputs, state.manifest
        lr, skipped = self.read_lr()
        sr, digest = self._sr_layers(lr, manifest)
        again = state.comparing and not self._comparison.shows(inputs, [sr.layers])
        if again:
            self._comparison.stop()
        self._comparison.about(inputs, [sr.layers], manifest)
        run = self._run = _SearchRun(sr, Collector(lr, manifest.hr_size), digest)
        run.earlier_samples, self._samples = self._samples, None
        # They belong to the earlier result until this one is there.
        run.hidden = [layer for layer in self._further(run) if layer.visible]
        for layer in run.hidden:
            layer.visible = False
        self._note_result()
        self._begin("Loading the bundle")
        self._say(describe_cells(skipped, len(lr), "skipped"), Level.WARNING)
        if again:
            self.compare()
        self._work_on(SearchJob(lr, settings))

    def _sr_layers(self, lr: CellStack, manifest: Manifest) -> tuple[SrLayers, str]:
        """Return the SR layers of a run of these cells, and the cells' digest."""
        settings, inputs = self.state.settings, self.state.inputs
        origin = sources(inputs.lr, inputs.separate, inputs.channels)
        method = "" if settings.method == "rls" else settings.method
        digest = content_digest(lr.data)
        return SrLayers(self.viewer, origin, lr, manifest, method, digest), digest

    def _receive(self, news: Update) -> None:
        run = self._run
        if run is None:
            return
        first = run.collector.run is None
        run.collector.add(news)
        run.sr.show(news.cells, news.sr)
        if news.samples is not None:
            self._show_samples(run, news.cells, news.samples)
        if first:
            run.sr.mark(run.record())
            info = news.run
            self.state.device = f"Device: {info.device_reason}, {info.precision}"
            if info.doubt:
                self._say(info.doubt, Level.WARNING)
        self.state.progress = describe_progress(news)
        if run.collector.complete:
            self._settle(RunOutcome.DONE)

    def _show_samples(
        self, run: _SearchRun, cells: NDArray[np.intp], samples: NDArray[np.float32]
    ) -> None:
        if run.samples is None:
            run.samples = SampleLayers(
                self.viewer,
                run.sr.layers,
                len(samples),
                visible=lambda: not self.state.comparing,
                digest=run.digest,
            )
            begun = run.samples.build()
            run.samples.show(cells, samples)
            self._in_turns(begun, lambda: self._run is run and self.state.phase is Phase.RUNNING)
        else:
            run.samples.show(cells, samples)

    def _conclude(self, outcome: RunOutcome, why: str, level: Level) -> None:
        """Make what was reached the result."""
        run = self._run
        if run is None:
            return
        collector = run.collector
        kept = self._keep_what_was_reached(run, outcome)
        cells = collector.cells
        skipped = {k: cell.reason for k, cell in enumerate(cells) if cell.status == "skipped"}
        failed = {k: cell.reason for k, cell in enumerate(cells) if cell.status == "failed"}
        info = collector.run
        unusual = info.unusual if info else {}
        doubt = info.doubt if info else ""
        notes = [
            why or f"{outcome}: {describe_reached(collector)}.",
            kept,
            describe_cells(skipped, len(cells), "skipped"),
            describe_cells(failed, len(cells), "kept at the last good step"),
            describe_cells(unusual, len(cells), "not to be trusted"),
            doubt,
            *(info.told if info else ()),
        ]
        if outcome is RunOutcome.DONE and info is not None:
            searched = info.cells - len(info.skipped)
            note_run(info.settings, info.manifest, searched, collector.seconds, self._memory)
        doubtful = skipped or failed or unusual or doubt
        worst = Level.WARNING if level is Level.INFO and doubtful else level
        self._say(" ".join(filter(None, notes)), worst)
        self._note_result()

    def _keep_what_was_reached(self, run: _SearchRun, outcome: RunOutcome) -> str:
        """Make what was reached the result, unless an earlier one of the same cells has more.

        Returns a sentence on what is not where one expects it, or nothing.
        """
        collector, earlier = run.collector, run.sr.earlier_finished if run.sr.present else 0
        if not collector.reached or (not collector.complete and collector.finished < earlier):
            run.sr.put_back()
            if run.samples is not None:
                run.samples.put_back()
            for layer in run.hidden:
                layer.visible = True
            if not earlier:
                self._comparison.stop()
                return ""
            self._last, self._samples = tuple(run.sr.layers), run.earlier_samples
            return f"The earlier result, with {count_cells(earlier)} finished, is shown again."
        run.sr.settle(collector.sr, run.record())
        layers = list(run.sr.layers)
        self._last = tuple(layers)
        note = self._settle_samples(run)
        if outcome is not RunOutcome.DONE:
            layers += self._further(run)
            say_how_it_ended([x for x in layers if x in self.viewer.layers], outcome.lower())
        return note

    def _further(self, run: _SearchRun, *words: str) -> list[Image]:
        words = words or (SAMPLES, MEAN, DEVIATION, TRUST)
        return further_layers(self.viewer, run.sr.layers, run.digest, *words)

    def _settle_samples(self, run: _SearchRun) -> str:
        """Hide the samples behind the result and return a sentence that says where they are."""
        run.sr.accept()
        if run.samples is None:
            remove_layers(self.viewer, self._further(run))
            return ""
        run.samples.settle(run.record())
        run.samples.accept()
        if not run.samples.layers:  # napari could not show them
            return ""
        self._samples = run.samples
        if self._further(run, MEAN, DEVIATION):
            for layer in run.samples.statistics():
                layer.visible = layer in run.hidden
        if masks := self._further(run, TRUST):
            run.samples.trust()  # they are of the earlier samples
            for layer in masks:
                layer.visible = layer in run.hidden
        return f"The samples are in the hidden layer {run.samples.layers[0].name!r}."

    def _ready(self) -> None:
        # Nothing of the run is held on to but its layers.
        self._run = None
        super()._ready()
        self._estimate()

    def _layer_removed(self, event: Event) -> None:
        super()._layer_removed(event)
        if self._run and event.value in self._run.sr.layers and not self._run.sr.present:
            why = "The SR layer was removed, so the search was cancelled."
            self._settle(RunOutcome.CANCELLED, why)
