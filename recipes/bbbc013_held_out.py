r"""The held-out HR crops with which bbbc013-translocation-64 was calibrated.

    python recipes/bbbc013_held_out.py DATA held_out.ome.tif
    for factor in 8 16; do
        napari-rls degrade held_out.ome.tif --factor $factor --out held_out_LR${factor}x.ome.tif
        napari-rls super-resolve held_out_LR${factor}x.ome.tif --factor $factor --out sr
    done
    napari-rls bundles calibrate BUNDLE sr/held_out_LR*_SR*x.ome.tif --gt held_out.ome.tif \\
        --assay translocation --data "BBBC013 row B, 56 random cells a well" --out CALIBRATED

DATA holds BBBC013 as OME-TIFF with wells.csv. Row B is the one that the generator was not
trained on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack

SIZE, CELLS = 64, 56


def main() -> None:
    """Write the crops."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    wells = pd.read_csv(options.data / "wells.csv").query("row == 'B'")
    images, crops = [], []
    for well, file in zip(wells.well, wells.file, strict=True):
        stack = cut_crops(read_stack(options.data / file), SIZE).stack
        chosen = np.sort(np.random.default_rng(0).permutation(len(stack))[:CELLS])
        images.append(stack.data[chosen])
        crops += [replace(stack.crops[k], well=well, file=file) for k in chosen]
    held_out = CellStack(np.concatenate(images), stack.channels, crops=tuple(crops))
    write_stack(options.out, held_out, description="HR crops of BBBC013, row B")


if __name__ == "__main__":
    main()
