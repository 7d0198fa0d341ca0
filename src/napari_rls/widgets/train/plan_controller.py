"""What the training widget does with its settings, without Qt: checks, remembers, estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.errors import InputError
from napari_rls.widgets.common.memory import remember
from napari_rls.widgets.common.run_controller import RunController
from napari_rls.widgets.common.state import Level, Phase
from napari_rls.widgets.train.train_layers import TrainLayers
from napari_rls.widgets.train.train_plan import TrainPlan
from napari_rls.widgets.train.train_worker import SpeedTest, TrainNews
from napari_rls.workflow.cells.channels import join_names, shows_dna
from napari_rls.workflow.train.expected import expected
from napari_rls.workflow.train.train_time import recalled

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_rls.widgets.common.worker import Launch
    from napari_rls.widgets.train.train_state import TrainState


class PlanController(RunController[TrainNews]):
    """Keep the plan of a state such that it can be, or say why not.

    Parameters
    ----------
    viewer
        The viewer, or its model alone.
    state
        What the view shows.
    launch
        Starts work in the background, see :func:`napari_rls.widgets.common.worker.launch`.
    memory
        File that remembers the plan.
    beside
        Starts work beside other work, for what nobody waits for; None: there is none of it.
    """

    state: TrainState

    def __init__(
        self,
        viewer: ViewerModel,
        state: TrainState,
        launch: Launch,
        memory: Path,
        beside: Launch | None = None,
    ) -> None:
        super().__init__(state, launch)
        self.viewer = viewer
        self.layers = TrainLayers(viewer)
        self._memory = memory
        self._beside = beside
        self._stop_clock: Callable[[], None] = lambda: None
        self._recall()

    def change(self, name: str, value: Any) -> None:
        """Change one value of the plan; a wrong one is refused with a message."""
        self._attempt(lambda plan: plan.changed(**{name: value}))

    def change_setting(self, name: str, value: Any) -> None:
        """Change one of the settings of training; a wrong one is refused with a message."""
        self._attempt(lambda plan: plan.with_part("settings", name, value))

    def change_nuclei(self, name: str, value: Any) -> None:
        """Change how nuclei are found; a wrong value is refused with a message."""
        self._attempt(lambda plan: plan.with_part("nuclei", name, value))

    def open_run(self, folder: Path) -> None:
        """Take over the plan of a run, so that it can go on."""
        try:
            plan = TrainPlan.of_run(folder)
        except InputError as error:
            self._say(str(error), Level.ERROR)
            return
        self._take(plan)
        self.state.found = ""
        self._say(f"These are the settings of the run in {folder}; Resume goes on with it.")

    def _attempt(self, change: Callable[[TrainPlan], TrainPlan]) -> None:
        try:
            plan = change(self.state.plan)
        except InputError as error:
            self._say(str(error), Level.ERROR)
            self.state.events.plan.emit(self.state.plan)
            return
        if plan != self.state.plan:
            self._say("")
        self._take(plan)

    def _take(self, plan: TrainPlan) -> None:
        names = plan.channel_names
        if names and plan.dna_channel not in names:
            plan = plan.changed(dna_channel=_likely_dna(names))
        self.state.plan = plan
        self.state.begun = plan.begun
        self._estimate()
        if problem := remember(plan.save, self._memory):
            self._say(problem, Level.WARNING)

    def _take_images(self, images: tuple[str, ...], files: int) -> None:
        self._take(self.state.plan.changed(images=images))
        self.state.found = f"{files} image files" if files > 1 else "1 image file"

    def _estimate(self) -> None:
        """Say about how long training takes, once it is known how fast this machine is."""
        state, plan = self.state, self.state.plan
        state.estimate = ""
        if not plan.images or state.begun:
            return
        speed = recalled(plan.settings)
        if speed is not None:
            with suppress(InputError):  # which is said when the user asks for work
                state.estimate = str(expected(plan.job(), speed))
        elif self._beside is not None and state.phase is Phase.IDLE:
            beside, self._beside = self._beside, None
            state.estimate = "Measuring how fast this machine trains ..."
            self._stop_clock = beside(SpeedTest(plan), lambda _: None, self._estimate)

    def _take_channels(self, names: Sequence[str]) -> None:
        """Name the channels as the files do, unless the user has named as many."""
        plan = self.state.plan
        if len(plan.channel_names) != len(names):
            try:
                self._take(plan.changed(channels=join_names(names)))
            except InputError as error:
                self._say(str(error), Level.WARNING)

    def _recall(self) -> None:
        if self._memory.exists():
            try:
                self._take(TrainPlan.load(self._memory))
            except InputError as error:
                self._say(f"The settings of last time were ignored: {error}", Level.WARNING)
        if not self.state.plan.images:
            self._say("Choose images of whole fields: files, a folder, or those that are open.")


def _likely_dna(names: Sequence[str]) -> str:
    """Return the channel that is likely to show nuclei, or the first."""
    return next(filter(shows_dna, names), names[0])
