"""How commands talk: paths to stdout; progress and one-sentence errors to stderr."""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from typer.core import TyperGroup

from napari_rls.errors import InputError, KeptError, sentence_of
from napari_rls.text import duration, for_terminal
from napari_rls.training.interrupt import stop_code, stoppable

if TYPE_CHECKING:
    from napari_rls.workflow.super_resolve.resolver import Update

Item = TypeVar("Item")

FAILED, WRONG_USAGE = 1, 2

_VALIDATOR = re.compile(r"Input should be a valid (integer|number)(, unable to parse.*)?")
"""How typer tells that the value of an option is no number."""

_KINDS = {"integer": "it must be a whole number", "number": "it must be a number"}

LINE_SECONDS = 60.0
"""Seconds from one line to the next where progress is told in lines."""

LEAST_SECONDS = 2.0
"""Least time between two lines: short work needs no line for every tenth."""

# Names and messages are text: neither [markup] nor :emoji: is read in them.
console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def say(message: str) -> None:
    """Print a message to stderr, as it is; what a terminal would obey is written as escapes."""
    console.print(for_terminal(message, lines=True))


def put(line: object) -> None:
    """Print a line to stdout: a path, as it is for programs and printable for a terminal."""
    text = str(line)
    if sys.stdout.isatty():
        typer.echo(for_terminal(text))
    else:
        # Names of files need not be UTF-8.
        typer.echo(os.fsencode(text) if os.name == "posix" else text)


def problem(error: Exception) -> str | None:
    """Return the sentence of an error that a user can do something about, else None."""
    return sentence_of(error, "give a smaller --batch-size")


@contextmanager
def exit_code(code: int) -> Iterator[None]:
    """Turn a user's error into its sentence and ``code``."""
    try:
        yield
    except Exception as error:
        sentence = problem(error)
        if sentence is None:
            raise
        say(sentence)
        raise typer.Exit(code) from None


@contextmanager
def kept_path() -> Iterator[None]:
    """Print the path at which a result is kept that could not be written where it was wanted."""
    try:
        yield
    except KeptError as error:
        if error.path is not None:
            put(error.path)
        raise


@contextmanager
def on_stop(sentence: str | Callable[[], str]) -> Iterator[None]:
    """Say something, and exit, when Ctrl-C or what else asks to stop ends the block."""
    try:
        yield
    except KeyboardInterrupt as stop:
        say(sentence if isinstance(sentence, str) else sentence())
        raise typer.Exit(stop_code(stop)) from None


class Commands(TyperGroup):
    """Commands that stop alike, on Ctrl-C and when the system asks them to, and fail alike."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the options before the command."""
        with _printable():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _printable(), on_stop("Stopped."), stoppable():
            return super().invoke(ctx)


@contextmanager
def _printable() -> Iterator[None]:
    """Tell of wrong usage and of the program's own faults without what a terminal would obey.

    Both name what a user has typed or what a file holds.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is None:
            say(f"This is a fault of napari-rls; please report it:\n{traceback.format_exc()}")
            raise typer.Exit(FAILED) from None
        words = _VALIDATOR.sub(lambda found: _KINDS[found[1]], for_terminal(usage(), lines=True))
        error.format_message = lambda: words  # type: ignore[attr-defined]
        raise


def check_new(paths: list[Path], *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Check that output files do not exist yet, and that none is an input.

    Raises
    ------
    InputError
        If one does, and it must not be overwritten, or is what it is made of.
    """
    for path, source in product(paths, inputs):
        if path.exists() and source.exists() and path.samefile(source):
            raise InputError(
                f"{path} is what the output is made of, and would be lost; give another --out."
            )
    there = [path for path in paths if path.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]} exists already; give --overwrite to replace it.")


def check_tiff(path: Path) -> None:
    """Check that the name of an output file says that it is a TIFF.

    Raises
    ------
    InputError
        If it does not.
    """
    if path.suffix.lower() not in (".tif", ".tiff") or path.is_dir():
        raise InputError(f"The output {path} must be a file that ends in .ome.tif.")


@dataclass
class _Told:
    """When the last line of a bar was printed, at which tenth, and whether it was the latest."""

    when: float
    tenth: int = 0
    latest: bool = True


