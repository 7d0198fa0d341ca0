"""Whether a cell looks like those that a bundle knows: by its LR residual and log-density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_rls.models.trust import Domain

FALSE_ALARMS = 0.05
"""Share of ordinary cells that are flagged."""

STEPS = 100
"""Steps between the quantiles that a manifest stores."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Verdict:
    """How ordinary cells are; all arrays are (N,).

    ``residual_percentile`` and ``density_percentile`` are the share of held-out cells, in
    percent, with a smaller LR residual and with a lower log-density. ``poor_fit`` marks
    residuals that are too large, ``out_of_domain`` log-densities that are too low. Cells
    of which nothing is known have NaN and no mark.
    """

    residual_percentile: Floats
    density_percentile: Floats
    poor_fit: NDArray[np.bool_]
    out_of_domain: NDArray[np.bool_]


def residual_share(
    lr_residual: NDArray[np.floating], low: Sequence[float], high: Sequence[float]
) -> Floats:
    """Return the LR residual (N, C) as a share of the intensity range, mean over channels (N,).

    Parameters
    ----------
    lr_residual
        Mean absolute difference from the LR image, in its unit.
    low, high
        Intensities of each channel that the generator sees as -1 and 1.
    """
    span = np.asarray(high, np.float64) - np.asarray(low, np.float64)
    return np.asarray((np.asarray(lr_residual, np.float64) / span).mean(1))


def fit_domain(residual: Floats, log_density: Floats) -> Domain:
    """Describe the held-out cells of a bundle.

    A cell's rank is the smaller of two shares of held-out cells: those with a larger
    residual, and those with a lower log-density. The threshold is the rank below which
    :data:`FALSE_ALARMS` of them lie.

    Parameters
    ----------
    residual
        :func:`residual_share` of every cell (N,).
    log_density
        P_w in nats (N,).

    Raises
    ------
    ValueError
        If there is no cell with finite numbers.
    """
    known = np.isfinite(residual) & np.isfinite(log_density)
    if not known.any():
        raise ValueError("no cell has a finite LR residual and log-density")
    grid = np.linspace(0, 1, STEPS + 1)
    residuals, densities = (np.quantile(x[known], grid) for x in (residual, log_density))
    rank = np.minimum(1 - _share_below(residuals, residual), _share_below(densities, log_density))
    return Domain(
        cells=int(known.sum()),
        lr_residual=tuple(map(float, residuals)),
        log_density=tuple(map(float, densities)),
        threshold=float(np.quantile(rank[known], FALSE_ALARMS)),
        false_alarms=FALSE_ALARMS,
    )


def judge(domain: Domain, residual: Floats, log_density: Floats) -> Verdict:
    """Compare cells with the held-out ones; parameters as those of :func:`fit_domain`."""
    smaller = _share_below(np.array(domain.lr_residual), residual)
    lower = _share_below(np.array(domain.log_density), log_density)
    return Verdict(
        100 * smaller,
        100 * lower,
        (1 - smaller) < domain.threshold,
        lower < domain.threshold,
    )


def _share_below(quantiles: Floats, values: Floats) -> Floats:
    """Return the share of held-out cells below each value; NaN for NaN."""
    shares = np.interp(values, quantiles, np.linspace(0, 1, len(quantiles)))
    return np.where(np.isfinite(values), shares, np.nan)
