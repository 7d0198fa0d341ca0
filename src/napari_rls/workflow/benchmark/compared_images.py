"""What the searches of a benchmark gave, and the images that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.models.intensity import IntensityMap
from napari_rls.models.manifest import Manifest
from napari_rls.workflow.benchmark.benchmark_settings import DIRECT, RIVALS, RLS, BenchmarkSettings
from napari_rls.workflow.benchmark.chosen_cells import BenchmarkCells
from napari_rls.workflow.benchmark.directly import Told
from napari_rls.workflow.benchmark.plan import CLEAN, Job, subset_of
from napari_rls.workflow.benchmark.searches import RunResult, lr_cells
from napari_rls.workflow.cells.upsample import upsample
from napari_rls.workflow.compare.score_images import score_images

LR = "LR"
"""Name of LR images, upsampled bicubically, among the methods."""

METHOD, FACTOR = "method", "factor"

Labels = dict[str, str | int | float]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Every search of a benchmark and what it gave.

    Parameters
    ----------
    cells, manifest, settings
        What was searched, with which bundle, and how.
    jobs
        The searches in order.
    results
        By the jobs' keys: what they gave.
    problems
        By the jobs' keys: in a sentence why they did not run.
    intensity
        The map by which all images, true and SR, are brought to -1 to 1. It is that of the LR
        images, as of the searches: HR images have brighter pixels, which must not change the
        unit.
    told
        By factor: what was told of the cells without any image, or in a sentence why nothing was.
    """

    cells: BenchmarkCells
    manifest: Manifest
    settings: BenchmarkSettings
    jobs: Sequence[Job]
    results: Mapping[str, RunResult]
    problems: Mapping[str, str]
    intensity: IntensityMap
    told: Mapping[int, Told | str] = field(default_factory=dict)

    def of(self, part: str, **wanted: object) -> list[tuple[Job, RunResult]]:
        """Return the searches of a part that ran, of some values of their settings."""
        return [
            (job, self.results[job.key])
            for job in self.jobs
            if job.part == part
            and job.key in self.results
            and all(getattr(job.settings, name) == value for name, value in wanted.items())
        ]

    def lr(self, factor: int) -> NDArray[np.float32]:
        """Return the LR images of all cells at a factor, as the main searches start from them."""
        return lr_cells(self.cells.hr, self._first(factor)).data.astype(np.float32, copy=False)

    @property
    def sentences(self) -> list[str]:
        """Why methods did not run, each reason once."""
        untold = [told for told in self.told.values() if isinstance(told, str)]
        return list(dict.fromkeys([*self.problems.values(), *untold]))

    def _first(self, factor: int) -> Job:
        return next(j for j in self.jobs if j.part == "main" and j.settings.factor == factor)

    def upsampled(self, job: Job) -> NDArray[np.float32]:
        """Return the LR images of a job at the size of HR ones."""
        return upsample(lr_cells(self.cells.hr, job).data, job.settings.factor)

    def truth(self, cells: Sequence[int]) -> NDArray[np.generic]:
        """Return HR images."""
        return self.cells.hr.data[list(cells)]


@dataclass(frozen=True, eq=False)
class Compared:
    """Images of one method to compare with the truth.

    ``labels`` are columns that tell the rows of one from those of another; ``cells`` index
    the benchmark's cells.
    """

    part: str
    labels: Labels
    images: NDArray[np.float32]
    cells: tuple[int, ...]


def compared(outcome: Outcome) -> Iterator[Compared]:
    """Yield all images that have metrics.

    Those on noisy LR images and of other lambdas come with their reference, the same cells
    of the main search.
    """
    settings = outcome.settings
    for factor in settings.factors:
        job = next(j for j in outcome.jobs if j.part == "main" and j.settings.factor == factor)
        yield Compared("main", _labels(LR, job), outcome.upsampled(job), job.cells)
        for own, result in outcome.of("main", factor=factor):
            yield Compared("main", _labels(own.settings.method, own), result.sr, own.cells)
    yield from _variants(outcome, "degraded", RIVALS, _noise_labels)
    yield from _variants(outcome, "lambda", (RLS,), _lambda_labels)


