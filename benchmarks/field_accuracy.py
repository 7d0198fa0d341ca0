"""How well cells of LR fields are found and measured: the table of docs/fields.md.

    python benchmarks/field_accuracy.py DATA OUT --ratio 8

DATA is a folder of BBBC013v1 as two-channel TIFF files named by well. Parts of eight wells of row B
are degraded to LR fields of a simulated camera (16-bit counts, offset 100, photon and read noise),
super-resolved and measured by one command, ``napari-rls fields``, with its defaults and without
samples, and compared cell by cell with what is measured of the HR image. Further options are the
command's. What OUT holds already is not made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from napari_rls import degrade_field, load_bundle
from napari_rls.evaluation.statistics import auc
from napari_rls.measure.nuclei import find_nuclei
from napari_rls.measure.translocation import measure_translocation
from napari_rls.workflow.cells.bundle_nuclei import nucleus_settings
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack

Array = NDArray[np.float64]

BUNDLE: Final = "bbbc013-translocation-64"
WELLS: Final = ("B01", "B02", "B04", "B06", "B08", "B10", "B11", "B12")
LOW, HIGH = WELLS[:3], WELLS[-4:]
COLUMN: Final = "Math_Log2Ratio_NucleusCytoplasm_FKHRGFP"
SIZE, REACH = 64, 10.0
"""HR pixels along a crop, and within which a cell is that of the HR image."""

FIRST, SIDE = 100, 300
PSF: Final = 0.45


def main() -> None:
    """Make LR fields, run the command, print the row of the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ratio", type=float, default=8.0)
    given, further = parser.parse_known_args()
    ratio: float = given.ratio
    lr, results = given.out / f"lr-{ratio:g}", given.out / f"results-{ratio:g}"
    lr.mkdir(parents=True, exist_ok=True)
    settings = nucleus_settings(load_bundle(BUNDLE).manifest)
    score = Score()
    parts = {}
    for seed, well in enumerate(WELLS, 1):
        stack = read_stack(given.data / f"{well}.ome.tif")
        parts[well] = stack.data[0, :, FIRST : FIRST + SIDE, FIRST : FIRST + SIDE]
        write_stack(
            lr / f"{well}.ome.tif",
            CellStack(camera(parts[well], ratio, seed)[None], stack.channels, name=well),
            description="Simulated LR field.",
        )
    program = Path(sys.executable).with_name("napari-rls")
    command = [str(program), "fields", str(lr), "--bundle", BUNDLE, "--ratio", f"{ratio:g}"]
    command += ["--psf", f"{PSF:g}", "--samples", "0", "--out", str(results)]
    subprocess.run([*command, *further], check=True)
    table = pd.read_csv(results / "cells.csv")
    table = table[table["Metadata_Image"] == "SR"]
    for well, hr in parts.items():
        rows = table[table["Metadata_Well"] == well]
        places = rows[["Location_Center_Y", "Location_Center_X"]].to_numpy(float)
        truth = find_nuclei(hr[0], settings).centroids
        score.add(well, (places + 0.5) * ratio - 0.5, rows[COLUMN].to_numpy(float), truth, hr)
    print(score)


def camera(hr: NDArray[np.generic], ratio: float, seed: int) -> NDArray[np.uint16]:
    """Return an LR field (C, h, w) in counts; coarse ones get less noise a pixel."""
    less = 0.7 if ratio >= 12 else 1.0
    counts = degrade_field(
        hr.astype(np.float32) * 10,
        ratio,
        PSF,
        offset=100,
        gain=2 * less,
        read_noise=10 * less,
        seed=seed,
    )
    return counts.round().clip(0, 65535).astype(np.uint16)


@dataclass
class Score:
    """What is known of the cells of all fields so far."""

    inner: int = 0
    met: int = 0
    found: int = 0
    false: int = 0
    cells: list[tuple[str, float, float]] = field(default_factory=list)

    def add(
        self, well: str, places: Array, values: Array, truth: Array, hr: NDArray[np.generic]
    ) -> None:
        """Compare cells at places (N, 2) in HR pixels with the nuclei (M, 2) of an HR image."""
        apart = cdist(places, truth)
        one, other = linear_sum_assignment(np.where(apart <= REACH, apart, 1e6))
        pairs = {int(i): int(j) for i, j in zip(one, other, strict=True) if apart[i, j] <= REACH}
        own, theirs = inside(truth), inside(places)
        self.inner += int(own.sum())
        self.met += sum(bool(own[j]) for j in pairs.values())
        self.found += int(theirs.sum())
        self.false += sum(bool(theirs[i]) for i in range(len(places)) if i not in pairs)
        for i, j in pairs.items():
            if own[j]:
                y, x = np.round(truth[j] - (SIZE - 1) / 2).astype(int).clip(0, SIDE - SIZE)
                crop = hr[:, y : y + SIZE, x : x + SIZE]
                self.cells.append((well, values[i], measure_translocation(crop).log2_ratio))

    def __str__(self) -> str:
        """The row of the table."""
        cells = pd.DataFrame(self.cells, columns=["well", "sr", "hr"]).dropna()
        error = cells["sr"] - cells["hr"]
        low, high = (cells["sr"][cells["well"].isin(wells)].to_numpy() for wells in (LOW, HIGH))
        return (
            f"recall {self.met / self.inner:.3f}, false {self.false / self.found:.3f}, "
            f"{len(cells)} cells: error of log2 ratio {error.abs().median():.3f}, "
            f"r {cells['sr'].corr(cells['hr']):.3f}, AUC {auc(low, high)[0]:.3f}; "
            f"too large by {error[cells['hr'] < 0.3].median():.2f} below 0.3 and by "
            f"{error[cells['hr'] > 1.5].median():.2f} above 1.5"
        )


def inside(places: Array) -> NDArray[np.bool_]:
    """Tell which places (N, 2) have their whole crop in the part."""
    edge = (SIZE - 1) / 2
    kept = (places >= edge) & (places <= SIDE - 1 - edge)
    return np.asarray(kept.all(axis=1), np.bool_)


if __name__ == "__main__":
    main()
