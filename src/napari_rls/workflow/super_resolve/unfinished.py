"""Batches of a run that is not finished yet, kept beside its SR file: nothing is searched twice.

The folder ``NAME.unfinished`` holds ``run.json``, the record of the run as it began, and a file
for each finished batch. It is there as long as the run's files are not, whatever ended the run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from safetensors import SafetensorError
from safetensors.numpy import load, save

from napari_rls.errors import BusyError, InputError, JsonError
from napari_rls.files.changes import changes, told_changes
from napari_rls.files.json_file import parse_json, parse_model, read_json
from napari_rls.files.whole_file import whole_file
from napari_rls.models.part import Checked
from napari_rls.search.operators import DEFAULT_OPERATOR
from napari_rls.workflow.cells.read import read_record
from napari_rls.workflow.cells.write import stem, write_json
from napari_rls.workflow.super_resolve.result import UNFINISHED_STATUS, CellRecord, Collector
from napari_rls.workflow.super_resolve.trace import Trace

SUFFIX = ".unfinished"

_RECORD, _LOCK, _ENDING = "run.json", "run.lock", ".batch"
_IMAGE = "LR image"
_NOT_COMPARED = ("bundle", "threads")
"""Settings of which a run is the same: the bundle is compared by its content."""


class _Note(Checked):
    """What a batch's file says beside its pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    cells: tuple[int, ...]
    records: tuple[CellRecord, ...]
    rows: list[dict[str, float]]
    seconds: float
    every: int
    sha256: str


