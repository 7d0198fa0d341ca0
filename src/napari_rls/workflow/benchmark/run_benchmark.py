"""Run every method on the same cells and gather all that the paper reports; resumable."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import BundleError, BusyError, InputError, MetricError, SettingsError
from napari_rls.evaluation.feature_sets import read_judges
from napari_rls.evaluation.gaussianisation import transformed
from napari_rls.evaluation.tables import IMAGE
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import Bundle
from napari_rls.models.gaussianity import ks_from_chi_squared
from napari_rls.search.contained import contained
from napari_rls.workflow.benchmark.benchmark_settings import ABLATIONS, BenchmarkSettings
from napari_rls.workflow.benchmark.chosen_cells import BenchmarkCells, pair_of_conditions
from napari_rls.workflow.benchmark.compared_images import (
    FACTOR,
    METHOD,
    Outcome,
    compared,
    metrics_of,
    runs_table,
    traces_table,
)
from napari_rls.workflow.benchmark.directly import Told, tell
from napari_rls.workflow.benchmark.distributions import distributions
from napari_rls.workflow.benchmark.measures import (
    condition_differences,
    feature_errors,
    measured,
    measured_columns,
    measurement_of,
)
from napari_rls.workflow.benchmark.phenotypes import Split, phenotypes, split_cells
from napari_rls.workflow.benchmark.plan import Job, plan
from napari_rls.workflow.benchmark.searches import RunResult, load, lr_cells, run
from napari_rls.workflow.super_resolve.intensities import intensity_map
from napari_rls.workflow.super_resolve.resolver import SuperResolver

RUNS = "runs"
"""Folder of the searches inside the benchmark's."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """All that a benchmark found.

    Parameters
    ----------
    outcome
        The searches and their images.
    tables
        By the name of their CSV file: ``table1`` (metrics), ``ablation``, ``degradations``,
        ``sensitivity``, ``cells`` (measured), ``features`` (their errors), ``conditions``
        (how well they are told apart), ``distributions`` (scores and intervals), ``table2``
        (classifier), ``gaussianisation``, ``runs`` (time, failures, why a method did not
        run), ``traces``. Tables that could not be made are left out; ``missing`` says why.
    missing
        By the name of a table: in a sentence why there is none.
    pair
        The negative and the positive condition, or None.
    notes
        What a reader has to know, in sentences.
    norms
        Squared norms of latent vectors by their names, for Fig. 1.
    reused
        Number of searches that were read from the folder.
    seconds
        Wall time of this call.
    """

    outcome: Outcome
    tables: dict[str, pd.DataFrame]
    missing: dict[str, str]
    pair: tuple[str, str] | None
    notes: tuple[str, ...]
    norms: dict[str, NDArray[np.float64]]
    reused: int
    seconds: float


@dataclass(frozen=True, eq=False)
class BenchmarkUpdate:
    """How far a stage is: ``done`` of ``total``, and what it is at; the last has the result."""

    stage: str
    label: str
    done: float
    total: int
    result: Benchmark | None = None


def benchmark(
    cells: BenchmarkCells, bundle: Bundle, settings: BenchmarkSettings, folder: Path
) -> Generator[BenchmarkUpdate, None, None]:
    """Search with every method, then compare, measure and classify.

    Every search is written to ``folder/runs`` as it ends, and its batches before that; what is
    there already is not searched again. A method that cannot run is reported, and the others go on.

    Raises
    ------
    InputError
        If features or the conditions asked for are not there, cells of classifier and test are
        the same, another process searches in the folder, or no method could run.
    OSError
        If a file cannot be written.
    """
    settings = settings.model_copy(update={"bundle": bundle.reference})
    yield from contained(_benchmark(cells, bundle, settings, folder), settings.threads)


def _benchmark(
    cells: BenchmarkCells, bundle: Bundle, settings: BenchmarkSettings, folder: Path
) -> Generator[BenchmarkUpdate, None, None]:
    start = time.perf_counter()
    try:
        read_judges(settings.features)
    except MetricError as error:
        raise InputError(str(error)) from None
    measurement = measurement_of(
        bundle.manifest
    )  # what is wrong with it is told before the searches
    pair = pair_of_conditions([crop.condition for crop in cells.hr.crops], settings)
    split = split_cells(cells, pair, settings.seed) if isinstance(pair, tuple) else pair
    jobs = plan(cells.hr, bundle, settings)
    resolver = SuperResolver(bundle)
    results: dict[str, RunResult] = {}
    problems: dict[str, str] = {}
    reused = 0
    total = sum(_work(job) for job in jobs)
    done = 0
    for job in jobs:
        work = _work(job)
        found = results.get(job.key) or load(job, folder / RUNS, cells.hr.data.shape[1:])
        if found is not None:
            results[job.key] = found
            reused += 1
        else:
            yield BenchmarkUpdate("Searching", job.label, done, total)
            try:
                for now in run(job, cells.hr, resolver, folder / RUNS):
                    if isinstance(now, RunResult):
                        results[job.key] = now
                        continue
                    batch = 0.0 if now.finished else len(now.cells) * now.step / now.steps
                    share = (now.cells_done + batch) / len(job.cells)
                    yield BenchmarkUpdate("Searching", job.label, done + share * work, total)
            except BusyError:
                raise
            except (InputError, SettingsError, BundleError) as error:
                problems[job.key] = str(error)
        done += work
    unit = intensity_map(lr_cells(cells.hr, jobs[0]).data, bundle, jobs[0].settings)
    outcome = Outcome(cells, bundle.manifest, settings, jobs, results, problems, unit)
    if not outcome.of("main"):
        raise InputError(f"No method could run: {next(iter(problems.values()))}")
    outcome = replace(outcome, told=tell(outcome, bundle, measurement))
    analysis = _Analysis(outcome, bundle, pair, split)
    yield from analysis.updates()
    yield BenchmarkUpdate("Done", "", 1, 1, analysis.result(reused, time.perf_counter() - start))


def _work(job: Job) -> int:
    settings = job.settings
    sampling = settings.sample_steps if settings.samples else 0
    return len(job.cells) * (settings.search_steps + sampling)


class _Analysis:
    """Everything after the searches, table after table."""

    def __init__(
        self,
        outcome: Outcome,
        bundle: Bundle,
        pair: tuple[str, str] | str,
        split: Split | str,
    ) -> None:
        self.outcome = outcome
        self.bundle = bundle
        self.pair = pair
        self.split = split
        self.tables: dict[str, pd.DataFrame] = {}
        self.missing: dict[str, str] = {}
        self.notes: list[str] = []
        self.norms: dict[str, NDArray[np.float64]] = {}

    def updates(self) -> Iterator[BenchmarkUpdate]:
        self.tables["runs"] = runs_table(self.outcome)
        self.tables["traces"] = traces_table(self.outcome)
        yield from self._metrics()
        yield from self._measurements()
        yield BenchmarkUpdate("Classifying", "phenotypes", 0, 1)
        self._phenotypes()
        yield BenchmarkUpdate("Latent vectors", "Gaussianisation", 0, 1)
        self._gaussianisation()

    def result(self, reused: int, seconds: float) -> Benchmark:
        pair = self.pair if isinstance(self.pair, tuple) else None
        notes = tuple(self.notes)
        return Benchmark(
            self.outcome, self.tables, self.missing, pair, notes, self.norms, reused, seconds
        )

    def _metrics(self) -> Iterator[BenchmarkUpdate]:
        every = list(compared(self.outcome))
        found: dict[str, list[pd.DataFrame]] = {"main": [], "degraded": [], "lambda": []}
        for k, one in enumerate(every):
            label = ", ".join(str(value) for value in one.labels.values())
            yield BenchmarkUpdate("Comparing", label, k, len(every))
            rows, problem = metrics_of(one, self.outcome)
            if problem:
                self.notes.append(problem)
            found[one.part].append(rows)
        names = {"main": "table1", "degraded": "degradations", "lambda": "sensitivity"}
        for part, name in names.items():
            some = [table for table in found[part] if len(table)]
            if some:
                self.tables[name] = pd.concat(some, ignore_index=True)
            else:
                self.missing[name] = self._why_no_metrics(part)
        if "table1" in self.tables:
            table = self.tables["table1"]
            detail = table[FACTOR] == self.outcome.settings.detail_factor
            own = table[detail & table[METHOD].isin(ABLATIONS)]
            if own[METHOD].nunique() > 1:
                self.tables["ablation"] = own.reset_index(drop=True)
        if "ablation" not in self.tables:
            self.missing["ablation"] = (
                f"An ablation needs metrics of two of the methods {', '.join(ABLATIONS)}."
            )

    def _why_no_metrics(self, part: str) -> str:
        if any(job.part == part for job in self.outcome.jobs):
            return "No search of this part has metrics; the notes and the table of runs say why."
        return "None of the chosen methods is searched for this part."

    def _measurements(self) -> Iterator[BenchmarkUpdate]:
        settings = measurement_of(self.outcome.manifest)
        if settings is None:
            for name in ("cells", "features", "conditions", "distributions"):
                self.missing[name] = (
                    f"The bundle {self.outcome.manifest.name} suggests no measurement of its cells."
                )
            return
        total = sum(2 + len(self.outcome.of("main", factor=f)) for f in self._factors)
        total += sum(isinstance(told, Told) for told in self.outcome.told.values())
        parts: list[pd.DataFrame] = []
        yield BenchmarkUpdate("Measuring", "", 0, total)
        for table in measured(self.outcome, settings):
            parts.append(table)
            yield BenchmarkUpdate("Measuring", "", len(parts), total)
        cells = pd.concat(parts, ignore_index=True)
        columns = measured_columns(settings, self.outcome.cells.hr)
        self.tables["cells"] = cells
        self.tables["features"] = feature_errors(
            cells,
            columns,
            bootstrap=self.outcome.settings.bootstrap,
            seed=self.outcome.settings.seed,
        )
        if isinstance(self.pair, tuple):
            self.tables["conditions"] = condition_differences(cells, columns, self.pair)
        else:
            self.missing["conditions"] = self.pair
        yield from self._distributions(settings, cells, columns)

    def _distributions(
        self, settings: MeasureSettings, cells: pd.DataFrame, columns: list[str]
    ) -> Iterator[BenchmarkUpdate]:
        total = cells.groupby([FACTOR, IMAGE]).ngroups + len(self.outcome.of("samples"))
        parts: list[pd.DataFrame] = []
        for table in distributions(self.outcome, cells, columns, settings):
            parts.append(table)
            yield BenchmarkUpdate("Scoring", "", len(parts), total)
        self.tables["distributions"] = pd.concat(parts, ignore_index=True)

    @property
    def _factors(self) -> tuple[int, ...]:
        return self.outcome.settings.factors

    def _phenotypes(self) -> None:
        if isinstance(self.split, str):
            self.missing["table2"] = self.split
            return
        self.notes.append(self.split.note)
        self.tables["table2"] = phenotypes(self.outcome, self.split)

    def _gaussianisation(self) -> None:
        vectors = transformed(self.bundle)
        self.norms = {name: v.double().square().sum(1).cpu().numpy() for name, v in vectors.items()}
        self.tables["gaussianisation"] = pd.DataFrame(
            [
                {
                    "vectors": name,
                    "dimensions": vectors[name].shape[1],
                    "n": len(norms),
                    "mean": float(norms.mean()),
                    "deviation": float(norms.std(ddof=1)),
                    "ks_distance": ks_from_chi_squared(vectors[name]),
                }
                for name, norms in self.norms.items()
            ]
        )
