"""``napari-rls super-resolve``: LR files in, SR files with their records out."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_rls.cli.options import options_of, search_settings
from napari_rls.cli.reporting import (
    FAILED,
    LEAST_SECONDS,
    WRONG_USAGE,
    SearchProgress,
    exit_code,
    on_stop,
    problem,
    put,
    say,
)
from napari_rls.files.outputs import check_outputs
from napari_rls.search.operators import OPERATORS
from napari_rls.search.presets import PRESETS
from napari_rls.search.settings import Settings
from napari_rls.text import duration
from napari_rls.workflow.cells.channels import split_names
from napari_rls.workflow.cells.read import FORMATS

if TYPE_CHECKING:
    from rich.progress import TaskID

    from napari_rls.workflow.super_resolve.resolve_files import FileUpdate
    from napari_rls.workflow.super_resolve.resolver import Update

TRACE_EVERY = 10

ESTIMATED_AT = 5
"""The step after which the time is estimated: the first ones are slower."""


@options_of(Settings, defaults={"factor": "whatever fits the LR size"})
def super_resolve(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="LR.tif...", help=f"LR cells: {FORMATS}."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the SR files.")],
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            metavar="FILE",
            help="Settings file, as the plugin saves it; options given here win.",
        ),
    ] = None,
    channels: Annotated[
        str,
        typer.Option(
            help="LR channels in the bundle's order, by index from 0 or name, as in 0,2 or "
            "DNA,GFP; a name with a comma in double quotes. Without it: by the bundle's names, "
            "else as they come."
        ),
    ] = "",
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help=f"Write the images on the way too, every {TRACE_EVERY} steps, as NAME_trace.",
        ),
    ] = False,
    trace_every: Annotated[
        int,
        typer.Option(min=0, metavar="K", show_default=False, help="The same, every K steps."),
    ] = 0,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace files that exist, and begin unfinished ones anew."
        ),
    ] = False,
    **options: Any,
) -> None:
    """Super-resolve single cells by Regularized Latent Search, or by a method it is compared with.

    Each LR.tif holds one cell (channel, y, x) or many (N, channel, y, x). For each, one
    NAME_SR8x.ome.tif of the same axes, a record NAME_SR8x.json and the samples
    NAME_SR8x_samples.ome.tif (T is the sample, Z the cell) are written, and their paths
    printed. With --method pulse the names have SR8x_pulse, and so on. SR pixels are generated
    by the model, not measured. Ctrl-C keeps what was reached. The same command goes on with
    what is unfinished, however it ended: finished cells are kept in NAME_SR8x.unfinished.
    """
    with exit_code(WRONG_USAGE):
        settings = search_settings(settings_file, options)
        from napari_rls.workflow.super_resolve.resolve_files import ResolveFiles, separate_files

        files, left = separate_files(files)
        if left:
            say(left)
        check_outputs([out / "any"])
        wanted = split_names(channels)
        say(f"Loading {settings.bundle} ...")
        from napari_rls.models.bundle import load_bundle

        bundle = load_bundle(settings.bundle)
        if settings.lambda_w and bundle.manifest.flow_doubt:
            say(bundle.manifest.flow_doubt)
        every = trace_every or (TRACE_EVERY if trace else 0)
        job = ResolveFiles(bundle, settings, out, channels=wanted, every=every, overwrite=overwrite)
    for sentence in (*PRESETS.problems, *OPERATORS.problems):
        say(sentence)
    sentence = (
        "Stopped: the SR files hold what was reached; the same command goes on with the rest."
    )
    failed = 0
    try:
        with (
            exit_code(FAILED),
            on_stop(sentence),
            FilesView() as view,
            closing(job.updates(files)) as updates,
        ):
            for update in updates:
                view.update(update)
                failed += update.stage == "failed"
    finally:
        for path in job.written:
            put(path)
    if failed:
        raise typer.Exit(FAILED)


class FilesView(SearchProgress):
    """Sentences, an estimate for every file that takes long, and its bar."""

    def __init__(self) -> None:
        super().__init__()
        self._file: Path | None = None
        self._bar: TaskID | None = None
        self._estimated = False

    def update(self, update: FileUpdate) -> None:
        """Show an update."""
        if update.file != self._file:
            self._file, self._bar, self._estimated = update.file, None, False
        if update.error is not None:
            say(problem(update.error) or str(update.error))
        if update.message:
            say(update.message)
        if update.step is None:
            return
        if self._bar is None:
            self._bar = self.start(update.file.name)
        if not self._estimated and update.step.step >= ESTIMATED_AT:
            self._estimated = True
            if update.step.seconds_left >= LEAST_SECONDS:
                say(_estimate(update.file.name, update.step))
        self.show(self._bar, update.step)


def _estimate(name: str, update: Update) -> str:
    run = update.run
    left = run.cells - len(run.skipped) - update.cells_done
    return (
        f"{name}: about {duration(update.seconds_left)} for {left} cells at "
        f"{run.settings.factor}x on {run.device}."
    )