class Unfinished:
    """What is kept of the run of one SR file.

    Parameters
    ----------
    target
        The SR file.
    others
        The run's other files; None if the caller knows that the run is not finished.
    result
        The run's result, begun.
    trace
        Its trace, begun, or None.

    Attributes
    ----------
    problem
        Why a finished batch could not be kept, in a sentence, or "".
    rows
        What was kept beside the pixels of the batches that were taken over.
    """

    def __init__(
        self,
        target: Path,
        others: Sequence[Path] | None,
        result: Collector,
        trace: Trace | None = None,
    ) -> None:
        self.target = target
        self.others = None if others is None else tuple(others)
        self.folder = target.with_name(stem(target) + SUFFIX)
        self.result = result
        self.trace = trace
        self.problem = ""
        self.rows: list[dict[str, float]] = []
        self._record = result.provenance()
        identity = json.dumps(_identity(self._record), sort_keys=True, default=str)
        self._run = hashlib.sha256(identity.encode()).hexdigest()
        self._owed: list[tuple[NDArray[np.intp], list[dict[str, float]]]] = []

    def finished(self) -> bool:
        """Tell whether the files of this very run are there already, and whole.

        Raises
        ------
        InputError
            If files are there that are of another run, or an unfinished run is.
        """
        if self.folder.exists() and (self.folder / _RECORD).exists():
            self._check(self._kept_record(), f"{self.folder} holds an unfinished run")
            return False
        files = (self.target, *(self.others or ()))
        there = [path for path in files if path.exists()]
        if not there:
            return False
        replace = "give --overwrite to replace it"
        old = _record_of(self.target) if self.target.exists() else {}
        if not old:
            raise InputError(f"{there[0]} exists already; {replace}.")
        if found := differing(old, self._record):
            begun = "exists already" if old.get("complete") else "is of an unfinished run"
            raise InputError(
                f"{self.target} {begun}; {replace} (it was made otherwise: {told_changes(found)})."
            )
        if old.get("complete") and len(there) < len(files):
            raise InputError(
                f"{self.target} exists already, without all that goes with it; {replace}."
            )
        return bool(old.get("complete"))

    @contextmanager
    def opened(self, *, anew: bool) -> Iterator[frozenset[int]]:
        """Keep other processes out, and give the cells that need no search; see :meth:`finished`.

        They are in the result by then. ``anew`` drops what was kept.

        Raises
        ------
        InputError
            As :meth:`finished`.
        BusyError
            If another process makes the same file.
        OSError
            If the folder cannot be written to.
        """
        lock = filelock.FileLock(self.folder / _LOCK)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise BusyError(
                f"Another process is making {self.target}; wait for its end or choose another "
                "folder."
            ) from None
        try:
            if anew:
                self._clear()
            elif self.others is not None and self.finished():
                raise BusyError(f"{self.target} has just been finished by another process.")
            yield self._restored()
        finally:
            self._leave(lock)

    def keep(self, cells: NDArray[np.intp], rows: Sequence[dict[str, float]] = ()) -> None:
        """Keep cells that are finished; if that fails, ``problem`` says so, and it is tried again.

        ``rows`` are numbers that the caller needs of them.

        A run goes on without: it only has to search those cells again if it is stopped.
        """
        self._owed.append((cells, list(rows)))
        self.problem = ""
        try:
            while self._owed:
                self._write(*self._owed[0])
                del self._owed[0]
        except OSError as error:
            self.problem = (
                f"Finished cells cannot be kept in {self.folder} ({error.strerror or error}): if "
                "the run is stopped, they are lost."
            )

    def remove(self) -> None:
        """Forget what was kept: the run's files are whole."""
        self._clear()

    def _kept_record(self) -> Mapping[str, Any]:
        try:
            record = read_json(self.folder / _RECORD)
            datetime.fromisoformat(record["started"])
        except (JsonError, OSError, KeyError, TypeError, ValueError):
            raise InputError(
                f"{self.folder / _RECORD} cannot be read; give --overwrite to begin the run anew."
            ) from None
        assert isinstance(record, dict)
        return record

    def _check(self, old: Mapping[str, Any], what: str) -> None:
        if found := differing(old, self._record):
            raise InputError(
                f"{what} that was begun otherwise ({told_changes(found)}); finish it as it was "
                "begun, or give --overwrite to begin anew."
            )

    def _restored(self) -> frozenset[int]:
        """Put what is kept into the result, and return its cells; begin if nothing is."""
        if not (self.folder / _RECORD).exists():
            self._clear()
            write_json(self.folder / _RECORD, self._record)
            return frozenset()
        old = self._kept_record()
        self._check(old, f"{self.folder} holds an unfinished run")
        seconds = 0.0
        found: set[int] = set()
        for file in sorted(self.folder.glob(f"*{_ENDING}")):
            note = self._read(file)
            if note is not None:
                found |= set(note.cells)
                self.rows += note.rows
                seconds = max(seconds, note.seconds)
        self.result.go_on(datetime.fromisoformat(old["started"]), seconds)
        return frozenset(found)

    def _write(self, cells: NDArray[np.intp], rows: list[dict[str, float]]) -> None:
        result, trace = self.result, self.trace
        arrays = {"sr": result.sr[cells]}
        if result.samples is not None:
            arrays["samples"] = result.samples[:, cells]
        if trace is not None:
            arrays["frames"] = trace.frames[:, cells]
        records = [asdict(result.cells[cell]) for cell in cells]
        note = {
            "run": self._run,
            "cells": cells.tolist(),
            "records": records,
            "rows": rows,
            "seconds": result.seconds,
            "every": trace.every if trace else 0,
            "sha256": _digest(arrays),
        }
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / _RECORD).exists():
            write_json(self.folder / _RECORD, result.provenance())
        with whole_file(self.folder / f"{cells[0]:07d}{_ENDING}") as draft:
            draft.write_bytes(save(arrays, {"note": json.dumps(note)}))

    def _read(self, file: Path) -> _Note | None:
        """Take over a batch; None if it is damaged or of no use, and so searched again."""
        result, trace = self.result, self.trace
        try:
            content = file.read_bytes()
            length = int.from_bytes(content[:8], "little")
            header = parse_json(content[8 : 8 + length])
            note = parse_model(header["__metadata__"]["note"], _Note, nan=True)
            arrays = load(content)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None
        cells = np.array(note.cells, np.intp)
        count, images = len(cells), result.sr.shape[1:]
        samples = result.run.settings.samples if result.run else 0
        shapes = {"sr": (count, *images)}
        shapes |= {"samples": (samples, count, *images)} if samples else {}
        shapes |= {"frames": (len(trace.frames), count, *images)} if trace else {}
        whole = (
            note.run == self._run
            and count == len(note.records) == len(set(note.cells)) > 0
            and 0 <= cells.min() <= cells.max() < len(result.sr)
            and not any(record.status in UNFINISHED_STATUS for record in note.records)
            and {n: a.shape for n, a in arrays.items() if n in shapes} == shapes
            and all(array.dtype == np.float32 for array in arrays.values())
            and (trace is None or note.every == trace.every)
            and _digest(arrays) == note.sha256
        )
        if not whole:
            return None
        result.restore(cells, arrays["sr"], arrays.get("samples"), note.records)
        if trace is not None:
            trace.frames[:, cells] = arrays["frames"]
        return note

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():  # a draft of a writer that was killed
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink(missing_ok=True)

    def _leave(self, lock: filelock.BaseFileLock) -> None:
        """Give the folder free; without a run in it, it goes, while others are still kept out."""
        try:
            left = {path.name for path in self.folder.iterdir()} - {_LOCK}
            if not left:
                with suppress(OSError):
                    (self.folder / _LOCK).unlink()
                    self.folder.rmdir()
        except FileNotFoundError:
            pass
        finally:
            lock.release()
            if os.name == "nt":  # An open file cannot be deleted there.
                with suppress(OSError):
                    self.folder.rmdir()


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return in what the records of two runs differ that makes other pixels; [] if in nothing."""
    one, two = _identity(old), _identity(new)
    image = ["another LR image"] if one[_IMAGE] != two[_IMAGE] else []
    return [*image, *changes(one, two, leave_out=[_IMAGE])]


def _identity(record: Mapping[str, Any]) -> dict[str, object]:
    """Return all of a record that determines pixels, by the names that people know."""

    def part(name: str) -> Mapping[str, Any]:
        value = record.get(name)
        return value if isinstance(value, dict) else {}

    bundle = part("bundle")
    # Records of before there was a choice of operators do not name it.
    settings = {"operator": DEFAULT_OPERATOR} | {
        k: v for k, v in part("settings").items() if k not in _NOT_COMPARED
    }
    # What "auto" came to is compared by itself.
    chosen = {name: record.get(name) for name in ("device", "precision", "start")}
    return {
        _IMAGE: part("input").get("sha256"),
        "bundle": f"{bundle.get('name')} ({str(bundle.get('content_hash'))[:16]})",
        **settings,
        **chosen,
        "version": part("software").get("napari-rls"),
    }


def _record_of(path: Path) -> Mapping[str, Any]:
    try:
        return read_record(path)
    except InputError:
        return {}


def _digest(arrays: Mapping[str, NDArray[np.float32]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
