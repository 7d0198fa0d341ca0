"""Several latents per cell that are all consistent with its LR image: samples of a posterior.

The RLS objective E(w) of a cell is read as an energy: p(w | y) ~ exp(-E(w) / T). At the
temperature T = lambda_w one nat of P_w is one nat. Two ways to draw from it:

``bound``: a Gaussian q over W+ latents, chosen by the evidence lower bound (Jordan et al.
1999; reparametrised as by Kingma & Welling 2014),

    max_q  E_q[-E(w) / T] + H(q),

whose entropy H rewards every direction in which the LR image leaves w free. Along each
principal axis k of W, with standard deviation c_k, the rows of w move together by
c_k s_k and apart by c_k r_k; s and r are found per cell and axis.

``paper``: Gheisari & Genovesio 2024, section 4.5, as published: latents w_1..w_n, each
held to the posterior, and a Gaussian N(mu, sigma) over them with an inverse-gamma prior on
sigma. There log p(w | y) is -E(w), without a temperature, so that T = 1. Its term
-(n/2) log sigma^2 penalises a wide sigma, so that the prior on sigma and not the LR image
says how far the samples lie apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_rls.search.objective import Objective
from napari_rls.search.streams import normal

Posterior = Literal["bound", "paper"]

Streams = Sequence[torch.Generator]
"""Random numbers of the cells of a batch, a generator each."""

LEARNING_RATE = 0.05
"""Step size of Adam on logarithms and, in units of W's standard deviations, on latents."""

FIRST_SPREAD = 0.3
"""Standard deviation at the start, as a share of that of W."""

INVERSE_GAMMA = (0.1, 0.95)
"""Concentration and rate of the prior on half of sigma: BRGM's (Marinescu et al. 2020), since
the paper gives none."""


@dataclass(frozen=True)
class Axes:
    """Principal axes of W: ``directions`` (d, d), a column each, and ``deviations`` (d,)."""

    directions: Tensor
    deviations: Tensor

    @classmethod
    def of(cls, w: Tensor) -> Axes:
        """Return the axes of draws w (n, d); directions without any spread get a trace of it."""
        centred = w - w.mean(0)
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(w))
        least = 1e-6 * variances.max()
        return cls(directions, variances.clamp(min=least).sqrt())

    @property
    def scale(self) -> float:
        """Root mean square of the deviations."""
        return float(self.deviations.square().mean().sqrt())

    def to(self, device: torch.device) -> Axes:
        """Return the same axes on another device."""
        return Axes(self.directions.to(device), self.deviations.to(device))


@dataclass(frozen=True)
class Samples:
    """Samples after ``step`` steps.

    ``ws`` are W+ latents (n, N, L, d); ``bound`` (N,) is what was maximised, in nats up to a
    constant.
    """

    step: int
    ws: Tensor
    bound: Tensor


class Form(Protocol):
    """What is fitted to the posterior of every cell."""

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Parameters and step sizes, as Adam takes them."""

    def bound(self, log_posterior: Callable[[Tensor], Tensor], rngs: Streams) -> Tensor:
        """Return what is to be maximised (N,), given -E / T of latents (n, N, L, d)."""

    def samples(self) -> Tensor:
        """Return the samples of now, (n, N, L, d)."""


class Gaussian:
    """q over W+ latents of N cells: mean, and log s and log r per cell and principal axis.

    Parameters
    ----------
    mean
        Where it is centred at first, (N, L, d).
    axes
        Principal axes of W.
    noise
        Standard normal numbers (n, N, L + 1, d) of the samples that are shown; they stay the
        same while q changes.
    """

    def __init__(self, mean: Tensor, axes: Axes, noise: Tensor) -> None:
        self._shown = noise
        self.axes = axes
        self.mean = mean.detach().clone().requires_grad_()
        shape = (len(mean), mean.shape[2])
        first = torch.full(shape, FIRST_SPREAD, device=mean.device).log()
        self.together = first.clone().requires_grad_()
        self.apart = (first - 3).requires_grad_()

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Mean, and log s and log r."""
        mean = {"params": [self.mean], "lr": LEARNING_RATE * self.axes.scale}
        return [mean, {"params": [self.together, self.apart], "lr": LEARNING_RATE}]

    def bound(self, log_posterior: Callable[[Tensor], Tensor], rngs: Streams) -> Tensor:
        """Return the evidence lower bound, estimated by an antithetic pair of draws."""
        half = _noise(1, self.mean, rngs)
        return self.entropy() + log_posterior(self.draw(torch.cat([half, -half]))).mean(0)

    def samples(self) -> Tensor:
        """Return the samples that are shown."""
        return self.draw(self._shown)

    def draw(self, noise: Tensor) -> Tensor:
        """Return latents (n, N, L, d) of standard normal ``noise`` (n, N, L + 1, d)."""
        moved = self.together.exp()[None, :, None] * noise[:, :, :1]
        moved = moved + self.apart.exp()[None, :, None] * noise[:, :, 1:]
        return self.mean + (moved * self.axes.deviations) @ self.axes.directions.T

    def entropy(self) -> Tensor:
        """Return the entropy (N,) in nats, up to a constant.

        The covariance of the L rows along one axis is c^2 (s^2 J + r^2 I), J of ones,
        with the eigenvalues c^2 (L s^2 + r^2) once and c^2 r^2 (L - 1) times.
        """
        rows = self.mean.shape[1]
        apart, together = 2 * self.apart, 2 * self.together
        first = torch.logaddexp(together + torch.tensor(rows).log(), apart)
        return 0.5 * (first + (rows - 1) * apart).sum(1)


