"""What the training widget does, without Qt: checks, starts, receives, cancels, resumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import notification_manager

from napari_rls.models.bundle_file import BundleError
from napari_rls.search.settings import SettingsError
from napari_rls.training.settings import TrainingError
from napari_rls.widgets.state import Level, Message, Phase, Progress
from napari_rls.widgets.train_layers import TrainLayers
from napari_rls.widgets.train_plan import Plan
from napari_rls.widgets.train_state import Curves, TrainState
from napari_rls.widgets.train_worker import FindCells, Look, News, Train
from napari_rls.workflow.stack import InputError
from napari_rls.workflow.train_inputs import find_images

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_rls.training.run import Progress as Step
    from napari_rls.workflow.train_job import JobUpdate

USER_ERRORS = (InputError, BundleError, SettingsError, TrainingError)
"""Errors whose message is a sentence for the user."""

TIFF = (".tif", ".tiff")

Work = Look | FindCells | Train
Deliver = Callable[[News | Exception], None]
Launch = Callable[[Work, Deliver, Callable[[], None]], Callable[[], None]]


class TrainController:
    """Turn what the user wants into training runs; the view only follows ``state``.

    Parameters
    ----------
    viewer
        The viewer, or its model alone.
    state
        What the view shows.
    launch
        Starts work in the background, see :func:`napari_rls.widgets.worker.launch`.
    memory
        File that remembers the plan.
    """

    def __init__(
        self, viewer: ViewerModel, state: TrainState, launch: Launch, memory: Path
    ) -> None:
        self.viewer = viewer
        self.state = state
        self.layers = TrainLayers(viewer)
        self._launch = launch
        self._memory = memory
        self._work: Work | None = None
        self._stop: Callable[[], None] = lambda: None
        self._recall()

    # -- what the user sets ------------------------------------------------------------

    def change(self, name: str, value: Any) -> None:
        """Change one value of the plan; a wrong one is refused with a message."""
        self._attempt(lambda plan: plan.changed(**{name: value}))

    def change_setting(self, name: str, value: Any) -> None:
        """Change one of the settings of training; a wrong one is refused with a message."""
        self._attempt(lambda plan: plan.with_part("settings", name, value))

    def change_nuclei(self, name: str, value: Any) -> None:
        """Change how nuclei are found; a wrong value is refused with a message."""
        self._attempt(lambda plan: plan.with_part("nuclei", name, value))

    def choose_images(self, images: Sequence[str]) -> None:
        """Take files, folders or patterns as the images; read the channels' names from one."""
        try:
            files = find_images(images)
        except InputError as error:
            self._say(str(error), Level.ERROR)
            return
        self._take(self.state.plan.changed(images=tuple(images)))
        self.state.found = f"{len(files)} image files"
        self._say("")
        if not self.state.plan.pattern:
            self._start(Look(self.state.plan), "Looking at the first image")

    def choose_open_images(self) -> None:
        """Take the files of the image layers that are open."""
        paths = [
            str(layer.source.path)
            for layer in self.viewer.layers
            if isinstance(layer, Image) and layer.source.path
        ]
        images = [p for p in dict.fromkeys(paths) if p.lower().endswith(TIFF)]
        if images:
            self.choose_images(images)
            return
        self._say(
            "No open layer comes from a TIFF file; save the layers first, or choose files.",
            Level.WARNING,
        )

    def open_run(self, folder: Path) -> None:
        """Take over the plan of a run, so that it can go on."""
        try:
            plan = Plan.of_run(folder)
        except InputError as error:
            self._say(str(error), Level.ERROR)
            return
        self._take(plan)
        self.state.found = ""
        self._say(f"These are the settings of the run in {folder}; Resume goes on with it.")

    # -- a run -------------------------------------------------------------------------

    def find_cells(self) -> None:
        """Cut the crops and show some of them."""
        if self._ready():
            self._start(FindCells(self.state.plan), "Looking for cells")

    def train(self) -> None:
        """Begin the run, or go on with the one that its folder holds."""
        if self._ready():
            self._start(Train(self.state.plan), "Looking for cells")

    def cancel(self) -> None:
        """End the work after its step; a run keeps a checkpoint."""
        if self.state.phase is not Phase.RUNNING:
            return
        self.state.phase = Phase.STOPPING
        self.state.progress = Progress(self.state.progress.share, "Stopping after this step")
        self._stop()

    def close(self) -> None:
        """End the work; called when the widget is gone."""
        self.state.events.disconnect()
        self.cancel()

    def _ready(self) -> bool:
        """Check the plan as far as that is done at once."""
        if self.state.phase is not Phase.IDLE:
            return False
        plan = self.state.plan
        try:
            plan.job()
            if plan.bundle.exists() and not plan.begun:
                raise InputError(f"There is a bundle {plan.bundle} already; choose another name.")
        except InputError as error:
            self._say(str(error), Level.ERROR)
            return False
        return True

    def _start(self, work: Work, text: str) -> None:
        state = self.state
        if state.phase is not Phase.IDLE:
            return
        self._work = work
        state.phase = Phase.RUNNING
        state.training = isinstance(work, Train)
        state.progress = Progress(0.0, text)
        if not isinstance(work, Look):
            state.warnings, state.bundle = (), None
            self._say("")
        self._stop = self._launch(work, self._receive, self._ended)

    def _receive(self, news: News | Exception) -> None:
        """Take a message of the thread; of one that is to stop, only how it failed."""
        if isinstance(news, Exception):
            self._fail(news)
        elif self.state.phase is Phase.RUNNING:
            if news.channels:
                self._take_channels(news.channels)
            if news.update:
                self._show(news, news.update)

    def _show(self, news: News, update: JobUpdate) -> None:
        state = self.state
        if update.crops is not None:
            state.found = update.crops.summary()
            self.layers.show_crops(update.crops)
        if news.history is not None:
            state.curves = Curves(*news.history)
            state.begun = state.plan.begun
        if update.step is not None:
            self._show_step(update.step, update.size)
            if news.samples is not None:
                self.layers.show_samples(news.samples, update.step.images)
        elif update.bundle is not None:
            state.bundle = update.bundle
        elif update.stage == "training":
            self._say(update.message)
        elif update.crops is None:
            share = 1.0 if update.stage == "fitting" else 0.0
            state.progress = Progress(share, update.message)

    def _show_step(self, step: Step, size: int | None) -> None:
        state = self.state
        state.progress = describe(step, size if size != state.plan.settings.size else None)
        state.device = f"{step.device}, {step.precision}"
        if step.report:
            state.curves = state.curves.with_report(step.report)
        if step.score:
            state.curves = state.curves.with_score(step.score)
        if step.warning and step.warning not in state.warnings:
            state.warnings = (*state.warnings, step.warning)

    def _fail(self, error: Exception) -> None:
        self.state.phase = Phase.STOPPING
        text = str(error)
        if not isinstance(error, USER_ERRORS):
            text = f"An unexpected error ended the work: {error}"
            notification_manager.receive_error(type(error), error, error.__traceback__)
        self._say(text, Level.ERROR)

    def _ended(self) -> None:
        """Be ready for the next run: the thread of this one is over."""
        state, work = self.state, self._work
        self._work = None
        stopped = state.phase is Phase.STOPPING
        failed = state.message.level is Level.ERROR
        state.phase, state.training = Phase.IDLE, False
        state.begun = state.plan.begun
        state.progress = Progress(1.0, "Done") if state.bundle else Progress()
        if failed or isinstance(work, Look):
            return
        if state.bundle:
            self._say(f"Done: the bundle is {state.bundle}. Use it to super-resolve cells.")
        elif stopped and state.begun and isinstance(work, Train):
            self._say(
                f"Stopped; {state.plan.run_folder} keeps a checkpoint. Resume goes on with it, "
                "today or later (by Open run)."
            )
        elif stopped:
            self._say("Stopped before training began.")
        else:
            self._say("Look at the crops in the viewer; Train goes on from here.")

    # -- the plan ----------------------------------------------------------------------

    def _attempt(self, change: Callable[[Plan], Plan]) -> None:
        try:
            plan = change(self.state.plan)
        except InputError as error:
            self._say(str(error), Level.ERROR)
            self.state.events.plan.emit(self.state.plan)
            return
        if plan != self.state.plan:
            self._say("")
        self._take(plan)

    def _take(self, plan: Plan) -> None:
        names = plan.channel_names
        if names and plan.dna_channel not in names:
            plan = plan.changed(dna_channel=_likely_dna(names))
        self.state.plan = plan
        self.state.begun = plan.begun
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            plan.save(self._memory)
        except OSError as error:
            self._say(
                f"The settings cannot be remembered in {self._memory}: {error.strerror}.",
                Level.WARNING,
            )

    def _take_channels(self, names: Sequence[str]) -> None:
        """Name the channels as the files do, unless the user has named as many."""
        plan = self.state.plan
        if len(plan.channel_names) != len(names):
            try:
                self._take(plan.changed(channels=",".join(n.replace(",", " ") for n in names)))
            except InputError as error:
                self._say(str(error), Level.WARNING)

    def _recall(self) -> None:
        if self._memory.exists():
            try:
                self._take(Plan.load(self._memory))
            except InputError as error:
                self._say(f"The settings of last time were ignored: {error}", Level.WARNING)
        if not self.state.plan.images:
            self._say("Choose images of whole fields: files, a folder, or those that are open.")

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        self.state.message = Message(text, level)


def describe(step: Step, size: int | None = None) -> Progress:
    """Return the share of the images shown and, in words, kimg and time left."""
    text = f"{step.images / 1000:.2f} of {step.images_planned / 1000:g} kimg"
    if size is not None:
        text += f" at {size} x {size} pixels"
    share = min(step.images / step.images_planned, 1.0)
    return Progress(share, f"{text}, {_duration(step.seconds_left)} left")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _likely_dna(names: Sequence[str]) -> str:
    """Return the channel that is likely to show nuclei, or the first."""
    words = ("dna", "dapi", "hoechst", "nucle", "draq")
    return next((n for n in names if any(word in n.lower() for word in words)), names[0])
