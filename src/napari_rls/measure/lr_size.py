"""How large nuclei of an LR field look beside usual ones, which tells of a wrong ratio."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MOST: Final = 100
"""Nuclei that are looked at, the clearest."""
_LEAST: Final = 12
"""Fewer nuclei tell nothing."""
_REACH: Final = 3.0
"""Radius of what is looked at around a nucleus, in deviations of a usual one as it is seen."""
_WIDTHS: Final = np.geomspace(0.4, 3.2, 31)
"""Widths that are tried, in those of a usual nucleus."""
_OF_DISCS: Final = 1.4
"""Nuclei are no Gaussians and stand close: of 1.2 to 1.6 times that width, on real cells."""
_QUANTILES: Final = (0.4, 0.5, 0.6)
_LEAST_SIZE: Final = 0.25
"""Smaller sizes are not told apart."""
_PIXEL: Final = 1 / 12
"""Variance of a square pixel."""

_RESOLVED: Final = 1.5
"""LR pixels across a usual nucleus from which on much of its width can be told."""
_LARGE, _LARGE_IF_COARSE, _SMALL = 1.35, 1.6, 0.7
"""Sizes beyond these are told. On fields of 100 real cells right ratios of 4 to 16 came to 0.8 to
1.2, ratios twice as large as right to 1.4 to 3.4, half as large to 0.3 to 0.6."""


def size_doubt(
    dna: NDArray[np.generic],
    centres: NDArray[np.float64],
    *,
    ratio: float,
    psf_sigma: float,
    diameter: float,
    psf_known: bool = True,
) -> str:
    """Return a sentence if nuclei look much larger or smaller than usual ones, else "".

    A Gaussian on a constant background is fitted around the clearest nuclei; of the median
    variance PSF and pixel are subtracted.

    Parameters
    ----------
    dna, ratio, psf_sigma, diameter
        As of :func:`~napari_rls.measure.lr_nuclei.find_lr_nuclei`.
    centres
        Those of the nuclei (N, 2), y and x in LR pixels, the clearest first.
    psf_known
        Whether the width of the PSF is known. If it is not, images may be sharper, and nuclei are
        small only if they are with no PSF at all.

    Examples
    --------
    >>> from napari_rls.measure.lr_nuclei import find_lr_nuclei
    >>> y, x = np.mgrid[:200, :200]
    >>> dna = 2.0 + sum(
    ...     np.exp(-((y - c) ** 2 + (x - d) ** 2) / 2)
    ...     for c in range(20, 200, 40)
    ...     for d in range(20, 200, 40)
    ... )
    >>> found = find_lr_nuclei(dna, ratio=4, psf_sigma=0.45, diameter=15)
    >>> told = size_doubt(dna, found.centres, ratio=4, psf_sigma=0.45, diameter=30)
    >>> told.startswith("Nuclei look 0."), told.endswith("would fit.")
    (True, True)
    """

    def sizes(sigma: float) -> tuple[float, float, float]:
        return relative_sizes(dna, centres, ratio=ratio, psf_sigma=sigma, diameter=diameter)

    low, size, _ = sizes(psf_sigma)
    resolved = diameter / ratio >= _RESOLVED
    if not low > (_LARGE if resolved else _LARGE_IF_COARSE):
        _, size, high = sizes(psf_sigma if psf_known else 0.0)
        if not (resolved and 0 < high < _SMALL):
            return ""
    return (
        f"Nuclei look {size:.1f} times as wide as those that the bundle knows would at a ratio of "
        f"{ratio:g}: is it right? About {ratio / max(size, _LEAST_SIZE):.2g} would fit."
    )


def relative_sizes(
    dna: NDArray[np.generic],
    centres: NDArray[np.float64],
    *,
    ratio: float,
    psf_sigma: float,
    diameter: float,
) -> tuple[float, float, float]:
    """Return the diameter of nuclei in that of usual ones, NaN of too few.

    It is that at the quantiles 0.4, 0.5 and 0.6: of few nuclei the median is uncertain.
    """
    usual = (diameter / 4 / ratio) ** 2
    blur = psf_sigma**2 + _PIXEL
    seen = math.sqrt(usual + blur)
    margin = math.ceil(_REACH * seen) + 1
    square = np.arange(-margin, margin + 1)
    height, width = dna.shape
    variances = []
    for y, x in centres:
        rows, columns = round(y) + square, round(x) + square
        if min(rows[0], columns[0]) < 0 or rows[-1] >= height or columns[-1] >= width:
            continue
        away = (rows[:, None] - y) ** 2 + (columns - x) ** 2
        near = away <= (_REACH * seen + 0.5) ** 2
        light = np.asarray(dna[np.ix_(rows, columns)], np.float64)[near]
        variances.append((_best_width(away[near], light, seen) * seen) ** 2)
        if len(variances) == _MOST:
            break
    if len(variances) < _LEAST:
        return math.nan, math.nan, math.nan
    own = (np.quantile(variances, _QUANTILES) - blur).clip(0)
    low, middle, high = (np.sqrt(own / usual) / _OF_DISCS).tolist()
    return low, middle, high


def _best_width(away: NDArray[np.float64], light: NDArray[np.float64], seen: float) -> float:
    """Return the width of the Gaussian that leaves least of the light, in those of a usual one."""
    shapes = np.exp(-away / (2 * (seen * _WIDTHS[:, None]) ** 2))
    shapes -= shapes.mean(1, keepdims=True)
    apart = light - light.mean()
    explained = (shapes @ apart).clip(0) ** 2 / (shapes**2).sum(1)
    return float(_WIDTHS[int(explained.argmax())])
