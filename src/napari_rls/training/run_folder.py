"""The folder of a training run: settings, checkpoint, log, sample sheets, kept generators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import filelock
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from napari_rls.errors import JsonError, TrainingError
from napari_rls.files.json_file import parse_model, read_model
from napari_rls.files.whole_file import append_whole, sweep, whole_file
from napari_rls.models.part import Checked, Count
from napari_rls.models.stylegan2 import Generator
from napari_rls.training import checkpoint, tensor_file
from napari_rls.training.grid import save_sheet
from napari_rls.training.training_settings import TrainSettings, differing


@dataclass(frozen=True)
class Report:
    """Means since the last report; NaN for what did not happen in that time.

    ``real_sign`` is the mean sign of D on real images, ``ada_p`` the augmentation
    probability that ADA makes of it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    images: Count
    images_per_second: float
    discriminator_loss: float
    generator_loss: float
    r1: float
    path_length: float
    ada_p: float
    real_sign: float


@dataclass(frozen=True)
class Score:
    """How far the images of G_ema are from held-out real ones, after ``images`` images.

    ``kid`` with its standard deviation over subsets and ``fid`` were computed on the
    features of the network named ``features``; distances of different feature networks
    cannot be compared.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    images: Count
    kid: float
    kid_std: float
    fid: float
    features: str


_Entry = TypeVar("_Entry", Report, Score)


class _Record(Checked):
    """What a run is: anything else in it is another run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: TrainSettings
    crops: int
    data_digest: str
    start: str = ""
    start_digest: str = ""


_PARTS = ("samples", "snapshots")

_SCORE = "score"
"""Key of the score in the metadata of the best generator."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a run's folder if need be and keep other processes out of it until the block ends.

    The file of the lock, ``run.lock``, stays, and is empty. To remove it would let two
    processes in: one that has just opened it holds a lock on a file without a name, and the
    next one makes and locks a new file.

    Raises
    ------
    TrainingError
        If another process trains in it, or it cannot be written.
    """
    lock = filelock.FileLock(folder / "run.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise TrainingError(
            f"Another process is training in {folder}; wait for its end or choose another folder."
        ) from None
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        for place in (folder, *(folder / name for name in _PARTS)):
            sweep(place)
        yield
    finally:
        lock.release()


class RunFolder:
    """The files of one run.

    ``run.json``: settings and what the data and first weights were; ``checkpoint.safetensors``:
    the state; ``log.jsonl``: one report a line; ``scores.jsonl``: one score a line;
    ``samples/``: sheets of generated images; ``tensorboard/``: all three as event files;
    ``snapshots/``: generators (G_ema) to choose from; ``best.safetensors``: the one of lowest
    KID, if there are scores; ``run.lock``: see :func:`locked`. What cannot be written raises
    TrainingError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"
        self.log = path / "log.jsonl"
        self.best = path / "best.safetensors"
        self.board = path / "tensorboard"
        self._scores = path / "scores.jsonl"
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
            start_digest="" if start is None else tensor_file.file_digest(start),
        )
        if self._record.exists():
            self._check_same(record)
        elif not self._is_free():
            raise TrainingError(
                f"{self.path} holds files but no training run; choose an empty or new folder."
            )
        with locked(self.path):
            try:
                for name in _PARTS:
                    (self.path / name).mkdir(exist_ok=True)
            except OSError as error:
                raise unwritable(self.path, error) from None
            _write_text(self._record, record.model_dump_json(indent=2) + "\n")
            yield self.checkpoint.exists()

    def _is_free(self) -> bool:
        """Whether the folder is new or empty, or a job has put the crops of this run there."""
        sweep(self.path)
        prepared = (self.path / "crops.json").exists()
        return prepared or not self.path.exists() or not any(self.path.iterdir())

    def _check_same(self, record: _Record) -> None:
        try:
            old = read_model(self._record, _Record)
        except (JsonError, OSError) as error:
            raise TrainingError(
                f"{self._record} cannot be read ({error}); start the run in another folder."
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

    def cut(self, images: int) -> None:
        """Drop reports and scores of what was done after the checkpoint and is now done again.

        If the best generator is one of those, the best of the others takes its place.
        """
        for file, entries in ((self.log, self.reports()), (self._scores, self.scores())):
            if file.exists():
                _write_text(file, "".join(_line(e) for e in entries if e.images <= images))
        best = self.best_score()
        if best is None or best.images <= images:
            return
        self.best.unlink()
        for score in sorted(self.scores(), key=lambda s: s.kid):
            file = self._snapshot(score.images)
            # The snapshot of a kimg is overwritten by a later one of the same kimg.
            if score.features == best.features and _note(file).get("images") == str(score.images):
                tensor_file.annotate(file, self.best, {_SCORE: _line(score).strip()})
                return

    def reports(self) -> list[Report]:
        """Return the reports so far; a line that is damaged or was cut off is left out."""
        return _entries(self.log, Report)

    def scores(self) -> list[Score]:
        """Return the scores so far; a line that is damaged or was cut off is left out."""
        return _entries(self._scores, Score)

    def best_score(self) -> Score | None:
        """Return the score of the generator in ``best``, or None if there is none to be read."""
        return _parsed(_note(self.best).get(_SCORE, ""), Score)

    def add_report(self, report: Report) -> None:
        """Append a report to the log."""
        _append(self.log, report)

    def add_score(self, score: Score) -> None:
        """Append a score."""
        _append(self._scores, score)

    def add_best(self, generator: Generator, score: Score, note: dict[str, str]) -> None:
        """Keep a generator as the best one."""
        note = {**note, _SCORE: _line(score).strip()}
        checkpoint.save_generator(self.best, generator, note)

    def add_samples(self, images_shown: int, samples: NDArray[np.float32]) -> None:
        """Write a sheet of samples."""
        file = self.path / "samples" / f"{images_shown // 1000:06d}.png"
        try:
            save_sheet(file, samples)
        except OSError as error:
            raise unwritable(file, error) from None

    def add_snapshot(self, images_shown: int, generator: Generator, note: dict[str, str]) -> None:
        """Keep a generator."""
        checkpoint.save_generator(self._snapshot(images_shown), generator, note)

    def _snapshot(self, images_shown: int) -> Path:
        return self.path / "snapshots" / f"{images_shown // 1000:06d}.safetensors"


def _line(entry: Report | Score) -> str:
    return json.dumps(asdict(entry)) + "\n"


def _entries(file: Path, kind: type[_Entry]) -> list[_Entry]:
    if not file.exists():
        return []
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise TrainingError(f"{file} cannot be read ({error.strerror}).") from None
    return [entry for line in lines if (entry := _parsed(line, kind))]


def _parsed(line: bytes | str, kind: type[_Entry]) -> _Entry | None:
    try:
        return parse_model(line, kind, nan=True)
    except JsonError:
        return None


def _append(file: Path, entry: Report | Score) -> None:
    try:
        append_whole(file, _line(entry).encode())
    except OSError as error:
        raise unwritable(file, error) from None


def _note(file: Path) -> dict[str, str]:
    """Return what stands beside a generator's weights; nothing if they cannot be read."""
    try:
        return tensor_file.read_note(file)
    except TrainingError:
        return {}


def unwritable(path: Path, error: OSError) -> TrainingError:
    """Return the error that says that a file of the run cannot be written."""
    return TrainingError(f"Cannot write {path} ({error.strerror}); free some disk space.")


def _write_text(path: Path, text: str) -> None:
    try:
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from None
