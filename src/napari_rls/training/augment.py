"""Adaptive discriminator augmentation (ADA) with the operations that are true to microscopy.

Real and generated images pass through the same random operations before the
discriminator sees them, each operation with probability p. As long as p stays
below about 0.8 the generator can still tell the augmented distribution's origin,
so that augmentations do not leak into its samples. Channels are never mixed:
gain and offset act on each channel by itself, geometry on all of them alike.

References
----------
Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020,
section 3 and appendix B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

P_MAX = 0.8
"""Above it augmentations begin to leak (Karras et al. 2020, section 3.1)."""

SHIFT = 0.125
"""Largest integer shift, and standard deviation of the sub-pixel shift, as a share of the side."""

SCALE = 0.2
"""Standard deviation of the scale, in octaves."""

GAIN = 0.3
"""Standard deviation of a channel's gain, in octaves; black (-1) stays black."""

OFFSET = 0.1
"""Standard deviation of a channel's offset, in the generator's units."""


@dataclass(frozen=True)
class Draw:
    """One batch's random operations.

    ``matrix`` (N, 2, 3) maps output to input coordinates, each -1 to 1 across the
    image; ``gain`` and ``offset`` are (N, C).
    """

    matrix: Tensor
    gain: Tensor
    offset: Tensor


def draw(count: int, channels: int, size: int, p: float, rng: torch.Generator) -> Draw:
    """Draw operations for images (count, channels, size, size); ``rng`` is on the CPU."""

    def chosen() -> Tensor:
        return torch.rand(count, generator=rng) < p

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=rng)

    def uniform() -> Tensor:
        return torch.rand(count, generator=rng)

    flip = torch.where(chosen() & (uniform() < 0.5), -1.0, 1.0)
    turns = torch.where(chosen(), (uniform() * 4).floor(), 0.0)
    angle = torch.where(chosen(), (uniform() * 2 - 1) * math.pi, 0.0)
    zoom = torch.where(chosen(), torch.exp2(normal() * SCALE), 1.0)
    steps = torch.stack([uniform(), uniform()], 1) * 2 - 1
    whole = torch.where(chosen()[:, None], (steps * SHIFT * size).round() * (2 / size), 0.0)
    fine = torch.where(chosen()[:, None], normal(2) * (SHIFT * 2), 0.0)
    gain = torch.where(chosen()[:, None], torch.exp2(normal(channels) * GAIN), 1.0)
    offset = torch.where(chosen()[:, None], normal(channels) * OFFSET, 0.0)

    # Right angles by whole numbers, so that they and flips move pixels onto pixels.
    cos90, sin90 = (1 - turns).remainder(2) * (1 - turns), turns.remainder(2) * (2 - turns)
    right = torch.stack([cos90 * flip, -sin90, sin90 * flip, cos90], 1).reshape(-1, 2, 2)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    free = torch.stack([cos, -sin, sin, cos], 1).reshape(-1, 2, 2)
    return Draw(torch.cat([right @ free, (whole + fine)[:, :, None]], 2), gain, offset)


def apply(images: Tensor, operations: Draw) -> Tensor:
    """Apply operations to images (N, C, H, W), differentiably; borders are mirrored."""
    gain = operations.gain.to(images.device)[:, :, None, None]
    offset = operations.offset.to(images.device)[:, :, None, None]
    return _move(images, operations.matrix) * gain + (gain - 1 + offset)


def _move(images: Tensor, matrix: Tensor) -> Tensor:
    """Resample those images that move; the others stay as they are, and cost nothing."""
    moves = (matrix != torch.eye(2, 3)).flatten(1).any(1).nonzero().squeeze(1)
    if not len(moves):
        return images
    rows = moves.to(images.device)
    moving = images[rows].contiguous()
    grid = F.affine_grid(matrix[moves].to(images.device), list(moving.shape), align_corners=False)
    moved = F.grid_sample(
        moving, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return images.index_copy(0, rows, moved)


def augment(images: Tensor, p: float, rng: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), -1 to 1, each operation applied with probability ``p``."""
    operations = draw(images.shape[0], images.shape[1], images.shape[-1], p, rng)
    return apply(images, operations) if p > 0 else images


@dataclass
class AdaptiveP:
    """The probability p, steered so that the mean sign of D on real images meets a target.

    p moves by a fixed amount at every adjustment: from 0 to 1 in ``kimg`` thousand
    images if the sign stays on one side.
    """

    target: float
    kimg: float
    p: float = 0.0
    signs: float = 0.0
    images: int = 0

    def observe(self, signs: Tensor) -> None:
        """Take the signs (N,) of D's logits of a batch of real images into account."""
        self.signs += float(signs.sum())
        self.images += len(signs)

    def adjust(self) -> None:
        """Move p by what was observed since the last adjustment."""
        excess = self.signs / self.images - self.target
        self.p += math.copysign(self.images / (self.kimg * 1000), excess)
        self.p = min(max(self.p, 0.0), P_MAX)
        self.signs, self.images = 0.0, 0
