"""``napari-rls benchmark``: RLS and its rivals on the same cells, into tables and a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import TimeElapsedColumn, TimeRemainingColumn

from napari_rls.cli.options import build, options_of
from napari_rls.cli.reporting import (
    FAILED,
    WRONG_USAGE,
    Bars,
    exit_code,
    kept_path,
    on_stop,
    put,
    say,
)
from napari_rls.errors import InputError, SettingsError
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.workflow.benchmark.benchmark_settings import COMPARED, BenchmarkSettings
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.read import FORMATS
from napari_rls.workflow.cells.reading import told_readings

if TYPE_CHECKING:
    from rich.progress import TaskID

    from napari_rls.workflow.benchmark.run_benchmark import Benchmark, BenchmarkUpdate

ALL = "all"
"""What stands for every method."""


@options_of(
    BenchmarkSettings,
    only=(
        "bundle",
        "operator",
        "cells",
        "subset",
        "max_steps",
        "samples",
        "bootstrap",
        "negative",
        "positive",
        "seed",
        "batch_size",
        "device",
        "threads",
        "quick",
    ),
)
def benchmark(
    hr: Annotated[
        list[Path],
        typer.Option(
            "--hr",
            metavar="FILES...",
            help=f"HR cells or whole fields: {FORMATS}.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of tables, report and searches; searches that it holds are not repeated.",
        ),
    ],
    factors: Annotated[
        str, typer.Option(metavar="LIST", help="Scale factors, as in 8,16.")
    ] = "8,16",
    methods: Annotated[
        str,
        typer.Option(metavar="LIST", help=f"Methods: all, or some of {','.join(COMPARED)}."),
    ] = ALL,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            show_default=False,
            help="Feature networks of the metrics (default napari-rls).",
        ),
    ] = None,
    classifier_hr: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILES...",
            show_default=False,
            help="HR cells or fields, of other wells, that the classifier of phenotypes is trained "
            "on; without it, half of the given wells are for the classifier.",
        ),
    ] = None,
    plate_map: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table with a column 'well' or 'file' and 'condition' or others; without it, "
            "conditions are those of the crops.",
        ),
    ] = None,
    **options: Any,
) -> None:
    """Compare RLS and its rivals on the same HR cells, degraded, and report all the paper reports.

    Writes tables (CSV), the record (JSON) and report.html, one file with all figures, into DIR.
    Searches are kept in DIR/runs, so that a run that was stopped, or has more methods or
    factors, goes on where it was. A method that cannot run is reported as such.
    """
    with exit_code(WRONG_USAGE):
        listed = {
            "factors": split_numbers(factors),
            "methods": COMPARED if methods.strip() == ALL else _list(methods),
            "features": None if features is None else _list(features),
        }
        settings = build(BenchmarkSettings, options | listed)
        plate = PlateMap(plate_map) if plate_map else None
        check_outputs([out / "report.html"])
        say(f"Loading {settings.bundle} ...")
        from napari_rls.models.bundle import load_bundle
        from napari_rls.workflow.benchmark.chosen_cells import read_cells
        from napari_rls.workflow.benchmark.run_benchmark import benchmark as updates
        from napari_rls.workflow.benchmark.write_benchmark import write_benchmark

        bundle = load_bundle(settings.bundle)
        for factor in settings.factors:
            if bundle.manifest.hr_size % factor:
                raise InputError(
                    f"The factor {factor} does not divide the {bundle.manifest.hr_size} pixels of "
                    f"the bundle {bundle.manifest.name}."
                )
        cells = read_cells(
            hr,
            bundle.manifest,
            settings,
            plate_map=plate,
            classifier=classifier_hr or (),
        )
    for told in (*(plate.said if plate else ()), *told_readings(cells.readings)):
        say(told)
    say(f"{len(cells.hr)} of {len(cells.pool)} cells.")
    known = (*cells.pool.crops, *(cells.classifier.crops if cells.classifier else ()))
    if plate and (complaint := plate.complaint(dict.fromkeys((c.file, c.well) for c in known))):
        say(complaint)
    sentence = f"Stopped: {out} keeps what is finished; the same command goes on with the rest."
    with (
        exit_code(FAILED),
        on_stop(sentence),
        closing(updates(cells, bundle, settings, out)) as work,
    ):
        made = _show(work)
        for sentence in made.outcome.sentences:
            say(sentence)
        with kept_path():
            for path in write_or_keep(out, lambda folder: write_benchmark(folder, made)):
                put(path)


def _show(updates: Iterator[BenchmarkUpdate]) -> Benchmark:
    """Show a bar for every stage, and return the result of the last update."""
    stages: dict[str, TaskID] = {}
    result = None
    with Bars("label", TimeElapsedColumn(), TimeRemainingColumn()) as bars:
        for update in updates:
            result = update.result
            if result is not None:
                continue
            if update.stage not in stages:
                for bar in stages.values():
                    bars.show(bar, None, label="")
                stages[update.stage] = bars.start(update.stage)
            bars.show(stages[update.stage], update.done, update.total, label=update.label)
        for bar in stages.values():
            bars.show(bar, None, label="")
    assert result is not None
    return result


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def split_numbers(text: str) -> tuple[int, ...]:
    """Return the factors of a list such as ``8,16``.

    Raises
    ------
    SettingsError
        If an entry is no whole number.
    """
    try:
        return tuple(int(part) for part in _list(text))
    except ValueError:
        raise SettingsError(
            f"--factors {text} is no list of whole numbers; give it as in 8,16."
        ) from None