def _variants(
    outcome: Outcome, part: str, methods: Sequence[str], labels: Callable[[Job], Labels]
) -> Iterator[Compared]:
    """Yield the images of a part's searches, their reference first."""
    searches = outcome.of(part)
    if not searches:
        return
    cells = subset_of(len(outcome.cells.hr), outcome.settings)
    for job, result in outcome.of("main", factor=outcome.settings.detail_factor):
        if job.settings.method in methods:
            yield Compared(part, labels(job), result.sr[list(cells)], cells)
    for job, result in searches:
        yield Compared(part, labels(job), result.sr, job.cells)


def metrics_of(one: Compared, outcome: Outcome) -> tuple[pd.DataFrame, str]:
    """Return a row per metric of some images, and in a sentence what is wrong, else "".

    Cells without a finite image have no part in it; ``n`` tells how many are left.
    """
    settings = outcome.settings
    found, problem = score_images(
        one.images,
        outcome.truth(one.cells),
        outcome.intensity,
        features=settings.features,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
    )
    if problem:
        name = ", ".join(str(value) for value in one.labels.values())
        return found, f"No metrics of {name}: {problem.rstrip('.')}."
    for name, value in reversed(one.labels.items()):
        found.insert(0, name, value)
    return found, ""


def runs_table(outcome: Outcome) -> pd.DataFrame:
    """Return a row per search: what it was, how long it took, what failed, why it did not run."""
    rows = []
    for job in outcome.jobs:
        result = outcome.results.get(job.key)
        rows.append(
            {
                "part": job.part,
                FACTOR: job.settings.factor,
                METHOD: job.settings.method,
                "degradation": job.degradation,
                "lambda_w": job.settings.lambda_w,
                "lambda_c": job.settings.lambda_c,
                "steps": job.settings.steps,
                "cells": len(job.cells),
                "failed": result.failed if result else len(job.cells),
                "seconds": result.seconds if result else np.nan,
                "seconds_per_cell": result.seconds_per_cell if result else np.nan,
                "device": result.record["device"] if result else "",
                "threads": job.settings.threads,
                "problem": f"not run: {outcome.problems[job.key]}"
                if job.key in outcome.problems
                else "",
                "key": job.key,
            }
        )
    rows += [_told_row(outcome, factor) for factor in outcome.told]
    return pd.DataFrame(rows)


def _told_row(outcome: Outcome, factor: int) -> dict[str, object]:
    """Return the row of what was told without any image."""
    told, count = outcome.told[factor], len(outcome.cells.hr)
    ran = isinstance(told, Told)
    seconds = told.seconds if isinstance(told, Told) else np.nan
    return {
        "part": "main",
        FACTOR: factor,
        METHOD: DIRECT,
        "degradation": CLEAN,
        "lambda_w": 0.0,
        "lambda_c": 0.0,
        "steps": 1,
        "cells": count,
        "failed": 0 if ran else count,
        "seconds": seconds,
        "seconds_per_cell": seconds / count,
        "device": "cpu" if ran else "",
        "threads": outcome.settings.threads,
        "problem": "" if ran else f"not run: {told}",
        "key": "",
    }


def traces_table(outcome: Outcome) -> pd.DataFrame:
    """Return objective and LR error against time of the main searches, a row per step."""
    parts = []
    for job, result in outcome.of("main"):
        trace = result.trace.copy()
        trace.insert(0, METHOD, job.settings.method)
        trace.insert(0, FACTOR, job.settings.factor)
        parts.append(trace)
    return pd.concat(parts, ignore_index=True)


def _labels(method: str, job: Job) -> Labels:
    return {FACTOR: job.settings.factor, METHOD: method}


def _noise_labels(job: Job) -> Labels:
    name = "none" if job.degradation == CLEAN else job.degradation
    return {"degradation": name, METHOD: job.settings.method}


def _lambda_labels(job: Job) -> Labels:
    return {"lambda_w": job.settings.lambda_w, "lambda_c": job.settings.lambda_c}
