"""The training of one network of a bundle: its steps, reports and checkpoints."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from collections.abc import Generator as Iterating
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

from napari_rls.errors import JsonError, TrainingError
from napari_rls.files.changes import changes, told_changes
from napari_rls.files.json_file import parse_model
from napari_rls.files.whole_file import whole_file
from napari_rls.models.part import Count, Line, Number, Part, PlainSettings
from napari_rls.search.contained import contained
from napari_rls.search.device import choose_device
from napari_rls.training.dataset import Crops
from napari_rls.training.interrupt import kept_steps
from napari_rls.training.loop_parts import Kind, NetworkT, ReportT, Trainer, all_finite
from napari_rls.training.loop_settings import LoopSettings
from napari_rls.training.run_folder import locked, unwritable
from napari_rls.training.state import read_state, restore_state, state_tensors
from napari_rls.training.tensor_file import read_note, write_safely

MAY_CHANGE = frozenset({"device", "threads", "checkpoint_minutes", "report_steps"})
"""Settings that a resumed training may change: they alter no random number and no weight's path."""

_FORMAT = 1

_Read = TypeVar("_Read")


@dataclass(frozen=True, eq=False)
class Progress(Generic[NetworkT, ReportT]):
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
    network: NetworkT
    report: ReportT | None = None
    saved: bool = False
    finished: bool = False


class _Identity(Part):
    """What a training is: all else may change as it is resumed."""

    settings: PlainSettings
    crops: Line
    intensity: tuple[tuple[Number, ...], tuple[Number, ...]]


class _Note(Part, Generic[_Read]):
    """What a checkpoint holds beside tensors."""

    format: Literal[1]
    identity: _Identity
    steps: Count
    reports: tuple[_Read, ...]


def train_network(
    make: Callable[[torch.device], Trainer[NetworkT]],
    crops: Crops,
    held_out: Tensor,
    settings: LoopSettings,
    folder: Path,
    kind: Kind[ReportT],
) -> Iterating[Progress[NetworkT, ReportT], None, None]:
    """Train on HR crops and yield after every step; go on with what ``folder`` holds.

    A checkpoint is written every ``settings.checkpoint_minutes``, at the end, and when the
    iteration is closed or broken off by Ctrl-C, always between two steps. A training that
    was stopped and resumed ends with the same weights, bit for bit, as one that went
    through, on the same machine, device and number of threads. One that is complete
    yields once more.

    Parameters
    ----------
    make
        Makes the trainer that computes on a device, with its first weights.
    crops
        HR crops to train on.
    held_out
        HR crops (N, C, H, W) in -1 to 1 to look at; they have no part in the training.
    settings
        How to train. A resumed training may only change where it computes and what it
        reports.
    folder
        Holds ``checkpoint.safetensors``, the state, and ``log.jsonl``, one report a line.
    kind
        What is trained.

    Raises
    ------
    TrainingError
        If the folder holds a training of other settings or crops, a file cannot be
        written, or training diverged. Nothing that was saved is lost.
    SettingsError
        If the device that was asked for is not there.
    """

    def work() -> Iterating[Progress[NetworkT, ReportT], None, None]:
        device = choose_device(settings.device).device
        with locked(folder):
            yield from _Loop(crops, held_out, make(device), settings, device, folder, kind).run()

    return contained(work(), settings.threads)


