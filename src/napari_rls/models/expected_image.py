"""The image that a cell is expected to have, from what an LR microscope saw of it.

A U-Net (Ronneberger, Fischer & Brox 2015) that adds to the interpolated LR image. It knows nothing
of StyleGAN2, and what it draws is no cell but near the mean of all that the LR image may be of:
blurred where that is in doubt. A search is held near it, and draws the cell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 32
"""Side in pixels of the finest feature maps; those of larger images have several pixels each."""

_MULTIPLES = (1, 2, 3, 3)
"""Feature maps of each level, in those of the first."""


class _Level(nn.Module):
    """Two convolutions, added to what they see."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, 1, 1)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.same = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        seen = self.first(F.gelu(x))
        added: Tensor = self.same(x) + self.second(F.gelu(seen))
        return added


class ExpectedImage(nn.Module):
    """Draw expected images (N, C, S, S) of interpolated LR images.

    Parameters
    ----------
    channels
        Image channels C.
    size
        Side S of the images in pixels, a power of two from 8 on.
    known
        What is known of the microscope: numbers for each image.
    width
        Feature maps of the first level.
    """

    def __init__(self, channels: int, size: int, known: int, width: int) -> None:
        super().__init__()
        self.block = max(size // SIDE, 1)
        pixels = channels * self.block**2
        widths = [width * multiple for multiple in _MULTIPLES]
        self.first = nn.Conv2d(pixels + known, width, 3, 1, 1)
        self.down = nn.ModuleList(
            _Level(before, after)
            for before, after in zip([width, *widths[:-1]], widths, strict=True)
        )
        # From the coarsest on: each sees the coarser level and its own of the way down.
        self.up = nn.ModuleList(
            _Level(coarse + own, own)
            for coarse, own in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(width, pixels, 3, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, cells: Tensor, known: Tensor) -> Tensor:
        """Return the images.

        Parameters
        ----------
        cells
            Interpolated LR images (N, C, S, S) in -1 to 1.
        known
            What is known of the microscope (N, K).
        """
        pixels = F.pixel_unshuffle(cells, self.block)
        maps = known[:, :, None, None].expand(-1, -1, *pixels.shape[2:])
        seen = torch.cat([pixels, maps], 1).contiguous(memory_format=torch.channels_last)
        features = self.first(seen)
        finer: list[Tensor] = []
        for level in self.down:
            if finer:
                features = F.avg_pool2d(features, 2)
            features = level(features)
            finer.append(features)
        finer.pop()
        for level in self.up:
            large = F.interpolate(features, scale_factor=2.0, mode="bilinear")
            features = level(torch.cat([large, finer.pop()], 1))
        return cells + F.pixel_shuffle(self.last(features), self.block)
