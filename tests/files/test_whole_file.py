"""Files are written whole or not at all, by one writer or by several, whoever dies."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tiny_job import full_disk

from napari_rls.files import whole_file as module
from napari_rls.files.whole_file import append_whole, sweep, whole_file, whole_folder


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


def test_the_error_of_a_folder_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "x"
    with pytest.raises(FileNotFoundError) as error, whole_file(path):
        pass
    assert error.value.filename == str(path)


def test_a_read_only_file_and_a_long_name_are_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 126)
    path.write_bytes(b"old")
    path.chmod(0o444)
    with whole_file(path) as draft:
        draft.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_nothing_is_written_through_what_another_planted(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    path = tmp_path / "table.csv"
    names = [".table.csv.tmp", "table.csv.tmp", ".table.csv.draft"]
    for name in names:
        (tmp_path / name).symlink_to(victim)
    path.symlink_to(victim)
    with whole_file(path) as draft:
        # Only its owner can put something into the folder of a draft.
        assert stat.S_IMODE(draft.parent.stat().st_mode) == 0o700
        assert draft.parent.parent == tmp_path
        draft.write_bytes(b"new")
    assert victim.read_bytes() == b"kept"
    assert path.read_bytes() == b"new"
    assert not path.is_symlink()


@pytest.mark.parametrize("broken", ["chmod", "fsync", "lock"])
def test_network_folders_without_rights_flushing_or_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    if broken == "chmod":
        monkeypatch.setattr(Path, "chmod", refuse)
    elif broken == "fsync":
        monkeypatch.setattr(os, "fsync", refuse)
    else:
        monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with whole_file(tmp_path / "x") as draft:
        draft.write_bytes(b"new")
        sweep(tmp_path)
    assert (tmp_path / "x").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_disk_that_is_full_when_the_file_is_flushed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "x"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error, whole_file(path) as draft:
        draft.write_bytes(b"new")
    assert error.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_another_program_has_open_for_a_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, refusals = Path.replace, iter([1, 1])

    def busy(self: Path, target: Path) -> Path:
        if next(refusals, None):
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    with whole_file(tmp_path / "x") as draft:
        draft.write_bytes(b"new")
    assert (tmp_path / "x").read_bytes() == b"new"


def test_an_append_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_whole(path, b"one\n")
    append_whole(path, b"two\n")
    with full_disk(12), pytest.raises(OSError, match="File too large"):
        append_whole(path, b"three\n" * 10)
    assert path.read_bytes() == b"one\ntwo\n"


WRITER = """
import sys
from pathlib import Path
from napari_rls.files.whole_file import whole_file

with whole_file(Path(sys.argv[1])) as draft:
    draft.write_bytes(b"half")
    # As safetensors itself leaves one, if it is killed.
    (draft.parent / ".tmpAbCdEf").write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that is in the midst of writing ``path`` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_killed_writers_draft_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with writer(path) as process:
        (draft,) = tmp_path.iterdir()
        sweep(tmp_path)
        assert {p.name for p in draft.iterdir()} == {"draft", "lock", ".tmpAbCdEf"}
        process.kill()
        process.wait()
        sweep(tmp_path)
        assert not list(tmp_path.iterdir())
    with writer(path) as process:
        sweep(tmp_path)
        process.communicate("")
        assert process.returncode == 0
    assert path.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [path]


def test_the_next_process_that_writes_sweeps(tmp_path: Path) -> None:
    with writer(tmp_path / "first") as process:
        process.kill()
    assert len(list(tmp_path.iterdir())) == 1
    with writer(tmp_path / "second") as process:
        process.communicate("")
    assert [p.name for p in tmp_path.iterdir()] == ["second"]


def test_drafts_of_another_machine_are_swept_after_a_day(tmp_path: Path) -> None:
    draft = tmp_path / ".bundle.0000abcd-0123456789abcdef.tmp"
    draft.mkdir()
    (draft / "draft").write_bytes(b"half")
    sweep(tmp_path)
    assert (draft / "draft").exists()
    for path in (draft / "draft", draft):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    sweep(tmp_path)
    assert not draft.exists()


def test_a_sweep_takes_nothing_else(tmp_path: Path) -> None:
    own = tmp_path / ".notes.tmp"
    own.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    link = tmp_path / f".x.{module._HOST}-0123456789abcdef.tmp"
    link.symlink_to(elsewhere)
    sweep(tmp_path)
    sweep(tmp_path / "missing")
    assert (elsewhere / "lock").exists()
    assert own.exists()


SWEEPER = """
import sys, time
from pathlib import Path
from napari_rls.files.whole_file import sweep

print("ready", flush=True)
while True:
    sweep(Path(sys.argv[1]))
"""

REPLACER = """
import sys
from pathlib import Path
from napari_rls.files.whole_file import whole_file

path, letter = Path(sys.argv[1]), sys.argv[2]
for k in range(int(sys.argv[3])):
    with whole_file(path) as draft, draft.open("w") as file:
        for _ in range(200):
            file.write(letter * 500)
            file.flush()
"""


def test_readers_never_see_half_or_mixed_files(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_text("0" * 100_000)

    def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])

    sweeper = start(SWEEPER, tmp_path)
    writers = [start(REPLACER, path, letter, 150) for letter in "ab"]
    seen: dict[str, int] = {}
    try:
        while any(w.poll() is None for w in writers):
            text = path.read_text()
            assert len(text) == 100_000
            assert len(set(text)) == 1, "two writers are in one file"
            seen[text[0]] = seen.get(text[0], 0) + 1
        assert [w.returncode for w in writers] == [0, 0]
    finally:
        for process in (sweeper, *writers):
            process.kill()
            process.wait()
    assert sum(seen.values()) > 200
    assert {"a", "b"} <= seen.keys()
    assert list(tmp_path.iterdir()) == [path]


def test_threads_write_one_path(tmp_path: Path) -> None:
    path = tmp_path / "settings"

    def write(letter: str) -> None:
        for _ in range(30):
            with whole_file(path) as draft:
                draft.write_text(letter * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = path.read_text()
    assert len(text) == 1000
    assert len(set(text)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_goes_away_is_an_error_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    writing = whole_file(folder / "x")
    writing.__enter__()
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError) as error:
        writing.__exit__(None, None, None)
    assert error.value.filename == str(folder / "x")
    assert not list(tmp_path.iterdir())


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_a_folder_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "image"
    for text in ("old", "new"):
        with whole_folder(path) as draft:
            draft.mkdir()
            (draft / text).write_text(text)
        assert [entry.name for entry in path.iterdir()] == [text]
    with suppress(ZeroDivisionError), whole_folder(path) as draft:
        draft.mkdir()
        (draft / "third").write_text(str(1 / 0))
    assert (path / "new").read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["image"]
