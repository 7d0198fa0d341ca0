"""``napari-rls check``: whether a bundle can be trusted on cells of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_rls.cli.benchmark import split_numbers
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
from napari_rls.cli.super_resolve import FilesView
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.workflow.cells.channels import split_names
from napari_rls.workflow.cells.read import FORMATS
from napari_rls.workflow.check.check_settings import CheckSettings

if TYPE_CHECKING:
    from rich.progress import TaskID

    from napari_rls.workflow.check.run_check import Checked, CheckUpdate


@options_of(
    CheckSettings,
    only=("bundle", "cells", "assay", "operator", "max_steps", "seed", "batch_size", "device",
          "threads"),
)  # fmt: skip
def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="HR.tif...", help=f"HR cells or whole fields: {FORMATS}."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of page, tables and images; searches that it holds are not repeated.",
        ),
    ] = Path("check"),
    factors: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            show_default=False,
            help="Scale factors, as in 8,16 (default: all of the bundle).",
        ),
    ] = "",
    channels: Annotated[
        str,
        typer.Option(
            help="Channels in the bundle's order, by index from 0 or name, as in 0,2 or DNA,GFP; "
            "a name with a comma in double quotes. Without it: by the bundle's names, else as "
            "they come."
        ),
    ] = "",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a check of other images or settings."),
    ] = False,
    **options: Any,
) -> None:
    """Tell whether a bundle can be trusted on your own cells, before you super-resolve any.

    Give HR images whose truth you know by measuring them: crops of the bundle's size, or
    whole fields, out of which cells are cut. They are degraded to LR images, super-resolved with
    the default settings, and measured; DIR gets a page (check.html) that says for each scale
    factor and main measurement whether to trust single cells, means only, or nothing, and by
    which rules, with tables (check.csv, cells.csv) and all images. The same command goes on with
    what is unfinished.
    """
    with exit_code(WRONG_USAGE):
        settings = build(CheckSettings, options | {"factors": split_numbers(factors)})
        wanted = split_names(channels)
        check_outputs([out / "check.html"])
        say(f"Loading {settings.bundle} ...")
        from napari_rls.models.bundle import load_bundle
        from napari_rls.workflow.check.check_page import write_check
        from napari_rls.workflow.check.run_check import (
            check as updates,
        )
        from napari_rls.workflow.check.run_check import (
            check_measurement,
            factors_of,
            read_check_cells,
        )

        bundle = load_bundle(settings.bundle)
        factors_of(bundle, settings)
        check_measurement(bundle.manifest, settings.assay)
        cells = read_check_cells(files, bundle.manifest, settings, wanted)
    for told in cells.told:
        say(told)
    say(f"{len(cells.hr)} of {cells.pool} cells.")
    sentence = f"Stopped: {out} keeps what is finished; the same command goes on with the rest."
    with (
        exit_code(FAILED),
        on_stop(sentence),
        closing(updates(cells, bundle, settings, out, overwrite=overwrite)) as work,
    ):
        made = _show(work)
        with kept_path():
            paths = write_or_keep(out, lambda folder: write_check(folder, made))
    _say_verdicts(made)
    for path in paths:
        put(path)


def _show(updates: Iterator[CheckUpdate]) -> Checked:
    """Show searches and measurements, and return the result of the last update."""
    result = None
    view = FilesView()
    bars: dict[str, TaskID] = {}
    with view, Bars() as measuring:
        for update in updates:
            result = update.result
            if update.search is not None:
                view.update(update.search)
            elif update.total:
                name = f"Measuring {update.label}"
                if name not in bars:
                    bars[name] = measuring.start(name, update.total)
                measuring.show(bars[name], update.done)
    assert result is not None
    return result


def _say_verdicts(made: Checked) -> None:
    """Print a short table for each measurement, and its verdicts."""
    from napari_rls.workflow.check.check_page import HEADER, short_row

    for column in dict.fromkeys(found.column for found, _ in made.found):
        own = [(found, verdict) for found, verdict in made.found if found.column == column]
        rows = [HEADER, *(short_row(*pair) for pair in own)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(HEADER))]
        say(f"\n{column}")
        for row in rows:
            say(
                "  ".join(
                    text.ljust(width) for text, width in zip(row, widths, strict=True)
                ).rstrip()
            )
        for found, verdict in own:
            say(f"{found.factor}x: {verdict.sentence}")
            if verdict.intervals:
                say(f"{found.factor}x: {verdict.intervals}")
