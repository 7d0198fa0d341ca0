"""What the training thread does: looks at images, cuts cells, trains, and tells of it."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.widgets.train.train_plan import HALF, TrainPlan
from napari_rls.workflow.train.train_time import measured

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_rls.models import stylegan2
    from napari_rls.training.run_folder import Report, Score
    from napari_rls.workflow.train.train_bundle import JobUpdate

SAMPLES = 18
"""Generated images that are shown."""

SAMPLE_SECONDS, SAMPLE_SHARE = 10.0, 0.03
"""Least time from one drawing of samples to the next, and their greatest share of all time."""


@dataclass(frozen=True, eq=False)
class TrainNews:
    """A message of the thread; ``must_show`` tells that it must not be left out.

    Parameters
    ----------
    images, files
        Images that the user chose, once they are found, and how many files they are.
    channels
        Names of the channels of the images that were looked at.
    update
        What the training job has just done.
    samples
        New images of the averaged generator (n, C, H, W), -1 to 1.
    history
        Reports and scores so far, as training at one size begins or goes on.
    speed
        How fast this machine trains, see :func:`~napari_rls.workflow.train.train_time.estimate`.
    """

    images: tuple[str, ...] = ()
    files: int = 0
    channels: tuple[str, ...] = ()
    update: JobUpdate | None = None
    samples: NDArray[np.float32] | None = None
    history: tuple[tuple[Report, ...], tuple[Score, ...]] | None = None
    speed: float | None = None
    must_show: bool = False


@dataclass(frozen=True)
class SpeedTest:
    """Find out how fast this machine trains, from a few steps."""

    plan: TrainPlan

    def updates(self) -> Generator[TrainNews]:
        """Make the steps."""
        import_module("torch")
        yield TrainNews(speed=measured(self.plan.settings), must_show=True)


@dataclass(frozen=True)
class LookAtImages:
    """Find images, and what their channels are called."""

    images: tuple[str, ...]
    plan: TrainPlan

    def updates(self) -> Generator[TrainNews]:
        """List the files, and read the first one if it holds all channels."""
        from napari_rls.workflow.cells.read import read_stack
        from napari_rls.workflow.train.fields import find_images

        files = find_images(self.images)
        yield TrainNews(images=self.images, files=len(files), must_show=True)
        if not self.plan.pattern:
            yield TrainNews(channels=read_stack(files[0]).channels, must_show=True)


@dataclass(frozen=True)
class FindCells:
    """Cut the crops and show them; a run with the same plan uses them again."""

    plan: TrainPlan

    def updates(self) -> Generator[TrainNews]:
        """Begin the training job, and end it where training would begin."""
        from napari_rls.workflow.train.train_bundle import train_bundle

        _load()
        with closing(train_bundle(self.plan.job())) as updates:
            for update in updates:
                yield TrainNews(update=update, must_show=update.crops is not None)
                if update.crops is not None:
                    return


@dataclass(frozen=True)
class Train:
    """The whole job, from images to a bundle; to ``finish`` is to train no more."""

    plan: TrainPlan
    finish: bool = False

    def updates(self) -> Generator[TrainNews]:
        """Run the job; draw samples now and then."""
        from napari_rls.workflow.train.train_bundle import train_bundle

        _load()
        sampler = Sampler(self.plan.settings.seed)
        size: int | None = None
        with closing(train_bundle(self.plan.job(), finish=self.finish)) as updates:
            for update in updates:
                step = update.step
                if step is None:
                    yield TrainNews(
                        update=update, must_show=bool(update.message) or bool(update.bundle)
                    )
                    continue
                history = None
                if size != update.size:
                    size, history = update.size, self._history(update.size)
                samples = sampler.draw(step.average, last=step.finished)
                told = step.report or step.score or step.warning or step.finished
                must = bool(told) or samples is not None or history is not None
                yield TrainNews(update=update, samples=samples, history=history, must_show=must)

    def _history(self, size: int | None) -> tuple[tuple[Report, ...], tuple[Score, ...]]:
        from napari_rls.training.run_folder import RunFolder

        folder: Path = self.plan.run_folder
        place = RunFolder(folder if size == self.plan.settings.size else folder / HALF)
        return tuple(place.reports()), tuple(place.scores())


def _load() -> None:
    """Import here what takes long, and draw the first, slow figure, while nobody waits for it."""
    for name in ("torch", "napari_rls.training.run", "matplotlib.backends.backend_qtagg"):
        import_module(name)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([0], [0], label="0")
    figure.legend()
    FigureCanvasAgg(figure).draw()


class Sampler:
    """Draws the same z at every time, as often as training is hardly slower for it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._next = 0.0

    def draw(
        self, average: stylegan2.Generator, *, last: bool = False
    ) -> NDArray[np.float32] | None:
        """Return images of a generator, between two steps, if it is time for them."""
        began = time.monotonic()
        if began < self._next and not last:
            return None
        import torch

        rng = torch.Generator().manual_seed(self._seed)
        z = torch.randn(SAMPLES, average.arch.z_dim, generator=rng)
        with torch.no_grad():
            device = next(average.parameters()).device
            images: NDArray[np.float32] = average(z.to(device)).float().cpu().numpy()
        now = time.monotonic()
        self._next = now + max(SAMPLE_SECONDS, (now - began) / SAMPLE_SHARE)
        return images
