"""``napari-rls measure``: SR, HR and LR cells in, one table of measurements out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import create_model
from rich.progress import TimeRemainingColumn

from napari_rls.cli.options import given, hr_cells_option, options_of
from napari_rls.cli.reporting import (
    FAILED,
    WRONG_USAGE,
    Bars,
    check_new,
    exit_code,
    kept_path,
    put,
    say,
)
from napari_rls.errors import SettingsError
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.registry import registry
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.read import FORMATS
from napari_rls.workflow.measure.hr_cells import check_hr_channels, read_hr_cells
from napari_rls.workflow.measure.image_files import read_images
from napari_rls.workflow.measure.image_sets import Kind, describe_channels, find_channels
from napari_rls.workflow.measure.means_table import corrected_table, means_path
from napari_rls.workflow.measure.measure_settings import (
    assay_options,
    measure_settings,
    suggested,
)
from napari_rls.workflow.measure.measure_table import TableUpdate, measure_table
from napari_rls.workflow.measure.rows import wells_told
from napari_rls.workflow.measure.table_files import table_paths, write_table

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.workflow.cells.stack import CellStack

MeasureFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="Settings of the measurement as JSON, such as 'settings' in a table's record; "
        "options given here win.",
    ),
]


def _defaults(name: str) -> str:
    """Return what the help says of the default of an option in each assay that has it."""
    found = {assay: own[name].default for assay, own in _OPTIONS.items() if name in own}
    return ", ".join(f"{value} for {assay}" for assay, value in found.items() if value is not None)


_OPTIONS = {name: assay_options(assay) for name, assay in registry().assays.items()}
_ALL = {name: option.field for own in _OPTIONS.values() for name, option in own.items()}
_Options = create_model(  # type: ignore[call-overload]
    "_Options", **{name: (field.annotation, field) for name, field in _ALL.items()}
)


def known_assay(name: str | None) -> str | None:
    """Return the name of an assay, if there is one of it."""
    try:
        return name and registry()[name].name
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


CHOICES = "|".join(_OPTIONS)
"""The assays, as the help lists them."""


@options_of(MeasureSettings, only=("dna", "signal", "saturation", "camera_offset"))
@options_of(_Options, defaults={name: _defaults(name) for name in _ALL})
def measure(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help=f"SR, HR or LR cells: {FORMATS}."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="TABLE", help="A .csv, .parquet or .h5ad file to write."),
    ],
    assay: Annotated[
        str | None,
        typer.Option(
            "--assay",
            metavar=CHOICES,
            callback=known_assay,
            show_default=False,
            help="What is measured; without it, what the bundle of SR cells suggests.",
        ),
    ] = None,
    gt: Annotated[
        list[Path] | None,
        typer.Option("--gt", metavar="FILE", show_default=False, help="True HR cells."),
    ] = None,
    lr: Annotated[
        list[Path] | None,
        typer.Option("--lr", metavar="FILE", show_default=False, help="LR cells."),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(
            "--kind",
            show_default=False,
            help="What FILES are. Without it: SR or LR if their record says so, LR if their "
            "images are smaller than the others, else HR.",
        ),
    ] = None,
    factor: Annotated[
        int | None,
        typer.Option(
            "--factor",
            min=1,
            show_default=False,
            help="How much LR images are upsampled (default to the size of the others).",
        ),
    ] = None,
    plate_map: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table with a column 'well' or 'file' and 'condition', 'dose' or others; "
            "without it, conditions are those of the crops.",
        ),
    ] = None,
    hr_cells: Annotated[
        list[Path] | None,
        hr_cells_option("NAME_means.csv beside the table"),
    ] = None,
    settings_file: MeasureFile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    **options: Any,
) -> None:
    """Measure cells in every kind of image alike, into one table.

    A row per cell and kind of image, with quality flags; SR cells are measured on each of
    their samples too (NAME_samples.ome.tif beside them), for a standard deviation and a 90 %
    interval. Lengths are in pixels of the HR images. Files of different kinds are of the same
    cells; of several files of a kind, the first belongs to the first of the other kinds, and so
    on. A CSV table has its record in a JSON file beside it. Ctrl-C writes nothing. Means that HR
    images of a few cells correct can be had later too, with 'means'.
    """
    for sentence in registry().problems.values():
        say(sentence)
    with exit_code(WRONG_USAGE):
        usual = None if assay or settings_file else suggested(files)
        if usual:
            say(f"Measuring as the bundle {usual.bundle} suggests.")
        values = usual.values if usual else None
        settings = measure_settings(assay, settings_file, given(options), values)
        means = table_paths(means_path(out)) if hr_cells else []
        paths = [*table_paths(out), *means]
        inputs = [path for path in (plate_map, settings_file) if path]
        check_new(paths, overwrite=overwrite, inputs=inputs)
        check_outputs(paths)
        plate = PlateMap(plate_map) if plate_map else None
    with exit_code(FAILED):
        groups = read_images(files, lr=lr or (), gt=gt or (), kind=kind)
        recorded = read_hr_cells(hr_cells or [])
        check_hr_channels(recorded, settings)
        for sentence in wells_told([group[0].stack for group in groups], plate):
            say(sentence)
        for group in groups:
            for stack in (images.stack for images in group):
                for warning in stack.reading.warnings:
                    say(f"{stack.name}: {warning}")
            for sentence in describe_channels(group, settings, find_channels(group, settings)[1]):
                say(sentence)
        table, record = _shown(measure_table(groups, settings, plate_map=plate, factor=factor))
        with kept_path():
            write_or_keep(out, lambda path: write_table(path, table, record))
        _tell(record, table_paths(out))
        write_means(means_path(out), table, record, recorded)


def write_means(
    out: Path, table: pd.DataFrame, record: dict[str, Any], recorded: list[CellStack]
) -> None:
    """Write the means of a table's wells and conditions, corrected by HR cells if there are any."""
    if not recorded:
        return
    means, how = corrected_table(table, record, recorded)
    with kept_path():
        write_or_keep(out, lambda path: write_table(path, means, how))
    _tell(how, table_paths(out))


def _tell(record: Mapping[str, Any], paths: Iterable[Path]) -> None:
    for warning in record["warnings"]:
        say(warning)
    for path in paths:
        put(path)


def _shown(updates: Iterator[TableUpdate]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Show how far a measurement is, and return its table and record."""
    with Bars(TimeRemainingColumn()) as bars:
        bar = None
        for update in updates:
            if bar is None:
                bar = bars.start("Measuring", update.total)
            bars.show(bar, update.done)
    assert update.table is not None
    return update.table, update.record
