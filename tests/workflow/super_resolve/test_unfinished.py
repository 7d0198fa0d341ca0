"""``napari-rls super-resolve`` stopped half-way: nothing is lost, the next run ends the same."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_job import full_disk
from typer.testing import CliRunner, Result

from napari_rls.cli import reporting
from napari_rls.cli.main import app
from napari_rls.workflow.cells.read import read_frames, read_samples, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.super_resolve.unfinished import Unfinished

CELLS = 5
STEPS = 7
"""Of a batch: 4 of the search, 3 of the samples."""


@dataclass
class Case:
    """A command line, and what it writes."""

    lr: Path
    out: Path
    args: tuple[object, ...]

    def run(self, *options: object, code: int = 0) -> Result:
        line = ("super-resolve", self.lr, "--out", self.out, *self.args, *options)
        result = CliRunner().invoke(app, [str(arg) for arg in line])
        assert result.exit_code == code, result.output
        return result

    @property
    def sr(self) -> Path:
        return self.out / "lr_SR4x.ome.tif"

    @property
    def kept(self) -> Path:
        return self.out / "lr_SR4x.unfinished"

    @property
    def record(self) -> dict:
        return json.loads(self.sr.with_name("lr_SR4x.json").read_text())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the run wrote, but for times."""
        record = self.record
        assert record["complete"] is True
        samples = read_samples(self.out / "lr_SR4x_samples.ome.tif", read_stack(self.sr), record)
        trace, _ = read_frames(self.out / "lr_SR4x_trace.ome.tif")
        cells = np.array([json.dumps(cell) for cell in record["cells"]])
        return {"sr": read_stack(self.sr).data, "samples": samples, "trace": trace, "cells": cells}

    def names(self) -> set[str]:
        return {path.name for path in self.out.iterdir()}


NAMES = {f"lr_SR4x{end}" for end in (".ome.tif", ".json", "_samples.ome.tif", "_trace.ome.tif")}


@pytest.fixture
def case(tmp_path: Path, tiny_bundle_file: Path) -> Case:
    data = np.random.default_rng(0).integers(0, 250, (CELLS, 2, 8, 8), dtype=np.uint8)
    write_stack(tmp_path / "lr.ome.tif", CellStack(data, ("nucleus", "protein")), description="LR")
    args = (
        "--bundle", tiny_bundle_file, "--steps", 4, "--sample-steps", 3, "--samples", 2,
        "--batch-size", 2, "--trace-every", 2, "--precision", "float32",
    )  # fmt: skip
    return Case(tmp_path / "lr.ome.tif", tmp_path / "out", args)


@pytest.fixture
def through(case: Case) -> Iterator[dict[str, NDArray[np.generic]]]:
    """What a run gives that nothing stops."""
    other = Case(case.lr, case.out.with_name("through"), case.args)
    other.run()
    assert other.names() == NAMES
    return other.arrays()


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, signal.Signals], None]:
    """Let a signal arrive after so many updates of the next run; ones of later runs count on."""
    show = reporting.SearchProgress.show

    def arrange(count: int, number: signal.Signals = signal.SIGINT) -> None:
        shown = []

        def interrupt(*args: object) -> None:
            show(*args)
            shown.append(args)
            if len(shown) == count:
                signal.raise_signal(number)

        monkeypatch.setattr(reporting.SearchProgress, "show", interrupt)

    return arrange


def assert_same(one: dict[str, NDArray[np.generic]], two: dict[str, NDArray[np.generic]]) -> None:
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_stopped_run_keeps_what_it_reached_and_the_next_one_finishes_it(
    case: Case, through: dict, stop_at: Callable, number: signal.Signals, code: int
) -> None:
    before = signal.getsignal(number)
    stop_at(STEPS + 3, number)
    stopped = case.run(code=code)
    sentence = (
        "Stopped: the SR files hold what was reached; the same command goes on with the rest."
    )
    assert sentence in stopped.stderr
    assert str(case.sr) in stopped.stdout
    assert signal.getsignal(number) is before
    record = case.record
    assert record["complete"] is False
    reached = ["done"] * 2 + ["searching"] * 2 + ["waiting"]
    assert [cell["status"] for cell in record["cells"]] == reached
    finite = np.isfinite(read_stack(case.sr).data).all((1, 2, 3))
    assert finite.tolist() == [True] * 4 + [False]
    stop_at(STEPS + 4, number)  # 7 of the second batch, 4 of the third
    again = case.run(code=code)
    assert "lr.ome.tif: 2 of 5 cells are kept of a run before." in again.stderr
    done = case.run()
    assert "lr.ome.tif: 4 of 5 cells are kept of a run before." in done.stderr
    assert_same(case.arrays(), through)
    assert case.names() == NAMES
    assert set(done.stdout.split()) == {str(case.out / name) for name in NAMES}
    assert case.record["started"] == record["started"]
    assert case.record["seconds"] > record["seconds"]


