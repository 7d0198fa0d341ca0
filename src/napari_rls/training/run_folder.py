"""The folder of a training run: settings, checkpoint, log, sample sheets, kept generators."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_rls.models.stylegan2 import Generator
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
    images; ``snapshots/``: generators (G_ema) to choose from.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"
        self.log = path / "log.jsonl"
        self._record = path / "run.json"

    def open(
        self, settings: TrainSettings, crops: int, data_digest: str, start: Path | None
    ) -> bool:
        """Make the folder, or check that it holds this very run; return whether it can go on.

        Raises
        ------
        TrainingError
            If the folder holds a run of other settings, data or first weights, or
            cannot be written.
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
            _write_text(self._record, record.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise TrainingError(f"Cannot write to {self.path}: {error.strerror}.") from None
        return self.checkpoint.exists()

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
        lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
        return [Report(**json.loads(line)) for line in lines if line.endswith("}\n")]

    def add_report(self, report: Report) -> None:
        """Append a report to the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(_line(report))

    def add_samples(self, images_shown: int, samples: NDArray[np.float32]) -> None:
        """Write a sheet of samples."""
        save_sheet(self.path / "samples" / f"{images_shown // 1000:06d}.png", samples)

    def add_snapshot(self, images_shown: int, generator: Generator, note: dict[str, str]) -> None:
        """Keep a generator."""
        kimg = images_shown // 1000
        checkpoint.save_generator(
            self.path / "snapshots" / f"{kimg:06d}.safetensors", generator, note
        )


def _line(report: Report) -> str:
    return json.dumps(asdict(report)) + "\n"


def _write_text(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
