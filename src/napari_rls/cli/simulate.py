"""``napari-rls simulate``: cells whose truth is known exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import TimeRemainingColumn

from napari_rls.cli.options import build, options_of
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, Bars, check_new, exit_code, kept_path, put
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.simulate.assays import ASSAYS
from napari_rls.workflow.cells.simulated import (
    SimulateSettings,
    gather,
    simulated_cells,
    simulation_paths,
    write_simulation,
)

_SIZES = ", ".join(f"{assay.size} for {name}" for name, assay in ASSAYS.items())
_CONDITIONS = "; ".join(f"{', '.join(a.conditions)} for {name}" for name, a in ASSAYS.items())


@options_of(SimulateSettings, only=("assay", "cells", "seed", "size"), defaults={"size": _SIZES})
def simulate(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to.")],
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Condition of the cells; given several times, cells are in them in turn. "
            "'dose=X', X in units of the EC50, is one too for translocation "
            f"(default {_CONDITIONS}).",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    **options: Any,
) -> None:
    """Simulate cells whose truth is known: to try the method on and to measure it with.

    Writes HR images, label images of nuclei, cells and spots (OME-TIFF), a table of the truth
    (CSV) and the record of how they were made (JSON). 'degrade' makes LR images of them.
    """
    with exit_code(WRONG_USAGE):
        settings = build(SimulateSettings, options | {"conditions": tuple(condition or ())})
        paths = list(simulation_paths(out, settings).values())
        check_new(paths, overwrite=overwrite)
        check_outputs(paths)
        with Bars(TimeRemainingColumn()) as bars:
            cells = bars.track("Simulating", simulated_cells(settings), settings.cells)
            made = gather(settings, cells)
    with exit_code(FAILED), kept_path():
        for path in write_or_keep(out, lambda folder: write_simulation(folder, made)):
            put(path)
