"""Random microscopes: HR crops as cells of LR fields, for the training of a field encoder.

There are LR pixels around a crop, as there are in a field: of its surroundings where they are
known, else of its mirror image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.search.crop_noise import CropView
from napari_rls.search.degradation import Bicubic
from napari_rls.search.imaging import enlarging_matrix, imaging_matrix
from napari_rls.search.noise import MISFIT, NoiseModel

SIGMAS = (0.25, 0.75)
"""Deviations of the PSF in LR pixels."""

LEVELS = (0.003, 0.06)
"""Deviations of the noise, of 0 to 1."""

BRIGHT = 0.3
"""Signal, of 0 to 1, at which Poisson noise has the deviation that its level says."""

ImagesT = TypeVar("ImagesT", Tensor, NDArray[np.generic])

CROPS = 1 / 3
"""Share of batches that are seen as crops."""

_AROUND = 5 / 8
"""Width of what lies around a crop, of its size."""


@dataclass(frozen=True)
class DrawnNoise:
    """Noise of a batch of cells, one of each channel.

    Parameters
    ----------
    level
        Deviation of the noise (C,), of 0 to 1.
    poisson
        Share of its variance (C,) that grows with the signal; at :data:`BRIGHT` it is that of
        ``level``.
    """

    level: Tensor
    poisson: Tensor

    @classmethod
    def drawn(cls, channels: int, rng: torch.Generator) -> DrawnNoise:
        """Draw one; the level is uniform in its logarithm."""
        chance = torch.rand(2 * channels, generator=rng, dtype=torch.float64)
        levels = [_log_uniform(*LEVELS, share) for share in chance[:channels].tolist()]
        return cls(torch.tensor(levels), chance[channels:].float())

    def variance(self, signal: Tensor) -> Tensor:
        """Return the variance of pixels (N, C, h, w) of 0 to 1, of 0 to 1."""
        level, poisson = (x.to(signal)[:, None, None] for x in (self.level, self.poisson))
        return level.square() * (poisson * signal.clamp(min=0) / BRIGHT + 1 - poisson)

    def model(self) -> NoiseModel:
        """Return it as the noise of pixels of -1 to 1."""
        level, poisson = (x.double() for x in (self.level, self.poisson))
        gain = 2 * level.square() * poisson / BRIGHT
        read = 2 * level * (1 - poisson).sqrt()
        return NoiseModel(tuple(gain.tolist()), (-1.0,) * len(gain.tolist()), tuple(read.tolist()))


class Drawn(Protocol):
    """How a batch of cells is seen."""

    @property
    def ratio(self) -> float:
        """HR pixels along an LR pixel."""

    @property
    def sigma(self) -> float:
        """Deviation of the PSF in LR pixels, as a field encoder is told it."""

    def see(self, hr: Tensor, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return what a field encoder sees of HR crops with their surroundings.

        Parameters
        ----------
        hr
            Crops with surroundings (N, C, K, K), of 0 to 1; see :func:`around`.
        size
            Side S of the crops.
        rng
            Stream of the noise, on the CPU.

        Returns
        -------
        cells
            Their LR images, interpolated to the grid of the crops, (N, C, S, S) in -1 to 1.
        deviation
            Root mean square of the deviation of the crops' LR pixels (N, C), of -1 to 1.
        """


