"""Write a benchmark: its tables as CSV, its record as JSON, its report as HTML."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_rls.files.csv_file import write_csv
from napari_rls.files.whole_file import whole_file
from napari_rls.workflow.benchmark.report import report
from napari_rls.workflow.benchmark.run_benchmark import Benchmark
from napari_rls.workflow.cells.write import write_json

RECORD, REPORT = "benchmark.json", "report.html"

_SOFTWARE = ("napari-rls", "torch", "numpy", "torchmetrics", "scikit-learn")


def write_benchmark(folder: Path, made: Benchmark) -> list[Path]:
    """Write tables, record and report, each file whole or not at all; return their paths.

    A table of an earlier call that could not be made this time is removed.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = benchmark_record(made)
    paths = []
    for name in made.missing:
        (folder / f"{name}.csv").unlink(missing_ok=True)
    for name, table in made.tables.items():
        path = folder / f"{name}.csv"
        write_csv(path, table)
        paths.append(path)
    write_json(folder / RECORD, record)
    with whole_file(folder / REPORT) as draft:
        draft.write_text(report(made), encoding="utf-8")
    return [*paths, folder / RECORD, folder / REPORT]


def benchmark_record(made: Benchmark) -> dict[str, Any]:
    """Return how a benchmark was made: plain numbers, strings, lists and dicts."""
    outcome = made.outcome
    cells, manifest = outcome.cells, outcome.manifest
    plate = cells.plate_map
    wells = sorted({crop.well for crop in cells.hr.crops if crop.well})
    return {
        "software": {name: version(name) for name in _SOFTWARE}
        | {"python": platform.python_version(), "platform": platform.platform()},
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(made.seconds, 3),
        "searches": {
            "all": len(outcome.jobs),
            "read from the folder": made.reused,
            "not run": len(outcome.problems),
        },
        "settings": outcome.settings.model_dump(mode="json"),
        "bundle": {
            "name": manifest.name,
            "content_hash": manifest.content_hash,
            "training": manifest.training.data,
            "attribution": manifest.attribution,
            "licence": manifest.licence,
            "measurement": manifest.measurement,
        },
        "cells": {
            "chosen": len(cells.hr),
            "of": len(cells.pool),
            "sha256": cells.digest,
            "wells": wells,
            "conditions": list(dict.fromkeys(crop.condition for crop in cells.hr.crops)),
            "files": list(dict.fromkeys(crop.file for crop in cells.hr.crops)),
            "read": {name: reading.record() for name, reading in cells.readings},
            "plate_map": plate.origin if plate else None,
        },
        "pair": list(made.pair) if made.pair else None,
        "intensity": {
            "mode": outcome.intensity.mode,
            "low": list(outcome.intensity.low),
            "high": list(outcome.intensity.high),
        },
        "notes": list(made.notes),
        "missing": made.missing,
        "problems": sorted(outcome.sentences),
    }
