"""Train a generator: the one job behind the widget, the CLI and the recipes."""

from __future__ import annotations

import math
import time
from collections.abc import Generator as Iterating
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.errors import TrainingError
from napari_rls.models.stylegan2 import Generator
from napari_rls.search.contained import contained
from napari_rls.search.device import choose_device, computes_in_bfloat16
from napari_rls.training.checkpoint import (
    load_checkpoint,
    load_start,
    read_numbers,
    save_checkpoint,
)
from napari_rls.training.dataset import Crops
from napari_rls.training.interrupt import kept_steps
from napari_rls.training.means import Means
from napari_rls.training.record import Recorder
from napari_rls.training.run_folder import Report, RunFolder, Score
from napari_rls.training.scoring import Scorer
from napari_rls.training.trainer import Trainer
from napari_rls.training.training_settings import TrainSettings

SAMPLES = 32
"""Images on a sample sheet."""


@dataclass(frozen=True, eq=False)
class Progress:
    """The state of a run after one step.

    Parameters
    ----------
    images, images_planned
        Images shown so far, from the run's very start, and in all.
    seconds, seconds_left
        Time since this start or resumption, and an estimate of what is left.
    device, precision
        Where and in which arithmetic the run computes.
    average
        The averaged generator G_ema. It goes on changing: copy what is to be kept.
    report
        Means since the last report, on steps that complete one.
    samples
        Samples of G_ema (n, C, H, W), -1 to 1, on steps that complete a sheet.
    score
        How far G_ema's images are from held-out real ones, on steps that found it out.
    best
        Whether ``score`` is the best of the run so far.
    saved
        Whether a checkpoint was written after this step.
    warning
        What a person should know, a sentence each; empty if nothing.
    finished
        Whether the run is complete.
    """

    images: int
    images_planned: int
    seconds: float
    seconds_left: float
    device: str
    precision: str
    average: Generator
    report: Report | None = None
    samples: NDArray[np.float32] | None = None
    score: Score | None = None
    best: bool = False
    saved: bool = False
    warning: str = ""
    finished: bool = False


def train(
    data: NDArray[np.generic],
    settings: TrainSettings,
    folder: Path,
    *,
    start: Path | None = None,
    scorer: Scorer | None = None,
) -> Iterating[Progress, None, None]:
    """Train on HR crops and yield after every step; go on with the run that ``folder`` holds.

    A checkpoint is written every ``settings.checkpoint_minutes``, at the end, and when
    the iteration is closed or broken off by Ctrl-C, always between two steps. A run
    that was stopped and resumed ends with the same weights, bit for bit, as one that
    went through, on the same machine, device and number of threads.

    Parameters
    ----------
    data
        HR crops (N, C, H, W) of any real type, in the intensities of ``settings``.
    settings
        The settings. A resumed run may only change how long it is and what it reports.
    folder
        The run's folder; see :class:`~napari_rls.training.run_folder.RunFolder`.
    start
        Checkpoint of another run, bundle, or weights of a generator to start from; of a
        checkpoint the discriminator goes on too. None starts from scratch.
    scorer
        Is given G_ema with every snapshot and at the end, and says how far its images
        are from held-out real ones; the best generator so far is kept. None: no scores.
        It has no part in the training; if it fails, the run warns and goes on.

    Raises
    ------
    TrainingError
        If the data do not fit, the folder holds another run, a final checkpoint
        cannot be written, or training diverged. Nothing that was saved is lost.
    SettingsError
        If the device that was asked for is not there.
    """
    return contained(_train(data, settings, folder, start, scorer), settings.threads)


def _train(
    data: NDArray[np.generic],
    settings: TrainSettings,
    folder: Path,
    start: Path | None,
    scorer: Scorer | None,
) -> Iterating[Progress, None, None]:
    crops = Crops(data, settings)
    choice = choose_device(settings.device)
    place = RunFolder(folder)
    with place.opened(settings, len(crops), crops.digest(), start) as resumable:
        trainer = _trainer(settings, choice.device, place, start, resumable)
        yield from _Loop(crops, place, trainer, scorer).progress()


