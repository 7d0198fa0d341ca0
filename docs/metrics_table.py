"""Measure the tables of docs/metrics.md: what the metrics say of damage that is known.

python docs/metrics_table.py DATA [FEATURES ...]

DATA is the folder of BBBC013; row B is scored, 100 crops of 64 x 64 pixels.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_rls.evaluation.metrics import score
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.upsample import upsample

CELLS = 100


def crops(folder: Path) -> np.ndarray:
    """Crops of row B in random order, 0 to 255."""
    wells = [folder / f"B{k:02d}.ome.tif" for k in range(1, 13)]
    found = np.concatenate([cut_crops(read_stack(well), 64).stack.data for well in wells])
    return found[np.random.default_rng(0).permutation(len(found))].astype(np.float32)


def main() -> None:
    torch.set_num_threads(1)
    data, *features = sys.argv[1:]
    both = crops(Path(data))[: 2 * CELLS]
    truth, others = both[:CELLS], both[CELLS:]
    rng = np.random.default_rng(0)
    images = {
        "the truth itself": truth,
        "other real cells": others,
        "noise, deviation 1 of 255": truth + rng.normal(0, 1, truth.shape),
        "noise, deviation 5 of 255": truth + rng.normal(0, 5, truth.shape),
        "blur, sigma 1 px": gaussian_filter(truth, (0, 0, 1, 1)),
        "blur, sigma 2 px": gaussian_filter(truth, (0, 0, 2, 2)),
        **{
            f"degraded {f}x, enlarged bicubically": upsample(degrade(truth, f), f)
            for f in (4, 8, 16)
        },
    }
    header = ""
    for name, sr in images.items():
        started = time.perf_counter()
        encoded = (sr.clip(0, 255) / 127.5 - 1).astype(np.float32)
        table = score(encoded, truth / 127.5 - 1, features=features or ("napari-rls",))
        seconds = time.perf_counter() - started
        if not header:
            header = " | ".join(f"{m}, {v}" for m, v in table[["metric", "variant"]].to_numpy())
            print(f"| {CELLS} cells | {header} | s |\n|{'---|' * (len(table) + 2)}")
        values = [
            f"{row.value:.3f} ({row.low:.3f} to {row.high:.3f})" for row in table.itertuples()
        ]
        print(f"| {name} | {' | '.join(values)} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
