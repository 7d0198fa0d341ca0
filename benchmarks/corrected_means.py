"""How well HR images of a few cells correct means of wells, by cells of which all have one.

    python benchmarks/corrected_means.py TABLE.csv --hr-cells 40 --draws 300

TABLE is of SR and GT images of the same cells (`napari-rls measure SR --gt HR`). Again and again
some cells are drawn by lot, as many of each well as can be, whose HR images are then known. The
truth of a well is the mean of all of its cells in HR. Errors are means over wells and draws; bias
is the largest mean error of any well. Intervals are of 90 %.

With ``--plates``, each draw is of a plate of its own, whose cells are drawn with replacement from
those of each well: the truth is then of the cells that a well might have.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from napari_rls.evaluation.corrected_means import corrected_means, interval_of_mean
from napari_rls.measure.columns import CELL, IMAGE, WELL
from napari_rls.measure.dictionary import columns_of, measurements
from napari_rls.workflow.measure.table_files import read_table

WAYS = ("as measured", "corrected", "HR cells alone")


def draw(
    f: np.ndarray, y: np.ndarray, group: np.ndarray, count: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return mean and interval (3, G) of every way, of one draw of HR cells."""
    groups = group.max() + 1
    order = rng.permutation(len(group))
    # The first of each well, then the second of each, and so on; wells in any order.
    rank = np.empty(len(group), int)
    for k in range(groups):
        own = order[group[order] == k]
        rank[own] = np.arange(len(own))
    known = np.lexsort((rng.random(groups)[group], rank))[:count]
    true = np.full(len(y), np.nan)
    true[known] = y[known]
    found = corrected_means(f, true, group)
    wells = range(groups)
    return {
        "as measured": np.array([interval_of_mean(f[group == k]) for k in wells]).T,
        "corrected": np.array([found.corrected, found.low, found.high]),
        "HR cells alone": np.array(
            [interval_of_mean(true[(group == k) & np.isfinite(true)]) for k in wells]
        ).T,
    }


def main() -> None:
    """Print for each way how often intervals hold, how wide they are, and errors of means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--hr-cells", type=int, default=40)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--plates", action="store_true")
    parser.add_argument("--column", help="A measurement; without it, what the assay is about.")
    options = parser.parse_args()
    table, record = read_table(options.table)
    column = options.column or measurements(columns_of(table, record))[0]
    wide = table.pivot_table(index=[WELL, CELL], columns=IMAGE, values=column)
    wide = wide[["SR", "GT"]].dropna()
    group, wells = pd.factorize(wide.index.get_level_values(WELL))
    sr, gt = wide["SR"].to_numpy(), wide["GT"].to_numpy()
    truth = np.array([gt[group == k].mean() for k in range(len(wells))])
    rng = np.random.default_rng(0)
    found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for _ in range(options.draws):
        own = [np.flatnonzero(group == k) for k in range(len(wells))]
        cells = [rng.choice(k, len(k)) if options.plates else k for k in own]
        at = np.concatenate(cells)
        for way, means in draw(sr[at], gt[at], group[at], options.hr_cells, rng).items():
            found[way].append(means)
    print(f"{column}: {len(wide)} cells of {len(wells)} wells, {options.hr_cells} in HR")
    rows = []
    for way in WAYS:
        mean, low, high = np.array(found[way]).transpose(1, 0, 2)
        told = np.isfinite(low)
        rows.append(
            {
                "way": way,
                "error": np.nanmean(np.abs(mean - truth)),
                "bias": np.abs(np.nanmean(mean - truth, axis=0)).max(),
                "holds": ((low <= truth) & (truth <= high))[told].mean(),
                "width": np.median((high - low)[told]),
            }
        )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
