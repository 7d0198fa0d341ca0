"""How commands talk: paths to stdout; progress and one-sentence errors to stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from napari_rls.models.bundle_file import BundleError
from napari_rls.search.settings import SettingsError
from napari_rls.training.settings import TrainingError
from napari_rls.workflow.stack import InputError

if TYPE_CHECKING:
    from napari_rls.workflow.super_resolve import Update

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Print a message to stderr, as it is."""
    console.print(message, markup=False)


def problem(error: Exception) -> str | None:
    """Return the sentence of an error that a user can do something about, else None."""
    if isinstance(error, (InputError, BundleError, SettingsError, TrainingError)):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'A file'}: {error.strerror or error}."
    text = str(error)
    if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
        return "There is not enough memory; give a smaller --batch-size."
    return None


@contextmanager
def exit_code(code: int) -> Iterator[None]:
    """Turn a user's error into its sentence and ``code``, and Ctrl-C into 130."""
    try:
        yield
    except KeyboardInterrupt:
        say("Stopped.")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        sentence = problem(error)
        if sentence is None:
            raise
        say(sentence)
        raise typer.Exit(code) from None


def check_new(paths: list[Path], *, overwrite: bool) -> None:
    """Check that output files do not exist yet.

    Raises
    ------
    InputError
        If one does, and it must not be overwritten.
    """
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


class SearchProgress:
    """A bar for each file: cells done, mean objective of the batch, time left."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[cells]}"),
            TextColumn("{task.fields[objective]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, name: str) -> TaskID:
        """Add a file's bar."""
        return self._progress.add_task(name, total=None, cells="", objective="", left="")

    def show(self, bar: TaskID, update: Update) -> None:
        """Show what an update says."""
        total = update.run.cells - len(update.run.skipped)
        batch = 0.0 if update.finished else len(update.cells) * update.step / update.steps
        finite = update.objective[np.isfinite(update.objective)]
        self._progress.update(
            bar,
            total=total,
            completed=update.cells_done + batch,
            cells=f"{update.cells_done}/{total} cells",
            objective=f"objective {finite.mean():.4f}" if finite.size else "",
            left=f"{update.seconds_left:.0f} s left" if update.seconds_left else "",
        )
