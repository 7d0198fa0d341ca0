"""A small U-Net of four levels, which networks of images are built on.

References
----------
Ronneberger, Fischer & Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
2015.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 32
"""Side in pixels of the finest feature maps; those of larger images have several pixels each."""

_MULTIPLES = (1, 2, 3, 3)
"""Feature maps of each level, in those of the first."""


class Level(nn.Module):
    """Two convolutions, added to what they see."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, 1, 1)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.same = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, *told: Tensor) -> Tensor:
        """Return features (N, after, h, w) of others (N, before, h, w)."""
        added: Tensor = self.same(x) + self.second(
            F.gelu(self.between(self.first(F.gelu(x)), *told))
        )
        return added

    def between(self, features: Tensor, *told: Tensor) -> Tensor:  # noqa: ARG002
        """Return what becomes of features between both convolutions, by what is told."""
        return features


class FourLevels(nn.Module):
    """Convolutions on four scales; the last one gives 0 before it is trained.

    Parameters
    ----------
    channels
        Channels of an image.
    size
        Side of the images in pixels, a power of two from 8 on.
    width
        Feature maps of the first level.
    images, maps
        How many images it is shown, and how many maps of one number beside.
    level
        Makes the network of a level, from channels before and after it.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        *,
        images: int = 1,
        maps: int = 0,
        level: Callable[[int, int], Level] = Level,
    ) -> None:
        super().__init__()
        self.block = max(size // SIDE, 1)
        pixels = channels * self.block**2
        widths = [width * multiple for multiple in _MULTIPLES]
        self.first = nn.Conv2d(images * pixels + maps, width, 3, 1, 1)
        self.down = nn.ModuleList(
            level(before, after)
            for before, after in zip([width, *widths[:-1]], widths, strict=True)
        )
        # From the coarsest on: each sees the coarser level and its own of the way down.
        self.up = nn.ModuleList(
            level(coarse + own, own)
            for coarse, own in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(width, pixels, 3, 1, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def run(self, images: Sequence[Tensor], maps: Tensor | None = None, *told: Tensor) -> Tensor:
        """Return an image (N, C, S, S) of images of that shape.

        ``maps`` (N, K) are shown as maps of one number each, ``told`` is what every level is told.
        """
        shown = [F.pixel_unshuffle(image, self.block) for image in images]
        if maps is not None:
            shown.append(maps[:, :, None, None].expand(-1, -1, *shown[0].shape[2:]))
        features = self.first(torch.cat(shown, 1).contiguous(memory_format=torch.channels_last))
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
        return F.pixel_shuffle(self.last(features), self.block)
