"""Projections of the methods: where what is searched is put back to after every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Projection = Callable[[], None]
"""Called after every step; changes in place what it was made for."""


def unconstrained() -> None:
    """Leave everything where it is."""


class KeepNorms:
    """Rescale vectors, along the last axis of each tensor, to the norm they have now (PULSE)."""

    def __init__(self, vectors: Sequence[Tensor]) -> None:
        self._vectors = [v.detach() for v in vectors]
        self._norms = [_norm(v) for v in self._vectors]

    def __call__(self) -> None:
        """Rescale the tensors in place."""
        for vector, norm in zip(self._vectors, self._norms, strict=True):
            vector.mul_(norm / _norm(vector))


class KeepNear:
    """Keep vectors in an l1 ball, and maps standardised (RLS+, and RLS as its authors' code).

    Parameters
    ----------
    vectors
        (..., d).
    radius
        Of the ball around each vector.
    maps
        Noise maps (..., h, w); each gets mean 0 and standard deviation 1.
    centre
        Of the ball: a vector (d,), or where each of the vectors is now.
    """

    def __init__(
        self,
        vectors: Tensor,
        radius: float,
        maps: Sequence[Tensor] = (),
        centre: Tensor | None = None,
    ) -> None:
        self._vectors = vectors.detach()
        self._centre = self._vectors.clone() if centre is None else centre
        self._radius = radius
        self._maps = [m.detach() for m in maps]

    def __call__(self) -> None:
        """Project and standardise in place."""
        inside = to_l1_ball(self._vectors - self._centre, self._radius)
        self._vectors.copy_(self._centre + inside)
        for noise in self._maps:
            noise.copy_(standardised(noise))


def to_l1_ball(x: Tensor, radius: float) -> Tensor:
    """Return the nearest vectors to x (..., d) whose absolute values sum up to ``radius`` at most.

    Duchi et al. 2008: with m the absolute values in descending order, rho the last k with
    m_k > (sum_{j<=k} m_j - radius) / k and theta that bound at rho, entries shrink by theta.
    """
    size = x.abs()
    ordered = size.sort(dim=-1, descending=True).values
    bound = (ordered.cumsum(-1) - radius) / torch.arange(1, x.shape[-1] + 1, device=x.device)
    # The condition holds up to rho and no longer after it.
    rho = (ordered > bound).sum(-1, keepdim=True).clamp(min=1)
    theta = bound.gather(-1, rho - 1).clamp(min=0)
    return x.sign() * (size - theta).clamp(min=0)


def standardised(maps: Tensor) -> Tensor:
    """Return maps (..., h, w), each with mean 0 and standard deviation 1."""
    centred = maps - maps.mean((-2, -1), keepdim=True)
    return centred / centred.square().mean((-2, -1), keepdim=True).sqrt()


def _norm(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1, keepdim=True) + 1e-9).sqrt()
