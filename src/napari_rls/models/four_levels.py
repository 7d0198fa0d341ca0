"""A small U-Net of four levels, which networks of images are built on.

References
----------
Ronneberger, Fischer & Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
2015.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 32
"""Side in pixels of the finest feature maps; those of larger images have several pixels each."""

_MULTIPLES = (1, 2, 3, 3)
"""Feature maps of each level, in those of the first."""


def block_of(size: int) -> int:
    """Return the side of the squares of pixels that a place of the finest feature maps has."""
    return max(size // SIDE, 1)


class FourLevels(nn.Module):
    """Convolutions on four scales; the last one gives 0 before it is trained.

    Parameters
    ----------
    inputs, outputs
        Channels that it is shown and that it gives.
    width
        Feature maps of the first level.
    level
        Makes the network of a level, from channels before and after it.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, level: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        widths = [width * multiple for multiple in _MULTIPLES]
        self.first = nn.Conv2d(inputs, width, 3, 1, 1)
        self.down = nn.ModuleList(
            level(before, after)
            for before, after in zip([width, *widths[:-1]], widths, strict=True)
        )
        # From the coarsest on: each sees the coarser level and its own of the way down.
        self.up = nn.ModuleList(
            level(coarse + own, own)
            for coarse, own in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(width, outputs, 3, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def run(self, shown: Tensor, *told: Tensor) -> Tensor:
        """Return what it makes (N, outputs, h, w) of what it is shown (N, inputs, h, w).

        ``told`` is what every level is told beside.
        """
        features = self.first(shown.contiguous(memory_format=torch.channels_last))
        finer: list[Tensor] = []
        for level in self.down:
            if finer:
                features = F.avg_pool2d(features, 2)
            features = level(features, *told)
            finer.append(features)
        finer.pop()
        for level in self.up:
            large = F.interpolate(features, scale_factor=2.0, mode="bilinear")
            features = level(torch.cat([large, finer.pop()], 1), *told)
        made: Tensor = self.last(features)
        return made
