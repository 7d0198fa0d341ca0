"""Measurements told directly of an LR image: quantiles of what its HR image would give.

A small network that draws no image, as the rival of those that do: whoever wants a number alone
may ask why an image is drawn. It sees LR images of every factor that it knows, brought to the
side of the largest, and is told the factor.

References
----------
Koenker & Bassett, "Regression Quantiles", Econometrica 46, 1978, for what it is trained by;
Romano, Patterson & Candes, "Conformalized Quantile Regression", 2019, for its intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.direct_spec import LEVELS

if TYPE_CHECKING:
    from napari_rls.models.manifest import Manifest

_SMALLEST = 4
"""Side at and below which feature maps are not halved any more."""

_MEDIAN = LEVELS.index(0.5)


class Direct(nn.Module):
    """Tell quantiles (N, K, L) of K standardised measurements of LR images (N, C, h, w).

    They are at :data:`~napari_rls.models.direct_spec.LEVELS`, and never cross.

    Parameters
    ----------
    channels
        Image channels C.
    size
        Side of the HR image in pixels.
    factors
        The scale factors that it knows, which divide ``size``.
    width
        Feature maps of the first layer.
    count
        Number of measurements K.
    """

    def __init__(
        self, channels: int, size: int, factors: Sequence[int], width: int, count: int
    ) -> None:
        super().__init__()
        self.channels, self.size, self.count = channels, size, count
        self.side = size // min(factors)
        layers: list[nn.Module] = [nn.Conv2d(channels + 1, width, 3, padding=1), nn.GELU()]
        side, maps = self.side, width
        while side > _SMALLEST:
            layers += [nn.Conv2d(maps, 2 * width, 3, 2, 1), nn.GELU()]
            side, maps = (side + 1) // 2, 2 * width
        layers += [nn.Conv2d(maps, 2 * width, 3, padding=1), nn.GELU(), nn.Flatten()]
        layers += [nn.Linear(2 * width * side**2, 4 * width), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Linear(4 * width, count * len(LEVELS)))

    def forward(self, lr: Tensor, factor: int) -> Tensor:
        """Return the quantiles of LR images in -1 to 1, in the order of their levels."""
        images = F.interpolate(lr, (self.side, self.side), mode="bicubic", align_corners=False)
        told = torch.full_like(images[:, :1], math.log2(factor) / 8)
        found = self.layers(torch.cat([images, told], 1)).unflatten(1, (self.count, len(LEVELS)))
        below, middle, above = found.split([_MEDIAN, 1, len(LEVELS) - _MEDIAN - 1], 2)
        down = F.softplus(below).flip(2).cumsum(2).flip(2)
        return torch.cat([middle - down, middle, middle + F.softplus(above).cumsum(2)], 2)

    @torch.no_grad()
    def turned(self, lr: Tensor, factor: int) -> Tensor:
        """Return the means of the quantiles over the 8 ways in which cells can lie."""
        ways = [lr.rot90(k, (2, 3)) for k in range(4)]
        found = [self(way, factor) for one in ways for way in (one, one.flip(3))]
        return torch.stack(found).mean(0)


def build_direct(manifest: Manifest) -> Direct | None:
    """Return an untrained network of the manifest's shape, if it has one."""
    spec, arch = manifest.direct, manifest.architecture
    if spec is None:
        return None
    return Direct(arch.image_channels, arch.resolution, spec.factors, spec.width, len(spec.columns))
