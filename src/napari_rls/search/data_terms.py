"""Data terms of the methods: how far the degraded image is from the LR image, per cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

SCALED_AT = 16
"""Number of LR pixels at which ``scaled`` equals ``mean``: 4 x 4, those of 64 pixels at 16x."""

DataTerm = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From degraded images, their LR images (n, C, h, w) in -1 to 1, and cells (n,), to (n,)."""

Distance = Callable[[Tensor, Tensor], Tensor]
"""From two sets of images (n, C, H, W) in -1 to 1 to how different they look (n,)."""


@dataclass(frozen=True)
class AbsoluteError:
    """Mean absolute error times ``weight``, or the sum of absolute errors (RLS)."""

    weight: float = 1.0
    summed: bool = False

    def __call__(self, degraded: Tensor, lr: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002
        """Return the error (n,)."""
        error = (degraded - lr).abs().flatten(1)
        return error.sum(1) if self.summed else error.mean(1) * self.weight


FIELD_SCALE = 0.1
CROP_SCALE = 0.03
"""What :class:`Likelihood` is multiplied with, so that usual lambdas hold: chosen on real cells.

Of crops it is less, for images that look like cells: nothing but the priors keeps them so there,
where searches in fields stay near an estimate.
"""


@dataclass(frozen=True)
class Likelihood:
    """Minus the log-likelihood of LR pixels whose deviation is known, outliers allowed for.

    Of a residual r in units of its deviation it is sqrt(1 + r^2) - 1 (pseudo-Huber: Charbonnier
    et al. 1994): r^2 / 2 as of Gaussian noise where it is small, and growing as |r| where a hot
    pixel or debris has made it large. It is summed over pixels, meant over channels, and weighed
    as the reading ``scaled`` weighs absolute errors, so that the lambdas are on one scale.

    Parameters
    ----------
    deviation
        Standard deviation of every LR pixel (N, C, h, w), in units of -1 to 1: noise of the
        camera and what the generator cannot draw.
    weight
        Weight of every LR pixel (N, h, w), 0 for those that are not to be compared.
    scale
        What the sum is multiplied with.
    """

    deviation: Tensor
    weight: Tensor
    scale: float = FIELD_SCALE

    def __call__(self, degraded: Tensor, lr: Tensor, cells: Tensor) -> Tensor:
        """Return the error (n,)."""
        residual = (degraded - lr) / self.deviation[cells]
        loss = ((1 + residual.square()).sqrt() - 1).mean(1) * self.weight[cells]
        return loss.flatten(1).sum(1) * (self.scale / SCALED_AT)


@dataclass(frozen=True)
class FlooredSquares:
    """``weight`` times the mean squared error of images in 0 to 1, at least ``floor`` (PULSE)."""

    weight: float
    floor: float

    def __call__(self, degraded: Tensor, lr: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002
        """Return the error (n,)."""
        error = ((degraded - lr) / 2).square().flatten(1).mean(1)
        return self.weight * error.clamp(min=self.floor)

    @property
    def least(self) -> float:
        """The value that a cell has once its error is at the floor, rounding allowed for."""
        return self.weight * self.floor * (1 + 1e-6)


def grey_squares(degraded: Tensor, lr: Tensor) -> Tensor:
    """Return the mean squared error (n,) of images in 0 to 255."""
    return ((degraded - lr) * 127.5).square().flatten(1).mean(1)


@dataclass(frozen=True)
class SquaresAndLooks:
    """``weight`` times :func:`grey_squares`, and how different both images look (BRGM).

    Parameters
    ----------
    weight
        Weight of the squared error.
    looks
        How different two sets of images look.
    looks_weight
        Weight of that for every cell, (N,).
    size
        Side in pixels that both images are brought to, by areas, before they are looked at.
    """

    weight: float
    looks: Distance
    looks_weight: Tensor
    size: int

    def __call__(self, degraded: Tensor, lr: Tensor, cells: Tensor) -> Tensor:
        """Return the error (n,)."""
        looks = self.looks(enlarged(degraded, self.size), enlarged(lr, self.size))
        return self.weight * grey_squares(degraded, lr) + self.looks_weight[cells] * looks


def enlarged(image: Tensor, size: int) -> Tensor:
    """Return images (n, C, h, w) at ``size`` pixels a side; pixels are means over areas."""
    return F.interpolate(image, size=(size, size), mode="area")
