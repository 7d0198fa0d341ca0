"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its name if the block succeeds.

    The draft is a new file with a name of its own, so that two writers of one path do not
    meet and nothing planted in its place is written through; it has the rights that the
    user's umask gives, or those of the file that it replaces. It is on the disk before it
    gets the name.

    Raises
    ------
    OSError
        If the folder cannot be written to or the disk is full.
    """
    draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.tmp")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    mode = draft.stat().st_mode
    try:
        yield draft
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
        # Some libraries make a file of their own in the draft's place, with other rights.
        draft.chmod(mode & 0o777)
        _flush(draft, os.O_RDWR)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if os.name == "posix":
        _flush(path.parent, os.O_RDONLY)


def _flush(path: Path, how: int) -> None:
    handle = os.open(path, how)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
