"""Where the search of a cell in an LR field starts: an estimate of W+ from what a microscope saw.

One network serves any ratio of pixel sizes, place on the pixel grid, PSF and noise: it sees the
LR image, interpolated to the grid of the HR crop, and is told of the rest. Of these it draws the
expected image, and of that it estimates W+. It is fitted to HR crops that were degraded at random,
W+ through the frozen generator, so no paired data are needed.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.architecture import Architecture
from napari_rls.models.expected_image import ExpectedImage
from napari_rls.models.field_specs import FieldEncoderShape
from napari_rls.models.four_levels import SIDE

_USUAL = (3.0, 0.5, -2.5)
"""log2 of the ratio, PSF width and log of the noise that are taken as 0."""

NOISIEST = 0.25
"""Deviation of LR pixels, of -1 to 1, above which a network has seen none in its training."""

_SIGMA_STEP = 0.25
"""PSF width in LR pixels that is taken as 1."""


def known_numbers(channels: int) -> int:
    """Return how many numbers networks are told of a microscope."""
    return channels + 2


class FieldEncoder(nn.Module):
    """Estimate W+ latents (N, L, d) from cells as an LR microscope saw them.

    Parameters
    ----------
    architecture
        That of the generator.
    shape
        Widths of the layers.
    mean, std
        Mean and standard deviation of w per dimension, shape (d,).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, architecture: Architecture, shape: FieldEncoderShape, mean: Tensor, std: Tensor
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        channels, width = architecture.image_channels, shape.width
        known = known_numbers(channels)
        self.image: ExpectedImage | None = None
        if shape.image_width:
            self.image = ExpectedImage(channels, architecture.resolution, known, shape.image_width)
        widths = [channels + known, width, width * 3 // 2, width * 2, width * 3]
        convolutions: list[nn.Module] = []
        for k, (before, after) in enumerate(itertools.pairwise(widths)):
            convolutions += [nn.Conv2d(before, after, 3, 1 if k == 0 else 2, 1), nn.GELU()]
        self.convolutions = nn.Sequential(*convolutions, nn.Flatten())
        seen = widths[-1] * (SIDE // 8) ** 2 + known
        self.layers = nn.Sequential(
            nn.Linear(seen, shape.hidden),
            nn.GELU(),
            nn.Linear(shape.hidden, shape.hidden),
            nn.GELU(),
        )
        rows, dim = architecture.num_ws, architecture.w_dim
        self.common = nn.Linear(shape.hidden, dim)
        self.own = nn.Linear(shape.hidden, rows * dim)
        nn.init.zeros_(self.own.weight)
        nn.init.zeros_(self.own.bias)

    def forward(self, cells: Tensor, ratio: float, sigma: float, deviation: Tensor) -> Tensor:
        """Return the estimate.

        Parameters
        ----------
        cells
            The cells (N, C, S, S) in -1 to 1, interpolated to the grid of HR pixels.
        ratio
            HR pixels along an LR pixel.
        sigma
            Standard deviation of the PSF in LR pixels.
        deviation
            Root mean square of the standard deviation of the cells' LR pixels (N, C), of -1
            to 1.
        """
        expected = self.expected(cells, ratio, sigma, deviation)
        return self.ws(*self.parts(expected, ratio, sigma, deviation))

    def ws(self, common: Tensor, own: Tensor) -> Tensor:
        """Return the W+ latents (N, L, d) of their :meth:`parts`."""
        return self.mean + self.std * (common[:, None] + own)

    def expected(self, cells: Tensor, ratio: float, sigma: float, deviation: Tensor) -> Tensor:
        """Return the images (N, C, S, S) that the cells are expected to have, of -1 to 1.

        They are ``cells`` if the network draws none; see :meth:`forward` for the parameters.
        """
        if self.image is None:
            return cells
        image: Tensor = self.image(cells, self.known(ratio, sigma, deviation))
        return image

    def parts(
        self, expected: Tensor, ratio: float, sigma: float, deviation: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what all rows of W+ share (N, d) and what each adds (N, L, d), standardised.

        They are estimated of :meth:`expected` images, and of what else is known.
        """
        known = self.known(ratio, sigma, deviation)
        maps = known[:, :, None, None].expand(-1, -1, SIDE, SIDE)
        image = F.adaptive_avg_pool2d(expected, SIDE)
        features = self.convolutions(torch.cat([image, maps], 1))
        hidden = self.layers(torch.cat([features, known], 1))
        own: Tensor = self.own(hidden)
        return self.common(hidden), own.unflatten(1, (-1, self.mean.numel()))

    @staticmethod
    def known(ratio: float, sigma: float, deviation: Tensor) -> Tensor:
        """Return what networks are told of a microscope (N, 2 + C), of usual size."""
        usual_ratio, usual_sigma, usual_noise = _USUAL
        optics = (math.log2(ratio) - usual_ratio, (sigma - usual_sigma) / _SIGMA_STEP)
        same = deviation.new_tensor(optics).expand(len(deviation), 2)
        return torch.cat([same, deviation.clamp(1e-6, NOISIEST).log() - usual_noise], 1)
