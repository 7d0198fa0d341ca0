"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from filelock import BaseFileLock

_DRAFT_FOLDER = re.compile(r"\..*\.(?P<host>[0-9a-f]{8})-[0-9a-f]{16}\.tmp", re.DOTALL)
_DRAFT, _BEFORE, _LOCK = "draft", "before", "lock"
_HOST = hashlib.sha256(platform.node().encode(errors="replace")).hexdigest()[:8]

_ABANDONED: Final = 24 * 3600
"""Seconds after which a draft of another machine is taken for abandoned: locks may not reach it."""

_TRIES: Final = 5
_WAITS: Final = (0.02, 0.1, 0.3)
"""Seconds to wait for who has the file open, which on Windows forbids to replace it."""

_CANNOT_FLUSH: Final = frozenset(
    {errno.EINVAL, errno.ENOSYS, getattr(errno, "ENOTSUP", errno.EINVAL), errno.EBADF}
)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path that takes the name ``path`` if the block succeeds.

    The draft lies in a new folder of its own beside ``path``, which is locked, so that two
    writers of one path do not meet, nothing planted in its place is written through, and
    all that a killed writer or its library leaves is known as such: see :func:`sweep`,
    which a process does before it first writes into a folder. The file has the rights that
    the user's umask gives, or those of the file that it replaces. It is on the disk before
    it gets the name.

    Raises
    ------
    OSError
        If the folder cannot be written to or the disk is full; it names ``path``.
    """
    with _drafted(path) as draft:
        mode = _made(draft)
        yield draft
        _flush(draft, os.O_RDWR)
        with suppress(OSError):
            mode = path.stat().st_mode
        # Some libraries make a file of their own in the draft's place, with other rights. Not
        # every network folder knows rights.
        with suppress(OSError):
            draft.chmod(mode & 0o777)
        _rename(draft, path)
    if os.name == "posix":
        # The file is there, whether or not this folder can be flushed.
        with suppress(OSError):
            _flush(path.parent, os.O_RDONLY)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a path for a new folder that takes the name ``path`` if the block succeeds.

    The draft lies as that of :func:`whole_file` does. A folder that was there is replaced.

    Raises
    ------
    OSError
        If the folder cannot be written to or the disk is full; it names ``path``.
    """
    with _drafted(path) as draft:
        before = draft.with_name(_BEFORE)
        yield draft
        if path.is_dir():
            _rename(path, before)
        try:
            _rename(draft, path)
        except OSError:
            if before.exists():
                _rename(before, path)
            raise


@contextmanager
def _drafted(path: Path) -> Iterator[Path]:
    """Give the path of a draft in a locked folder of its own, which goes with the block."""
    _sweep_once(path.parent.absolute())
    folder, lock = _claimed(path)
    draft = folder / _DRAFT
    try:
        yield draft
    except OSError as error:
        named = _named(error, draft, path)
        if named is error:
            raise
        raise named from error
    finally:
        _remove(folder, lock)


def append_whole(path: Path, data: bytes) -> None:
    """Append to a file, or leave it as it was.

    Raises
    ------
    OSError
        If the file cannot be written or the disk is full.
    """
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError:
        if path.exists():
            os.truncate(path, size)
        raise


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left in a folder; living writers' drafts stay."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            found = _DRAFT_FOLDER.fullmatch(entry.name)
            if found and entry.is_dir(follow_symlinks=False):
                _remove_abandoned(folder / entry.name, found["host"])


@lru_cache(maxsize=1000)
def _sweep_once(folder: Path) -> None:
    sweep(folder)


def _remove_abandoned(draft: Path, host: str) -> None:
    """Remove the folder of a draft unless its writer may be alive."""
    from filelock import FileLock, Timeout

    with suppress(OSError, Timeout):
        age = time.time() - max(p.lstat().st_mtime for p in (draft, *draft.iterdir()))
        known = host == _HOST and (draft / _LOCK).exists()
        if age < _ABANDONED and not known:
            return
        lock = FileLock(draft / _LOCK)
        lock.acquire(timeout=0)
        _remove(draft, lock)


def _remove(draft: Path, lock: BaseFileLock) -> None:
    """Remove the folder of a draft, its lock included before another can take it."""
    shutil.rmtree(draft, ignore_errors=True)
    lock.release()
    if draft.exists():  # Windows removes no file that is open
        shutil.rmtree(draft, ignore_errors=True)


def _claimed(path: Path) -> tuple[Path, BaseFileLock]:
    """Return a new folder beside ``path``, locked."""
    from filelock import FileLock, Timeout

    for _ in range(_TRIES):
        # A short name, since Windows bounds the length of a path.
        name = f".{path.name[:30]}.{_HOST}-{secrets.token_hex(8)}.tmp"
        folder = path.with_name(name)
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise _named(error, folder, path) from None
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):
            # Who swept saw the lock's file before it was locked, and took it.
            continue
        except OSError:
            # A network folder without locks: nobody can lock it to sweep it either.
            pass
        return folder, lock
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))


def _made(draft: Path) -> int:
    """Make an empty file; return its mode, which the umask decides."""
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return os.fstat(handle).st_mode
    finally:
        os.close(handle)


def _named(error: OSError, draft: Path, path: Path) -> OSError:
    """Return an error that names the file which was to be written: writing itself names none.

    Errors that are not the system's own, as those of a network, stay what they are.
    """
    others = error.filename is not None and not str(error.filename).startswith(str(draft))
    if others or error.errno is None:
        return error
    return OSError(error.errno, error.strerror or str(error), str(path))


def _rename(draft: Path, path: Path) -> None:
    for wait in _WAITS:
        try:
            draft.replace(path)
        except PermissionError:
            time.sleep(wait)
        else:
            return
    draft.replace(path)


def _flush(path: Path, how: int) -> None:
    handle = os.open(path, how)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network folders know no flushing; a full disk is told.
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(handle)
