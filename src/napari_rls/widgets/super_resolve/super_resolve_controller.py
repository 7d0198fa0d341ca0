"""What the widget does, without Qt: checks, starts, receives, cancels, compares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.errors import InputError, SettingsError, why_not
from napari_rls.search.settings import Settings
from napari_rls.widgets.cells.comparison import Comparison, Soon
from napari_rls.widgets.cells.input_controller import InputController
from napari_rls.widgets.cells.input_layers import sources
from napari_rls.widgets.cells.input_state import InputState, Lacking
from napari_rls.widgets.cells.layer_reading import read_layers
from napari_rls.widgets.cells.own_layers import KEPT, keep, layers_of_run, say_how_it_ended
from napari_rls.widgets.cells.run_words import (
    count_cells,
    describe_cells,
    describe_progress,
    describe_reached,
)
from napari_rls.widgets.cells.sample_layers import (
    DEVIATION,
    MEAN,
    SAMPLE_AXIS,
    SAMPLES,
    SampleLayers,
    further_layers,
)
from napari_rls.widgets.cells.sr_layers import SrLayers
from napari_rls.widgets.common.explain import explain
from napari_rls.widgets.common.state import Level, Phase, RunProgress
from napari_rls.widgets.common.view import remove_layers
from napari_rls.widgets.common.worker import Job
from napari_rls.widgets.super_resolve.estimate import describe_time, note_run
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.stack import content_digest
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import kind_of

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image
    from napari.utils.events import Event
    from numpy.typing import NDArray

    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.super_resolve.resolver import Update

Launch = Callable[
    [Job, Callable[["Update | Exception"], None], Callable[[], None]], Callable[[], None]
]


@dataclass(eq=False)
class _Run:
    """A run: what it works on, where it shows, and how to stop it."""

    token: int
    sr: SrLayers
    collector: Collector
    digest: str
    samples: SampleLayers | None = None
    hidden: Sequence[Image] = ()
    earlier_samples: SampleLayers | None = None
    stop: Callable[[], None] = lambda: None

    def record(self) -> dict[str, Any]:
        """Return the record of the run so far."""
        return self.collector.provenance()


class SuperResolveController(InputController):
    """Turn what the user wants into runs and layers; the view only follows ``state``.

    Parameters
    ----------
    viewer
        The viewer, or its model alone.
    state
        What the view shows.
    launch
        Starts a job in the background, see :func:`napari_rls.widgets.common.worker.launch`.
    memory
        File that remembers the settings.
    soon
        Calls a function once the window has drawn; at once where there is none.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        state: InputState,
        launch: Launch,
        memory: Path,
        soon: Soon = lambda call: call(),
    ) -> None:
        self._launch = launch
        self._soon = soon
        self._token = 0
        self._run: _Run | None = None
        self._samples: SampleLayers | None = None
        self._last: tuple[Image, ...] | None = None
        self._comparison = Comparison(viewer, state, soon)
        self._sample: int | None = None
        viewer.layers.events.removed.connect(self._layer_removed)
        viewer.dims.events.current_step.connect(self._dims_moved)
        super().__init__(viewer, state, memory)

    def _note_result(self) -> None:
        """Tell the view what there is to compare, to look at and to keep."""
        self._sample = self._sample_in_view()
        kept = self._last and all(KEPT in layer.name for layer in self._last)
        self.state.lacking = Lacking(
            self._comparison.obstacle,
            "" if self._samples else Lacking.samples,
            ("" if self._last else Lacking.keep) or ("This result is kept." if kept else ""),
            "" if self._last else Lacking.save,
        )

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

    # -- what the user sets ------------------------------------------------------------

    def save_settings(self, path: Path) -> None:
        """Write the settings to a file that the command line takes as well."""
        try:
            self.state.settings.save(path)
        except OSError as error:
            self._say(f"The settings cannot be saved to {path}: {error.strerror}.", Level.ERROR)
        else:
            self._say(f"Settings saved to {path}.")

    def load_settings(self, path: Path) -> None:
        """Read the settings from a file."""
        try:
            settings = Settings.load(path)
        except SettingsError as error:
            self._say(str(error), Level.ERROR)
            return
        self.use_settings(settings)
        self._remember()

    # -- a run -------------------------------------------------------------------------

    def start(self) -> None:
        """Check the input, show the SR layers and start the search; one run at a time."""
        state = self.state
        if state.phase is not Phase.IDLE or state.manifest is None:
            return
        settings, inputs, manifest = state.settings, state.inputs, state.manifest
        try:
            lr, skipped = self.read_lr()
        except InputError as error:
            self._say(str(error), Level.ERROR)
            return
        try:
            sr, digest = self._sr_layers(lr)
        except Exception as error:  # noqa: BLE001 - the layers are as before; the program goes on
            self._say(explain(error, "run"), Level.ERROR)
            return
        again = state.comparing and not self._comparison.shows(inputs, [sr.layers])
        if again:
            self._comparison.stop()
        self._comparison.about(inputs, [sr.layers], manifest)
        self._token += 1
        run = self._run = _Run(self._token, sr, Collector(lr, manifest.hr_size), digest)
        run.earlier_samples, self._samples = self._samples, None
        # They belong to the earlier result until this one is there.
        run.hidden = [layer for layer in self._further(run) if layer.visible]
        for layer in run.hidden:
            layer.visible = False
        self._note_result()
        state.phase = Phase.RUNNING
        state.progress = RunProgress(0.0, "Loading the bundle")
        self._say(describe_cells(skipped, len(lr), "skipped"), Level.WARNING)
        if again:
            self.compare()
        run.stop = self._launch(
            Job(lr, settings), partial(self._receive, run.token), partial(self._ended, run.token)
        )

    def _sr_layers(self, lr: CellStack) -> tuple[SrLayers, str]:
        """Return the SR layers of a run of these cells, and the cells' digest."""
        settings, inputs = self.state.settings, self.state.inputs
        origin = sources(inputs.lr, inputs.separate, inputs.channels)
        method = "" if settings.method == "rls" else settings.method
        digest = content_digest(lr.data)
        return SrLayers(self.viewer, origin, lr, self.state.manifest, method, digest), digest

    def cancel(self) -> None:
        """End the run now and keep what was reached."""
        self._settle("Cancelled")

    def compare(self) -> None:
        """Lay LR, SR and GT side by side, or back."""
        try:
            self._comparison.toggle()
        except Exception as error:  # noqa: BLE001 - the viewer is as before; the program goes on
            level = Level.WARNING if isinstance(error, InputError) else Level.ERROR
            self._say(explain(error, "comparison"), level)

    def show_sample_statistics(self) -> None:
        """Add mean and standard deviation of the last run's samples as layers."""
        if self._samples is None:
            self._say(Lacking.samples, Level.WARNING)
            return
        # Among layers side by side they would cover one of these.
        self._comparison.stop()
        samples = self._samples
        self._in_turns(samples.statistics(), lambda: self._samples is samples)

    def _in_turns(self, layers: Iterator[Image], wanted: Callable[[], bool]) -> None:
        """Show layers one after the other, as long as they are wanted; the window draws between."""
        if not wanted():
            return
        try:
            more = next(layers, None)
        except Exception as error:  # noqa: BLE001 - the layers are as before
            self._say(explain(error, "layers of the samples"), Level.ERROR)
            return
        if more is not None:
            self._soon(partial(self._in_turns, layers, wanted))

    def toggle_samples(self) -> None:
        """Bring the samples of the last run into view, over the SR image, or hide them."""
        if self._samples is None:
            self._say(Lacking.samples, Level.WARNING)
            return
        self._comparison.stop()
        self._samples.set_visible(not self._samples.visible)

    def _sample_in_view(self) -> int | None:
        dims = self.viewer.dims
        steps = dict(zip(dims.axis_labels, dims.current_step, strict=False))
        return steps.get(SAMPLE_AXIS)

    def _dims_moved(self) -> None:
        """Bring the samples into view when their slider is moved: nothing else moves with it."""
        step = self._sample_in_view()
        moved, self._sample = self._sample not in (None, step), step
        idle = self.state.phase is Phase.IDLE and not self.state.comparing
        if moved and step is not None and idle and self._samples:
            self._samples.set_visible(True)

    def keep(self) -> None:
        """Rename the layers of the last run, so that the next one leaves them as they are."""
        if self._last is None or self.state.phase is not Phase.IDLE:
            return
        keep(layers_of_run(self.viewer, self._last))
        self._say("The layers of this result are kept: the next run makes new ones.")
        self._note_result()

    def sr_name(self) -> str:
        """Return what a file of the last result is called, as the command line calls it."""
        if self._last is None:
            return ""
        record = self._last[0].metadata[PROVENANCE_KEY]
        kind = kind_of(Settings.model_validate(record["settings"]))
        name = Path(record["input"]["name"]).name.removesuffix(".tif").removesuffix(".ome")
        return f"{name}_{kind}.ome.tif"

    def save_sr(self, path: Path) -> None:
        """Write the SR layers of the last run as one file, and beside it record and samples."""
        from napari_rls.widgets.cells.sr_writer import write_sr_layers
        from napari_rls.widgets.common.background import beside_the_window

        layers = [layer for layer in self._last or () if layer in self.viewer.layers]
        if not layers:
            self._say(Lacking.save, Level.WARNING)
            return
        # Samples, mean and deviation, as far as they are in the viewer; SR goes first.
        further = [x for x in layers_of_run(self.viewer, layers) if x not in layers]
        try:
            written = beside_the_window(lambda: write_sr_layers(path, [*layers, *further]))
        except InputError as error:
            self._say(str(error), Level.ERROR)
        except OSError as error:
            self._say(
                f"The SR cells cannot be saved to {path}: {why_not(error, path)}; the layers stay.",
                Level.ERROR,
            )
        else:
            images = [file.name for file in written[2:] if file.suffix != ".json"]
            beside = f"; beside it {', '.join(images)}" if images else ""
            self._say(f"SR cells saved to {written[0]}, their record to {written[1].name}{beside}.")

    def close(self) -> None:
        """End the run and keep what was reached; called when the widget is gone."""
        self.state.events.disconnect()
        self.cancel()
        self._comparison.stop()
        self.viewer.layers.events.removed.disconnect(self._layer_removed)
        self.viewer.dims.events.current_step.disconnect(self._dims_moved)

    def _receive(self, token: int, message: Update | Exception) -> None:
        """Take a message of the thread, unless the run it belongs to was ended."""
        run = self._run
        if run is None or token != self._token or self.state.phase is not Phase.RUNNING:
            return
        if isinstance(message, Exception):
            self._settle("Stopped", explain(message, "search"), Level.ERROR)
            return
        first = run.collector.run is None
        run.collector.add(message)
        run.sr.show(message.cells, message.sr)
        if message.samples is not None:
            self._show_samples(run, message.cells, message.samples)
        if first:
            run.sr.mark(run.record())
            info = message.run
            self.state.device = f"Device: {info.device_reason}, {info.precision}"
            if info.doubt:
                self._say(info.doubt, Level.WARNING)
        self.state.progress = describe_progress(message)
        if run.collector.complete:
            self._settle("Done")

    def _show_samples(
        self, run: _Run, cells: NDArray[np.intp], samples: NDArray[np.float32]
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

    def _settle(self, outcome: str, why: str = "", level: Level = Level.INFO) -> None:
        """Make what was reached the result; later messages of the run are not looked at."""
        run, state = self._run, self.state
        if run is None or state.phase is not Phase.RUNNING:
            return
        self._token += 1
        state.phase = Phase.STOPPING
        run.stop()
        collector = run.collector
        kept = self._keep_what_was_reached(run, outcome)
        cells = collector.cells
        skipped = {k: cell.reason for k, cell in enumerate(cells) if cell.status == "skipped"}
        failed = {k: cell.reason for k, cell in enumerate(cells) if cell.status == "failed"}
        unusual = collector.run.unusual if collector.run else {}
        doubt = collector.run.doubt if collector.run else ""
        notes = [
            why or f"{outcome}: {describe_reached(collector)}.",
            kept,
            describe_cells(skipped, len(cells), "skipped"),
            describe_cells(failed, len(cells), "kept at the last good step"),
            describe_cells(unusual, len(cells), "not to be trusted"),
            doubt,
            collector.run.intensity.words(collector.lr.channels) if collector.run else "",
        ]
        state.progress = RunProgress(1.0 if outcome == "Done" else 0.0)
        if outcome == "Done":
            info = collector.run
            searched = info.cells - len(info.skipped)
            note_run(info.settings, info.manifest, searched, collector.seconds, self._memory)
        doubtful = skipped or failed or unusual or doubt
        worst = Level.WARNING if level is Level.INFO and doubtful else level
        self._say(" ".join(filter(None, notes)), worst)
        self._note_result()

    def _keep_what_was_reached(self, run: _Run, outcome: str) -> str:
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
        if outcome != "Done":
            layers += self._further(run)
            say_how_it_ended([x for x in layers if x in self.viewer.layers], outcome.lower())
        return note

    def _further(self, run: _Run, *words: str) -> list[Image]:
        words = words or (SAMPLES, MEAN, DEVIATION)
        return further_layers(self.viewer, run.sr.layers, run.digest, *words)

    def _settle_samples(self, run: _Run) -> str:
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
        return f"The samples are in the hidden layer {run.samples.layers[0].name!r}."

    def _ended(self, token: int) -> None:
        """Be ready for the next run: the thread of this one is over."""
        # The thread knows a run by its number, and so holds none of its images.
        if self._run is None or token != self._run.token:
            return
        self._settle("Stopped", "The search ended before every cell was done.", Level.WARNING)
        # Nothing of the run is held on to but its layers.
        self._run = None
        self.ready()
        self._estimate()

    def _layer_removed(self, event: Event) -> None:
        self._comparison.forget(event.value)
        # What the user removed is not held in memory.
        if self._samples and not self._samples.present:
            self._samples = None
        if self._last and not any(layer in self.viewer.layers for layer in self._last):
            self._last = None
        self._note_result()
        if self._run and event.value in self._run.sr.layers and not self._run.sr.present:
            self._settle("Cancelled", "The SR layer was removed, so the search was cancelled.")
