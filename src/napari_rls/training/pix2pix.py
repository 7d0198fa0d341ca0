"""Train a Pix2Pix network: the job behind the command line and the recipes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator as Iterating
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict
from torch import Tensor

from napari_rls.errors import JsonError, TrainingError
from napari_rls.files.json_file import parse_model, shown
from napari_rls.files.whole_file import whole_file
from napari_rls.models.part import Count, Line, Number, Part, PlainSettings
from napari_rls.models.pix2pix import UNet
from napari_rls.search.contained import contained
from napari_rls.search.device import choose_device
from napari_rls.training.dataset import Crops
from napari_rls.training.interrupt import whole_step
from napari_rls.training.pix2pix_settings import MAY_CHANGE, Pix2PixSettings
from napari_rls.training.pix2pix_step import Losses, Pix2PixTrainer
from napari_rls.training.run_folder import locked, unwritable
from napari_rls.training.state import read_state, restore_state, state_tensors
from napari_rls.training.tensor_file import read_note, write_safely

_KEY = "napari-rls-pix2pix"
_FORMAT = 1


@dataclass(frozen=True)
class Report:
    """Means since the last report, and the error on held-out crops, all of -1 to 1.

    ``l1`` is with dropout on training pairs, ``held_out_l1`` without on held-out ones.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    steps: Count
    images_per_second: float
    discriminator_loss: float
    generator_loss: float
    l1: float
    held_out_l1: float


class _Identity(Part):
    """What a training is: all else may change as it is resumed."""

    settings: PlainSettings
    crops: Line
    intensity: tuple[tuple[Number, ...], tuple[Number, ...]]


class _Note(Part):
    """What a checkpoint holds beside tensors."""

    format: Literal[1]
    identity: _Identity
    steps: Count
    reports: tuple[Report, ...]


@dataclass(frozen=True, eq=False)
class Progress:
    """The state of a training after one step.

    Parameters
    ----------
    steps, steps_planned
        Steps made, from the very start, and in all.
    seconds, seconds_left
        Time since this start or resumption, and an estimate of what is left.
    device
        Where it computes.
    network
        The network. It goes on changing: copy what is to be kept.
    report
        Means and held-out error, on steps that complete a report.
    saved
        Whether a checkpoint was written after this step.
    finished
        Whether the training is complete.
    """

    steps: int
    steps_planned: int
    seconds: float
    seconds_left: float
    device: str
    network: UNet
    report: Report | None = None
    saved: bool = False
    finished: bool = False


def train(
    crops: Crops, held_out: Tensor, settings: Pix2PixSettings, folder: Path
) -> Iterating[Progress, None, None]:
    """Train on HR crops and yield after every step; go on with what ``folder`` holds.

    A checkpoint is written every ``settings.checkpoint_minutes``, at the end, and when the
    iteration is closed or broken off by Ctrl-C, always between two steps. A training that
    was stopped and resumed ends with the same weights, bit for bit, as one that went
    through, on the same machine, device and number of threads. One that is complete
    yields once more.

    Parameters
    ----------
    crops
        HR crops to train on.
    held_out
        HR crops (N, C, H, W) in -1 to 1 to look at; they have no part in the training.
    settings
        How to train. A resumed training may only change where it computes and what it
        reports.
    folder
        Holds ``checkpoint.safetensors``, the state, and ``log.jsonl``, one report a line.

    Raises
    ------
    TrainingError
        If the folder holds a training of other settings or crops, a file cannot be
        written, or training diverged. Nothing that was saved is lost.
    SettingsError
        If the device that was asked for is not there.
    """
    return contained(_train(crops, held_out, settings, folder), settings.threads)


def _train(
    crops: Crops, held_out: Tensor, settings: Pix2PixSettings, folder: Path
) -> Iterating[Progress, None, None]:
    device = choose_device(settings.device).device
    _, channels, size, _ = crops.data.shape
    with locked(folder):
        trainer = Pix2PixTrainer(settings, channels, size, device)
        yield from _Loop(crops, held_out, trainer, folder).progress()


