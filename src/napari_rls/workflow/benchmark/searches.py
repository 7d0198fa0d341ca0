"""One search of a benchmark: run, or read from the run folder; written whole."""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import (
    read_array,
    read_array_header_1_0,
    read_array_header_2_0,
    read_magic,
)
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_rls.files.json_file import read_model
from napari_rls.files.whole_file import whole_file
from napari_rls.training.interrupt import whole_step
from napari_rls.workflow.benchmark.plan import Job
from napari_rls.workflow.cells.degrade import degrade_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_json
from napari_rls.workflow.super_resolve.resolver import SuperResolver, Update
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.unfinished import Unfinished

_TRACE = "trace_"
_TRACE_BYTES = 2**24

STEP, SECONDS, OBJECTIVE, LR_ERROR = "step", "seconds_per_cell", "objective", "lr_error"


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a search gave.

    Parameters
    ----------
    sr
        SR images (n, C, H, W), float32, in the HR images' unit; NaN where a cell failed
        without any image.
    samples
        Samples (S, n, C, H, W), or None.
    seconds
        Wall time of the whole search.
    trace
        A row per step: ``step``; ``seconds_per_cell``, time since a batch's start over its
        cells; ``objective``, the method's own, and ``lr_error``, mean absolute error of the
        degraded SR image in the image's unit, both means over cells.
    record
        Provenance of the run.
    """

    sr: NDArray[np.float32]
    samples: NDArray[np.float32] | None
    seconds: float
    trace: pd.DataFrame
    record: dict[str, Any]

    @property
    def seconds_per_cell(self) -> float:
        """Wall time over cells."""
        return self.seconds / len(self.sr)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which cells (n,) have an image without NaN."""
        return np.asarray(np.isfinite(self.sr).all((1, 2, 3)))

    @property
    def failed(self) -> int:
        """Number of cells whose search failed or could not begin, with an image or without."""
        counts = Counter(str(cell["status"]) for cell in self.record["cells"])
        return counts["failed"] + counts["skipped"]


def lr_cells(hr: CellStack, job: Job) -> CellStack:
    """Return the LR images that a job starts from."""
    cells = list(job.cells)
    chosen = replace(hr, data=hr.data[cells], crops=tuple(hr.crops[k] for k in cells))
    return degrade_stack(chosen, job.degrade)


def run(
    job: Job, hr: CellStack, resolver: SuperResolver, folder: Path
) -> Iterator[Update | RunResult]:
    """Search, yield every update, and at the end the result, which is then in the folder.

    Batches that an earlier call has finished are not searched again.

    Raises
    ------
    InputError, SettingsError, BundleError
        If the method cannot run on these cells with this bundle.
    BusyError
        If another process makes the same search.
    OSError
        If the result cannot be written.
    """
    lr = lr_cells(hr, job)
    search = resolver.with_settings(job.settings).prepare(lr)
    collector = Collector(lr, search.run.manifest.hr_size)
    collector.begin(search.run)
    unfinished = Unfinished(folder / f"{job.key}.npz", None, collector)
    with unfinished.opened(anew=False) as kept:
        trace = _Tracer(unfinished.rows)
        for update in search.updates(kept):
            collector.add(update)
            trace.add(update)
            if update.finished:
                with whole_step():
                    unfinished.keep(update.cells, trace.rows_of_batch())
            yield update
        result = RunResult(
            collector.sr,
            collector.samples,
            collector.seconds,
            trace.table(),
            collector.provenance() | {"degradation": job.degradation},
        )
        save(result, job, folder)
        unfinished.remove()
    yield result


