"""Long commands with tiny inputs, processes of them that die when told to, and what they leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import tifffile
from benchmark_bench import hr_cells, measuring_bundle
from PIL import Image
from safetensors.torch import load_file
from synthetic_cells import field
from tiny_job import CENTRES, write_fields

from napari_rls.cli.main import app
from napari_rls.models.bundle import load_bundle
from napari_rls.workflow.cells.read import read_frames, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.train.run_files import begun

DRAFT = re.compile(r"^\..+\.([0-9a-f]{8}-)?[0-9a-f]{16}\.tmp$")
"""Names of drafts, or of the folders of drafts: all that a kill may leave beside whole files."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TIMES = ("seconds", "threads")
"""What is in the names of columns that tell how long something took, or on what."""


@dataclass(frozen=True)
class Job:
    """A command that takes a second or two.

    Parameters
    ----------
    name
        The command.
    argv
        Its words, given the folder that all it writes goes to.
    outcome
        All that it writes there but for times, to be compared.
    """

    name: str
    argv: Callable[[Path], list[str]]
    outcome: Callable[[Path], dict[str, Any]]


def jobs(inputs: Path) -> dict[str, Job]:
    """Write what the commands need, and return them by name."""
    inputs.mkdir(parents=True)
    bundle = inputs / "tiny.rls.safetensors"
    measuring_bundle(bundle)
    data = np.random.default_rng(0).integers(0, 250, (7, 2, 8, 8), dtype=np.uint8)
    write_stack(inputs / "lr.ome.tif", CellStack(data, ("nucleus", "protein")), description="LR")
    write_stack(inputs / "hr.ome.tif", hr_cells(), description="HR")
    fields = write_fields(inputs / "fields")
    large = inputs / "large"
    large.mkdir()
    for k in range(4):
        image = np.roll(field(CENTRES), k, axis=2)
        tifffile.imwrite(large / f"f{k}.tif", image, photometric="minisblack")

    def searching(out: Path) -> list[str]:
        return words(
            "super-resolve", inputs / "lr.ome.tif", "--out", out, "--bundle", bundle,
            "--steps 12 --sample-steps 6 --samples 2 --batch-size 2 --trace-every 4 --threads 1",
            "--precision float32 --device cpu",
        )  # fmt: skip

    def training(out: Path) -> list[str]:
        return words(
            "train", fields, "--out", out / "mine.rls.safetensors", "--channels DNA,GFP --size 16",
            "--z-dim 8 --w-dim 8 --mapping-layers 2 --channel-max 8 --channel-last 4 --threads 1",
            "--batch-size 4 --kimg 0.08 --report-kimg 0.02 --sample-kimg 0.04 --snapshot-kimg 0.04",
            "--checkpoint-minutes 0.0005 --device cpu --precision float32 --fit-samples 300",
            "--fit-epochs 1",
        )  # fmt: skip

    def training_a_network(out: Path) -> list[str]:
        return words(
            "train-pix2pix", large, "--bundle", bundle, "--out", out / "mine.rls.safetensors",
            "--factor 4 --width 4 --width-max 8 --steps 12 --batch-size 2 --report-steps 4",
            "--checkpoint-minutes 0.0005 --device cpu --threads 1",
        )  # fmt: skip

    def comparing(out: Path) -> list[str]:
        return words(
            "benchmark --hr", inputs / "hr.ome.tif", "--bundle", bundle, "--out", out,
            "--factors 4 --methods rls,unregularised --cells 3 --subset 2 --max-steps 2",
            "--samples 1 --bootstrap 3 --batch-size 5 --device cpu --threads 1",
        )  # fmt: skip

    every = (
        Job("super-resolve", searching, _searched),
        Job("train", training, _trained),
        Job("train-pix2pix", training_a_network, _trained),
        Job("benchmark", comparing, _compared),
    )
    return {job.name: job for job in every}


def words(*parts: object) -> list[str]:
    """Return the words of a command line; paths stay whole."""
    split = ([str(part)] if isinstance(part, Path) else str(part).split() for part in parts)
    return [word for some in split for word in some]


# -- processes -----------------------------------------------------------------------------


@dataclass
class Process:
    """A child that runs a command; it has all modules already, and so starts at once."""

    pid: int
    log: Path

    def end(self) -> int:
        """Wait for its end; return its exit code, or minus the signal that ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> int:
        """Kill it as nothing can be caught, and return how it ended."""
        os.kill(self.pid, signal.SIGKILL)
        return self.end()

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def start(
    argv: Sequence[str], log: Path, folder: Path, at_event: Callable[[int], None] | None = None
) -> Process:
    """Run a command in a child.

    ``at_event`` is called there before every change of a file in ``folder``, with its number.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Process(pid, log)
    code = 99
    try:
        with log.open("w", encoding="utf-8", buffering=1) as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.stdout = sys.stderr = said
            if at_event is not None:
                _watch(folder, at_event)
            app(list(argv))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def _watch(folder: Path, at_event: Callable[[int], None]) -> None:
    count = 0
    place = str(folder)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            changes = isinstance(args[2], int) and args[2] & WRITING
        else:
            changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
        if changes and args and str(args[0]).startswith(place):
            count += 1
            at_event(count)

    sys.addaudithook(hook)