def test_a_signal_between_the_last_batch_and_the_files_loses_nothing(
    case: Case, through: dict, stop_at: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if killed while writing: the folder is whole, the files are not."""
    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "remove", lambda _: None)
        case.run()
    (case.out / "lr_SR4x_samples.ome.tif").unlink()
    stop_at(1)
    done = case.run()  # without any search
    assert "5 of 5 cells are kept" in done.stderr
    assert_same(case.arrays(), through)
    assert case.names() == NAMES


def test_a_finished_run_is_not_made_again(case: Case, stop_at: Callable) -> None:
    case.run()
    before = case.sr.stat().st_mtime_ns
    stop_at(1)
    again = case.run()
    assert f"{case.sr} is finished already." in again.stderr
    assert set(again.stdout.split()) == {str(case.out / name) for name in NAMES}
    assert case.sr.stat().st_mtime_ns == before
    refused = case.run("--seed", 1, code=1)
    assert f"{case.sr} exists already; give --overwrite to replace it" in refused.stderr
    assert "(it was made otherwise: seed: 0, now 1)" in refused.stderr
    (case.out / "lr_SR4x_samples.ome.tif").unlink()
    assert "without all that goes with it; give --overwrite" in case.run(code=1).stderr


def test_what_differs_from_an_unfinished_run_is_told(
    case: Case, stop_at: Callable, through: dict, tmp_path: Path
) -> None:
    stop_at(STEPS + 3)
    case.run(code=130)
    refused = case.run("--seed", 1, "--lambda-c", 0.02, code=1).stderr
    assert (
        "lr_SR4x.unfinished holds an unfinished run that was begun otherwise (lambda_c: 0.01, now "
        "0.02; seed: 0, now 1); finish it as it was begun, or give --overwrite to begin anew."
    ) in refused
    data = read_stack(case.lr).data.copy()
    kept = case.lr.read_bytes()
    data[0, 0, 0, 0] += 1
    write_stack(case.lr, CellStack(data, ("nucleus", "protein")), description="LR")
    assert "begun otherwise (another LR image)" in case.run(code=1).stderr
    case.lr.write_bytes(kept)
    # The number of threads and where the bundle lies make no other pixels.
    moved = shutil.copy(case.args[1], tmp_path / "moved.rls.safetensors")
    case.run("--threads", 1, "--bundle", moved)
    assert_same(case.arrays(), through)


def test_overwrite_begins_an_unfinished_run_anew(case: Case, stop_at: Callable) -> None:
    stop_at(STEPS + 3)
    case.run(code=130)
    done = case.run("--seed", 1, "--overwrite")
    assert "kept" not in done.stderr
    assert case.record["settings"]["seed"] == 1
    assert case.names() == NAMES


def test_an_unfinished_file_whose_folder_is_gone_is_made_again(
    case: Case, stop_at: Callable, through: dict
) -> None:
    stop_at(STEPS + 3)
    case.run(code=130)
    shutil.rmtree(case.kept)
    refused = case.run("--seed", 1, code=1).stderr
    assert f"{case.sr} is of an unfinished run; give --overwrite to replace it" in refused
    case.run()
    assert_same(case.arrays(), through)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "json", "other"])
def test_damaged_batches_are_searched_again(
    case: Case, stop_at: Callable, through: dict, damage: str
) -> None:
    stop_at(2 * STEPS + 1)
    case.run(code=130)
    files = sorted(case.kept.glob("*.batch"))
    assert len(files) == 2
    content = bytearray(files[0].read_bytes())
    match damage:
        case "flip":
            content[-5] ^= 1
        case "cut":
            del content[-100:]
        case "empty":
            content.clear()
        case "json":
            content[8:40] = b"[" * 32
        case _:
            content[:] = files[1].read_bytes()  # cells of the other batch
    files[0].write_bytes(content)
    assert "2 of 5 cells are kept" in case.run().stderr
    assert_same(case.arrays(), through)


def test_a_damaged_record_of_an_unfinished_run_is_named(case: Case, stop_at: Callable) -> None:
    stop_at(STEPS + 3)
    case.run(code=130)
    for text in ("", "[]", '{"started": 5}', "{"):
        (case.kept / "run.json").write_text(text)
        assert "run.json cannot be read; give --overwrite" in case.run(code=1).stderr
    case.run("--overwrite")


def test_two_processes_do_not_make_one_file(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    show = reporting.SearchProgress.show
    second: list[Result] = []

    def meanwhile(*args: object) -> None:
        show(*args)
        if not second:
            second.append(case.run(code=1))

    monkeypatch.setattr(reporting.SearchProgress, "show", meanwhile)
    case.run()
    assert f"Another process is making {case.sr}; wait for its end" in second[0].stderr
    assert case.names() == NAMES


def test_a_full_disk_stops_no_search(
    case: Case, through: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Unfinished.keep
    calls = []

    def full_at_first(self: Unfinished, cells: NDArray[np.intp]) -> None:
        calls.append(cells)
        if len(calls) == 2:
            return keep(self, cells)
        with full_disk(10):
            return keep(self, cells)

    monkeypatch.setattr(Unfinished, "keep", full_at_first)
    done = case.run()
    assert "Finished cells cannot be kept in" in done.stderr
    assert "File too large" in done.stderr
    assert_same(case.arrays(), through)
    assert case.names() == NAMES


def test_files_that_cannot_be_written_lose_no_search(case: Case, through: dict) -> None:
    """A disk that fills up at the end: the batches are kept, and the next run only writes."""
    less = ("--samples", 0, "--trace-every", 0)
    # Room for every batch, but not for the file of all of them.
    with full_disk(through["sr"].nbytes // 2):
        failed = case.run(*less, code=1)
    assert f"{case.sr} cannot be written (No space left on device" in failed.stderr
    assert f"Finished cells of {case.sr} are kept" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert case.names() == {case.kept.name}
    assert "5 of 5 cells are kept" in case.run(*less).stderr
    np.testing.assert_array_equal(read_stack(case.sr).data, through["sr"])


def test_a_folder_that_goes_away_is_made_again(
    case: Case, through: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = reporting.SearchProgress.show
    shown = []

    def remove(*args: object) -> None:
        show(*args)
        shown.append(args)
        if len(shown) == STEPS + 2:
            shutil.rmtree(case.out)
        if len(shown) == 2 * STEPS + 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(reporting.SearchProgress, "show", remove)
    case.run(code=143)
    monkeypatch.undo()
    assert "2 of 5 cells are kept" in case.run().stderr
    assert_same(case.arrays(), through)


def test_batches_of_another_run_are_never_taken(case: Case, stop_at: Callable) -> None:
    stop_at(STEPS + 3)
    case.run(code=130)
    (stale,) = case.kept.glob("*.batch")
    content = stale.read_bytes()
    other = Case(case.lr, case.out.with_name("other"), (*case.args, "--seed", 1))
    stop_at(2 * STEPS + 1)
    other.run(code=130)
    (other.kept / stale.name).write_bytes(content)
    assert "2 of 5 cells are kept" in other.run().stderr
    assert other.record["complete"] is True


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be asked to stop there")
def test_a_process_of_a_script_in_the_background_stops_when_asked(
    case: Case, through: dict
) -> None:
    """Such a process ignores Ctrl-C, as the shell wants it; SIGTERM stops it and keeps all."""
    code = "from napari_rls.cli.main import app; app()"
    line = [sys.executable, "-c", code, "super-resolve", case.lr, "--out", case.out, *case.args]
    longer = ["--sample-steps", 4000]
    command = shlex.join(map(str, [*line, *longer]))
    shell = f"trap '' INT; exec {command}"
    process = subprocess.Popen(["sh", "-c", shell], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not (case.kept / "run.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "the same command goes on with the rest" in said
    assert "Traceback" not in said
    case.run("--overwrite")
    assert_same(case.arrays(), through)
