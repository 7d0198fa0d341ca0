"""Kill long commands at random moments, and take disks and folders from them: nothing is lost.

    python tests/kill_campaign.py --kills 50

Each of super-resolve, train, train-pix2pix and benchmark, with tiny inputs, is killed (kill -9)
that many times: half of the times at a random moment, half of the times right before a random
change of a file. After every kill each file must be whole or absent, with nothing but drafts
beside them; run again, the command must end with what a run gives that nothing stopped, and
leave no drafts. Then the disk is full, the folder cannot be written to, goes away, or belongs
to two processes at once: a sentence, no traceback, and the next run ends the same. Full and
read-only disks are mounted, which only root may do; elsewhere files may not grow.
"""
# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: children are forked

from kill_bench import (
    Fault,
    Job,
    check_clean,
    check_same,
    check_told,
    check_whole,
    events_of,
    finish,
    fresh,
    jobs,
    names_of,
    start,
)
from typer.testing import CliRunner

from napari_rls.cli.main import app

ROOMS = (0, 300, 3000, 20_000, 60_000)
"""Bytes that a file can have where no disk can be mounted, or kB of a mounted one / 100."""


@dataclass
class Campaign:
    """The trials of one job."""

    job: Job
    place: Path
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = self.place / "log.txt"
        # Here first: what it imports, its children then have.
        CliRunner().invoke(app, self.job.argv(fresh(self.place / "first")))
        through = fresh(self.place / "through")
        self.events, self.seconds = events_of(self.job, through, self.log)
        self.expected = self.job.outcome(through)
        self.names = names_of(through)

    def kill(self) -> None:
        """Kill a run one to three times, then let it end."""
        folder = fresh(self.place / "killed")
        for _ in range(self.rng.randint(1, 3)):
            argv = self._argv(folder)
            if self.rng.random() < 0.5:
                kind = "at a moment"
                process = start(argv, self.log, folder)
                time.sleep(self.rng.uniform(0, self.seconds))
                code = process.kill()
            else:
                kind = "before a change of a file"
                last = self.rng.randint(1, self.events)
                code = start(argv, self.log, folder, _killing(last)).end()
            self.counts["killed " + kind if code == -signal.SIGKILL else "ended before"] += 1
            check_whole(folder)
        self._check_end(folder)

    def full_disk(self) -> None:
        """Let the disk be full at some point, then make room."""
        for room in ROOMS:
            folder = fresh(self.place / "full")
            with_disk = _mount(folder, f"size={max(room // 300, 1) * 4}k")

            def limit(_: int, room: int = room) -> None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

            try:
                process = start(self._argv(folder), self.log, folder, None if with_disk else limit)
                code = process.end()
                check_told(process, code, 0, 1, 2)
                self.counts["full disks" if with_disk else "files that cannot grow"] += 1
                check_whole(folder)
                if with_disk:
                    _remount(folder, "size=64m")
                self._check_end(folder)
            finally:
                if with_disk:
                    _unmount(folder)

    def read_only(self) -> None:
        """Let the folder be one that cannot be written to."""
        folder = fresh(self.place / "read-only")
        with_disk = _mount(folder, "size=64m")
        try:
            if with_disk:
                _remount(folder, "ro")
            elif os.geteuid():
                folder.chmod(0o500)
            else:
                return
            process = start(self._argv(folder), self.log, folder)
            check_told(process, process.end(), 1, 2)
            self.counts["read-only folders"] += 1
            if list(folder.iterdir()):
                raise Fault("something was written")
            if with_disk:
                _remount(folder, "rw")
            else:
                folder.chmod(0o700)
            self._check_end(folder)
        finally:
            if with_disk:
                _unmount(folder)

    def goes_away(self) -> None:
        """Let the folder be deleted at some point."""
        folder = fresh(self.place / "gone")
        last = self.rng.randint(1, self.events)

        def remove(count: int) -> None:
            if count == last:
                shutil.rmtree(folder, ignore_errors=True)

        process = start(self._argv(folder), self.log, folder, remove)
        code = process.end()
        check_told(process, code, 0, 1, 2)
        self.counts["folders that went away"] += 1
        folder.mkdir(exist_ok=True)
        check_whole(folder)
        if code == 0 and names_of(folder) != self.names:
            fresh(folder)  # It went on without what was deleted, and need not make it again.
        self._check_end(folder)

    def two_at_once(self) -> None:
        """Let two processes have one folder."""
        folder = fresh(self.place / "two")
        other = self.log.with_name("other.txt")
        argv = self._argv(folder)
        first, second = start(argv, self.log, folder), start(argv, other, folder)
        for process in (first, second):
            check_told(process, process.end(), 0, 1, 2)
        self.counts["pairs in one folder"] += 1
        check_whole(folder)
        self._check_end(folder)

    def attempt(self, trial: Callable[[], None]) -> None:
        """Make a trial; note what is wrong, and keep the folder of it."""
        try:
            trial()
        except Fault as fault:
            self.faults.append(f"{self.job.name}, {trial.__name__}: {fault}")
            print(f"FAULT {self.faults[-1]}", flush=True)

    def _argv(self, folder: Path) -> list[str]:
        argv = self.job.argv(folder)
        from napari_rls.workflow.train.run_files import begun

        resuming = self.job.name.startswith("train") and begun(folder / "mine-run")
        return [*argv, "--resume"] if resuming else argv

    def _check_end(self, folder: Path) -> None:
        finish(self.job, folder, self.log)
        check_same(self.job.outcome(folder), self.expected)
        check_clean(folder, self.names)
        self.counts["finished alike"] += 1


def _killing(last: int) -> Callable[[int], None]:
    def at(count: int) -> None:
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def _mount(folder: Path, options: str) -> bool:
    return _ran("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder)


def _remount(folder: Path, options: str) -> None:
    if not _ran("mount", "-o", f"remount,{options}", folder):
        raise OSError(f"{folder} cannot be mounted again")


def _unmount(folder: Path) -> None:
    _ran("umount", "-l", folder)


def _ran(*line: Any) -> bool:
    if os.geteuid() or shutil.which(str(line[0])) is None:
        return False
    words = [str(word) for word in line]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="Kills of each command.")
    parser.add_argument("--others", type=int, default=5, help="Folders taken from each command.")
    parser.add_argument("--jobs", default="super-resolve,train,train-pix2pix,benchmark")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="Longest time.")
    given = parser.parse_args()
    deadline = time.monotonic() + given.minutes * 60
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="napari-rls-kills-") as place:
        known = jobs(Path(place, "inputs"))
        for name in given.jobs.split(","):
            begin = time.monotonic()
            rng = random.Random(f"{given.seed} {name}")
            campaign = Campaign(known[name], fresh(Path(place, name)), rng)
            killed = ("killed at a moment", "killed before a change of a file")
            while sum(campaign.counts[kind] for kind in killed) < given.kills:
                campaign.attempt(campaign.kill)
                if time.monotonic() > deadline:
                    faults.append(f"{name}: no time was left")
                    break
            for _ in range(given.others):
                campaign.attempt(campaign.goes_away)
                campaign.attempt(campaign.two_at_once)
            if given.others:
                campaign.attempt(campaign.full_disk)
                campaign.attempt(campaign.read_only)
            told = ", ".join(f"{count} {kind}" for kind, count in sorted(campaign.counts.items()))
            print(
                f"{name}: {told}; {len(campaign.faults)} faults; {campaign.events} file events, "
                f"{campaign.seconds:.1f} s a run, {time.monotonic() - begin:.0f} s in all",
                flush=True,
            )
            faults += campaign.faults
    print(f"{len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