def save(result: RunResult, job: Job, folder: Path) -> None:
    """Write a result as KEY.npz and, once that is there, its record KEY.json."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {"sr": result.sr, "seconds": np.array(result.seconds)}
    if result.samples is not None:
        arrays["samples"] = result.samples
    arrays |= {f"{_TRACE}{name}": result.trace[name].to_numpy() for name in result.trace}
    with whole_file(folder / f"{job.key}.npz") as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    write_json(folder / f"{job.key}.json", result.record)


def load(job: Job, folder: Path, shape: tuple[int, ...]) -> RunResult | None:
    """Read what :func:`save` wrote; None if it is not there, incomplete or damaged.

    Parameters
    ----------
    job, folder
        The search, and where its result is.
    shape
        Shape (C, H, W) of an SR image.
    """
    images = (len(job.cells), *shape)
    try:
        record = read_model(folder / f"{job.key}.json", _Record)
        arrays = _arrays(
            folder / f"{job.key}.npz", 4 * math.prod(images) * (1 + job.settings.samples)
        )
        trace = {n.removeprefix(_TRACE): a for n, a in arrays.items() if n.startswith(_TRACE)}
        result = RunResult(
            arrays["sr"],
            arrays.get("samples"),
            float(arrays["seconds"]),
            pd.DataFrame(trace),
            record.model_dump(),
        )
    except Exception:  # noqa: BLE001  damaged files raise all sorts of errors
        return None
    return result if _is_of(result, job, images) else None


class _Cell(BaseModel):
    model_config = ConfigDict(extra="allow")

    status: str


class _Record(BaseModel):
    """What is read of the record of a search; all else in it is kept as it is."""

    model_config = ConfigDict(extra="allow")

    cells: list[_Cell]
    device: str


def _arrays(path: Path, most: int) -> dict[str, NDArray[Any]]:
    """Read arrays of ``most`` bytes and a trace, if each is as large as is stored of it."""
    found = {}
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > most + _TRACE_BYTES:
            raise ValueError("it is larger than a result can be")
        for entry in archive.infolist():
            with archive.open(entry) as part:
                read = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
                shape, _, dtype = read[read_magic(part)](part)
            if math.prod(shape) * dtype.itemsize > entry.file_size:
                raise ValueError("an array of it is not all there")
            with archive.open(entry) as part:
                array = read_array(part, allow_pickle=False)
            found[entry.filename.removesuffix(".npy")] = array
    return found


def _is_of(result: RunResult, job: Job, images: tuple[int, ...]) -> bool:
    """Whether a result has the parts, types and sizes that the search gives."""
    sr, samples, trace = result.sr, result.samples, result.trace
    return (
        sr.shape == images
        and sr.dtype == np.float32
        and len(result.record["cells"]) == len(job.cells)
        and (samples is None or samples.shape == (job.settings.samples, *images))
        and (samples is None or samples.dtype == np.float32)
        and 0 <= result.seconds < math.inf
        and set(trace) == {STEP, SECONDS, OBJECTIVE, LR_ERROR}
        and all(kind.kind in "if" for kind in trace.dtypes)
    )


class _Tracer:
    """Means over all batches of a run, step by step; sampling is not traced."""

    def __init__(self, rows: Sequence[dict[str, float]]) -> None:
        self._rows = list(rows)
        self._kept = len(self._rows)
        self._batch_start = 0.0
        self._last = 0.0

    def add(self, update: Update) -> None:
        settings = update.run.settings
        if not settings.samples or update.step <= settings.search_steps:
            if update.step == 1:
                self._batch_start = self._last
            objective = update.objective[np.isfinite(update.objective)]
            error = update.lr_residual.mean(1)
            error = error[np.isfinite(error)]
            self._rows.append(
                {
                    STEP: update.step,
                    "seconds": update.seconds - self._batch_start,
                    "cells": len(update.cells),
                    OBJECTIVE: float(objective.sum()),
                    "with objective": len(objective),
                    LR_ERROR: float(error.sum()),
                    "with error": len(error),
                }
            )
        self._last = update.seconds

    def rows_of_batch(self) -> list[dict[str, float]]:
        """Return the rows since the last call."""
        rows, self._kept = self._rows[self._kept :], len(self._rows)
        return rows

    def table(self) -> pd.DataFrame:
        sums = pd.DataFrame(self._rows).groupby(STEP, as_index=False).sum()
        # Where no cell has a value, 0 over 0 is NaN.
        return pd.DataFrame(
            {
                STEP: sums[STEP].astype(int),
                SECONDS: sums["seconds"] / sums["cells"],
                OBJECTIVE: sums[OBJECTIVE] / sums["with objective"],
                LR_ERROR: sums[LR_ERROR] / sums["with error"],
            }
        )