class _Loop:
    """Steps, reports and checkpoints of one training."""

    def __init__(
        self, crops: Crops, held_out: Tensor, trainer: Pix2PixTrainer, folder: Path
    ) -> None:
        self.crops, self.held_out = crops, held_out
        self.trainer, self.settings = trainer, trainer.settings
        self.checkpoint, self.log = folder / "checkpoint.safetensors", folder / "log.jsonl"
        self.identity = _Identity(
            settings=self.settings.model_dump(mode="json", exclude=set(MAY_CHANGE)),
            crops=crops.digest(),
            intensity=(crops.map.low, crops.map.high),
        )
        self.reports: list[Report] = []
        self.saved_steps = -1
        if self.checkpoint.exists():
            self._resume()
        self.losses: list[Losses] = []
        self.began_at = trainer.steps
        self.began = self.saved = self.reported = time.monotonic()

    def progress(self) -> Iterating[Progress, None, None]:
        broken = False
        try:
            if self.trainer.steps == self.settings.steps:
                yield self._progress(self.reports[-1] if self.reports else None)
            while self.trainer.steps < self.settings.steps:
                with whole_step():
                    done = self._step()
                yield done
        except TrainingError:
            broken = True
            raise
        finally:
            if not broken and self.saved_steps != self.trainer.steps and self.trainer.finite():
                self._save()

    def _step(self) -> Progress:
        trainer, settings = self.trainer, self.settings
        self.losses.append(trainer.step(self.crops))
        finished = trainer.steps == settings.steps
        report = None
        if finished or trainer.steps % settings.report_steps == 0:
            report = self._report()
        if finished or time.monotonic() - self.saved >= settings.checkpoint_minutes * 60:
            self._check_finite(trainer.finite())
            self._save()
        return self._progress(report)

    def _progress(self, report: Report | None) -> Progress:
        steps, planned = self.trainer.steps, self.settings.steps
        seconds = time.monotonic() - self.began
        return Progress(
            steps=steps,
            steps_planned=planned,
            seconds=seconds,
            seconds_left=(planned - steps) * seconds / max(steps - self.began_at, 1),
            device=str(self.trainer.device),
            network=self.trainer.network,
            report=report,
            saved=self.saved_steps == steps,
            finished=steps == planned,
        )

    def _report(self) -> Report:
        now, count = time.monotonic(), len(self.losses)
        values = [[x.discriminator, x.generator, x.l1] for x in self.losses]
        means = torch.tensor(values).mean(0).tolist()
        self._check_finite(all(map(math.isfinite, means)))
        report = Report(
            steps=self.trainer.steps,
            images_per_second=count * self.settings.batch_size / max(now - self.reported, 1e-9),
            discriminator_loss=means[0],
            generator_loss=means[1],
            l1=means[2],
            held_out_l1=self.trainer.held_out_l1(self.held_out),
        )
        self.losses, self.reported = [], time.monotonic()
        self.reports.append(report)
        try:
            with whole_file(self.log) as draft:
                draft.write_text("".join(json.dumps(asdict(r)) + "\n" for r in self.reports))
        except OSError as error:
            raise unwritable(self.log, error) from None
        return report

    def _check_finite(self, finite: bool) -> None:
        if not finite:
            raise TrainingError(
                f"Training diverged at step {self.trainer.steps} (a number is not finite); start a "
                "new one with a lower learning rate."
            )

    def _parts(self) -> tuple[Any, ...]:
        trainer = self.trainer
        networks = {"network.": trainer.network, "discriminator.": trainer.discriminator}
        return networks, {"adam_g.": trainer.adam_g, "adam_d.": trainer.adam_d}, trainer.streams

    def _save(self) -> None:
        note = {
            "format": _FORMAT,
            "identity": self.identity.model_dump(mode="json"),
            "steps": self.trainer.steps,
            "reports": [asdict(report) for report in self.reports],
        }
        tensors = dict(state_tensors(*self._parts()))
        write_safely(self.checkpoint, tensors, {_KEY: json.dumps(note)})
        self.saved, self.saved_steps = time.monotonic(), self.trainer.steps

    def _resume(self) -> None:
        try:
            note = parse_model(read_note(self.checkpoint).get(_KEY, ""), _Note, nan=True)
        except JsonError as error:
            raise TrainingError(
                f"{self.checkpoint} is not a checkpoint that this version of napari-rls reads "
                f"({error}); train in another folder."
            ) from None
        if reasons := _differing(note.identity, self.identity):
            raise TrainingError(
                f"{self.checkpoint.parent} holds a training of other {', '.join(reasons)}; resume "
                "it with its own or choose another folder."
            )
        parts = self._parts()
        restore_state(read_state(self.checkpoint, *parts), *parts)
        self.trainer.steps = self.saved_steps = note.steps
        self.reports = list(note.reports)


def _differing(old: _Identity, new: _Identity) -> list[str]:
    before, now = old.settings, new.settings
    changed = [
        f"{name} ({shown(str(before.get(name)))}, now {now.get(name)})"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    same = {"crops": old.crops == new.crops, "intensity": old.intensity == new.intensity}
    return changed + [name for name, kept in same.items() if not kept]
