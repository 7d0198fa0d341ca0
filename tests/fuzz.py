"""Read many damaged and hostile files: only the package's own sentences may come of it.

Each case is read in a worker process that may open nothing outside the case's folder, run,
compile or import nothing, and take a bounded amount of memory and time. A worker reads many
cases, and is replaced when one ends it. All follows from the seed::

    python tests/fuzz.py --cases 20000 --seed 0 --save /tmp/found
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

MEMORY = 2**30
"""Bytes that a case may take beyond what the worker has."""

SECONDS = 20
"""Seconds that a case may take on a busy machine."""

WARM = 3
"""Cases that a worker reads of each kind before it is watched: libraries import late."""

_OWN_MEMORY = ("Unable to allocate", "does not fit into memory", "not enough memory")


@dataclass
class Result:
    """What came of the cases of a kind: counts, and the cases that went wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[dict[str, Any]] = field(default_factory=list)


def fuzz(
    names: Sequence[str], cases: int, seed: int, save: Path | None = None
) -> Iterator[tuple[str, Result]]:
    """Read ``cases`` files of each kind, and yield what came of it, kind by kind."""
    from fuzz_kinds import KINDS

    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        originals = Path(place, "originals")
        for name in names:
            (originals / name).mkdir(parents=True)
            KINDS[name].make(originals / name)
        with _Worker(originals, seed, names) as worker:
            for name in names:
                result = Result()
                for case in range(cases):
                    told = worker.read(name, case)
                    result.counts[told["came"]] += 1
                    if told["came"] not in {"read", "refused"}:
                        result.wrong.append(told | {"case": case})
                        if save:
                            shutil.rmtree(save / name / str(case), ignore_errors=True)
                            _write_case(originals, seed, name, case, save / name / str(case))
                yield name, result


def _write_case(originals: Path, seed: int, name: str, case: int, folder: Path) -> None:
    """Write the files of a case: those of the kind, one or two of them changed."""
    from fuzz_kinds import KINDS

    rng = random.Random(f"{seed}/{name}/{case}")
    shutil.copytree(originals / name, folder)
    ways = KINDS[name].ways
    files = sorted(p for p in folder.rglob("*") if any(p.name.endswith(end) for end in ways))
    for file in rng.sample(files, min(len(files), rng.choice((1, 1, 1, 2)))):
        way = rng.choice(next(found for end, found in ways.items() if file.name.endswith(end)))
        file.write_bytes(way(rng, file.read_bytes()))


class _Worker:
    """A process that reads cases; a new one takes its place if a case ends it."""

    def __init__(self, originals: Path, seed: int, names: Sequence[str]) -> None:
        self._arguments = [str(originals), str(seed), ",".join(names)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, name: str, case: int) -> dict[str, Any]:
        """Have a case read; return what came of it and how it was said."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{case} {name}\n".encode())
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], SECONDS)[0]:
            self._end()
            return {"came": "too slow", "said": f"more than {SECONDS} s"}
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._end()
            return {"came": "ended", "said": f"the process ended with {code}"}
        told: dict[str, Any] = json.loads(line)
        return told

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("the process that reads cases did not begin")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class Forbidden(BaseException):
    """A file has made its reader do what only a program may do."""


_ALLOWED_MODULES = frozenset(
    (
        "encodings", "h5py", "imagecodecs", "lzma", "napari_rls", "numpy", "pandas", "pyarrow",
        "pydantic", "pydantic_core", "safetensors", "tifffile", "torch", "zipfile", "_lzma",
        "_bz2", "bz2", "stringprep", "zoneinfo",
    )
)  # fmt: skip
_DANGEROUS = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.kill", "os.putenv",
    "os.symlink", "os.link", "subprocess.", "socket.", "ctypes.", "pty.", "urllib.",
    "webbrowser.", "http.", "ftplib.", "pickle.find_class",
)  # fmt: skip

_CHANGING = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "shutil.")


class _Watch:
    """An audit hook that stops what a reader must not do, and remembers it."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen = ""
        self._readable = tuple({sys.prefix, sys.base_prefix, "/proc/", "/sys/", "/usr/share/"})
        sys.addaudithook(self._audit)

    @contextmanager
    def watching(self, folder: Path) -> Iterator[None]:
        """Watch what is done in the block."""
        self.folder, self.seen = f"{folder}{os.sep}", ""
        try:
            yield
        finally:
            self.folder = None

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        wrong = ""
        if event == "open":
            wrong = self._opened(*arguments)
        elif event == "import":
            home = str(arguments[0]).split(".", maxsplit=1)[0]
            wrong = "" if home in _ALLOWED_MODULES or _imports() else f"import {arguments[0]}"
        elif event in {"exec", "compile", "marshal.loads", "code.__new__", "function.__new__"}:
            wrong = "" if _imports() or _of_cython(arguments) else event
        elif event.startswith(_CHANGING) and self._is_inside(arguments[0]):
            wrong = ""
        elif event.startswith((*_DANGEROUS, *_CHANGING)):
            wrong = f"{event} {arguments!r:.80}"
        if wrong:
            self.seen, self.folder = wrong, None
            raise Forbidden(wrong)

    def _opened(self, path: object, mode: object, flags: int) -> str:
        if isinstance(path, int):
            return ""
        full = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]  # noqa: PTH100
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        allowed = self._is_inside(path) or (not writes and full.startswith(self._readable))
        return "" if allowed else f"open {full} {mode}"

    def _is_inside(self, path: Any) -> bool:
        full = f"{os.path.abspath(os.fsdecode(path))}{os.sep}"  # noqa: PTH100
        return self.folder is not None and full.startswith(self.folder)


