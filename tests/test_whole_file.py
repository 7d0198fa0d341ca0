"""Files are written whole or not at all, by one writer or by several."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from napari_rls.models.whole_file import whole_file


def test_a_file_has_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "new") as draft:
            draft.write_bytes(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_draft_that_a_library_replaced_has_them_too(tmp_path: Path) -> None:
    with whole_file(tmp_path / "new") as draft:
        other = tmp_path / "other"
        other.write_bytes(b"x")
        other.chmod(0o600)
        other.replace(draft)
    expected = 0o666 & ~_umask()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == expected


def test_a_replaced_file_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(0o604)
    with whole_file(path) as draft:
        draft.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_two_writers_of_one_path_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with whole_file(path) as first, whole_file(path) as second:
        assert first != second
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No such file"), whole_file(path) as draft:
        draft.rename(tmp_path / "missing" / "x")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now
