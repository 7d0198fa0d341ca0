"""``napari-rls super-resolve``: LR files in, SR files with their records out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_rls.cli.options import given, options_of
from napari_rls.cli.reporting import (
    FAILED,
    INTERRUPTED,
    WRONG_USAGE,
    SearchProgress,
    check_new,
    exit_code,
    problem,
    say,
)
from napari_rls.search.settings import Settings
from napari_rls.workflow.collect import Collector
from napari_rls.workflow.read import choose_channels, read_stack
from napari_rls.workflow.stack import CellStack, InputError, fitting_factor
from napari_rls.workflow.write import (
    kind_of,
    record_path,
    samples_path,
    stem,
    write_result,
    write_samples,
)

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

TRACE_EVERY = 10


@options_of(Settings, defaults={"factor": "whatever fits the LR size"})
def super_resolve(
    files: Annotated[
        list[Path], typer.Argument(metavar="LR.tif...", help="LR cells, TIFF or OME-TIFF.")
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
            "DNA,GFP. Without it: by the bundle's names, else as they come."
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
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    **options: Any,
) -> None:
    """Super-resolve single cells by Regularized Latent Search, or by a method it is compared with.

    Each LR.tif holds one cell (channel, y, x) or many (N, channel, y, x). For each, one
    NAME_SR8x.ome.tif of the same axes, a record NAME_SR8x.json and the samples
    NAME_SR8x_samples.ome.tif (T is the sample, Z the cell) are written, and their paths
    printed. With --method pulse the names have SR8x_pulse, and so on. SR pixels are generated
    by the model, not measured. Ctrl-C keeps what was reached.
    """
    with exit_code(WRONG_USAGE):
        stored = Settings.load(settings_file) if settings_file else Settings()
        if options["method"] not in (None, stored.method):
            stored = stored.with_method(options["method"])
        values = stored.model_dump(exclude_unset=True) | given(options)
        settings = Settings.parse(values, "options")
        twice = [name for name, n in Counter(map(stem, files)).items() if n > 1]
        if twice:
            raise InputError(f"Two inputs are named {twice[0]}; their SR files would be one.")
        say(f"Loading {settings.bundle} ...")
        from napari_rls.models.bundle import load_bundle

        bundle = load_bundle(settings.bundle)
        out.mkdir(parents=True, exist_ok=True)
    every = trace_every or (TRACE_EVERY if trace else 0)
    job = _Job(bundle, settings, out, [c.strip() for c in channels.split(",") if c.strip()], every)
    failed = 0
    try:
        with SearchProgress() as progress:
            for file in files:
                failed += not job.try_one(file, progress, overwrite=overwrite)
    except KeyboardInterrupt:
        say("Stopped: the SR files hold what was reached.")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        for path in job.written:
            typer.echo(path)
    if failed:
        raise typer.Exit(FAILED)


class _Job:
    """Super-resolve files, one after the other."""

    def __init__(
        self, bundle: Bundle, settings: Settings, out: Path, channels: list[str], every: int
    ) -> None:
        self.bundle = bundle
        self.settings = settings
        self.out = out
        self.channels = channels
        self.every = every
        self.written: list[Path] = []

    def try_one(self, file: Path, progress: SearchProgress, *, overwrite: bool) -> bool:
        """Super-resolve a file; say why if that cannot be done, and return whether it was."""
        try:
            names = self.bundle.manifest.channel_names
            stack = choose_channels(read_stack(file), self.channels, names)
            self._search(file, stack, progress, overwrite=overwrite)
        except Exception as error:
            sentence = problem(error)
            if sentence is None:
                raise
            say(sentence)
            return False
        return True

    def _search(
        self, file: Path, stack: CellStack, progress: SearchProgress, *, overwrite: bool
    ) -> None:
        from napari_rls.workflow.super_resolve import super_resolve as updates
        from napari_rls.workflow.trace import Trace

        settings = self._settings_for(stack)
        target = self.out / f"{stem(file)}_{kind_of(settings)}.ome.tif"
        trace_target = target.with_name(target.name.replace(".ome.tif", "_trace.ome.tif"))
        targets = [target, record_path(target)]
        targets += [trace_target] if self.every else []
        targets += [samples_path(target)] if settings.samples else []
        check_new(targets, overwrite=overwrite)
        result = Collector(stack, self.bundle.manifest.hr_size)
        trace = Trace(result, self.every) if self.every else None
        bar = progress.start(file.name)
        try:
            for update in updates(stack, self.bundle, settings):
                result.add(update)
                if trace:
                    trace.add(update)
                progress.show(bar, update)
        finally:
            # Interrupted or failed: nothing that was computed is lost.
            if result.run is not None:
                write_result(target, result)
                if trace:
                    trace.write(trace_target)
                if result.samples is not None:
                    write_samples(samples_path(target), result)
                self.written += [path for path in targets if path.exists()]
        for cell, reason in result.run.skipped.items() if result.run else ():
            say(f"{stack.name}: cell {cell} was skipped: {reason}.")

    def _settings_for(self, stack: CellStack) -> Settings:
        if "factor" in self.settings.model_fields_set:
            return self.settings
        height, width = stack.data.shape[-2:]
        fitting = fitting_factor(height, width, self.bundle.manifest.hr_size)
        factor = fitting or self.settings.factor
        return self.settings.model_copy(update={"factor": factor})
