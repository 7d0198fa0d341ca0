"""Train the network that tells measurements of LR images: the job behind the command line."""

from __future__ import annotations

from collections.abc import Generator as Iterating
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from pydantic import ConfigDict
from torch import Tensor

from napari_rls.models.direct import Direct
from napari_rls.models.direct_spec import LEVELS
from napari_rls.models.part import Count
from napari_rls.search.operators import DEFAULT_OPERATOR, Imaging, make_operator
from napari_rls.training import loop
from napari_rls.training.dataset import Crops, mirrored
from napari_rls.training.direct_settings import DirectSettings
from napari_rls.training.drawn_optics import around
from napari_rls.training.loop_parts import Kind, Parts

WEIGHT_DECAY = 0.01

FARTHEST = 3
"""Pixels, along each axis, by which crops are moved at most: LR pixels then see other parts."""


@dataclass(frozen=True)
class Report:
    """Mean pinball loss since the last report, and the error on held-out crops.

    ``held_out_l1`` is the mean absolute error of the medians; both are in standard deviations of
    a measurement.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    steps: Count
    images_per_second: float
    pinball: float
    held_out_l1: float


@dataclass(frozen=True)
class Losses:
    """What one step saw: the mean pinball loss."""

    pinball: Tensor

    def named(self) -> dict[str, Tensor]:
        """Return it by its name in a report."""
        return {"pinball": self.pinball}


@dataclass(frozen=True, eq=False)
class Truth:
    """Measurements of HR crops (N, K), standardised, NaN where there is none."""

    training: Tensor
    held_out: Tensor


Progress: TypeAlias = loop.Progress[Direct, Report]


def pinball(quantiles: Tensor, truth: Tensor) -> Tensor:
    """Return the mean pinball loss of quantiles (N, K, L); measurements (N, K) may be NaN.

    Its least mean value is at the quantiles of the truth.
    """
    known = truth.isfinite()
    gap = truth[known][:, None] - quantiles[known]
    levels = torch.tensor(LEVELS).to(gap)
    return torch.maximum(levels * gap, (levels - 1) * gap).sum() / max(gap.numel(), 1)


class DirectTrainer:
    """Network, optimiser and random streams of a training.

    Parameters
    ----------
    settings
        How to train.
    truth
        What is to be told of the crops.
    channels, size
        Number of channels and side in pixels of the HR crops.
    device
        Where to compute.

    Attributes
    ----------
    network
        What becomes part of a bundle.
    steps
        Steps made.
    """

    def __init__(
        self,
        settings: DirectSettings,
        truth: Truth,
        channels: int,
        size: int,
        device: torch.device,
    ) -> None:
        self.settings, self.truth, self.size, self.device = settings, truth, size, device
        self.factors = settings.factors(size)
        self.degrade = {f: make_operator(DEFAULT_OPERATOR, Imaging(f)) for f in self.factors}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4 * settings.seed)
            network = Direct(channels, size, self.factors, settings.width, truth.training.shape[1])
        self.network = network.to(device)
        names = ("mirror", "factor", "place")
        self.streams = {
            name: torch.Generator().manual_seed(4 * settings.seed + k)
            for k, name in enumerate(names, 1)
        }
        self.adam = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY
        )
        self.steps = 0

    @property
    def parts(self) -> Parts:
        """All that a checkpoint holds."""
        return {"network.": self.network}, {"adam.": self.adam}, self.streams

    def step(self, crops: Crops) -> Losses:
        """Show one batch of crops at one of the factors."""
        self.adam.param_groups[0]["lr"] = self.settings.rate(self.steps)
        count = self.settings.batch_size
        first = self.steps * count
        shifts = torch.randint(-FARTHEST, FARTHEST + 1, (count, 2), generator=self.streams["place"])
        moved = around(crops.batch(first, count), self.size, shifts, margin=0)
        hr = mirrored(moved, self.streams["mirror"]).to(self.device)
        truth = self.truth.training[crops.indices(first, count)].to(self.device)
        place = int(torch.randint(len(self.factors), (), generator=self.streams["factor"]))
        factor = self.factors[place]
        loss = pinball(self.network(self.degrade[factor](hr), factor), truth)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        self.steps += 1
        return Losses(loss.detach())

    def held_out_l1(self, held_out: Tensor) -> float:
        """Return the mean absolute error of the medians on HR crops (N, C, H, W)."""
        middle = LEVELS.index(0.5)
        told = [told_of(self.network, held_out, f)[:, :, middle] for f in self.factors]
        return float(torch.stack([t - self.truth.held_out for t in told]).abs().nanmean())


def told_of(network: Direct, hr: Tensor, factor: int) -> Tensor:
    """Return what a network tells (N, K, L) of HR crops (N, C, H, W), degraded by a factor."""
    device = next(network.parameters()).device
    degrade = make_operator(DEFAULT_OPERATOR, Imaging(factor))
    return torch.cat([network.turned(degrade(h.to(device)), factor).cpu() for h in hr.split(256)])


def train(
    crops: Crops,
    held_out: Tensor,
    truth: Truth,
    settings: DirectSettings,
    folder: Path,
    measurement: str,
) -> Iterating[Progress, None, None]:
    """Train on HR crops, degraded, and their measurements; yield after every step.

    See :func:`~napari_rls.training.loop.train_network`, also for what is raised.
    ``measurement`` is what the training is known by, beside crops and settings.
    """
    channels, size = crops.data.shape[1], held_out.shape[-1]
    return loop.train_network(
        lambda device: DirectTrainer(settings, truth, channels, size, device),
        crops,
        held_out,
        settings,
        folder,
        Kind("napari-rls-direct", Report, {"measurement": measurement}),
    )
