"""``napari-rls measure``: SR, HR and LR cells in, one table of measurements out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError, create_model
from pydantic.fields import FieldInfo
from rich.progress import TimeRemainingColumn

from napari_rls.cli.options import given, options_of
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
from napari_rls.errors import JsonError, SettingsError
from napari_rls.files.json_file import read_json
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.measure.cells import AssayName, MeasureSettings
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.search.settings import first_problem
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.read import FORMATS, read_record
from napari_rls.workflow.measure.image_files import read_images
from napari_rls.workflow.measure.image_sets import ImageSet, Kind, describe_channels, find_channels
from napari_rls.workflow.measure.measurements import Measurements, join
from napari_rls.workflow.measure.measurements import measure as updates
from napari_rls.workflow.measure.rows import wells_told
from napari_rls.workflow.measure.table_files import table_paths, write_table

MeasureFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="Settings of the measurement as JSON, such as 'settings' in a table's record; "
        "options given here win.",
    ),
]

_ASSAYS: tuple[AssayName, ...] = get_args(AssayName)
_NUCLEUS = "nucleus_"


def _fields(assay: AssayName) -> dict[str, FieldInfo]:
    """Return the settings of an assay by the names of their options."""
    defaults = MeasureSettings(assay=assay)
    own = getattr(defaults, assay)
    fields = {name: f for name, f in type(own).model_fields.items() if name != "nucleus"}
    return {_NUCLEUS + name: f for name, f in NucleusSettings.model_fields.items()} | fields


def _default(assay: AssayName, name: str) -> object:
    own = getattr(MeasureSettings(assay=assay), assay)
    inside = name.startswith(_NUCLEUS)
    return getattr(own.nucleus, name.removeprefix(_NUCLEUS)) if inside else getattr(own, name)


def _defaults(name: str) -> str:
    """Return what the help says of the default of an option in each assay that has it."""
    found = {assay: _default(assay, name) for assay in _ASSAYS if name in _FIELDS[assay]}
    return ", ".join(f"{value} for {assay}" for assay, value in found.items() if value is not None)


_FIELDS = {assay: _fields(assay) for assay in _ASSAYS}
_ALL = {name: field for fields in _FIELDS.values() for name, field in fields.items()}
_Options = create_model(  # type: ignore[call-overload]
    "_Options", **{name: (field.annotation, field) for name, field in _ALL.items()}
)


def measure_settings(
    assay: AssayName | None,
    file: Path | None,
    options: Mapping[str, Any] | None = None,
    usual: Mapping[str, Any] | None = None,
) -> MeasureSettings:
    """Make settings: the assay's own, changed by a file, changed by options.

    Parameters
    ----------
    assay
        What is measured; None takes the file's.
    file
        Settings as JSON, or None.
    options
        Options of the command by name; ``nucleus_`` stands before those of nuclei.
    usual
        Settings to take where there is no file.

    Raises
    ------
    SettingsError
        If there is no assay, the file cannot be read, or a name or value is wrong.
    """
    stored = _stored(file) if file else dict(usual or {})
    assay = assay or stored.get("assay")
    if assay not in _ASSAYS:
        raise SettingsError(f"Say what to measure: --assay {' or --assay '.join(_ASSAYS)}.")
    values = _merged(MeasureSettings(assay=assay).model_dump(mode="json"), stored)
    values["assay"] = assay
    own = values[assay]
    try:
        MeasureSettings.model_validate(values)
        for name, value in (options or {}).items():
            if name in MeasureSettings.model_fields:
                values[name] = value
            elif name not in _FIELDS[assay]:
                raise SettingsError(
                    f"--{name.replace('_', '-')} is no setting of the assay {assay}; leave it out."
                )
            elif name.startswith(_NUCLEUS):
                own["nucleus"][name.removeprefix(_NUCLEUS)] = value
            else:
                own[name] = value
        return MeasureSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"Wrong setting: {first_problem(error)}.") from None


@options_of(MeasureSettings, only=("dna", "signal", "saturation"))
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
        AssayName | None,
        typer.Option(
            "--assay",
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
    on. A CSV table has its record in a JSON file beside it. Ctrl-C writes nothing.
    """
    with exit_code(WRONG_USAGE):
        usual = None if assay or settings_file else _usual(files)
        settings = measure_settings(assay, settings_file, given(options), usual)
        paths = table_paths(out)
        inputs = [path for path in (plate_map, settings_file) if path]
        check_new(paths, overwrite=overwrite, inputs=inputs)
        check_outputs(paths)
        plate = PlateMap(plate_map) if plate_map else None
    with exit_code(FAILED):
        groups = read_images(files, lr=lr or (), gt=gt or (), kind=kind)
        for sentence in wells_told([group[0].stack for group in groups], plate):
            say(sentence)
        for group in groups:
            for stack in (images.stack for images in group):
                for warning in stack.reading.warnings:
                    say(f"{stack.name}: {warning}")
            for sentence in describe_channels(group, settings, find_channels(group, settings)[1]):
                say(sentence)
        table, record = join(_measured(groups, settings, plate, factor))
        with kept_path():
            write_or_keep(out, lambda path: write_table(path, table, record))
    for warning in record["warnings"]:
        say(warning)
    for path in paths:
        put(path)


def _usual(files: Sequence[Path]) -> Mapping[str, Any] | None:
    """Return the settings that the bundle of the first SR file suggests, if there is one."""
    for file in files:
        bundle = read_record(file).get("bundle")
        suggested = bundle.get("measurement") if isinstance(bundle, dict) else None
        if isinstance(bundle, dict) and isinstance(suggested, dict) and suggested:
            say(f"Measuring as the bundle {bundle.get('name')} suggests.")
            return suggested
    return None


def _measured(
    groups: list[list[ImageSet]],
    settings: MeasureSettings,
    plate_map: PlateMap | None,
    factor: int | None,
) -> list[Measurements]:
    total = sum(
        len(s.stack) * (1 + (0 if s.samples is None else len(s.samples)))
        for group in groups
        for s in group
    )
    results = []
    with Bars(TimeRemainingColumn()) as bars:
        bar = bars.start("Measuring", total)
        before = 0
        for group in groups:
            for update in updates(group, settings, plate_map=plate_map, factor=factor):
                bars.show(bar, before + update.done)
            before += update.total
            if update.result is not None:
                results.append(update.result)
    return results


def _stored(file: Path) -> dict[str, Any]:
    try:
        values = read_json(file)
    except OSError as error:
        raise SettingsError(f"Cannot read the settings file {file}: {error.strerror}.") from None
    except JsonError as error:
        raise SettingsError(f"{file} is not a settings file: {error}.") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{file} is not a settings file (no JSON object).")
    return values


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with some of them changed."""
    merged = dict(values)
    for name, value in changes.items():
        inside = merged.get(name)
        both = isinstance(inside, dict) and isinstance(value, dict)
        merged[name] = _merged(inside, value) if both else value  # type: ignore[arg-type]
    return merged
