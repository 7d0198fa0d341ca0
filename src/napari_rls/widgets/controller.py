"""What the widget does, without Qt: checks, starts, receives, cancels, compares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.search.settings import Settings, SettingsError
from napari_rls.widgets.comparison import Comparison
from napari_rls.widgets.input_controller import InputController, explain
from napari_rls.widgets.inputs import sources
from napari_rls.widgets.sample_layers import SampleLayers
from napari_rls.widgets.sr_layers import SrLayers
from napari_rls.widgets.state import Level, Phase, Progress, State
from napari_rls.widgets.worker import Job
from napari_rls.workflow.collect import Collector
from napari_rls.workflow.stack import InputError

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from napari.utils.events import Event
    from numpy.typing import NDArray

    from napari_rls.workflow.super_resolve import Update

Launch = Callable[
    [Job, Callable[["Update | Exception"], None], Callable[[], None]], Callable[[], None]
]


@dataclass(eq=False)
class _Run:
    """A run: what it works on, where it shows, and how to stop it."""

    token: int
    sr: SrLayers
    collector: Collector
    samples: SampleLayers | None = None
    stop: Callable[[], None] = lambda: None


class Controller(InputController):
    """Turn what the user wants into runs and layers; the view only follows ``state``.

    Parameters
    ----------
    viewer
        The viewer, or its model alone.
    state
        What the view shows.
    launch
        Starts a job in the background, see :func:`napari_rls.widgets.worker.launch`.
    memory
        File that remembers the settings.
    """

    def __init__(self, viewer: ViewerModel, state: State, launch: Launch, memory: Path) -> None:
        self._launch = launch
        self._token = 0
        self._run: _Run | None = None
        self._samples: SampleLayers | None = None
        self._comparison = Comparison(viewer, state)
        viewer.layers.events.removed.connect(self._layer_removed)
        super().__init__(viewer, state, memory)

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
        again = state.comparing
        self._comparison.stop()
        origin = sources(inputs.lr, inputs.separate, inputs.channels)
        method = "" if settings.method == "rls" else settings.method
        sr = SrLayers(self.viewer, origin, lr, manifest, method)
        self._comparison.about(inputs, [sr.layers], manifest)
        self._token += 1
        run = self._run = _Run(self._token, sr, Collector(lr, manifest.hr_size))
        state.phase = Phase.RUNNING
        state.progress = Progress(0.0, "Loading the bundle")
        self._say(describe_cells(skipped, len(lr), "skipped"), Level.WARNING)
        if again:
            self.compare()
        run.stop = self._launch(
            Job(lr, settings), partial(self._receive, run.token), partial(self._ended, run)
        )

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
            self._say(
                "There are no samples: set Samples to 2 or more and super-resolve.", Level.WARNING
            )
        else:
            self._samples.show_statistics()

    def close(self) -> None:
        """End the run and keep what was reached; called when the widget is gone."""
        self.state.events.disconnect()
        self.cancel()
        self._comparison.stop()
        self.viewer.layers.events.removed.disconnect(self._layer_removed)

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
            run.sr.mark(run.collector.provenance())
            info = message.run
            self.state.device = f"Device: {info.device_reason}, {info.precision}"
        self.state.progress = describe_progress(message)
        if run.collector.complete:
            self._settle("Done")

    def _show_samples(
        self, run: _Run, cells: NDArray[np.intp], samples: NDArray[np.float32]
    ) -> None:
        if run.samples is None:
            visible = not self.state.comparing
            run.samples = SampleLayers(self.viewer, run.sr.layers, len(samples), visible=visible)
        run.samples.show(cells, samples)

    def _settle(self, outcome: str, why: str = "", level: Level = Level.INFO) -> None:
        """Make what was reached the result; later messages of the run are not looked at."""
        run, state = self._run, self.state
        if run is None or state.phase is not Phase.RUNNING:
            return
        self._token += 1
        state.phase = Phase.STOPPING
        run.stop()
        cells = run.collector.cells
        reached = run.collector.reached
        if reached:
            run.sr.settle(run.collector.sr, run.collector.provenance())
            self._samples = run.samples
        else:
            self._comparison.stop()
            run.sr.remove()
        skipped = {k: cell.reason for k, cell in enumerate(cells) if cell.status == "skipped"}
        failed = {k: cell.reason for k, cell in enumerate(cells) if cell.status == "failed"}
        kept = f"{reached} of {len(cells)} cells" if reached else "no SR image was reached"
        notes = [
            why or f"{outcome}: {kept} in {run.collector.seconds:.1f} s.",
            self._settle_samples(run),
            describe_cells(skipped, len(cells), "skipped"),
            describe_cells(failed, len(cells), "kept at the last good step"),
        ]
        state.progress = Progress(1.0 if outcome == "Done" else 0.0)
        worst = Level.WARNING if level is Level.INFO and (skipped or failed) else level
        self._say(" ".join(filter(None, notes)), worst)

    def _settle_samples(self, run: _Run) -> str:
        """Hide the samples behind the result and return a sentence that says where they are."""
        if run.samples is None:
            return ""
        run.samples.settle(run.collector.provenance())
        return f"The samples are in the hidden layer {run.samples.layers[0].name!r}."

    def _ended(self, run: _Run) -> None:
        """Be ready for the next run: the thread of this one is over."""
        if run is not self._run:
            return
        self._settle("Stopped", "The search ended before every cell was done.", Level.WARNING)
        # Nothing of the run is held on to but its layers.
        self._run = None
        self.state.phase = Phase.IDLE

    def _layer_removed(self, event: Event) -> None:
        self._comparison.forget(event.value)
        if self._run and event.value in self._run.sr.layers and not self._run.sr.present:
            self._settle("Cancelled", "The SR layer was removed, so the search was cancelled.")


def describe_progress(update: Update) -> Progress:
    """Return the share of the work done and, in words, cells, objective and time left."""
    total = update.run.cells - len(update.run.skipped)
    begun = 0.0 if update.finished else len(update.cells) * update.step / update.steps
    share = (update.cells_done + begun) / total
    objective = float(update.objective.mean())
    text = (
        f"{update.cells_done} of {total} cells, objective {objective:.3g}, "
        f"{update.seconds_left:.0f} s left"
    )
    return Progress(share, text)


def describe_cells(cells: Mapping[int, str], total: int, what: str) -> str:
    """Return a sentence on cells set apart, grouped by reason; nothing if there are none."""
    by_reason: dict[str, list[int]] = defaultdict(list)
    for cell, reason in cells.items():
        by_reason[reason].append(cell)
    parts = []
    for reason, members in by_reason.items():
        shown = ", ".join(map(str, members[:8])) + (", ..." if len(members) > 8 else "")
        parts.append(f"{len(members)} of {total} cells {what} (number {shown}): {reason}.")
    return " ".join(parts)