def events_of(job: Job, folder: Path, log: Path) -> tuple[int, float]:
    """Run a job through; return the number of its file events and its seconds."""
    note = log.with_suffix(".events")

    def tell(count: int) -> None:
        with note.open("w") as file:
            file.write(str(count))

    begin = time.monotonic()
    process = start(job.argv(folder), log, folder, tell)
    code = process.end()
    if code:
        raise RuntimeError(f"{job.name} ended with {code}:\n{process.said}")
    return int(note.read_text()), time.monotonic() - begin


def finish(job: Job, folder: Path, log: Path) -> Process:
    """Run a job again, as a user would after a kill, to its end."""
    argv = job.argv(folder)
    run = folder / "mine-run"
    if job.name.startswith("train") and begun(run):
        argv.append("--resume")
    process = start(argv, log, folder)
    code = process.end()
    if code == 2 and "exists already" in process.said and job.name.startswith("train"):
        return process  # killed between the bundle's last byte and its own end
    if code:
        raise Fault(f"{job.name}, run again, ended with {code}:\n{process.said}")
    return process


# -- what is left --------------------------------------------------------------------------


class Fault(AssertionError):  # noqa: N818  a finding, not an error of the script
    """Something was lost, damaged, or left behind."""


def files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder."""
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def check_whole(folder: Path) -> None:
    """Check that every file under its final name is whole, and all others are drafts."""
    for path in files(folder):
        hidden = [part for part in path.relative_to(folder).parts if part.startswith(".")]
        if hidden:
            if not DRAFT.match(hidden[0]):
                raise Fault(f"{path} is no draft")
            continue
        try:
            _read(path)
        except Exception as error:
            raise Fault(f"{path} is not whole: {error!r}") from error


def check_clean(folder: Path, names: set[str]) -> None:
    """Check that a finished folder holds the files of a run that nothing stopped."""
    there = {str(path.relative_to(folder)) for path in files(folder)}
    there = {name for name in there if not name.endswith(".lock") and "tensorboard" not in name}
    if there != names:
        raise Fault(f"{folder}: missing {names - there}, left behind {there - names}")


def names_of(folder: Path) -> set[str]:
    """Return the files of a finished run, but for locks and event files."""
    there = {str(path.relative_to(folder)) for path in files(folder)}
    return {name for name in there if not name.endswith(".lock") and "tensorboard" not in name}


def check_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Check that two outcomes are equal, bit for bit."""
    if one.keys() != two.keys():
        raise Fault(f"differing parts: {one.keys() ^ two.keys()}")
    for name, value in one.items():
        other = two[name]
        same = (
            np.array_equal(value, other, equal_nan=value.dtype.kind == "f")
            if isinstance(value, np.ndarray)
            else value == other
        )
        if not same:
            raise Fault(f"{name} differs")


def check_told(process: Process, code: int, *codes: int) -> None:
    """Check that a process ended as it may, with a sentence and not with a traceback."""
    said = process.said
    if code not in codes or "Traceback" in said or (code and not said.strip()):
        raise Fault(f"ended with {code}:\n{said}")


def _read(path: Path) -> None:
    if path.suffix != ".lock" and "tensorboard" not in path.parts:
        _READERS[path.suffix](path)


def _read_lines(path: Path) -> None:
    *lines, _ = path.read_text(encoding="utf-8").split("\n")  # the last may be cut off
    for line in lines:
        json.loads(line)


def _read_tensors(path: Path) -> None:
    with safetensors.safe_open(path, "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118
            tensors.get_tensor(name)


def _read_arrays(path: Path) -> None:
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            _ = arrays[name]


def _read_page(path: Path) -> None:
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")


_READERS: dict[str, Callable[[Path], object]] = {
    ".tif": tifffile.imread,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".jsonl": _read_lines,
    ".safetensors": _read_tensors,
    ".batch": _read_tensors,
    ".npz": _read_arrays,
    ".csv": pd.read_csv,
    ".png": lambda path: Image.open(path).load(),
    ".html": _read_page,
}


def _searched(out: Path) -> dict[str, Any]:
    record = json.loads((out / "lr_SR4x.json").read_text())
    found: dict[str, Any] = {
        name: record[name] for name in ("complete", "cells", "settings", "bundle", "input")
    }
    found["sr"] = read_stack(out / "lr_SR4x.ome.tif").data
    for name in ("samples", "trace"):
        found[name] = read_frames(out / f"lr_SR4x_{name}.ome.tif")[0]
    return found


def _trained(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: tensor.numpy()
        for name, tensor in load_file(out / "mine-run" / "checkpoint.safetensors").items()
    }
    found["hash"] = load_bundle(out / "mine.rls.safetensors").manifest.content_hash
    return found


def _compared(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            timed = {name for name in arrays.files if "seconds" in name}
            found |= {f"{path.name} {n}": arrays[n] for n in arrays.files if n not in timed}
    for path in sorted(out.glob("*.csv")):
        table = pd.read_csv(path)
        kept = [name for name in table if not any(word in name for word in TIMES)]
        found[path.name] = table[kept].to_csv()
    return found


def fresh(folder: Path) -> Path:
    """Return a new, empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
