"""``napari-rls crops`` and ``napari-rls degrade``: from fields to HR cells to LR cells."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_rls.cli.options import build, options_of
from napari_rls.cli.reporting import (
    FAILED,
    WRONG_USAGE,
    check_new,
    check_tiff,
    exit_code,
    kept_path,
    problem,
    put,
    say,
)
from napari_rls.errors import InputError
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.text import names_of
from napari_rls.workflow.cells.channels import channel_label, nucleus_channel, shows_dna
from napari_rls.workflow.cells.crops import CropCut, cut_crops, join
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_operator, degrade_stack
from napari_rls.workflow.cells.plate_map import PlateMap, guessed_wells
from napari_rls.workflow.cells.read import FORMATS, read_stack
from napari_rls.workflow.cells.reading import WELLS_KEY
from napari_rls.workflow.cells.tiff_file import one_of_each_set
from napari_rls.workflow.cells.wells import told_wells, wells_record
from napari_rls.workflow.cells.write import write_stack

Out = Annotated[Path, typer.Option("--out", metavar="F.ome.tif", help="The file to write.")]
_OPENED_BY = re.compile(r"_[SL]R[1-9]\d?(\.\d{1,2})?x(_.*)?\.ome\.tif", re.IGNORECASE)
"""How names end that napari's *File > Open* leaves to us: the patterns of the manifest."""

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")]


@options_of(NucleusSettings)
def crops(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FIELD.tif...", help=f"Whole fields: {FORMATS}."),
    ],
    out: Out,
    size: Annotated[int, typer.Option(min=1, help="Side of the crops in pixels.")] = 64,
    dna_channel: Annotated[
        str,
        typer.Option(
            show_default=False,
            help="Channel that shows nuclei, by index from 0 or by name (default: the one named "
            "after a stain of DNA, else 0).",
        ),
    ] = "",
    plate_map: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table with a column 'well' or 'file'; the other columns become each crop's "
            "condition.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    **options: Any,
) -> None:
    """Cut nucleus-centred crops out of whole fields into one file.

    Only crops that lie fully inside their field are kept. Each keeps its file, well (from
    the plate map, or a file name such as B03.ome.tif), centre and condition, through
    degradation and super-resolution.
    """
    with exit_code(WRONG_USAGE):
        settings = build(NucleusSettings, options)
        check_tiff(out)
        twice = [file for file, count in Counter(map(Path.resolve, files)).items() if count > 1]
        if twice:
            raise InputError(f"{twice[0]} is given twice; its cells would be there twice.")
        inputs = [*files, plate_map] if plate_map else files
        check_new([out], overwrite=overwrite, inputs=inputs)
        check_outputs([out])
        plate = PlateMap(plate_map) if plate_map else None
        files, left = one_of_each_set(files)
        names = names_of([file.absolute() for file in files])
        guesses = guessed_wells(names, plate)
        complaint = plate.complaint([(name, "") for name in names]) if plate else ""
        taken = plate.said if plate else ()
        for told in filter(None, (left, *taken, *told_wells(guesses), complaint)):
            say(told)
    cuts: list[CropCut] = []
    found: list[str] = []
    failed = False
    for file, name in zip(files, names, strict=True):
        try:
            field = replace(read_stack(file), name=name)
            dna = nucleus_channel(field, dna_channel)
            cut = cut_crops(field, size, dna_channel=dna, settings=settings, plate_map=plate)
        except Exception as error:
            sentence = problem(error)
            if sentence is None:
                raise
            say(sentence)
            failed = True
            continue
        cuts.append(cut)
        for warning in field.reading.warnings:
            say(f"{name}: {warning}")
        found.append(channel_label(field, dna))
        if not dna_channel and not shows_dna(field.channels[dna]):
            say(f"{name}: nuclei are looked for in {field.channels[dna]} (number {dna}).")
        say(f"{name}: {_counts(len(cut.stack), cut.at_border)}")
    with exit_code(FAILED):
        if not cuts:
            raise typer.Exit(FAILED)
        stack = join([cut.stack for cut in cuts], name=out.name)
        dropped = sum(cut.at_border for cut in cuts)
        record = {
            "crop_size": size,
            "dna_channel": dna_channel or ", ".join(dict.fromkeys(found)),
            "nuclei": settings.model_dump(),
            "dropped_at_border": dropped,
            WELLS_KEY: wells_record(guesses),
        }
        with kept_path():
            write_or_keep(
                out,
                lambda path: write_stack(
                    path, stack, description="Nucleus-centred crops.", record=record
                ),
            )
    say(f"In all: {_counts(len(stack), dropped)}")
    _tell_opening(out)
    put(out)
    if failed:
        raise typer.Exit(FAILED)


@options_of(DegradeSettings)
def degrade(
    file: Annotated[Path, typer.Argument(metavar="HR.tif", help=f"HR cells: {FORMATS}.")],
    out: Out,
    overwrite: Overwrite = False,
    **options: Any,
) -> None:
    """Make LR images of HR ones, as a microscope of lower resolution would.

    In this order: Gaussian blur, the operator ('bicubic', antialiased bicubic downscaling by
    the factor, or 'optics', a lens with a PSF of 0.45 LR pixels and pixels that integrate
    light), Poisson noise, Gaussian noise, salt and pepper. Written as float32 in the HR image's
    unit, not rounded; LR pixel i is centred on HR coordinate factor (i + 1/2) - 1/2. The
    leading axis and crop records stay; the pixel size is multiplied by the factor. Other PSFs,
    ratios that are no whole numbers and a camera's counts: degrade_field in Python.
    """
    with exit_code(WRONG_USAGE):
        settings = build(DegradeSettings, options)
        check_tiff(out)
        check_new([out], overwrite=overwrite, inputs=[file])
        check_outputs([out])
    with exit_code(FAILED):
        hr = read_stack(file)
        for warning in hr.reading.warnings:
            say(f"{file.name}: {warning}")
        lr = degrade_stack(hr, settings)
        description = f"Degraded {settings.factor}x from {file.name}; pixel-centre convention."
        operator = degrade_operator(hr, settings).record()
        record = {"degrade": {**settings.model_dump(), "operator": operator}}
        with kept_path():
            write_or_keep(
                out, lambda path: write_stack(path, lr, description=description, record=record)
            )
        _tell_opening(out, f"; named NAME_LR{settings.factor}x.ome.tif, by File > Open too")
    put(out)


def _tell_opening(file: Path, how: str = "") -> None:
    """Say how napari opens a file with scale and names, where *File > Open* would drop them."""
    if not _OPENED_BY.search(file.name):
        say(
            f"In napari, {file.name} keeps its scale and its channels' names if it is opened by "
            f"File > IO Utilities > Open cells written by napari-rls{how}."
        )


def _counts(cut: int, at_border: int) -> str:
    return (
        f"{cut} crops cut, {at_border} nuclei dropped because their crop would reach over the "
        "field's border."
    )