class _Loop(Generic[NetworkT, ReportT]):
    """Steps, reports and checkpoints of one training."""

    def __init__(
        self,
        crops: Crops,
        held_out: Tensor,
        trainer: Trainer[NetworkT],
        settings: LoopSettings,
        device: torch.device,
        folder: Path,
        kind: Kind[ReportT],
    ) -> None:
        self.crops, self.held_out = crops, held_out
        self.trainer, self.settings, self.device, self.kind = trainer, settings, device, kind
        self.checkpoint, self.log = folder / "checkpoint.safetensors", folder / "log.jsonl"
        chosen = settings.model_dump(mode="json", exclude=set(MAY_CHANGE))
        self.identity = _Identity(
            settings={**chosen, **kind.known_by},
            crops=crops.digest(),
            intensity=(crops.map.low, crops.map.high),
        )
        self.reports: list[ReportT] = []
        self.saved_steps = -1
        if self.checkpoint.exists():
            self._resume()
        self.losses: list[Mapping[str, Tensor]] = []
        self.began_at = trainer.steps
        self.began = self.saved = self.reported = time.monotonic()

    def run(self) -> Iterating[Progress[NetworkT, ReportT], None, None]:
        trainer, planned = self.trainer, self.settings.steps
        if trainer.steps == planned:
            yield self._progress(self.reports[-1] if self.reports else None)
        yield from kept_steps(lambda: trainer.steps < planned, self._step, self._keep)

    def _keep(self) -> None:
        if self.saved_steps != self.trainer.steps and self._finite:
            self._save()

    def _step(self) -> Progress[NetworkT, ReportT]:
        trainer, settings = self.trainer, self.settings
        self.losses.append(trainer.step(self.crops).named())
        finished = trainer.steps == settings.steps
        report = None
        if finished or trainer.steps % settings.report_steps == 0:
            report = self._report()
        if finished or time.monotonic() - self.saved >= settings.checkpoint_minutes * 60:
            self._check_finite(self._finite)
            self._save()
        return self._progress(report)

    def _progress(self, report: ReportT | None) -> Progress[NetworkT, ReportT]:
        steps, planned = self.trainer.steps, self.settings.steps
        seconds = time.monotonic() - self.began
        return Progress(
            steps=steps,
            steps_planned=planned,
            seconds=seconds,
            seconds_left=(planned - steps) * seconds / max(steps - self.began_at, 1),
            device=str(self.device),
            network=self.trainer.network,
            report=report,
            saved=self.saved_steps == steps,
            finished=steps == planned,
        )

    def _report(self) -> ReportT:
        now, count = time.monotonic(), len(self.losses)
        means = torch.tensor([list(seen.values()) for seen in self.losses]).mean(0).tolist()
        self._check_finite(all(map(math.isfinite, means)))
        make: Callable[..., ReportT] = self.kind.report
        report = make(
            steps=self.trainer.steps,
            images_per_second=count * self.settings.batch_size / max(now - self.reported, 1e-9),
            **dict(zip(self.losses[0], means, strict=True)),
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

    @property
    def _finite(self) -> bool:
        networks, _, _ = self.trainer.parts
        return all_finite(networks.values())

    def _check_finite(self, finite: bool) -> None:
        if not finite:
            raise TrainingError(
                f"Training diverged at step {self.trainer.steps} (a number is not finite); start a "
                "new one with a lower learning rate."
            )

    def _save(self) -> None:
        note = {
            "format": _FORMAT,
            "identity": self.identity.model_dump(mode="json"),
            "steps": self.trainer.steps,
            "reports": [asdict(report) for report in self.reports],
        }
        tensors = dict(state_tensors(*self.trainer.parts))
        write_safely(self.checkpoint, tensors, {self.kind.key: json.dumps(note)})
        self.saved, self.saved_steps = time.monotonic(), self.trainer.steps

    def _resume(self) -> None:
        kind = self.kind
        try:
            text = read_note(self.checkpoint).get(kind.key, "")
            note: _Note[ReportT] = parse_model(text, _Note[kind.report], nan=True)  # type: ignore[name-defined]
        except JsonError as error:
            raise TrainingError(
                f"{self.checkpoint} is not a checkpoint that this version of napari-rls reads "
                f"({error}); train in another folder."
            ) from None
        if reasons := _differing(note.identity, self.identity):
            raise TrainingError(
                f"{self.checkpoint.parent} holds a training of other settings "
                f"({told_changes(reasons)}); resume it with its own or choose another folder."
            )
        parts = self.trainer.parts
        restore_state(read_state(self.checkpoint, *parts), *parts)
        self.trainer.steps = self.saved_steps = note.steps
        self.reports = list(note.reports)


def _differing(old: _Identity, new: _Identity) -> list[str]:
    same = {"crops": old.crops == new.crops, "intensity": old.intensity == new.intensity}
    others = [f"other {name}" for name, kept in same.items() if not kept]
    return [*changes(old.settings, new.settings), *others]