class Bars:
    """How far work is: bars on a terminal, and elsewhere lines of the same words.

    Without a terminal, as in a log file or a batch job, a bar prints a line once a minute
    and at every tenth of its work, one when the work is done, and one when it ends before.

    Parameters
    ----------
    columns
        What stands behind each bar: names of the fields that :meth:`show` is given, or columns
        of rich.
    width
        Characters that a bar takes at most.
    clock
        Tells the time, in seconds.
    """

    def __init__(
        self,
        *columns: str | ProgressColumn,
        width: int = 40,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fields = dict.fromkeys((c for c in columns if isinstance(c, str)), "")
        self._columns = [_field(column) for column in columns]
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=width),
            *self._columns,
            console=console,
            redirect_stdout=False,
        )
        self._clock = clock
        self._lines = not console.is_interactive
        self._told: dict[TaskID, _Told] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._lines:
            self._progress.stop()
            return
        for bar, told in self._told.items():
            if not told.latest:
                self._say(bar)

    def start(self, name: str, total: float | None = None) -> TaskID:
        """Add a bar; ``name`` is text that may come from anywhere."""
        if not self._lines:
            self._progress.start()
        fields: dict[str, Any] = dict(self._fields)
        bar = self._progress.add_task(for_terminal(name), total=total, **fields)
        self._told[bar] = _Told(self._clock())
        return bar

    def show(
        self, bar: TaskID, done: float | None, total: float | None = None, **fields: str
    ) -> None:
        """Show that so much of a bar's work is done; fields that are not given stay.

        ``done`` None says that it is done with.
        """
        task = self._task(bar)
        total = task.total if total is None else total
        if done is None:
            done = total = total or 1
        texts: dict[str, Any] = {name: for_terminal(text) for name, text in fields.items()}
        was_finished = task.finished
        self._progress.update(bar, total=total, completed=done, **texts)
        if not self._lines or was_finished:
            return
        told = self._told[bar]
        told.latest = False
        if task.finished:
            self._say(bar)
        else:
            since, tenth = self._clock() - told.when, int(task.percentage // 10)
            if since >= LINE_SECONDS or (tenth > told.tenth and since >= LEAST_SECONDS):
                self._say(bar)

    def track(self, name: str, items: Iterable[Item], total: int) -> Iterator[Item]:
        """Yield items, and show with a bar how many of them are done."""
        bar = self.start(name, total)
        for done, item in enumerate(items, start=1):
            yield item
            self.show(bar, done)

    def _say(self, bar: TaskID) -> None:
        task = self._task(bar)
        share = f"{task.percentage:.0f} %" if task.total else ""
        words = [share, *(str(column.render(task)) for column in self._columns)]
        say(f"{task.description}: {', '.join(filter(None, map(str.strip, words)))}")
        self._told[bar] = _Told(self._clock(), int(task.percentage // 10))

    def _task(self, bar: TaskID) -> Task:
        return next(task for task in self._progress.tasks if task.id == bar)


def _field(column: str | ProgressColumn) -> ProgressColumn:
    if isinstance(column, str):
        return TextColumn(f"{{task.fields[{column}]}}", markup=False)
    return column


class SearchProgress:
    """A bar for each file: cells done, mean objective of the batch, time left."""

    def __init__(self) -> None:
        self._bars = Bars("cells", "objective", "left")

    def __enter__(self) -> Self:
        self._bars.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.__exit__(*error)

    def start(self, name: str) -> TaskID:
        """Add a file's bar."""
        return self._bars.start(name)

    def show(self, bar: TaskID, update: Update) -> None:
        """Show what an update says."""
        total = update.run.cells - len(update.run.skipped)
        batch = 0.0 if update.finished else len(update.cells) * update.step / update.steps
        finite = update.objective[np.isfinite(update.objective)]
        self._bars.show(
            bar,
            update.cells_done + batch,
            total,
            cells=f"{update.cells_done}/{total} cells",
            objective=f"objective {finite.mean():.4f}" if finite.size else "",
            left=f"{duration(update.seconds_left)} left" if update.seconds_left else "",
        )
