"""The image that a cell is expected to have, from what an LR microscope saw of it.

A U-Net that adds to the interpolated LR image. It knows nothing of StyleGAN2, and what it draws is
no cell but near the mean of all that the LR image may be of: blurred where that is in doubt. A
search is held near it, and draws the cell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.four_levels import FourLevels, block_of


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


class ExpectedImage(FourLevels):
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
        block = block_of(size)
        pixels = channels * block**2
        super().__init__(pixels + known, pixels, width, _Level)
        self.block = block

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
        return cells + F.pixel_shuffle(self.run(torch.cat([pixels, maps], 1)), self.block)
