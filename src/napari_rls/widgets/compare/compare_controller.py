"""What the widget "Compare methods" does, without Qt: starts, shows, scores, cancels, exports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.errors import InputError
from napari_rls.search.settings import METHODS, Settings
from napari_rls.widgets.cells.comparison import Comparison
from napari_rls.widgets.cells.input_controller import InputController
from napari_rls.widgets.cells.input_layers import cell_in_view, read_truth, sources
from napari_rls.widgets.cells.run_words import describe_cells
from napari_rls.widgets.common.explain import explain
from napari_rls.widgets.common.save_table import save_table
from napari_rls.widgets.common.state import Level, Phase, RunProgress
from napari_rls.widgets.compare.compare_layers import CompareLayers
from napari_rls.widgets.compare.compare_state import Cells, Turn
from napari_rls.workflow.compare.method_results import (
    BICUBIC,
    MethodResult,
    comparison_record,
    comparison_table,
    settings_of,
)

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from napari.utils.events import Event
    from numpy.typing import NDArray

    from napari_rls.widgets.compare.compare_state import CompareState
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.compare.method_results import CompareUpdate

Deliver = Callable[["CompareUpdate | Exception"], None]
Launch = Callable[["CompareJob", Deliver, Callable[[], None]], Callable[[], None]]


@dataclass(frozen=True, eq=False)
class CompareJob:
    """What one comparison computes."""

    lr: CellStack
    settings: Sequence[Settings]
    truth: NDArray[np.generic] | None

    def updates(self) -> Iterator[CompareUpdate]:
        """Run the methods."""
        from napari_rls.workflow.compare.compare_methods import compare

        return compare(self.lr, self.settings[0].bundle, self.settings, self.truth)


@dataclass(eq=False)
class _Run:
    """A comparison: what it works on, where it shows, and how to stop it."""

    token: int
    job: CompareJob
    layers: CompareLayers
    began: float = field(default_factory=time.monotonic)
    stop: Callable[[], None] = lambda: None


class CompareController(InputController):
    """Turn what the user wants into runs of several methods; the view only follows ``state``.

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

    state: CompareState

    def __init__(
        self,
        viewer: ViewerModel,
        state: CompareState,
        launch: Launch,
        memory: Path,
        soon: Callable[[Callable[[], None]], None] = lambda call: call(),
    ) -> None:
        self._launch = launch
        self._soon = soon
        self._token = 0
        self._run: _Run | None = None
        self._comparison = Comparison(viewer, state, soon)
        viewer.layers.events.removed.connect(self._layer_removed)
        super().__init__(viewer, state, memory)

    # -- what the user sets ------------------------------------------------------------

    def choose_method(self, method: str, chosen: bool) -> None:
        """Add a method to those that are compared, or take it out."""
        wanted = {*self.state.methods, method} if chosen else {*self.state.methods} - {method}
        self.state.methods = tuple(name for name in METHODS if name in wanted)

    def choose_steps(self, most: int) -> None:
        """Bound the steps of each method; 0 for none."""
        self.state.max_steps = most

    def choose_cells(self, cells: Cells) -> None:
        """Choose which cells are compared."""
        self.state.cells = cells

    def choose_count(self, count: int) -> None:
        """Choose how many the first cells are."""
        self.state.count = count

    # -- a comparison ------------------------------------------------------------------

    def start(self) -> None:
        """Check the input, show the layers side by side and start; one comparison at a time."""
        state = self.state
        if state.phase is not Phase.IDLE or state.manifest is None:
            return
        try:
            if not state.methods:
                raise InputError("Choose one or more methods.")
            cells = self._cells()
            lr, skipped = self.read_lr(cells)
            truth = read_truth(state.inputs, state.manifest, lr, cells)
        except InputError as error:
            self._say(str(error), Level.ERROR)
            return
        settings = settings_of(state.settings, state.methods, state.max_steps)
        self._token += 1
        layers = CompareLayers(self.viewer, self._comparison, state, lr, cells)
        run = self._run = _Run(self._token, CompareJob(lr, settings, truth), layers)
        state.phase = Phase.RUNNING
        state.turns = tuple(map(Turn, (BICUBIC, *state.methods)))
        state.progress = RunProgress(0.0, "Showing the layers")
        self._say(describe_cells(skipped, len(lr), "skipped"), Level.WARNING)
        self._build(run, layers.build())

    def _build(self, run: _Run, steps: Iterator[None]) -> None:
        """Show the layers step by step, as long as the run is wanted, and start its thread."""
        if run is not self._run:
            return
        if self.state.phase is not Phase.RUNNING:  # cancelled: there is no thread to wait for
            self._ended(run)
            return
        try:
            next(steps)
        except StopIteration:
            if not self.state.comparing:
                self.compare()
            self.state.progress = RunProgress(0.0, "Loading the bundle")
            run.stop = self._launch(
                run.job, partial(self._receive, run.token), partial(self._ended, run)
            )
        except Exception as error:  # noqa: BLE001 - the layers are put back; the program goes on
            self._settle("Stopped", explain(error, "comparison"), Level.ERROR)
            self._ended(run)
        else:
            self._soon(partial(self._build, run, steps))

    def cancel(self) -> None:
        """End the comparison now and keep what was reached."""
        self._settle("Cancelled")

    def compare(self) -> None:
        """Lay LR, the methods' SR and GT side by side, or back."""
        try:
            self._comparison.toggle()
        except Exception as error:  # noqa: BLE001 - the viewer is as before; the program goes on
            self._say(explain(error, "view side by side"), Level.WARNING)

    @property
    def obstacle(self) -> str:
        """Why nothing can be laid side by side, a sentence; "" if there is something."""
        return self._comparison.obstacle if self.state.turns else "Compare first."

    @property
    def results(self) -> list[MethodResult]:
        """What the methods of the last comparison gave, the baseline first."""
        return [turn.result for turn in self.state.turns if turn.result is not None]

    def export(self, path: Path) -> None:
        """Write the table of the last comparison and its record."""
        if not self.results:
            self._say("There is no table yet: compare first.", Level.WARNING)
            return
        record = comparison_record(self.results)
        self.state.message = save_table(path, comparison_table(self.results), record)

    def close(self) -> None:
        """End the comparison and keep what was reached; called when the widget is gone."""
        self.state.events.disconnect()
        self.cancel()
        self._comparison.stop()
        self.viewer.layers.events.removed.disconnect(self._layer_removed)

    def _layer_removed(self, event: Event) -> None:
        self._comparison.forget(event.value)
        if self._run and event.value in self._run.layers and not self._run.layers.present:
            self._settle("Cancelled", "Every SR layer was removed: the comparison was cancelled.")

    def _cells(self) -> range | None:
        """Return the chosen cells, None for all.

        Raises
        ------
        InputError
            If no LR layer is chosen, or no single cell is in view.
        """
        inputs, choice = self.state.inputs, self.state.cells
        origin = sources(inputs.lr, inputs.separate, inputs.channels)
        axis = origin[0].cell_axis if origin else None
        if choice is Cells.ALL or axis is None:
            return None
        if choice is Cells.FIRST:
            return range(min(self.state.count, origin[0].shape[axis]))
        cell = cell_in_view(self.viewer, origin[0].layer, axis)
        if cell is None:
            raise InputError("No single LR cell is in view; choose other cells.")
        return range(cell, cell + 1)

    # -- messages of the thread ---------------------------------------------------------

    def _receive(self, token: int, message: CompareUpdate | Exception) -> None:
        """Take a message of the thread, unless the run it belongs to was ended."""
        run, state = self._run, self.state
        if run is None or token != self._token or state.phase is not Phase.RUNNING:
            return
        if isinstance(message, Exception):
            self._settle("Stopped", explain(message, "comparison"), Level.ERROR)
            return
        run.layers.show(message)
        if message.search is not None:
            info = message.search.run
            state.device = f"Device: {info.device_reason}, {info.precision}"
        state.turns = tuple(
            Turn(turn.method, message.share, message.result)
            if turn.method == message.method
            else turn
            for turn in state.turns
        )
        if all(turn.result for turn in state.turns):
            self._settle("Done")
        else:
            state.progress = RunProgress(message.whole, self._describe(message))

    def _describe(self, message: CompareUpdate) -> str:
        methods = [turn.method for turn in self.state.turns]
        place = methods.index(message.method)
        if place == 0:
            return "Scoring the upsampled LR image"
        return f"{message.method}, {place} of {len(methods) - 1} methods"

    def _settle(self, outcome: str, why: str = "", level: Level = Level.INFO) -> None:
        """Keep what was reached; later messages of the run are not looked at."""
        run, state = self._run, self.state
        if run is None or state.phase is not Phase.RUNNING:
            return
        self._token += 1
        state.phase = Phase.STOPPING
        run.stop()
        run.layers.settle()
        state.turns = tuple(replace(turn, ended=turn.result is None) for turn in state.turns)
        state.progress = RunProgress(1.0 if outcome == "Done" else 0.0)
        seconds = time.monotonic() - run.began
        ran = sum(result.ran for result in self.results if result.method != BICUBIC)
        cells = "1 cell" if len(run.job.lr) == 1 else f"{len(run.job.lr)} cells"
        did = f"{outcome}: {ran} of {len(run.job.settings)} methods on {cells}"
        notes = [why or f"{did} in {seconds:.1f} s.", *self._notes(run)]
        odd = any(result.note for result in self.results)
        worst = Level.WARNING if level is Level.INFO and odd else level
        self._say(" ".join(notes), worst)

    def _notes(self, run: _Run) -> Iterator[str]:
        """Yield what is to be known of the table."""
        from napari_rls.evaluation.scores import FEWEST

        if not self.results:
            return
        if run.job.truth is None:
            yield "Without GT only LR residual and time are known: choose GT layers for metrics."
        elif len(run.job.lr) < FEWEST:
            yield f"KID and FID need {FEWEST} cells or more; {len(run.job.lr)} were compared."
        for result in self.results:
            if result.note and result.ran:
                yield f"{result.method}: {result.note}"

    def _ended(self, run: _Run) -> None:
        """Be ready for the next run: the thread of this one is over."""
        if run is not self._run:
            return
        self._settle("Stopped", "The comparison ended before every method was done.", Level.WARNING)
        # Nothing of the run is held on to but its layers and results.
        self._run = None
        self.ready()