def _trainer(
    settings: TrainSettings,
    device: torch.device,
    place: RunFolder,
    start: Path | None,
    resumable: bool,
) -> Trainer:
    """Return a trainer where the run in ``place`` stands, or at its very start."""
    dtype: torch.dtype
    if not resumable:
        dtype = chosen_dtype(settings, device)
        if start is None:
            return Trainer(settings, device, dtype)
        first = load_start(start, settings.architecture)
        return Trainer(settings, device, dtype, first.generator, first.discriminator)
    # The machine may be another one; the arithmetic stays what it was.
    dtype = getattr(torch, str(read_numbers(place.checkpoint)["dtype"]))
    trainer = Trainer(settings, device, dtype)
    load_checkpoint(place.checkpoint, trainer)
    place.cut(trainer.images)
    return trainer


def chosen_dtype(settings: TrainSettings, device: torch.device) -> torch.dtype:
    """Return the arithmetic of a new run."""
    if settings.precision == "auto":
        return torch.bfloat16 if computes_in_bfloat16(device) else torch.float32
    return torch.bfloat16 if settings.precision == "bfloat16" else torch.float32


class _Loop:
    """Steps, reports, samples, snapshots and checkpoints of one run."""

    def __init__(
        self, crops: Crops, place: RunFolder, trainer: Trainer, scorer: Scorer | None
    ) -> None:
        self.crops = crops
        self.place = place
        self.trainer = trainer
        self.settings = trainer.settings
        self.planned = math.ceil(self.settings.kimg * 1000)
        self.began_at = trainer.images
        self.began = self.saved = time.monotonic()
        self.means = Means(trainer.images)
        self.record = Recorder(place, trainer.images, scorer, self.settings.channels)
        self.saved_images = trainer.images if place.checkpoint.exists() else -1

    def progress(self) -> Iterating[Progress, None, None]:
        yield from kept_steps(lambda: self.trainer.images < self.planned, self._step, self._keep)

    def _keep(self) -> None:
        if self.saved_images != self.trainer.images and self.trainer.finite():
            save_checkpoint(self.place.checkpoint, self.trainer)

    def _step(self) -> Progress:
        settings, trainer = self.settings, self.trainer
        self.means.add(trainer.step(self.crops))
        finished = trainer.images >= self.planned
        report = samples = score = None
        best = False
        self.record.clear()
        if finished or self._passed(settings.report_kimg):
            report = self.means.report(trainer)
            self._check_finite(math.isfinite(report.discriminator_loss))
            self.record.report(report)
        if finished or self._passed(settings.sample_kimg):
            samples = trainer.samples(SAMPLES).numpy()
            self.record.samples(trainer.images, samples)
        if finished or self._passed(settings.snapshot_kimg):
            score, best = self.record.snapshot(trainer.images, trainer.average)
        if finished or time.monotonic() - self.saved >= settings.checkpoint_minutes * 60:
            self._save(finished)
        seconds = time.monotonic() - self.began
        shown = trainer.images - self.began_at
        return Progress(
            images=trainer.images,
            images_planned=self.planned,
            seconds=seconds,
            seconds_left=max(self.planned - trainer.images, 0) * seconds / shown,
            device=str(trainer.device),
            precision=str(trainer.dtype).removeprefix("torch."),
            average=trainer.average,
            report=report,
            samples=samples,
            score=score,
            best=best,
            saved=self.saved_images == trainer.images,
            warning=" ".join(self.record.warnings),
            finished=finished,
        )

    def _passed(self, kimg: float) -> bool:
        """Tell whether the last step passed a multiple of ``kimg``."""
        now, every = self.trainer.images, kimg * 1000
        return now // every > (now - self.settings.batch_size) // every

    def _save(self, finished: bool) -> None:
        self.saved = time.monotonic()
        self._check_finite(self.trainer.finite())
        if finished:
            save_checkpoint(self.place.checkpoint, self.trainer)
        elif not self.record.attempt(partial(save_checkpoint, self.place.checkpoint, self.trainer)):
            return
        self.saved_images = self.trainer.images

    def _check_finite(self, finite: bool) -> None:
        if not finite:
            raise TrainingError(
                f"Training diverged at {self.trainer.images} images (a number is not finite); "
                "start a new run with a lower learning_rate or a higher r1_gamma."
            )
