"""95 % intervals of metrics by drawing cells again with replacement.

The generated cells are drawn, the real ones stay: methods are compared on the same truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEVEL = 0.95

FID_DRAWS = 100
"""FID's interval takes no more draws than this: it needs singular values for each."""

Floats = NDArray[np.float64]
Interval = tuple[float, float]

_NORMAL_QUANTILE = 1.959963984540054


def draw_cells(cells: int, draws: int, seed: int) -> Floats:
    """Return how often each cell is in each draw (draws, cells), a row summing to ``cells``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(cells, np.full(cells, 1 / cells), size=draws).astype(np.float64)


def mean_interval(values: Floats, counts: Floats) -> Interval:
    """Return the percentile interval of the mean of values (N,); NaN for a single one.

    ``counts`` is (draws, N), as of :func:`draw_cells`.
    """
    # An infinite value counts only where it was drawn; infinity times 0 is no number.
    means = (counts * np.where(counts > 0, values, 0)).sum(1) / len(values)
    return _percentiles(means) if len(values) > 1 else (math.nan, math.nan)


def kid_interval(blocks: Sequence[tuple[Tensor, Tensor]], counts: Floats) -> Interval:
    """Return the percentile interval of KID.

    Pairs of a cell with its own copy are left out of the mean over pairs of drawn cells:
    in a fresh sample there are none, and they would raise KID.

    Parameters
    ----------
    blocks
        Real and generated features (N, F) and (M, F); KID is the mean over blocks.
    counts
        Draws of the M generated cells.
    """
    draws = torch.from_numpy(counts)
    total = draws.sum(1)
    pairs = total.square() - draws.square().sum(1)
    found = torch.zeros(len(draws), dtype=torch.float64)
    for real, generated in blocks:
        x, y = real.double(), generated.double()
        own = _kernel(y, y).fill_diagonal_(0)
        within = ((draws @ own) * draws).sum(1) / pairs
        across = draws @ _kernel(y, x).mean(1) / total
        found += _within(x) + within - 2 * across
    return _percentiles((found / len(blocks)).numpy())


def fid_interval(value: float, blocks: Sequence[tuple[Tensor, Tensor]], counts: Floats) -> Interval:
    """Return FID with 1.96 standard deviations of :data:`FID_DRAWS` draws on either side.

    No percentiles: draws hold fewer different cells than there are, and FID is biased
    upward by that, so that they all lie above the value.

    The Frechet distance is |m - m'|^2 + tr S + tr S' - 2 tr (S S')^(1/2), and the last
    trace is the sum of the singular values of A B^T, where A and B hold the centred
    features over the root of the number of cells less one: a matrix of cells by cells,
    however many features there are.

    Parameters
    ----------
    value
        FID of all cells.
    blocks, counts
        As in :func:`kid_interval`.
    """
    draws = torch.from_numpy(counts[:FID_DRAWS])
    found = torch.zeros(len(draws), dtype=torch.float64)
    for real, generated in blocks:
        found += _frechet(real.double(), generated.double(), draws)
    reach = _NORMAL_QUANTILE * float((found / len(blocks)).std())
    return value - reach, value + reach


def _frechet(x: Tensor, y: Tensor, draws: Tensor) -> Tensor:
    """Return the Frechet distance of x (N, F) from each draw (draws, M) of y (M, F)."""
    a = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    products = a @ y.T
    found = []
    for draw in draws:
        m = draw.sum()
        drawn = draw > 0
        scale = (draw[drawn] / (m - 1)).sqrt()
        mean = draw @ y / m
        trace = ((y[drawn] - mean) * scale[:, None]).square().sum()
        # A B^T of the drawn cells, by the products that all draws share.
        across = (products[:, drawn] - (products @ draw / m)[:, None]) * scale
        root = torch.linalg.svdvals(across).sum()
        found.append((x.mean(0) - mean).square().sum() + a.square().sum() + trace - 2 * root)
    return torch.stack(found)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Return KID's kernel (a.b / F + 1)^3 of all pairs."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def _within(x: Tensor) -> Tensor:
    return _kernel(x, x).fill_diagonal_(0).sum() / (len(x) * (len(x) - 1))


def _percentiles(draws: Floats) -> Interval:
    # Between two infinite values, as PSNR of equal images, nothing can be interpolated.
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="closest_observation")
    return float(low), float(high)
