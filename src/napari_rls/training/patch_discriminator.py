"""PatchGAN: a discriminator that judges every patch of an image by itself.

References
----------
Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
sections 3.2.2 and 6.1.2.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.pix2pix import LEAK, BatchNorm


def halvings(size: int) -> int:
    """Return how often the side is halved: for patches of 70, 34 or 16 pixels of an image.

    70 x 70, the paper's, from 128 pixels on; 34 x 34 at 64 and 16 x 16 below, so that a
    patch stays a part of the image.
    """
    return 3 if size >= 128 else 2 if size >= 64 else 1


class PatchDiscriminator(nn.Module):
    """Logits (N, 1, h, w) of images (N, C, H, W), a patch each; positive means real.

    4 x 4 convolutions: some of stride 2, then two of stride 1. It sees the LR image, enlarged,
    beside the HR or SR image.

    Parameters
    ----------
    channels
        Image channels C.
    size
        Side of the images in pixels.
    width
        Feature maps of the first level; they double from level to level.
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        count = halvings(size)
        widths = [2 * channels, *(width << k for k in range(count + 1))]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for k, (inputs, outputs) in enumerate(pairwise(widths)):
            stride = 2 if k < count else 1
            self.convs.append(nn.Conv2d(inputs, outputs, 4, stride, 1, bias=not k))
            self.norms.append(BatchNorm(outputs) if k else nn.Identity())
        self.last = nn.Conv2d(widths[-1], 1, 4, 1, 1)

    def forward(self, enlarged: Tensor, image: Tensor) -> Tensor:
        """Return logits."""
        x = torch.cat([enlarged, image], 1)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), LEAK)
        logits: Tensor = self.last(x)
        return logits
