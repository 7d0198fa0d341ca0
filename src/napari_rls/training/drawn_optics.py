"""Random microscopes: HR crops as cells of LR fields, for the training of a field encoder.

There are LR pixels around a crop, as there are in a field: of its surroundings where they are
known, else of its mirror image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.search.imaging import enlarging_matrix, imaging_matrix
from napari_rls.search.noise import MISFIT

SIGMAS = (0.25, 0.75)
"""Deviations of the PSF in LR pixels."""

LEVELS = (0.003, 0.06)
"""Deviations of the noise, of 0 to 1."""

BRIGHT = 0.3
"""Signal, of 0 to 1, at which Poisson noise has the deviation that its level says."""

ImagesT = TypeVar("ImagesT", Tensor, NDArray[np.generic])

_AROUND = 5 / 8
"""Width of what lies around a crop, of its size."""


@dataclass(frozen=True)
class DrawnOptics:
    """How a batch of cells is seen; the noise is one of each channel.

    Parameters
    ----------
    ratio
        HR pixels along an LR pixel.
    sigma
        Deviation of the PSF in LR pixels.
    phases
        Where the LR grid begins along y and x, in HR pixels, from 0 to ``ratio``.
    level
        Deviation of the noise (C,), of 0 to 1.
    poisson
        Share of its variance (C,) that grows with the signal; at :data:`BRIGHT` it is that of
        ``level``.
    """

    ratio: float
    sigma: float
    phases: tuple[float, float]
    level: Tensor
    poisson: Tensor

    @classmethod
    def drawn(cls, ratios: tuple[float, float], channels: int, rng: torch.Generator) -> DrawnOptics:
        """Draw one; ratio and level are uniform in their logarithms."""
        chance = torch.rand(4 + 2 * channels, generator=rng, dtype=torch.float64)
        where, wide, y, x = chance[:4].tolist()
        ratio = _log_uniform(*ratios, where)
        levels = [_log_uniform(*LEVELS, share) for share in chance[4 : 4 + channels].tolist()]
        return cls(
            ratio=ratio,
            sigma=SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * wide,
            phases=(y * ratio, x * ratio),
            level=torch.tensor(levels),
            poisson=chance[4 + channels :].float(),
        )

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
        whole = hr.shape[-1]
        axes = [_Axis.of(whole, size, self.ratio, self.sigma, phase) for phase in self.phases]
        rows, columns = (axis.to(hr) for axis in axes)
        lr = rows.degrade @ hr @ columns.degrade.mT
        level, poisson = (x.to(hr)[:, None, None] for x in (self.level, self.poisson))
        signal = lr.clamp(min=0)
        variance = level.square() * (poisson * signal / BRIGHT + 1 - poisson)
        noise = torch.randn(lr.shape, generator=rng).to(hr.device)
        cells = rows.enlarge @ (lr + variance.sqrt() * noise) @ columns.enlarge.mT
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


def around(crops: Tensor, size: int, shifts: Tensor | None = None) -> Tensor:
    """Return crops with their surroundings (N, C, K, K), K = size + 2 :func:`margin_of` size.

    Parameters
    ----------
    crops
        The crops (N, C, M, M), with as much around each, or less, or nothing; beyond that they go
        on as their mirror image.
    size
        Side S of the crops.
    shifts
        Whole pixels (N, 2), y and x, by which the middle of each lies beside it.
    """
    count, side = len(crops), crops.shape[-1]
    margin = margin_of(size)
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


def _log_uniform(low: float, high: float, share: float) -> float:
    return float(low * (high / low) ** share)


def _tensor(matrix: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(matrix.astype(np.float32))
