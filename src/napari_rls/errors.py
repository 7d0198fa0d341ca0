"""What can go wrong in a way that a user can do something about, and how it is told.

The message of a :class:`UserError` is a whole sentence: what is wrong and what to do. That of
a :class:`ReasonError` is the end of one: whoever asked knows which file it is about, and makes a
user's error of it.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from napari_rls.text import byte_count

NO_NAPARI = (
    "napari is not installed here: run pip install 'napari-rls[napari]', or 'napari-rls[all]' "
    "for napari with a Qt."
)
"""What to do for a window, where there are only the command line and Python."""

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
_MEMORY = ("out of memory", "allocate memory")
"""How libraries tell in a RuntimeError that memory is used up."""


class UserError(Exception):
    """Something that a user can put right; the message says what is wrong and what to do."""


class InputError(UserError, ValueError):
    """An image, or what belongs to it, cannot be used."""


class KeptError(InputError):
    """A result could not be written where it was wanted; ``path`` is where it is, if anywhere."""

    def __init__(self, message: str, path: Path | None) -> None:
        super().__init__(message)
        self.path = path


class BusyError(InputError):
    """Another process makes the same file."""


class BundleError(UserError, ValueError):
    """A bundle cannot be used."""


class CheckpointError(UserError, ValueError):
    """A checkpoint of another program cannot be imported."""


class SettingsError(UserError, ValueError):
    """Settings cannot be used; the message says which and why."""


class TrainingError(UserError, ValueError):
    """A training run cannot start or go on."""


class ScoringError(UserError, RuntimeError):
    """A generator could not be scored; the run goes on without."""


class TableError(UserError, ValueError):
    """A table of cells cannot be used."""


class MetricError(UserError, ValueError):
    """A metric cannot be computed."""


class DownloadError(UserError, RuntimeError):
    """Images cannot be fetched."""


class ReasonError(ValueError):
    """Something cannot be read; the message says why, as the end of a sentence."""


class JsonError(ReasonError):
    """A text is no JSON, or not the JSON that is wanted: "it is not valid JSON (line 3)".

    The message is printable, on one line.
    """


class CsvError(ReasonError):
    """A text is no table."""


class RefusedError(ReasonError):
    """A file holds what no checkpoint needs; the message names it."""


class AxesError(ReasonError):
    """An axis that would be taken for channels seems to be another one."""


class TiffError(ReasonError):
    """A file does not hold what it says.

    Parameters
    ----------
    message
        What is wrong, as a part of a sentence.
    remedy
        What to do, as its end, where the file itself is not damaged.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def sentence_of(error: BaseException, more_memory: str = "") -> str | None:
    """Return the sentence of an error that a user can do something about, else None.

    Parameters
    ----------
    error
        What was raised.
    more_memory
        What to do where memory is used up, as the end of a sentence: "give a smaller batch size".

    Examples
    --------
    >>> sentence_of(InputError("There is no image; give one."))
    'There is no image; give one.'
    >>> sentence_of(MemoryError(), "give a smaller batch size")
    'There is not enough memory; give a smaller batch size.'
    >>> sentence_of(KeyError("a fault of the program")) is None
    True
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, FileExistsError):
        # Of folders alone: files that exist are replaced, or refused before.
        return f"{error.filename} is a file where a folder is needed; give another place."
    if isinstance(error, OSError):
        # A name is text only if the caller gave one: it may be bytes or a number.
        name = error.filename
        reason = why_not(error, Path(name)) if isinstance(name, str) else error.strerror or error
        return f"{name or 'A file'}: {reason}."
    if is_out_of_memory(error):
        return "; ".join(filter(None, ["There is not enough memory", more_memory])) + "."
    return None


def called(sentence: str, names: Mapping[str, str]) -> str:
    """Return a sentence with the settings that it has in quotes called as where it is shown.

    Parameters
    ----------
    sentence
        Of an error: "give the ratio, 'ratio'".
    names
        What settings are called there: of options on the command line, of fields in a dock.

    Examples
    --------
    >>> called("Give the ratio, 'ratio'.", {"ratio": "--ratio"})
    'Give the ratio, --ratio.'
    """
    for name, there in names.items():
        sentence = sentence.replace(f"'{name}'", there)
    return sentence


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory, of the computer or of its GPU, is used up."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY)


def why_not(error: OSError, path: Path) -> str:
    """Return why a file cannot be read or written; of a full disk, which one it is."""
    reason = error.strerror or str(error)
    if error.errno not in _FULL:
        return reason
    disk = disk_of(path)
    return f"{reason}: {byte_count(shutil.disk_usage(disk).free)} are free on the disk {disk}"


def disk_of(path: Path) -> Path:
    """Return the place at which the disk of a path is mounted."""
    there = path.absolute()
    while not there.exists() or not os.path.ismount(there):
        if there == there.parent:
            break
        there = there.parent
    return there