def _of_cython(arguments: tuple[Any, ...]) -> bool:
    """Whether a compiled module notes where it raises an error."""
    return any(isinstance(one, str) and one.endswith(".pyx") for one in arguments)


def _imports() -> bool:
    """Whether a module is being imported, or a literal parsed, which runs nothing."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name == "<frozen importlib._bootstrap>" or name.endswith("/ast.py"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _work(originals: Path, seed: int, names: Sequence[str], orders: BinaryIO, out: int) -> None:
    """Read the cases that are named on stdin, and tell of each in a line."""
    from fuzz_kinds import KINDS

    warnings.simplefilter("ignore")
    importlib.import_module("encodings.utf_16")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        home = Path(place).resolve()
        for name in names:
            KINDS[name].read(originals / name)
            for case in range(-WARM, 0):
                _write_case(originals, seed, name, case, home / "case")
                _outcome(KINDS[name], home / "case", None)
                shutil.rmtree(home / "case")
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        watch = _Watch()
        os.write(out, b"ready\n")
        for order in orders:
            case, name = order.decode().strip().split(" ", maxsplit=1)
            _write_case(originals, seed, name, int(case), home / "case")
            told = _outcome(KINDS[name], home / "case", watch)
            shutil.rmtree(home / "case", ignore_errors=True)
            os.write(out, json.dumps(told).encode() + b"\n")


def _outcome(kind: Any, folder: Path, watch: _Watch | None) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        if watch is None:
            kind.read(folder)
        else:
            with watch.watching(folder):
                kind.read(folder)
        told = {"came": "read", "said": ""}
    except kind.refusals as error:
        told = {"came": "refused", "said": str(error)}
        if any(words in str(error) for words in _OWN_MEMORY):
            told["came"] = "memory"
        elif not str(error).isprintable() or len(str(error)) > 600:
            told["came"] = "no sentence"
    except BaseException as error:  # noqa: BLE001  what must not come out is told
        told = {"came": type(error).__name__, "said": _where(error)}
    if watch is not None and watch.seen:
        told = {"came": "Forbidden", "said": watch.seen}
    return told | {"seconds": round(time.perf_counter() - start, 2)}


def _where(error: BaseException) -> str:
    trace, places = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{str(error)[:200]!r} at {' < '.join(reversed(places[-6:]))}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000, help="cases in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", help="names of kinds, separated by commas (default: all)")
    parser.add_argument("--save", type=Path, help="folder for the cases that went wrong")
    options = parser.parse_args()
    from fuzz_kinds import KINDS

    names = options.kinds.split(",") if options.kinds else list(KINDS)
    found = False
    for name, result in fuzz(names, -(-options.cases // len(names)), options.seed, options.save):
        counts = ", ".join(f"{count} {came}" for came, count in sorted(result.counts.items()))
        print(f"{name}: {counts}", flush=True)
        for told in result.wrong[:20]:
            print(f"    {told['case']}: {told['came']}: {told['said']}", flush=True)
        found |= bool(result.wrong)
    sys.exit(found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        own = os.dup(1)
        os.dup2(2, 1)
        folder, number, kinds = sys.argv[2:]
        _work(Path(folder), int(number), kinds.split(","), sys.stdin.buffer, own)
    else:
        main()
