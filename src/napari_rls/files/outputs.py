"""Where results are written: looked at before the work, and another place if it fails after it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from datetime import datetime
from os.path import lexists
from pathlib import Path
from typing import TypeVar

from napari_rls.errors import InputError, KeptError, disk_of, why_not
from napari_rls.text import byte_count

Written = TypeVar("Written")

_FOLDER = "napari-rls"


def check_outputs(paths: Iterable[Path], needed: int = 0) -> None:
    """Check that files can be written, before there is anything to write; nothing is left of it.

    Parameters
    ----------
    paths
        The files.
    needed
        About how many bytes they take.

    Raises
    ------
    InputError
        If a name cannot be given, a folder cannot be written to, or there is too little space.
    """
    folders: dict[Path, None] = {}
    for path in paths:
        try:
            path.lstat()
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            file = next(above for above in path.parents if above.exists() and not above.is_dir())
            raise InputError(
                f"{file} is a file where a folder is needed; give another place."
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no name of a file here"
            raise InputError(
                f"{path} cannot be written: {reason}; choose another place or name."
            ) from None
        if path.is_dir():
            raise InputError(f"{path} cannot be written: it is a folder; choose another name.")
        folders[path.parent] = None
    for folder in folders:
        _check_folder(folder, needed)


def write_or_keep(path: Path, write: Callable[[Path], Written]) -> Written:
    """Write a result, or else keep it in another place: nothing that was computed is lost.

    Parameters
    ----------
    path
        Where it is wanted: a file, or a folder of several.
    write
        Writes it to a path; it may write files of like names beside it.

    Returns
    -------
    object
        What ``write`` returns.

    Raises
    ------
    KeptError
        If it cannot be written there; the message says why, and where it is.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write(path)
    except OSError as error:
        reason = f"{path} cannot be written ({why_not(error, path)})"
        for folder in _elsewhere():
            kept = folder / path.absolute().name
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write(kept)
            except OSError:
                continue
            raise KeptError(f"{reason}; the result is kept in {kept}.", kept) from error
        raise KeptError(f"{reason}, and no other place was found to keep it.", None) from error


def _check_folder(folder: Path, needed: int) -> None:
    missing = [above.name for above in (folder, *folder.parents) if not lexists(above)]
    there = Path(*folder.parts[: len(folder.parts) - len(missing)])
    try:
        # Folders of these names in one that goes: who fails later leaves no empty folder.
        with tempfile.TemporaryDirectory(dir=there) if missing else nullcontext(there) as place:
            tried = Path(place, *reversed(missing))
            tried.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=tried):
                pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        reason = why_not(error, folder)
        raise InputError(
            f"Nothing can be written into {folder} ({reason}); choose another place."
        ) from None
    if needed > free:
        raise InputError(
            f"The results take about {byte_count(needed)}, and {byte_count(free)} are free on the "
            f"disk {disk_of(folder)} of {folder}; free some space or choose another place."
        )


def _elsewhere() -> Iterator[Path]:
    """Yield folders of now, in which a result can be kept."""
    import platformdirs

    now = f"kept-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}"
    yield platformdirs.user_data_path(_FOLDER) / now
    yield Path(tempfile.gettempdir()) / _FOLDER / now
