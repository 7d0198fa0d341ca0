"""Pix2Pix: a U-Net that draws the HR image of an LR image at once, one for each scale factor.

Written from the paper. A U-Net knows nothing of StyleGAN2: it is trained on pairs of HR
crops and their degraded images, and is what the search is compared with. Two things are
not the paper's: the LR image is first enlarged to the HR size, so that the pair has
one size, and in use batch normalisation takes the statistics of the training instead of
those of the batch, so that a cell's image does not depend on the cells beside it.

References
----------
Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
sections 3.2 and 6.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.manifest import Manifest

LEAK = 0.2
EPS = 1e-5
MOMENTUM = 0.1
"""Weight of a batch in the running statistics of batch normalisation."""

DROPOUT = 0.5
DROPPED = 3
"""Levels of the decoder, from the smallest on, that have dropout."""

DEEPEST = 8
"""Levels at most: 256 pixels shrink to one."""


class BatchNorm(nn.Module):
    """Batch normalisation whose running statistics are the only state beside its weights."""

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return x (N, C, H, W), normalised by channel; in training by the batch's statistics."""
        return F.batch_norm(
            x, self.mean, self.var, self.weight, self.bias, self.training, MOMENTUM, EPS
        )


class UNet(nn.Module):
    """Draw SR images (N, C, H, W) of LR images (N, C, h, w), both in -1 to 1.

    Convolutions of 4 x 4 halve the side level by level, to one pixel for HR sizes up to
    256, and as many transposed ones double it again; every level of the decoder also sees
    the encoder's features of its size. Dropout in the decoder is the only noise.

    Parameters
    ----------
    channels
        Image channels C.
    size
        Side of the HR image in pixels, a power of two.
    factor
        HR size divided by LR size.
    width
        Feature maps of the first level; they double from level to level.
    width_max
        Feature maps of a level at most.

    Raises
    ------
    ValueError
        If ``size`` is not a power of two from 8 on, or ``factor`` does not divide it.
    """

    def __init__(self, channels: int, size: int, factor: int, width: int, width_max: int) -> None:
        super().__init__()
        if size < 8 or size & (size - 1) or size % factor:
            raise ValueError(f"There is no U-Net for {size} pixels and the factor {factor}.")
        self.channels, self.size, self.factor = channels, size, factor
        depth = min(DEEPEST, size.bit_length() - 1)
        widths = [min(width << k, width_max) for k in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.down_norm, self.up_norm = nn.ModuleList(), nn.ModuleList()
        for k, (inputs, outputs) in enumerate(zip([channels, *widths], widths, strict=False)):
            # Neither the first level has a norm nor the last, whose one pixel it would set to 0.
            normed = 0 < k < depth - 1
            self.down.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not normed))
            self.down_norm.append(BatchNorm(outputs) if normed else nn.Identity())
        for k in reversed(range(depth)):
            inputs = widths[k] * (1 if k == depth - 1 else 2)
            outputs = widths[k - 1] if k else channels
            self.up.append(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=not k))
            self.up_norm.append(BatchNorm(outputs) if k else nn.Identity())

    def enlarged(self, lr: Tensor) -> Tensor:
        """Return LR images (N, C, h, w) at the HR size, every pixel repeated.

        Raises
        ------
        ValueError
            If they are not of the shape that the network is for.
        """
        side = self.size // self.factor
        if lr.ndim != 4 or lr.shape[1:] != (self.channels, side, side):
            raise ValueError(
                f"This network is for LR images (N, {self.channels}, {side}, {side}), not "
                f"{tuple(lr.shape)}."
            )
        return F.interpolate(lr, scale_factor=float(self.factor), mode="nearest")

    def forward(self, lr: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Return SR images.

        Parameters
        ----------
        lr
            LR images (N, C, h, w) in -1 to 1.
        rng
            Where dropout is drawn from, on the CPU; the paper has it in use too. None: no
            dropout, which gives one image for an LR image.
        """
        x = self.enlarged(lr)
        skips: list[Tensor] = []
        for conv, norm in zip(self.down, self.down_norm, strict=True):
            x = F.leaky_relu(norm(conv(x)), LEAK)
            skips.append(x)
        x = skips.pop()
        for k, (conv, norm) in enumerate(zip(self.up, self.up_norm, strict=True)):
            x = norm(conv(x))
            if not skips:
                break
            if rng is not None and k < DROPPED:
                x = _dropped(x, rng)
            x = torch.cat([F.relu(x), skips.pop()], 1)
        return torch.tanh(x)


def _dropped(x: Tensor, rng: torch.Generator) -> Tensor:
    """Set half of all values to 0 and double the others."""
    kept = torch.rand(x.shape, generator=rng) >= DROPOUT
    return x * (kept / (1 - DROPOUT)).to(x)


def build_unets(manifest: Manifest) -> dict[int, UNet]:
    """Return untrained networks for all factors of the manifest, keyed by factor."""
    arch = manifest.architecture
    return {
        net.factor: UNet(arch.image_channels, arch.resolution, net.factor, net.width, net.width_max)
        for net in (manifest.pix2pix.networks if manifest.pix2pix else ())
    }
