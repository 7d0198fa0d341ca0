"""Quality on real cells with known truth: HR crops, degraded, super-resolved, measured.

    python benchmarks/translocation.py FOLDER --row B --factors 8,16

FOLDER holds BBBC013 as OME-TIFF with wells.csv. For SR and for bicubic upsampling it
prints the mean distance from the LR image, PSNR, the nucleus to cytoplasm ratio per well
against HR (median error in log2 units, Spearman correlation) and the AUC of single cells
between negative and positive controls.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, spearmanr

from napari_rls import Settings, degrade, load_bundle, super_resolve
from napari_rls.measure.translocation import translocation_ratio
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.super_resolve.result import Collector

Images = NDArray[np.float32]


def cells_of(folder: Path, wells: pd.DataFrame, count: int) -> tuple[CellStack, list[str]]:
    """Return ``count`` random crops of each well, seeded, and their wells; controls have thrice."""
    stacks, names = [], []
    for well, file, control in zip(wells.well, wells.file, wells.control, strict=True):
        crops = cut_crops(read_stack(folder / file), 64).stack
        wanted = count * (3 if isinstance(control, str) else 1)
        chosen = np.sort(np.random.default_rng(0).permutation(len(crops))[:wanted])
        stacks.append(crops.data[chosen])
        names += [well] * len(chosen)
    return CellStack(np.concatenate(stacks), ("DNA", "FKHR-GFP"), name="crops"), names


def ratios(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the nucleus to cytoplasm ratio of each image."""
    return np.array([translocation_ratio(image) for image in images])


def auc(negative: NDArray[np.float64], positive: NDArray[np.float64]) -> float:
    """Return the share of pairs in which the positive cell has the larger ratio."""
    negative, positive = (x[np.isfinite(x)] for x in (negative, positive))
    return float(mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative)))


def figures(name: str, images: Images, hr: CellStack, lr: Images, table: pd.DataFrame) -> dict:
    """Return the figures of one kind of image."""
    factor = hr.data.shape[-1] // lr.shape[-1]
    table = table.assign(hr=ratios(hr.data), image=ratios(images))
    wells = table.groupby("well")[["hr", "image"]].median()
    error = np.abs(np.log2(wells.image / wells.hr))
    squares = ((images - hr.data.astype(np.float32)) ** 2).mean(axis=(1, 2, 3))
    groups = {c: table[table.control == c] for c in ("negative", "positive")}
    return {
        "image": name,
        "factor": factor,
        "cells": len(table),
        "L1 to LR": float(np.abs(degrade(images, factor) - lr).mean()),
        "PSNR": float((10 * np.log10(255**2 / squares)).mean()),
        "median log2 error": float(error.median()),
        "Spearman": float(spearmanr(wells.hr, wells.image).statistic),
        "AUC": auc(*(groups[c].image.to_numpy() for c in groups)),
        "AUC of HR": auc(*(groups[c].hr.to_numpy() for c in groups)),
        "not measurable": int(table.image.isna().sum()),
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--row", default="B")
    parser.add_argument("--factors", default="8,16")
    parser.add_argument("--cells", type=int, default=8, help="cells a well")
    parser.add_argument("--bundle", default=Settings().bundle)
    parser.add_argument("--set", default="{}", help="settings to change, as JSON")
    options = parser.parse_args()
    wells = pd.read_csv(options.folder / "wells.csv").query("row == @options.row")
    hr, names = cells_of(options.folder, wells, options.cells)
    table = pd.DataFrame({"well": names}).merge(wells[["well", "control"]], on="well")
    bundle = load_bundle(options.bundle)
    rows = []
    for factor in map(int, options.factors.split(",")):
        lr = degrade(hr.data, factor)
        settings = Settings.parse(json.loads(options.set) | {"factor": factor})
        collector = Collector(CellStack(lr, hr.channels), bundle.manifest.hr_size)
        for update in super_resolve(collector.lr, bundle, settings):
            collector.add(update)
        upsampled = torch.nn.functional.interpolate(
            torch.from_numpy(lr), scale_factor=factor, mode="bicubic"
        ).numpy()
        rows += [
            figures("bicubic", upsampled, hr, lr, table),
            figures("SR", collector.sr, hr, lr, table)
            | {"seconds a cell": collector.seconds / len(hr)},
        ]
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
