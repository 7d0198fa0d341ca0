"""``napari-rls means``: a table of cells and HR images of a few in, corrected means out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_rls.cli.measure import write_means
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, check_new, exit_code
from napari_rls.errors import InputError
from napari_rls.files.outputs import check_outputs
from napari_rls.workflow.cells.read import FORMATS
from napari_rls.workflow.measure.hr_cells import read_hr_cells
from napari_rls.workflow.measure.means_table import means_path
from napari_rls.workflow.measure.table_files import read_table, table_paths


def means(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="Cells that 'measure' or 'fields' has measured."),
    ],
    hr_cells: Annotated[
        list[Path],
        typer.Option(
            "--hr-cells", metavar="FILE", help=f"HR crops of a few of the cells: {FORMATS}."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            show_default=False,
            help="A .csv, .parquet or .h5ad file to write (default NAME_means.csv beside TABLE).",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Correct means of wells and conditions by HR images of a few of the cells.

    HR crops are measured as the table's cells were, and are found among them by the file that
    they were cut from and their place. Give some of every well or condition, drawn at random.
    A row per kind of image, measurement, and well or condition: the mean as measured, corrected,
    and of the HR cells alone, with 90 % intervals.
    """
    with exit_code(WRONG_USAGE):
        target = out or means_path(table)
        paths = table_paths(target)
        check_new(paths, overwrite=overwrite, inputs=[*table_paths(table), *hr_cells])
        check_outputs(paths)
    with exit_code(FAILED):
        cells, record = read_table(table)
        if "settings" not in record:
            raise InputError(
                f"{table.name} does not tell how its cells were measured; give a table that "
                "'measure' or 'fields' has written, with its record beside it."
            )
        write_means(target, cells, record, read_hr_cells(hr_cells))
