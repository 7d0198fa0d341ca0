"""What the training widget does, without Qt: checks, starts, receives, cancels, resumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from napari.layers import Image

from napari_rls.errors import InputError
from napari_rls.text import duration
from napari_rls.widgets.common.state import Level, Phase, RunOutcome, RunProgress
from napari_rls.widgets.train.plan_controller import PlanController
from napari_rls.widgets.train.train_state import Curves
from napari_rls.widgets.train.train_worker import FindCells, LookAtImages, Train, TrainNews
from napari_rls.workflow.cells.original_file import ORIGINALS

if TYPE_CHECKING:
    from napari_rls.training.run import Progress as Step
    from napari_rls.widgets.train.train_plan import TrainPlan
    from napari_rls.workflow.train.train_bundle import JobUpdate


IMAGES = (".tif", ".tiff", *ORIGINALS)

Work = LookAtImages | FindCells | Train


class TrainController(PlanController):
    """Turn what the user wants into training runs; the view only follows ``state``.

    Parameters
    ----------
    viewer, state, launch, memory, beside
        As for :class:`~napari_rls.widgets.train.plan_controller.PlanController`.
    """

    what: ClassVar[str] = "work"

    _work: Work | None = None
    _then_finish = False
    _cancelled = False
    _failed = False

    # -- images ------------------------------------------------------------------------

    def choose_images(self, images: Sequence[str]) -> None:
        """Take files, folders or patterns as the images; read the channels' names from one."""
        look = LookAtImages(tuple(images), self.state.plan)
        self._once(lambda: self._do(look, "Looking at the first image"))

    def choose_open_images(self) -> None:
        """Take the files of the image layers that are open."""
        paths = [
            str(layer.source.path)
            for layer in self.viewer.layers
            if isinstance(layer, Image) and layer.source.path
        ]
        images = [p for p in dict.fromkeys(paths) if p.lower().endswith(IMAGES)]
        if images:
            self.choose_images(images)
            return
        self._say(
            "No open layer comes from an image file; save the layers first, or choose files.",
            Level.WARNING,
        )

    # -- a run -------------------------------------------------------------------------

    def find_cells(self) -> None:
        """Cut the crops and show some of them."""
        self._once(lambda: self._do(FindCells(self._checked()), "Looking for cells"))

    def _take_on(self) -> None:
        """Begin the run, or go on with the one that its folder holds."""
        self._do(Train(self._checked()), "Looking for cells")

    def finish(self) -> None:
        """Make the bundle of what the run has so far; a run at work is stopped first."""
        state = self.state
        if state.phase is Phase.RUNNING and state.stoppable:
            self._then_finish = True
            self.cancel()
        elif state.begun:
            self._once(self._finish)

    def _finish(self) -> None:
        self._do(Train(self._checked(), finish=True), "Looking for the cells of the run")

    def cancel(self) -> None:
        """End the work after its step; a run keeps a checkpoint."""
        if self.state.phase is not Phase.RUNNING:
            return
        self._cancelled = True
        self.state.phase = Phase.STOPPING
        self.state.progress = RunProgress(self.state.progress.share, "Stopping after this step")
        self._stop()

    def put_away(self) -> None:
        """Hide crops and samples: cells that are searched next lie in the same place."""
        self.layers.hide()

    def close(self) -> None:
        """End the work; called when the widget is gone."""
        self._then_finish = False
        self._stop_clock()
        super().close()

    def _checked(self) -> TrainPlan:
        """Return the plan, checked as far as that is done at once.

        Raises
        ------
        InputError
            If nothing can be done by it.
        """
        plan = self.state.plan
        plan.job()
        if plan.bundle.exists() and not plan.begun:
            raise InputError(f"There is a bundle {plan.bundle} already; choose another name.")
        return plan

    def _do(self, work: Work, text: str) -> None:
        state = self.state
        self._work, self._cancelled = work, False
        self._begin(text)
        state.training = isinstance(work, Train)
        self._say("")
        if not isinstance(work, LookAtImages):
            state.warnings, state.bundle = (), None
        if isinstance(work, Train):
            state.estimate = ""
            state.scored = state.scored or not work.finish
        self._work_on(work)

    def _receive(self, news: TrainNews) -> None:
        if news.images:
            self._take_images(news.images, news.files)
        if news.channels:
            self._take_channels(news.channels)
        if news.update:
            self._show(news, news.update)

    def _show(self, news: TrainNews, update: JobUpdate) -> None:
        state = self.state
        if update.crops is not None:
            state.found = update.crops.summary()
            self.layers.show_crops(update.crops)
        if update.unscored:
            state.scored = False
        if news.history is not None:
            state.curves = Curves(*news.history)
            state.begun = state.plan.begun
        if update.step is not None:
            self._show_step(update.step)
            if news.samples is not None:
                self.layers.show_samples(news.samples, update.step.images)
        state.stoppable = update.step is not None
        if update.bundle is not None:
            state.bundle = update.bundle
            state.warnings = (*state.warnings, *update.doubts)
        elif update.stage == "training" and update.message:
            self._say(update.message)
        alone = isinstance(self._work, FindCells)
        words = describe(update, state.plan.settings.size) or state.progress.text
        state.progress = RunProgress(update.part if alone else update.share, words)

    def _show_step(self, step: Step) -> None:
        state = self.state
        state.device = f"{step.device}, {step.precision}"
        if step.report:
            state.curves = state.curves.with_report(step.report)
        if step.score:
            state.curves = state.curves.with_score(step.score)
        if step.warning and step.warning not in state.warnings:
            state.warnings = (*state.warnings, step.warning)

    def _reached(self, _outcome: RunOutcome) -> RunProgress:
        return RunProgress(1.0, "Done") if self.state.bundle else RunProgress()

    def _conclude(self, outcome: RunOutcome, why: str, level: Level) -> None:
        """Say what failed; of all else is told once the thread is over."""
        self._failed = level is Level.ERROR
        if self._failed:
            super()._conclude(outcome, why, level)

    def _ready(self) -> None:
        """Be ready for the next run, and say what has become of this one."""
        state, work = self.state, self._work
        self._work = None
        finishes, self._then_finish = self._then_finish and not self._failed, False
        state.training, state.stoppable = False, False
        super()._ready()
        state.begun = state.plan.begun
        self._estimate()
        if finishes and not state.bundle:
            self.finish()
            return
        if self._failed or isinstance(work, LookAtImages):
            return
        if state.bundle:
            self._say(f"Done: the bundle is {state.bundle}. Use it to super-resolve cells.")
        elif self._cancelled and state.begun and isinstance(work, Train):
            self._say(
                f"Stopped; {state.plan.run_folder} keeps a checkpoint. Resume goes on with it, "
                "today or later (by Open run); Finish now makes a bundle of it as it is."
            )
        elif self._cancelled:
            self._say("Stopped before training began.")
        else:
            self._say("Look at the crops in the viewer; Train goes on from here.")


def describe(update: JobUpdate, size: int) -> str:
    """Return in words how far a job is: kimg, or what it is at, and the time left in all."""
    step, text = update.step, update.message if update.stage != "training" else ""
    if step is not None:
        text = f"{step.images / 1000:.2f} of {step.images_planned / 1000:g} kimg"
        if update.size != size:
            text += f" at {update.size} x {update.size} pixels"
    elif update.stage == "fitting":
        text = f"Fitting flow and encoders, {update.part:.0%}"
    if update.seconds_left is None or not text:
        return text
    return f"{text}, {duration(update.seconds_left)} left"
