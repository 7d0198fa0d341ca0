"""What the widget "Compare methods" does, without Qt: starts, shows, scores, cancels, exports."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from napari_rls.errors import InputError
from napari_rls.search.settings import METHODS, Settings
from napari_rls.widgets.cells.input_controller import InputController
from napari_rls.widgets.cells.input_layers import read_truth
from napari_rls.widgets.cells.layer_facts import cell_in_view
from napari_rls.widgets.cells.run_words import count_cells, describe_cells
from napari_rls.widgets.cells.sources import sources
from napari_rls.widgets.common.explain import explain
from napari_rls.widgets.common.save_table import save_table
from napari_rls.widgets.common.state import Level, Phase, RunOutcome, RunProgress
from napari_rls.widgets.compare.compare_layers import CompareLayers
from napari_rls.widgets.compare.compare_state import Cells, Turn
from napari_rls.workflow.compare.method_results import (
    BICUBIC,
    CompareUpdate,
    MethodResult,
    comparison_record,
    comparison_table,
    settings_of,
)

if TYPE_CHECKING:
    import numpy as np
    from napari.utils.events import Event
    from numpy.typing import NDArray

    from napari_rls.widgets.compare.compare_state import CompareState
    from napari_rls.workflow.cells.stack import CellStack


@dataclass(frozen=True, eq=False)
class CompareJob:
    """What one comparison computes."""

    lr: CellStack
    settings: Sequence[Settings]
    truth: NDArray[np.generic] | None

    def updates(self) -> Generator[CompareUpdate]:
        """Run the methods."""
        from napari_rls.workflow.compare.compare_methods import compare

        yield from compare(self.lr, self.settings[0].bundle, self.settings, self.truth)


@dataclass(eq=False)
class _CompareRun:
    """A comparison: what it works on, and where it shows."""

    job: CompareJob
    layers: CompareLayers
    began: float = field(default_factory=time.monotonic)


class CompareController(InputController[CompareUpdate]):
    """Turn what the user wants into runs of several methods; the view only follows ``state``.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    what: ClassVar[str] = "comparison"
    cut_short: ClassVar[str] = "The comparison ended before every method was done."

    state: CompareState
    _run: _CompareRun | None = None
    _building = False

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

    def _take_on(self) -> None:
        """Show the layers side by side and start."""
        state = self.state
        if state.manifest is None:
            return
        if not state.methods:
            raise InputError("Choose one or more methods.")
        cells = self._cells()
        lr, skipped = self.read_lr(cells)
        truth = read_truth(state.inputs, state.manifest, lr, cells)
        settings = settings_of(state.settings, state.methods, state.max_steps)
        layers = CompareLayers(self.viewer, self._comparison, state, lr, cells)
        run = self._run = _CompareRun(CompareJob(lr, settings, truth), layers)
        self._begin("Showing the layers")
        self._building = True
        state.turns = tuple(map(Turn, (BICUBIC, *state.methods)))
        self._say(describe_cells(skipped, len(lr), "skipped"), Level.WARNING)
        self._build(run, layers.build())

    def _build(self, run: _CompareRun, steps: Iterator[None]) -> None:
        """Show the layers step by step, as long as the run is wanted, and start its thread."""
        if run is not self._run:
            return
        if self.state.phase is not Phase.RUNNING:  # cancelled: there is no thread to wait for
            self._building = False
            self._rest()
            return
        try:
            next(steps)
        except StopIteration:
            self._building = False
            if not self.state.comparing:
                self.compare()
            self.state.progress = RunProgress(0.0, "Loading the bundle")
            self._work_on(run.job)
        except Exception as error:  # noqa: BLE001 - the layers are put back; the program goes on
            self._building = False
            self._settle(RunOutcome.STOPPED, explain(error, self.what), Level.ERROR)
        else:
            self._soon(partial(self._build, run, steps))

    @property
    def _at_rest(self) -> bool:
        return not self._building

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

    def _layer_removed(self, event: Event) -> None:
        super()._layer_removed(event)
        if self._run and event.value in self._run.layers and not self._run.layers.present:
            why = "Every SR layer was removed: the comparison was cancelled."
            self._settle(RunOutcome.CANCELLED, why)

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

    def _receive(self, news: CompareUpdate) -> None:
        run, state = self._run, self.state
        if run is None:
            return
        run.layers.show(news)
        if news.search is not None:
            info = news.search.run
            state.device = f"Device: {info.device_reason}, {info.precision}"
        state.turns = tuple(
            Turn(turn.method, news.share, news.result) if turn.method == news.method else turn
            for turn in state.turns
        )
        if all(turn.result for turn in state.turns):
            self._settle(RunOutcome.DONE)
        else:
            state.progress = RunProgress(news.whole, self._describe(news))

    def _describe(self, message: CompareUpdate) -> str:
        methods = [turn.method for turn in self.state.turns]
        place = methods.index(message.method)
        if place == 0:
            return "Scoring the upsampled LR image"
        return f"{message.method}, {place} of {len(methods) - 1} methods"

    def _conclude(self, outcome: RunOutcome, why: str, level: Level) -> None:
        """Keep what was reached."""
        run, state = self._run, self.state
        if run is None:
            return
        run.layers.settle()
        state.turns = tuple(replace(turn, ended=turn.result is None) for turn in state.turns)
        seconds = time.monotonic() - run.began
        ran = sum(result.ran for result in self.results if result.method != BICUBIC)
        cells = count_cells(len(run.job.lr))
        did = f"{outcome}: {ran} of {len(run.job.settings)} methods on {cells}"
        notes = [why or f"{did} in {seconds:.1f} s.", *self._notes(run)]
        odd = any(result.note for result in self.results)
        worst = Level.WARNING if level is Level.INFO and odd else level
        self._say(" ".join(notes), worst)

    def _notes(self, run: _CompareRun) -> Iterator[str]:
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

    def _ready(self) -> None:
        # Nothing of the run is held on to but its layers and results.
        self._run = None
        super()._ready()
