"""How often intervals hold the true value, as drawn and corrected, on cells with known truth.

    python benchmarks/coverage.py SR.ome.tif --gt HR.ome.tif --assay translocation --out F.csv

The samples lie beside the SR file. The correction is fitted to one half of the cells and
tried on the other, both ways round, so that no cell is judged by a correction that has seen
it. Halves are of whole wells where they are known, dealt in turn along the plate, and drawn
by lot otherwise, again and again, as one draw of few cells says little; figures are means.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.cross_fit import reliability
from napari_rls.measure.domain import Evidence, fit_domain, judge
from napari_rls.measure.intervals import LEVELS
from napari_rls.workflow.cells.read import read_record, read_samples, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.trust_levels import evidence_of, measured
from napari_rls.workflow.super_resolve.sr_files import samples_path

DRAWS = 40
"""Draws by lot of halves."""


def splits(stack: CellStack) -> list[NDArray[np.intp]]:
    """Return ways to deal cells to halves, 0 or 1."""
    wells = [crop.well for crop in stack.crops]
    if len(set(wells)) < 4:
        rngs = map(np.random.default_rng, range(DRAWS))
        return [rng.permutation(len(stack)) % 2 for rng in rngs]
    order = {well: k % 2 for k, well in enumerate(sorted(set(wells)))}
    return [np.array([order[well] for well in wells])]


def false_alarms(evidence: Evidence, half: NDArray[np.intp]) -> float:
    """Return the share of cells that a domain fitted to the other half flags."""
    flagged = np.zeros(len(half), bool)
    for k in (0, 1):
        verdict = judge(fit_domain(evidence[half != k]), evidence[half == k])
        flagged[half == k] = verdict.poor_fit | verdict.out_of_domain
    return float(flagged.mean())


def main() -> None:
    """Print coverage per measurement and level, and the rate of false alarms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sr", type=Path)
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--assay", choices=("translocation", "spots"), required=True)
    parser.add_argument("--out", type=Path, help="CSV to write.")
    options = parser.parse_args()
    sr, gt, record = read_stack(options.sr), read_stack(options.gt), read_record(options.sr)
    samples = read_samples(samples_path(options.sr), sr, record)
    settings = MeasureSettings(assay=options.assay)
    truth = measured(gt.data, gt, settings)
    best = measured(sr.data, sr, settings)
    drawn = [measured(images, sr, settings) for images in samples]
    ways = splits(sr)
    rows = []
    for name in truth:
        draws = np.stack([values[name] for values in drawn])
        error = np.abs(best[name] - truth[name])
        told = [reliability(draws, truth[name], half, "cell") for half in ways]
        figures = [(r.held_drawn, r.held, r.width_drawn, r.width) for r in told if r is not None]
        if not figures:
            print(f"{name}: half of the cells are too few for a correction, or nothing varies.")
            continue
        for level, found in zip(LEVELS, np.mean(figures, axis=0).T, strict=True):
            raw, corrected, width, wider = found
            rows.append(
                {
                    "column": name,
                    "level": level,
                    "drawn": raw,
                    "corrected": corrected,
                    "width": width,
                    "width_corrected": wider,
                    "error_sr": float(np.nanmedian(error)),
                    "error_mean": float(np.nanmedian(np.abs(np.nanmean(draws, 0) - truth[name]))),
                    "spread_truth": float(np.nanstd(truth[name])),
                    "cells": int(np.isfinite(truth[name]).sum()),
                }
            )
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    evidence = evidence_of(sr.data, record)
    alarms = float(np.mean([false_alarms(evidence, half) for half in ways]))
    print(json.dumps({"false_alarms": round(alarms, 3), "settings": record["settings"]}))
    if options.out:
        table.to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
