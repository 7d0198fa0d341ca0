"""StyleGAN2 discriminator: residual blocks, minibatch standard deviation, one logit an image.

Names, shapes and arithmetic of the state dict are those of stylegan2-ada-pytorch
(``architecture='resnet'``).

References
----------
Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020.
Karras et al., "Progressive Growing of GANs", 2018 (minibatch standard deviation).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.architecture import Architecture
from napari_rls.models.stylegan2 import EPS, LEAK, SQRT2, FullyConnected, fir_filter

GROUP = 4
"""Images over which the minibatch standard deviation is taken."""


class ConvLayer(nn.Module):
    """Convolution with equalised learning rate, optional halving and leaky ReLU.

    Halving first applies the FIR filter with the padding that keeps the image centred.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        down: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.down = down
        self.padding = kernel // 2
        self.weight_gain = 1 / math.sqrt(in_channels * kernel**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = None if linear else nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("resample_filter", fir_filter())

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Return features of x (N, C, H, W), multiplied by ``gain``."""
        # The gains of leaky ReLU and of the caller go into weight and bias: leaky ReLU is
        # homogeneous, and the weight is the smallest tensor at hand.
        gain = gain if self.bias is None else gain * SQRT2
        weight = (self.weight * (self.weight_gain * gain)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * gain).to(x.dtype)
        if not self.down:
            x = F.conv2d(x, weight, bias, padding=self.padding)
        elif self.padding:
            kernel = self.resample_filter.to(x.dtype).expand(x.shape[1], 1, 4, 4)
            x = F.conv2d(x, kernel, padding=1 + self.padding, groups=x.shape[1])
            x = F.conv2d(x, weight, bias, stride=2)
        else:
            x = F.conv2d(halve(x, self.resample_filter), weight, bias)
        return x if bias is None else F.leaky_relu(x, LEAK, inplace=True)


def halve(x: Tensor, kernel: Tensor) -> Tensor:
    """Halve the side of x (N, C, H, W): FIR filter with padding 1, then every second pixel.

    As two matrix products, since a depthwise convolution with stride is slow backwards.
    """
    n, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(n, height, width * channels)
    pixels = _halving(height, kernel).to(x.dtype) @ pixels
    pixels = pixels.reshape(n, height // 2, width, channels)
    pixels = _halving(width, kernel).to(x.dtype) @ pixels
    return pixels.permute(0, 3, 1, 2)


def _halving(size: int, kernel: Tensor) -> Tensor:
    """Return the (size/2, size) matrix that filters one axis and drops every second pixel."""
    taps = kernel.sum(0)
    matrix = kernel.new_zeros(size // 2, size + 2)
    rows = torch.arange(size // 2, device=kernel.device)
    for k in range(4):
        matrix[rows, 2 * rows + k] = taps[k]
    return matrix[:, 1:-1]


class DiscriminatorBlock(nn.Module):
    """Two 3 x 3 convolutions that halve the side, beside a linear 1 x 1 skip."""

    resample_filter: Tensor

    def __init__(self, arch: Architecture, resolution: int) -> None:
        super().__init__()
        width, out = arch.width(resolution), arch.width(resolution // 2)
        self.first = resolution == arch.resolution
        if self.first:
            self.fromrgb = ConvLayer(arch.image_channels, width, 1)
        self.conv0 = ConvLayer(width, width, 3)
        self.conv1 = ConvLayer(width, out, 3, down=True)
        self.skip = ConvLayer(width, out, 1, down=True, linear=True)
        self.register_buffer("resample_filter", fir_filter())

    def forward(self, x: Tensor) -> Tensor:
        """Return features of half the side, of an image or of the block before."""
        if self.first:
            x = self.fromrgb(x)
        skip: Tensor = self.skip(x, gain=math.sqrt(0.5))
        main: Tensor = self.conv1(self.conv0(x), gain=math.sqrt(0.5))
        return skip + main


def minibatch_std(x: Tensor, group: int = GROUP) -> Tensor:
    """Append one channel: the standard deviation over groups of images, averaged.

    Image n is grouped with n + M, n + 2M, ..., where M is the number of groups. A batch
    that ``group`` does not divide forms groups of its greatest common divisor with it.
    """
    n, _, height, width = x.shape
    group = math.gcd(group, n)
    grouped = x.float().reshape(group, n // group, *x.shape[1:])
    deviation = (grouped.var(0, correction=0) + EPS).sqrt().mean((1, 2, 3))
    channel = deviation.repeat(group)[:, None, None, None].expand(n, 1, height, width)
    return torch.cat([x, channel.to(x.dtype)], 1)


class DiscriminatorEpilogue(nn.Module):
    """From 4 x 4 feature maps to one logit."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        width = arch.width(4)
        self.conv = ConvLayer(width + 1, width, 3)
        self.fc = FullyConnected(width * 16, width, activate=True)
        self.out = FullyConnected(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 1) of feature maps x (N, C, 4, 4)."""
        x = self.conv(minibatch_std(x.float()))
        logit: Tensor = self.out(self.fc(x.flatten(1)))
        return logit


class Discriminator(nn.Module):
    """Logits (N,) of images (N, C, H, W): positive means that D takes them for real ones."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        for resolution in reversed(arch.resolutions[1:]):
            self.add_module(f"b{resolution}", DiscriminatorBlock(arch, resolution))
        self.b4 = DiscriminatorEpilogue(arch)

    def _blocks(self) -> Iterator[nn.Module]:
        for resolution in reversed(self.arch.resolutions[1:]):
            yield self.get_submodule(f"b{resolution}")

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return float32 logits; feature maps down to 8 x 8 are of type ``dtype``."""
        x = image.to(dtype)
        for block in self._blocks():
            x = block(x)
        logits: Tensor = self.b4(x)
        return logits.squeeze(1)
