"""Parametrisations: what a search changes, and the W+ latents, noise and images it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

Synthesis = Callable[[Tensor, Sequence[Tensor]], Tensor]
"""From W+ latents (n, L, d) and noise maps (n, 1, h, w), or none, to images (n, C, H, W)."""

BENT = 5.0
"""Slope that undoes the leaky ReLU of slope 0.2, the last of the mapping network."""


class Point(NamedTuple):
    """Where some cells are: W+ latents (n, L, d), noise maps (n, 1, h, w) or none, and images."""

    ws: Tensor
    noise: tuple[Tensor, ...]
    image: Tensor


class Latents(Protocol):
    """What a search changes for a batch of cells."""

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """The tensors that Adam steps, each with a cell per row."""

    def __call__(self, cells: Tensor) -> Point:
        """Return where ``cells`` are, differentiable to the variables."""


class WPlus:
    """W+ latents themselves, with fixed noise.

    Parameters
    ----------
    start
        First latents (N, L, d).
    synthesis
        G_s.
    noise
        Noise maps (N, 1, h, w), or none for the generator's constant noise.
    """

    def __init__(self, start: Tensor, synthesis: Synthesis, noise: Sequence[Tensor] = ()) -> None:
        self.ws = start.detach().clone().requires_grad_()
        self.noise = tuple(noise)
        self._synthesis = synthesis

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """The latents."""
        return (self.ws,)

    def __call__(self, cells: Tensor) -> Point:
        """Return latents, noise and images of ``cells``."""
        ws, noise = self.ws[cells], tuple(m[cells] for m in self.noise)
        return Point(ws, noise, self._synthesis(ws, noise))


@dataclass(frozen=True)
class PulseNormal:
    """PULSE's transformation of w to about a standard normal vector u, per dimension.

    v = LeakyReLU(w; slope 5 below 0), which undoes the last layer of the mapping network,
    and u = (v - mean) / deviation (Menon et al. 2020).

    Parameters
    ----------
    mean, deviation
        Of v, (d,).
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, w: Tensor) -> PulseNormal:
        """Return the transformation that draws w (n, d) define."""
        bent = F.leaky_relu(w, BENT)
        return cls(bent.mean(0), bent.std(0))

    def to(self, device: torch.device) -> PulseNormal:
        """Return the same transformation on another device."""
        return PulseNormal(self.mean.to(device), self.deviation.to(device))

    def normal(self, w: Tensor) -> Tensor:
        """Return u of w (..., d)."""
        return (F.leaky_relu(w, BENT) - self.mean) / self.deviation

    def latent(self, u: Tensor) -> Tensor:
        """Return w of u (..., d)."""
        return F.leaky_relu(self.deviation * u + self.mean, 1 / BENT)


class Normalised:
    """PULSE's search space: u instead of w, and some of the noise maps.

    Parameters
    ----------
    start
        First u (N, L, d).
    transform
        From u to w.
    synthesis
        G_s.
    noise
        A map (N, 1, h, w) for each convolution.
    trainable
        How many of them, from the first on, are searched.
    """

    def __init__(
        self,
        start: Tensor,
        transform: PulseNormal,
        synthesis: Synthesis,
        noise: Sequence[Tensor],
        trainable: int,
    ) -> None:
        self.u = start.detach().clone().requires_grad_()
        self.searched = tuple(m.detach().clone().requires_grad_() for m in noise[:trainable])
        self.noise = (*self.searched, *noise[trainable:])
        self._transform = transform
        self._synthesis = synthesis

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """The vectors u and the noise maps that are searched."""
        return (self.u, *self.searched)

    def __call__(self, cells: Tensor) -> Point:
        """Return latents, noise and images of ``cells``."""
        ws = self._transform.latent(self.u[cells])
        noise = tuple(m[cells] for m in self.noise)
        return Point(ws, noise, self._synthesis(ws, noise))
