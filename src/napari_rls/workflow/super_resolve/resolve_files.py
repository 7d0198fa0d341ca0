"""Super-resolve files, one after the other: which files come of them, and what goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_rls.errors import InputError, KeptError, sentence_of
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.models.bundle import Bundle
from napari_rls.search.settings import Settings
from napari_rls.training.interrupt import whole_step
from napari_rls.workflow.cells.channels import choose_channels
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.tiff_file import one_of_each_set
from napari_rls.workflow.cells.wells import unsure_wells
from napari_rls.workflow.cells.write import record_path, stem
from napari_rls.workflow.super_resolve.resolver import SuperResolver, Update
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.search_run import Search
from napari_rls.workflow.super_resolve.sr_files import (
    kind_of,
    samples_path,
    trace_path,
    write_result,
    write_samples,
)
from napari_rls.workflow.super_resolve.trace import Trace
from napari_rls.workflow.super_resolve.unfinished import Unfinished

__all__ = ["FileUpdate", "ResolveFiles", "separate_files"]


@dataclass(frozen=True, eq=False)
class FileUpdate:
    """What has just happened to a file.

    Parameters
    ----------
    file
        The LR file.
    stage
        What it is at: ``told`` says something of it, ``searching`` comes with every step,
        ``finished`` and ``failed`` are its last.
    message
        A sentence for people, or "".
    step
        The update of the search, while it searches.
    error
        Why the file has no SR file, or not where it was wanted.
    """

    file: Path
    stage: Literal["told", "searching", "finished", "failed"]
    message: str = ""
    step: Update | None = None
    error: Exception | None = None


def separate_files(files: Sequence[Path]) -> tuple[list[Path], str]:
    """Return the files of which each has SR files of its own, and what to say of those left out.

    Raises
    ------
    InputError
        If two of them have the same name, so that their SR files would be one.
    """
    files, left = one_of_each_set(files)
    twice = [name for name, n in Counter(map(stem, files)).items() if n > 1]
    if twice:
        raise InputError(f"Two inputs are named {twice[0]}; their SR files would be one.")
    return files, left


class ResolveFiles:
    """The job of super-resolving LR files into a folder.

    For every LR file an SR file, its record, its samples and, if that is asked for, a trace
    are written; see :func:`~napari_rls.workflow.super_resolve.sr_files.write_result`. What is
    finished already stays, what is unfinished goes on, and a file that cannot be used does
    not stop the others.

    Parameters
    ----------
    bundle
        The bundle.
    settings
        The settings. A factor that was not given is the one that fits each file.
    out
        Folder of the SR files.
    channels
        Channels of the LR files in the bundle's order, by name or index; empty: by the
        bundle's names, else as they come.
    every
        Steps between two frames of the trace; 0 writes none.
    overwrite
        Whether files that exist are replaced and unfinished ones begun anew.

    Attributes
    ----------
    written
        The files that are there: those of finished and of stopped runs, as far as they were
        written, and results that had to be kept in another place.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from napari_rls import Settings, load_bundle
    >>> from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
    >>> from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
    >>> from napari_rls.workflow.cells.write import write_stack
    >>> folder = Path(tempfile.mkdtemp())
    >>> hr = simulate(SimulateSettings(assay="translocation", cells=1, size=64)).hr
    >>> lr = degrade_stack(hr, DegradeSettings(factor=8))
    >>> write_stack(folder / "lr.ome.tif", lr, description="LR")
    >>> bundle = load_bundle("bbbc013-translocation-64")
    >>> job = ResolveFiles(bundle, Settings(steps=2, samples=0), folder / "sr")
    >>> [update.stage for update in job.updates([folder / "lr.ome.tif"])]
    ['told', 'searching', 'searching', 'finished']
    >>> [path.name for path in job.written]
    ['lr_SR8x.ome.tif', 'lr_SR8x.json']
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        out: Path,
        *,
        channels: Sequence[str] = (),
        every: int = 0,
        overwrite: bool = False,
    ) -> None:
        self.bundle = bundle
        self._resolver = SuperResolver(bundle, settings)
        self.out = out
        self.channels = tuple(channels)
        self.every = every
        self.overwrite = overwrite
        self.written: list[Path] = []

    def updates(self, files: Sequence[Path]) -> Generator[FileUpdate, None, None]:
        """Super-resolve files that :func:`separate_files` has looked at.

        Closing the iteration, Ctrl-C, or an error keeps what was reached: finished cells
        beside the SR file, and the SR file as far as it is. The same job goes on with it.

        Raises
        ------
        KeptError
            If what was reached cannot be written where it was wanted as the iteration is
            stopped. Errors of single files are told in their updates instead.
        """
        for file in files:
            try:
                yield from self._one(file)
            except Exception as error:
                if sentence_of(error) is None or _stopped(error):
                    raise
                yield FileUpdate(file, "failed", error=error)

    def _one(self, file: Path) -> Iterator[FileUpdate]:
        names = self.bundle.manifest.channel_names
        stack = choose_channels(read_stack(file), self.channels, names)
        search = self._resolver.prepare(stack)
        reading = search.run.reading
        told = unsure_wells(reading.wells)
        if not reading.certain:
            told = " ".join([reading.text, *reading.warnings])
        if told:
            yield FileUpdate(file, "told", f"{file.name}: {told}")
        run = _Run(self, file, search)
        if not self.overwrite and run.finished():
            yield FileUpdate(file, "finished", f"{run.target} is finished already.")
            return
        run.check_room()
        for words in filter(None, (*search.run.told, search.run.doubt)):
            yield FileUpdate(file, "told", f"{file.name}: {words}")
        yield from run.updates()
        for cell, reason in search.run.skipped.items():
            yield FileUpdate(file, "told", f"{stack.name}: cell {cell} was skipped: {reason}.")
        for cell, reason in search.run.unusual.items():
            yield FileUpdate(file, "told", f"{stack.name}: do not trust cell {cell}: {reason}.")
        yield FileUpdate(file, "finished")


