"""Priors of the methods on W+ latents, per cell: what is added to the data term."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Prior = Callable[[Tensor], Tensor]
"""From W+ latents (n, L, d) to a penalty (n,)."""


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


def geocross(ws: Tensor) -> Tensor:
    """Return PULSE's GEOCROSS (N,) of W+ rows (N, L, d).

    d/8 times the mean over all L^2 pairs of the squared angle between two rows, computed
    as 2 atan2(||w_i - w_j||, ||w_i + w_j||), each norm with 1e-9 under the root (Menon et
    al. 2020). As published the norms are those of the rows as they are, so that it is the
    angle only of rows of one length.
    """
    x, y = ws[:, :, None], ws[:, None]
    apart, joint = ((v.square().sum(-1) + 1e-9).sqrt() for v in (x - y, x + y))
    angle = 2 * torch.atan2(apart, joint)
    return ws.shape[2] / 8 * angle.square().mean((1, 2))


def cosine_gaps(ws: Tensor) -> Tensor:
    """Return BRGM's sum over all L^2 pairs of |1 - cos(w_i, w_j)| (N,) of W+ rows (N, L, d)."""
    unit = torch.nn.functional.normalize(ws, dim=-1)
    return (1 - unit @ unit.mT).abs().sum((1, 2))


@dataclass(frozen=True)
class DensityAndShell:
    """The prior on latents in the code of RLS's authors, a mean over rows.

    -log p_F of w standardised per dimension, its constant left out, and ``shell`` times the
    squared distance of F(w) from the sphere of radius sqrt(d), on which nearly all of a
    standard normal distribution lies.

    Parameters
    ----------
    standardised
        From w (..., d) to F(w) (..., d) and log p_F of standardised w (...).
    shell
        Weight of the distance.
    """

    standardised: Callable[[Tensor], tuple[Tensor, Tensor]]
    shell: float

    def __call__(self, ws: Tensor) -> Tensor:
        """Return the penalty (N,) of W+ rows (N, L, d)."""
        u, log_density = self.standardised(ws)
        off = (u.norm(dim=-1) - math.sqrt(ws.shape[-1])).square()
        penalty: Tensor = (self.shell * off - log_density).mean(1)
        return penalty


@dataclass(frozen=True)
class NormalPrior:
    """BRGM's prior on latents: the mean over rows and dimensions of ((w - mean) / scale)^2.

    Parameters
    ----------
    mean
        Mean of w (d,).
    scale
        One number for all dimensions, the root of the mean squared distance of w from its
        mean.
    """

    mean: Tensor
    scale: float

    @classmethod
    def of(cls, w: Tensor) -> NormalPrior:
        """Return the prior that draws w (n, d) define."""
        mean = w.mean(0)
        return cls(mean, float((w - mean).square().sum(1).mean().sqrt()))

    def to(self, device: torch.device) -> NormalPrior:
        """Return the same prior on another device."""
        return NormalPrior(self.mean.to(device), self.scale)

    def __call__(self, ws: Tensor) -> Tensor:
        """Return the penalty (N,) of W+ rows (N, L, d)."""
        return ((ws - self.mean) / self.scale).square().mean((1, 2))
