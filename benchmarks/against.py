"""Processor's time of a cell with this version and with another, in turns on one machine.

    git worktree add ../before COMMIT
    python benchmarks/against.py ../before/src --factor 16

Default settings, one thread, LR crops of cells that the embedded bundle of this version draws. Each
version has its own bundle of that name. Quote the ratios; seconds depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from napari_rls import load_bundle
from napari_rls.workflow.cells.examples import draw_prior_sample

BUNDLE = "bbbc013-translocation-64"

RUN = """
import sys, time
import numpy as np
import torch
torch.set_num_threads(1)
from napari_rls import Settings, super_resolve
lr, factor = np.load(sys.argv[1]), int(sys.argv[2])
for samples in ({}, {"samples": 0}):
    list(super_resolve(lr[:2], sys.argv[3], Settings(factor=factor, steps=2, **samples)))
    start = time.process_time()
    for update in super_resolve(lr, sys.argv[3], Settings(factor=factor, **samples)):
        pass
    print((time.process_time() - start) / len(lr))
"""
"""Prints the seconds of a cell with samples and without, as any version can tell them."""


def seconds(source: Path, cells: Path, factor: int) -> tuple[float, float]:
    """Return the processor's time of a cell in a default run, and in its search alone."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", RUN, str(cells), str(factor), BUNDLE]
    done = subprocess.run(line, env=environment, check=True, capture_output=True, text=True)
    run, search = map(float, done.stdout.split())
    return run, search


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="the other version's folder src")
    parser.add_argument("--factor", type=int, default=16)
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    versions = {"other": given.other, "this": Path(__file__).parents[1] / "src"}
    with tempfile.TemporaryDirectory() as folder:
        cells = Path(folder) / "lr.npy"
        drawn = draw_prior_sample(load_bundle(BUNDLE), given.cells, given.factor, seed=1)
        np.save(cells, drawn.lr.data)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in versions}
        for _ in range(given.rounds):
            for name, source in versions.items():
                found[name].append(seconds(source.resolve(), cells, given.factor))
    best = {name: np.min(times, axis=0) for name, times in found.items()}
    for k, what in enumerate(("default run", "search alone")):
        other, this = best["other"][k], best["this"][k]
        print(f"{what}: {other:.3f} s and {this:.3f} s a cell, {other / this:.2f} times as fast")


if __name__ == "__main__":
    main()