class _Run:
    """The run of one file, its result and the files that it is written to."""

    def __init__(self, job: ResolveFiles, file: Path, search: Search) -> None:
        self.job, self.file, self.search = job, file, search
        settings = search.run.settings
        self.target = job.out / f"{stem(file)}_{kind_of(settings)}.ome.tif"
        self.others = [record_path(self.target)]
        self.result = Collector(search.lr, job.bundle.manifest.hr_size)
        self.result.begin(search.run)
        self.trace = Trace(self.result, job.every) if job.every else None
        if self.trace:
            self.trace.begin(search.run)
            self.others.append(trace_path(self.target))
        self.others += [samples_path(self.target)] if settings.samples else []
        self.unfinished = Unfinished(self.target, self.others, self.result, self.trace)

    def finished(self) -> bool:
        """Tell whether the files of this very run are there; see :meth:`Unfinished.finished`."""
        if not self.unfinished.finished():
            return False
        if self.unfinished.folder.exists():  # a run was killed at its very end
            with self.unfinished.opened(anew=True):
                self.unfinished.remove()
        self.job.written += [self.target, *self.others]
        return True

    def check_room(self) -> None:
        """Check that the files can be written; see :func:`check_outputs`."""
        frames = 0 if self.trace is None else len(self.trace.frames)
        images = 1 + self.search.run.settings.samples + frames
        # Batches are kept until the files are whole; those of a run before are there already.
        copies = 1 if self.unfinished.folder.exists() else 2
        check_outputs([self.target, *self.others], copies * images * self.result.sr.nbytes)

    def updates(self) -> Iterator[FileUpdate]:
        """Search, keep every batch that is finished, and write the files."""
        with self.unfinished.opened(anew=self.job.overwrite) as kept:
            if kept:
                text = f"{len(kept)} of {len(self.search.lr)} cells are kept of a run before."
                yield FileUpdate(self.file, "told", f"{self.file.name}: {text}")
            try:
                yield from self._searched(kept)
            finally:
                # Interrupted or failed: nothing that was computed is lost.
                if self.result.reached:
                    with whole_step():
                        self._write()
            self.unfinished.remove()

    def _searched(self, kept: frozenset[int]) -> Iterator[FileUpdate]:
        problem = ""
        with closing(self.search.updates(kept)) as steps:
            for step in steps:
                self.result.add(step)
                if self.trace:
                    self.trace.add(step)
                if step.finished:
                    with whole_step():
                        self.unfinished.keep(step.cells)
                new = self.unfinished.problem if self.unfinished.problem != problem else ""
                problem = self.unfinished.problem
                yield FileUpdate(self.file, "searching", new, step)

    def _write(self) -> None:
        def write(path: Path) -> None:
            write_result(path, self.result)
            if self.trace:
                self.trace.write(trace_path(path))
            if self.result.samples is not None:
                write_samples(samples_path(path), self.result)

        try:
            write_or_keep(self.target, write)
        except KeptError as error:
            if error.path is not None:
                self.job.written.append(error.path)
            if not self.unfinished.problem:
                again = f"Finished cells of {self.target} are kept; the same run goes on with them."
                raise KeptError(f"{error} {again}", error.path) from error
            raise
        self.job.written += [path for path in (self.target, *self.others) if path.exists()]


def _stopped(error: BaseException) -> bool:
    """Return whether an error arose while what was reached was kept at a stop."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (GeneratorExit, KeyboardInterrupt)):
            return True
        cause = cause.__context__
    return False
