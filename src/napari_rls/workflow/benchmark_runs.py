"""One search of a benchmark: run, or read from the run folder; written whole."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.models.bundle import Bundle
from napari_rls.models.whole_file import whole_file
from napari_rls.workflow.benchmark_plan import Job
from napari_rls.workflow.collect import Collector
from napari_rls.workflow.degrade import degrade_stack
from napari_rls.workflow.stack import CellStack
from napari_rls.workflow.super_resolve import Update, super_resolve
from napari_rls.workflow.write import write_json

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


def run(job: Job, hr: CellStack, bundle: Bundle, folder: Path) -> Iterator[Update | RunResult]:
    """Search, yield every update, and at the end the result, which is then in the folder.

    Raises
    ------
    InputError, SettingsError, BundleError
        If the method cannot run on these cells with this bundle.
    OSError
        If the result cannot be written.
    """
    lr = lr_cells(hr, job)
    collector = Collector(lr, bundle.manifest.hr_size)
    trace = _Tracer()
    for update in super_resolve(lr, bundle, job.settings):
        collector.add(update)
        trace.add(update)
        yield update
    result = RunResult(
        collector.sr,
        collector.samples,
        collector.seconds,
        trace.table(),
        collector.provenance() | {"degradation": job.degradation},
    )
    save(result, job, folder)
    yield result


def save(result: RunResult, job: Job, folder: Path) -> None:
    """Write a result as KEY.npz and, once that is there, its record KEY.json."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {"sr": result.sr, "seconds": np.array(result.seconds)}
    if result.samples is not None:
        arrays["samples"] = result.samples
    arrays |= {f"trace_{name}": result.trace[name].to_numpy() for name in result.trace}
    with whole_file(folder / f"{job.key}.npz") as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    write_json(folder / f"{job.key}.json", result.record)


def load(job: Job, folder: Path) -> RunResult | None:
    """Read what :func:`save` wrote; None if it is not there, incomplete or damaged."""
    try:
        record = json.loads((folder / f"{job.key}.json").read_text(encoding="utf-8"))
        # numpy leaves a damaged file open that it has opened itself.
        with (
            (folder / f"{job.key}.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            names = [name for name in arrays.files if name.startswith("trace_")]
            trace = pd.DataFrame({name.removeprefix("trace_"): arrays[name] for name in names})
            samples = arrays["samples"] if "samples" in arrays.files else None
            return RunResult(arrays["sr"], samples, float(arrays["seconds"]), trace, record)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


class _Tracer:
    """Means over all batches of a run, step by step; sampling is not traced."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []
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

    def table(self) -> pd.DataFrame:
        sums = pd.DataFrame(self._rows).groupby(STEP, as_index=False).sum()
        # Where no cell has a value, 0 over 0 is NaN.
        return pd.DataFrame(
            {
                STEP: sums[STEP],
                SECONDS: sums["seconds"] / sums["cells"],
                OBJECTIVE: sums[OBJECTIVE] / sums["with objective"],
                LR_ERROR: sums[LR_ERROR] / sums["with error"],
            }
        )
