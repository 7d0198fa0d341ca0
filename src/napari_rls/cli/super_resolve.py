"""``napari-rls super-resolve``: LR files in, SR files with their records out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_rls.cli.options import given, options_of
from napari_rls.cli.reporting import (
    FAILED,
    LEAST_SECONDS,
    WRONG_USAGE,
    SearchProgress,
    exit_code,
    kept_path,
    on_stop,
    problem,
    put,
    say,
)
from napari_rls.errors import InputError, KeptError
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.search.settings import Settings
from napari_rls.text import duration
from napari_rls.training.interrupt import whole_step
from napari_rls.workflow.cells.channels import choose_channels, split_names
from napari_rls.workflow.cells.read import FORMATS, read_stack
from napari_rls.workflow.cells.stack import CellStack, fitting_factor
from napari_rls.workflow.cells.tiff_file import one_of_each_set
from napari_rls.workflow.cells.write import record_path, stem
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import (
    kind_of,
    samples_path,
    trace_path,
    write_result,
    write_samples,
)

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle
    from napari_rls.workflow.super_resolve.resolver import Update
    from napari_rls.workflow.super_resolve.trace import Trace
    from napari_rls.workflow.super_resolve.unfinished import Unfinished

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
        stored = Settings.load(settings_file) if settings_file else Settings()
        if options["method"] not in (None, stored.method):
            stored = stored.with_method(options["method"])
        values = stored.model_dump(exclude_unset=True) | given(options)
        settings = Settings.parse(values, "options")
        files, left = one_of_each_set(files)
        if left:
            say(left)
        twice = [name for name, n in Counter(map(stem, files)).items() if n > 1]
        if twice:
            raise InputError(f"Two inputs are named {twice[0]}; their SR files would be one.")
        check_outputs([out / "any"])
        wanted = split_names(channels)
        say(f"Loading {settings.bundle} ...")
        from napari_rls.models.bundle import load_bundle

        bundle = load_bundle(settings.bundle)
    every = trace_every or (TRACE_EVERY if trace else 0)
    job = _Job(bundle, settings, out, wanted, every)
    failed = 0
    sentence = (
        "Stopped: the SR files hold what was reached; the same command goes on with the rest."
    )
    try:
        with on_stop(sentence), SearchProgress() as progress:
            for file in files:
                failed += not job.try_one(file, progress, overwrite=overwrite)
    finally:
        for path in job.written:
            put(path)
    if failed:
        raise typer.Exit(FAILED)


class _Job:
    """Super-resolve files, one after the other."""

    def __init__(
        self, bundle: Bundle, settings: Settings, out: Path, channels: Sequence[str], every: int
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
        from napari_rls.workflow.super_resolve.resolver import prepare
        from napari_rls.workflow.super_resolve.trace import Trace
        from napari_rls.workflow.super_resolve.unfinished import Unfinished

        search = prepare(stack, self.bundle, self._settings_for(stack))
        if not stack.reading.certain:
            say(" ".join([f"{file.name}: {stack.reading.text}", *stack.reading.warnings]))
        target = self.out / f"{stem(file)}_{kind_of(search.run.settings)}.ome.tif"
        others = [record_path(target)]
        result = Collector(stack, self.bundle.manifest.hr_size)
        result.begin(search.run)
        trace = None
        if self.every:
            trace = Trace(result, self.every)
            trace.begin(search.run)
            others.append(trace_path(target))
        others += [samples_path(target)] if search.run.settings.samples else []
        unfinished = Unfinished(target, others, result, trace)
        if not overwrite and unfinished.finished():
            if unfinished.folder.exists():  # a run was killed at its very end
                with unfinished.opened(anew=True):
                    unfinished.remove()
            say(f"{target} is finished already.")
            self.written += [target, *others]
            return
        frames = 0 if trace is None else len(trace.frames)
        images = 1 + search.run.settings.samples + frames
        # Batches are kept until the files are whole; those of a run before are there already.
        copies = 1 if unfinished.folder.exists() else 2
        check_outputs([target, *others], copies * images * result.sr.nbytes)
        for words in filter(None, (search.run.intensity.words(stack.channels), search.run.doubt)):
            say(f"{file.name}: {words}")
        with unfinished.opened(anew=overwrite) as kept:
            if kept:
                say(f"{file.name}: {len(kept)} of {len(stack)} cells are kept of a run before.")
            try:
                self._follow(file.name, search.updates(kept), unfinished, progress)
            finally:
                # Interrupted or failed: nothing that was computed is lost.
                if result.reached:
                    with whole_step():
                        self._write(target, others, result, trace, lost=bool(unfinished.problem))
            unfinished.remove()
        for cell, reason in search.run.skipped.items():
            say(f"{stack.name}: cell {cell} was skipped: {reason}.")
        for cell, reason in search.run.unusual.items():
            say(f"{stack.name}: do not trust cell {cell}: {reason}.")

    def _follow(
        self,
        name: str,
        updates: Generator[Update, None, None],
        unfinished: Unfinished,
        progress: SearchProgress,
    ) -> None:
        """Take over and show what a search tells, and keep every batch that is finished."""
        bar = progress.start(name)
        estimated = False
        problem = ""
        with closing(updates):
            for update in updates:
                unfinished.result.add(update)
                if unfinished.trace:
                    unfinished.trace.add(update)
                if update.finished:
                    with whole_step():
                        unfinished.keep(update.cells)
                    if unfinished.problem != problem:
                        problem = unfinished.problem
                        say(problem)
                if not estimated and update.step >= ESTIMATED_AT:
                    estimated = True
                    if update.seconds_left >= LEAST_SECONDS:
                        say(_estimate(name, update))
                progress.show(bar, update)

    def _write(
        self,
        target: Path,
        others: list[Path],
        result: Collector,
        trace: Trace | None,
        *,
        lost: bool,
    ) -> None:
        def write(path: Path) -> None:
            write_result(path, result)
            if trace:
                trace.write(trace_path(path))
            if result.samples is not None:
                write_samples(samples_path(path), result)

        try:
            with kept_path():
                write_or_keep(target, write)
        except KeptError:
            if not lost:
                say(f"Finished cells of {target} are kept; the same command goes on with them.")
            raise
        self.written += [path for path in (target, *others) if path.exists()]

    def _settings_for(self, stack: CellStack) -> Settings:
        if "factor" in self.settings.model_fields_set:
            return self.settings
        height, width = stack.data.shape[-2:]
        fitting = fitting_factor(height, width, self.bundle.manifest.hr_size)
        factor = fitting or self.settings.factor
        return self.settings.model_copy(update={"factor": factor})


def _estimate(name: str, update: Update) -> str:
    run = update.run
    left = run.cells - len(run.skipped) - update.cells_done
    return (
        f"{name}: about {duration(update.seconds_left)} for {left} cells at "
        f"{run.settings.factor}x on {run.device}."
    )
