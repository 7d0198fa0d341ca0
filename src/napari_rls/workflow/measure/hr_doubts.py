"""HR cells that do not look like the cells at their places: of other wells, channels or units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

FEWEST = 8
"""Pairs of cells below which nothing is said of them."""

_LOW, _HIGH = 0.5, 0.7
"""Rank correlations that are asked for at least and at most: chosen on real cells at 8x to 32x,
where right ones are above, and others below."""

BRIGHTER = 1.5
"""Quotient of intensities, typical of cells and the same way in all, above which images differ in
exposure or unit."""


def hr_doubts(
    cells: pd.DataFrame,
    hr: pd.DataFrame,
    wells: Sequence[str],
    columns: Sequence[str],
    intensities: Sequence[str],
) -> list[str]:
    """Return in sentences why HR cells may not be the cells that they were taken for.

    Measurements must go together within wells, as cells of two wells that were treated alike are
    alike; between them only where most wells have a single HR cell.

    Parameters
    ----------
    cells
        Measured cells of one kind of image (N rows).
    hr
        The HR cells of the same rows.
    wells
        Names of their wells (N,), or of what else they are of.
    columns
        Measurements of both.
    intensities
        Those of them that are intensities above the background, as far as they can be compared.

    Examples
    --------
    >>> cells = pd.DataFrame({"A": range(1, 10)})
    >>> wells = ["B02"] * 9
    >>> hr_doubts(cells, cells, wells, ["A"], []), len(hr_doubts(cells, -cells, wells, ["A"], []))
    ([], 1)
    """
    said = []
    both: dict[str, NDArray[np.float64]] = {}
    found: dict[str, tuple[float, int]] = {}
    for name in columns:
        values = np.stack([one[name].to_numpy(np.float64) for one in (cells, hr)])
        known = np.isfinite(values).all(0)
        pairs, group = values[:, known], pd.factorize(np.asarray(wells)[known])[0]
        if pairs.shape[1] < FEWEST:
            continue
        both[name] = pairs
        spare = pairs.shape[1] - len(set(group))
        if spare >= FEWEST:
            counts = np.bincount(group)
            pairs = pairs - np.stack([np.bincount(group, one) / counts for one in pairs])[:, group]
        if np.ptp(pairs, axis=1).min() > 0:
            r = float(spearmanr(*pairs).statistic)
            found[name] = r, spare if spare >= FEWEST else pairs.shape[1] - 1
    # By chance alone, hardly any is as high.
    limits = {name: min(max(_LOW, 3 / math.sqrt(free)), _HIGH) for name, (_, free) in found.items()}
    if found and all(r < limits[name] for name, (r, _) in found.items()):
        name = max(found, key=lambda name: found[name][0])
        said.append(
            f"What was measured on {both[name].shape[1]} HR cells hardly goes with what was on the "
            f"cells at their places (highest rank correlation {found[name][0]:.2f}, of {name}): "
            "check that files and wells are the right ones, and that channels are not swapped."
        )
    light = [both[name][:, (both[name] > 0).all(0)] for name in intensities if name in both]
    # Cell by cell: a median over wells of few bright cells and many dark ones says little.
    times = [float(np.median(its / own)) for own, its in light if len(own) >= FEWEST]
    # Of one nucleus full of protein an image may show less; another exposure is that of all.
    least = min(times, key=lambda one: abs(math.log(one)), default=1.0)
    alike = all((one > 1) == (least > 1) for one in times)
    if alike and not 1 / BRIGHTER <= least <= BRIGHTER:
        said.append(
            f"Intensities are {least:.2g} times as high in HR cells as in the cells at their "
            "places, or farther off: check that channels are not swapped, and that HR images have "
            "the exposure and unit of the LR images; else intensities are corrected wrongly."
        )
    return said
