"""The folder of a training run: settings, checkpoint, log, sample sheets, kept generators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_rls.models.stylegan2 import Generator
from napari_rls.models.whole_file import whole_file
from napari_rls.training import checkpoint
from napari_rls.training.grid import save_sheet
from napari_rls.training.settings import TrainingError, TrainSettings, differing


@dataclass(frozen=True)
class Report:
    """Means since the last report; NaN for what did not happen in that time.

    ``real_sign`` is the mean sign of D on real images, ``ada_p`` the augmentation
    probability that ADA makes of it.
    """

    images: int
    images_per_second: float
    discriminator_loss: float
    generator_loss: float
    r1: float
    path_length: float
    ada_p: float
    real_sign: float


class _Record(BaseModel):
    """What a run is: anything else in it is another run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: TrainSettings
    crops: int
    data_digest: str
    start: str = ""
    start_digest: str = ""


class RunFolder:
    """The files of one run.

    ``run.json``: settings and what the data and first weights were; ``checkpoint.safetensors``:
    the state; ``log.jsonl``: one report a line; ``samples/``: sheets of generated
    images; ``snapshots/``: generators (G_ema) to choose from. What cannot be written
    raises TrainingError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"
        self.log = path / "log.jsonl"
        self._record = path / "run.json"

    @contextmanager
    def opened(
        self, settings: TrainSettings, crops: int, data_digest: str, start: Path | None
    ) -> Iterator[bool]:
        """Make the folder, or check that it holds this very run; yield whether it can go on.

        Until the block ends no other process can open the folder.

        Raises
        ------
        TrainingError
            If the folder holds a run of other settings, data or first weights, is in
            use, or cannot be written.
        """
        record = _Record(
            settings=settings,
            crops=crops,
            data_digest=data_digest,
            start="" if start is None else start.name,
            start_digest="" if start is None else checkpoint.file_digest(start),
        )
        if self._record.exists():
            self._check_same(record)
        elif self.path.exists() and any(self.path.iterdir()):
            raise TrainingError(
                f"{self.path} holds files but no training run; choose an empty or new folder."
            )
        try:
            for folder in (self.path, self.path / "samples", self.path / "snapshots"):
                folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.path / "run.lock")
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise TrainingError(
                f"Another process is training in {self.path}; wait for its end or choose "
                "another folder."
            ) from None
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            _write_text(self._record, record.model_dump_json(indent=2) + "\n")
            yield self.checkpoint.exists()
        finally:
            lock.release()

    def _check_same(self, record: _Record) -> None:
        try:
            old = _Record.model_validate_json(self._record.read_text(encoding="utf-8"))
        except (ValidationError, OSError, UnicodeDecodeError):
            raise TrainingError(
                f"{self._record} cannot be read; start the run in another folder."
            ) from None
        reasons = differing(old.settings, record.settings)
        if old.data_digest != record.data_digest:
            reasons.append(f"crops: {old.crops} of them, now {record.crops} others")
        if old.start_digest != record.start_digest:
            reasons.append(f"first weights: {old.start or 'none'}, now {record.start or 'none'}")
        if reasons:
            raise TrainingError(
                f"{self.path} holds a run of other settings ({'; '.join(reasons)}); resume it "
                "with its own settings or choose another folder."
            )

    def cut_log(self, images: int) -> None:
        """Drop the reports of what was done after the checkpoint and is now done again."""
        if self.log.exists():
            lines = [r for r in self.reports() if r.images <= images]
            _write_text(self.log, "".join(_line(r) for r in lines))

    def reports(self) -> list[Report]:
        """Return the reports so far; a line that was cut off in the writing is left out."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [report for line in lines if (report := _parsed(line))]

    def add_report(self, report: Report) -> None:
        """Append a report to the log."""
        try:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(_line(report))
        except OSError as error:
            raise _unwritable(self.log, error) from None

    def add_samples(self, images_shown: int, samples: NDArray[np.float32]) -> None:
        """Write a sheet of samples."""
        file = self.path / "samples" / f"{images_shown // 1000:06d}.png"
        try:
            save_sheet(file, samples)
        except OSError as error:
            raise _unwritable(file, error) from None

    def add_snapshot(self, images_shown: int, generator: Generator, note: dict[str, str]) -> None:
        """Keep a generator."""
        kimg = images_shown // 1000
        checkpoint.save_generator(
            self.path / "snapshots" / f"{kimg:06d}.safetensors", generator, note
        )


def _line(report: Report) -> str:
    return json.dumps(asdict(report)) + "\n"


def _parsed(line: str) -> Report | None:
    try:
        return Report(**json.loads(line))
    except (json.JSONDecodeError, TypeError):
        return None


def _unwritable(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"Cannot write {path} ({error.strerror}); free some disk space.")


def _write_text(path: Path, text: str) -> None:
    try:
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from None
