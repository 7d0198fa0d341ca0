"""The objective of Regularized Latent Search, per cell.

Gheisari & Genovesio 2024, eq. 5: with W+ latents w = [w_1, ..., w_L],

    E(w) = ||y - D(G_s(w))||_1 - lambda_w P_w(w) - lambda_c P_cross(w),
    P_w = (1/L) sum_i log p_F(w_i),
    P_cross = - sum_{i<j} ||w_i - w_j||_2^2.

The paper leaves open how the terms are normalised, and its lambdas only mean
something once that is fixed. Three readings are here; see ``docs/method.md`` for
the evidence behind the default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Reading = Literal["scaled", "mean", "sum"]
"""Normalisation of the data term and of P_cross.

``mean``: mean absolute error and mean pairwise distance. ``sum``: sums of absolute errors
and of squared distances, as printed. ``scaled``: as ``mean``, but the data term grows with
the number of LR pixels, as the sum of a likelihood does; equal to ``mean`` at 16x.
"""

SCALED_AT = 16
"""Factor at which ``scaled`` equals ``mean``: the paper's own for most of its results."""


@dataclass(frozen=True)
class Terms:
    """Terms of the objective per cell, each of shape (N,).

    ``data`` is the distance from the LR image, ``log_density`` is P_w in nats,
    ``cross`` is -P_cross; ``total`` is what the search minimises.
    """

    data: Tensor
    log_density: Tensor
    cross: Tensor
    total: Tensor


def pairwise_distance(ws: Tensor) -> Tensor:
    """Return the mean Euclidean distance (N,) over the L(L-1)/2 pairs of W+ rows (N, L, d)."""
    i, j = torch.triu_indices(ws.shape[1], ws.shape[1], offset=1)
    squared = (ws[:, i] - ws[:, j]).square().sum(-1)
    # Equal rows, as at the start, must have gradient zero rather than NaN.
    return (squared + 1e-12).sqrt().mean(1)


def pairwise_squares(ws: Tensor) -> Tensor:
    """Return sum_{i<j} ||w_i - w_j||^2 (N,) of W+ rows (N, L, d), without forming pairs."""
    deviation = ws - ws.mean(1, keepdim=True)
    return ws.shape[1] * deviation.square().sum((1, 2))


@dataclass(frozen=True)
class Objective:
    """E(w) for a batch of cells; cells do not influence each other.

    Parameters
    ----------
    lr
        LR images (N, C, h, w) in the generator's units, -1 to 1.
    degrade
        The operator D.
    log_density
        log p_F, from (..., d) to (...).
    lambda_w, lambda_c
        Weights of the priors.
    factor
        HR size divided by LR size.
    reading
        Normalisation of the data term and of P_cross.
    """

    lr: Tensor
    degrade: Callable[[Tensor], Tensor]
    log_density: Callable[[Tensor], Tensor]
    lambda_w: float
    lambda_c: float
    factor: int
    reading: Reading = "scaled"

    def __call__(self, ws: Tensor, image: Tensor, cells: Tensor) -> Terms:
        """Return the terms for latents (n, L, d) and their images, of the LR images ``cells``."""
        error = (self.degrade(image) - self.lr[cells]).abs().flatten(1)
        if self.reading == "sum":
            data, cross = error.sum(1), pairwise_squares(ws)
        else:
            data, cross = error.mean(1), pairwise_distance(ws)
        if self.reading == "scaled":
            data = data * (SCALED_AT / self.factor) ** 2
        density = self.log_density(ws).mean(1)
        total = data - self.lambda_w * density + self.lambda_c * cross
        return Terms(data, density, cross, total)
