"""Cells, bundle and settings small enough to run a whole benchmark in a second or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiny_model import random_bundle

from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.workflow.benchmark.benchmark_settings import BenchmarkSettings
from napari_rls.workflow.benchmark.chosen_cells import BenchmarkCells, read_cells
from napari_rls.workflow.benchmark.run_benchmark import Benchmark, BenchmarkUpdate, benchmark
from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack

NEGATIVE, POSITIVE = "control=negative", "control=positive"
WELLS = ("B01", "B02", "B03", "B04")
EACH = 4

SMALL: dict[str, Any] = {
    "factors": (4,),
    "methods": ("rls", "unregularised"),
    "cells": 3,
    "subset": 10,
    "max_steps": 2,
    "samples": 1,
    "bootstrap": 3,
    "lambda_w": (1e-4,),
    "lambda_c": (),
    "batch_size": 5,
    "device": "cpu",
}


def hr_cells(wells: Sequence[str] = WELLS, seed: int = 1) -> CellStack:
    """Return simulated cells of 32 px, four of each well; half the wells are negative."""
    settings = SimulateSettings(assay="translocation", cells=EACH * len(wells), seed=seed, size=32)
    drawn = simulate(settings).hr
    half = len(wells) // 2 * EACH
    # Simulated cells take turns in two conditions; wells are of one.
    order = [*range(0, len(drawn), 2), *range(1, len(drawn), 2)]
    crops = tuple(
        Crop(f"{wells[k // EACH]}.tif", wells[k // EACH], 0.0, float(k), _condition(k < half))
        for k in range(len(drawn))
    )
    return replace(drawn, data=drawn.data[order], crops=crops)


def _condition(negative: bool) -> str:
    return f"drug=x; {NEGATIVE if negative else POSITIVE}"


def measuring_bundle(path: Path) -> Bundle:
    """Write a tiny bundle that suggests a measurement, and load it."""
    made = random_bundle()
    translocation = {"nucleus": {"min_area": 5, "min_distance": 2}}
    suggested = {"assay": "translocation", "translocation": translocation}
    manifest = made.manifest.model_copy(update={"format_version": 2, "measurement": suggested})
    replace(made, manifest=manifest).save(path)
    return load_bundle(path)


def cells_of(
    folder: Path, bundle: Bundle, settings: BenchmarkSettings, stack: CellStack | None = None
) -> BenchmarkCells:
    """Write cells to a file and read them as the command does."""
    path = folder / "cells_HR.ome.tif"
    write_stack(path, stack or hr_cells(), description="HR")
    return read_cells([path], bundle.manifest, settings)


def settings_of(**changes: Any) -> BenchmarkSettings:
    return BenchmarkSettings.model_validate(SMALL | changes)


def finish(
    folder: Path, bundle: Bundle, settings: BenchmarkSettings, stack: CellStack | None = None
) -> tuple[Benchmark, list[BenchmarkUpdate]]:
    """Run a benchmark into a folder; return what it found and its updates."""
    cells = cells_of(folder, bundle, settings, stack)
    updates = list(benchmark(cells, bundle, settings, folder))
    result = updates[-1].result
    assert result is not None
    return result, updates