@dataclass(frozen=True)
class DrawnCrops:
    """Cells that were cut out before they were degraded, by ``bicubic``.

    Parameters
    ----------
    view
        The factor, and how an encoder is told of it.
    noise
        The noise.
    """

    view: CropView
    noise: DrawnNoise

    @property
    def ratio(self) -> float:
        """HR pixels along an LR pixel."""
        return float(self.view.factor)

    @property
    def sigma(self) -> float:
        """Deviation of the PSF in LR pixels, as a field encoder is told it."""
        return self.view.sigma

    def see(self, hr: Tensor, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return what a field encoder sees of HR crops; see :class:`Drawn`."""
        lr = self.view.degrade(middle(hr, size))
        lr = lr + self.noise.variance(lr).sqrt() * _normal(lr, rng)
        seen = self.view.seen(lr * 2 - 1, self.noise.model())
        return seen.interpolated, seen.deviation.square().mean((2, 3)).sqrt()


@dataclass(frozen=True)
class DrawnOptics:
    """Cells of LR fields, somewhere on the pixel grid.

    Parameters
    ----------
    ratio
        HR pixels along an LR pixel.
    sigma
        Deviation of the PSF in LR pixels.
    phases
        Where the LR grid begins along y and x, in HR pixels, from 0 to ``ratio``.
    noise
        The noise.
    """

    ratio: float
    sigma: float
    phases: tuple[float, float]
    noise: DrawnNoise

    @classmethod
    def drawn(cls, ratios: tuple[float, float], channels: int, rng: torch.Generator) -> DrawnOptics:
        """Draw one; the ratio is uniform in its logarithm."""
        where, wide, y, x = torch.rand(4, generator=rng, dtype=torch.float64).tolist()
        ratio = _log_uniform(*ratios, where)
        return cls(
            ratio=ratio,
            sigma=SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * wide,
            phases=(y * ratio, x * ratio),
            noise=DrawnNoise.drawn(channels, rng),
        )

    def see(self, hr: Tensor, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return what a field encoder sees of HR crops; see :class:`Drawn`."""
        whole = hr.shape[-1]
        axes = [_Axis.of(whole, size, self.ratio, self.sigma, phase) for phase in self.phases]
        rows, columns = (axis.to(hr) for axis in axes)
        lr = rows.degrade @ hr @ columns.degrade.mT
        variance = self.noise.variance(lr)
        cells = rows.enlarge @ (lr + variance.sqrt() * _normal(lr, rng)) @ columns.enlarge.mT
        own = variance[..., rows.inside, columns.inside]
        # 1 of 0 to 1 is 2 of -1 to 1.
        return cells * 2 - 1, (4 * own + MISFIT**2).mean((2, 3)).sqrt()


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of an LR grid: D, the interpolation back, and the pixels in the crop."""

    degrade: Tensor
    enlarge: Tensor
    inside: slice

    @classmethod
    def of(cls, whole: int, size: int, ratio: float, sigma: float, phase: float) -> _Axis:
        margin = (whole - size) // 2
        first = (ratio - 1) / 2 + phase - ratio
        centres = np.arange(first, whole - 0.5, ratio)
        centres = centres[(centres >= 0) & (centres <= whole - 1)]
        at = (np.arange(size) + margin - centres[0]) / ratio
        held = np.flatnonzero((centres >= margin - 0.5) & (centres < margin + size - 0.5))
        return cls(
            _tensor(imaging_matrix(whole, centres, ratio, sigma)),
            _tensor(enlarging_matrix(len(centres), at)),
            slice(int(held[0]), int(held[-1]) + 1),
        )

    def to(self, like: Tensor) -> _Axis:
        return _Axis(self.degrade.to(like), self.enlarge.to(like), self.inside)


def margin_of(size: int) -> int:
    """Return how many pixels around a crop of a size are looked at."""
    return math.ceil(size * _AROUND)


def around(
    crops: Tensor, size: int, shifts: Tensor | None = None, margin: int | None = None
) -> Tensor:
    """Return crops with their surroundings (N, C, K, K), K = size + 2 margin.

    Parameters
    ----------
    crops
        The crops (N, C, M, M), with as much around each, or less, or nothing; beyond that they go
        on as their mirror image.
    size
        Side S of the crops.
    shifts
        Whole pixels (N, 2), y and x, by which the middle of each lies beside it.
    margin
        Pixels around the crops; :func:`margin_of` their size where it is not given.
    """
    count, side = len(crops), crops.shape[-1]
    margin = margin_of(size) if margin is None else margin
    places = torch.arange(-margin, size + margin) + (side - size) // 2
    if shifts is None:
        shifts = torch.zeros(count, 2, dtype=torch.long)
    period = 2 * (side - 1)
    turned = (places + shifts[..., None]).remainder(period)
    turned = torch.minimum(turned, period - turned).to(crops.device)
    rows, columns = turned[:, 0, :, None], turned[:, 1, None, :]
    cells = torch.arange(count, device=crops.device)[:, None, None]
    return crops[cells, :, rows, columns].permute(0, 3, 1, 2).contiguous()


def middle(whole: ImagesT, size: int) -> ImagesT:
    """Return the crops (..., S, S) of images with as much on all sides around them."""
    margin = (whole.shape[-1] - size) // 2
    return whole[..., margin : margin + size, margin : margin + size]


def drawn(
    ratios: tuple[float, float], views: Sequence[CropView], channels: int, rng: torch.Generator
) -> Drawn:
    """Draw how a batch is seen: a third of the time as crops, of one of the views if there are any.

    Parameters
    ----------
    ratios
        Least and largest ratio of fields.
    views
        Those of crops.
    channels
        Image channels C.
    rng
        Stream of the choice, on the CPU.
    """
    kind, which = torch.rand(2, generator=rng, dtype=torch.float64).tolist()
    if views and kind < CROPS:
        return DrawnCrops(views[int(which * len(views))], DrawnNoise.drawn(channels, rng))
    return DrawnOptics.drawn(ratios, channels, rng)


def crop_views(size: int, channels: int, least: float) -> tuple[CropView, ...]:
    """Return the views of HR crops of a size at all factors that are powers of 2, from a least on.

    LR crops have two pixels along a side at least.
    """
    factors = [2**k for k in range(1, size.bit_length() - 1) if 2**k >= least]
    return tuple(
        CropView(Bicubic(factor), factor, size, channels, known=True) for factor in factors
    )


def _normal(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=rng).to(like.device)


def _log_uniform(low: float, high: float, share: float) -> float:
    return float(low * (high / low) ** share)


def _tensor(matrix: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(matrix.astype(np.float32))