class Published:
    """Latents, mu and sigma of section 4.5; sigma = softplus(rho), an entry for each of w.

    Parameters
    ----------
    mean
        mu at first, (N, L, d).
    axes
        Principal axes of W.
    noise
        Standard normal numbers (n, N, L + 1, d): the latents start apart by
        :data:`FIRST_SPREAD` of W's standard deviations, since equal ones would stay equal.
    """

    def __init__(self, mean: Tensor, axes: Axes, noise: Tensor) -> None:
        apart = noise[:, :, 1:] * (FIRST_SPREAD * axes.deviations)
        self.ws = (mean + apart @ axes.directions.T).requires_grad_()
        self.mu = mean.detach().clone().requires_grad_()
        self.axes = axes
        sigma = torch.full_like(self.mu, FIRST_SPREAD * axes.scale)
        self.rho = sigma.expm1().log().requires_grad_()

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Latents and mu, and rho."""
        latents = {"params": [self.ws, self.mu], "lr": LEARNING_RATE * self.axes.scale}
        return [latents, {"params": [self.rho], "lr": LEARNING_RATE}]

    def bound(self, log_posterior: Callable[[Tensor], Tensor], rngs: Streams) -> Tensor:  # noqa: ARG002
        """Return the sum of the latents' log-posteriors and :func:`log_gaussian`."""
        return log_posterior(self.ws).sum(0) + log_gaussian(self.ws, self.mu, F.softplus(self.rho))

    def samples(self) -> Tensor:
        """Return a copy of the latents."""
        return self.ws.detach().clone()


def draw_samples(
    objective: Objective,
    synthesis: Callable[[Tensor], Tensor],
    start: Tensor,
    axes: Axes,
    *,
    form: Posterior,
    samples: int,
    temperature: float,
    steps: int,
    rngs: Streams,
) -> Iterator[Samples]:
    """Fit samples to the posterior of every cell and yield them after every step.

    Parameters
    ----------
    objective
        E(w).
    synthesis
        From W+ latents (n, L, d) to images.
    start
        Where the search ended, (N, L, d).
    axes
        Principal axes of W, on the device of ``start``.
    form
        ``bound`` or ``paper``.
    samples
        n.
    temperature
        T of ``bound``; ``paper`` has none.
    steps
        Iterations of Adam.
    rngs
        Source of all random numbers of each cell, N generators on the CPU.
    """
    noise = _noise(samples, start, rngs)
    fitted: Form = (Gaussian if form == "bound" else Published)(start, axes, noise)
    parameters = [p for group in fitted.groups for p in group["params"]]
    adam = torch.optim.Adam(fitted.groups)
    if form == "paper":
        temperature = 1.0

    def log_posterior(ws: Tensor) -> Tensor:
        return -_energy(objective, synthesis, ws) / temperature

    for step in range(1, steps + 1):
        bound = fitted.bound(log_posterior, rngs)
        adam.zero_grad()
        (-bound.sum()).backward()
        _mend(parameters)
        adam.step()
        yield Samples(step, fitted.samples().detach(), bound.detach())


def log_gaussian(ws: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """Return log N(w_1..w_n; mu, sigma) + log p(sigma) (N,), up to a constant.

    -(n/2) log sigma^2 - (1 / (2 sigma^2)) sum_i (w_i - mu)^2 + log InverseGamma(sigma / 2),
    summed over the entries of w.

    Parameters
    ----------
    ws
        Latents (n, N, L, d).
    mu, sigma
        Mean and standard deviation (N, L, d).
    """
    concentration, rate = INVERSE_GAMMA
    spread = (ws - mu).square().sum(0) / (2 * sigma.square())
    prior = -(concentration + 1) * sigma.log() - 2 * rate / sigma
    return (-len(ws) * sigma.log() - spread + prior).sum((1, 2))


def _energy(objective: Objective, synthesis: Callable[[Tensor], Tensor], ws: Tensor) -> Tensor:
    """Return E (n, N) of latents (n, N, L, d)."""
    count, cells = ws.shape[:2]
    index = torch.arange(cells, device=ws.device).repeat(count)
    flat = ws.flatten(0, 1)
    return objective(flat, synthesis(flat), index).total.reshape(count, cells)


def _noise(count: int, start: Tensor, rngs: Streams) -> Tensor:
    """Return standard normal numbers (count, N, L + 1, d), each cell's from its own stream."""
    _, rows, dim = start.shape
    return normal(rngs, count, rows + 1, dim).transpose(0, 1).contiguous().to(start.device)


def _mend(parameters: Sequence[Tensor]) -> None:
    """Let a cell whose gradient is not finite rest in this step."""
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
