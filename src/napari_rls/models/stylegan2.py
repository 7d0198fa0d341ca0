"""StyleGAN2 generator: mapping and synthesis network.

Names, shapes and arithmetic of the state dict are those of
stylegan2-ada-pytorch, so that weights travel both ways. Modulation is applied
to the activations instead of the weights, which gives the same numbers and lets
every cell of a batch share one convolution.

References
----------
Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020.
Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.architecture import Architecture

NoiseMode = Literal["const", "random", "none"]

SQRT2 = math.sqrt(2.0)
LEAK = 0.2
EPS = 1e-8


def fir_filter() -> Tensor:
    """Return the 4 x 4 low-pass filter of StyleGAN2: outer product of [1, 3, 3, 1], sum 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)
    return kernel / kernel.sum()


def upsample(image: Tensor, kernel: Tensor) -> Tensor:
    """Double the side of ``image`` (N, C, H, W): zero insertion, then the FIR filter times 4."""
    channels = image.shape[1]
    weight = (kernel * 4).to(image.dtype).expand(channels, 1, 4, 4)
    return F.conv_transpose2d(image, weight, stride=2, padding=1, groups=channels)


def low_pass(x: Tensor, kernel: Tensor, gain: float = 1.0) -> Tensor:
    """Filter ``x`` (N, C, H, W) with the FIR filter, padding 1: the side shrinks by one."""
    channels = x.shape[1]
    weight = (kernel.flip(0, 1) * gain).to(x.dtype).expand(channels, 1, 4, 4)
    return F.conv2d(x, weight, padding=1, groups=channels)


class FullyConnected(nn.Module):
    """Linear layer with equalised learning rate and optional leaky ReLU (gain sqrt 2)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activate: bool = False,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.activate = activate
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init)))

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, out_features) of x (N, in_features)."""
        x = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(x, LEAK) * SQRT2 if self.activate else x


class MappingNetwork(nn.Module):
    """Map z ~ N(0, I) to w: normalisation, then fully connected layers."""

    w_avg: Tensor

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.num_layers = arch.mapping_layers
        for k in range(arch.mapping_layers):
            fan_in = arch.z_dim if k == 0 else arch.w_dim
            layer = FullyConnected(fan_in, arch.w_dim, activate=True, lr_multiplier=0.01)
            self.add_module(f"fc{k}", layer)
        self.register_buffer("w_avg", torch.zeros(arch.w_dim))

    def forward(self, z: Tensor) -> Tensor:
        """Return w (N, w_dim) of z (N, z_dim)."""
        x = z * (z.square().mean(1, keepdim=True) + EPS).rsqrt()
        for k in range(self.num_layers):
            x = self.get_submodule(f"fc{k}")(x)
        return x


class SynthesisLayer(nn.Module):
    """Modulated 3 x 3 convolution, optionally upsampling, with noise and leaky ReLU."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(self, arch: Architecture, in_channels: int, resolution: int, *, up: bool) -> None:
        super().__init__()
        out_channels = arch.width(resolution)
        self.up = up
        self.clamp = arch.conv_clamp
        self.affine = FullyConnected(arch.w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", fir_filter())

    def forward(
        self, x: Tensor, w: Tensor, noise_mode: NoiseMode, rng: torch.Generator | None = None
    ) -> Tensor:
        """Return feature maps of x (N, in, H, W) in the style of w (N, w_dim)."""
        styles = self.affine(w)
        power = self.weight.square().sum(dim=(2, 3))
        # The gain of the activation, sqrt 2, goes into everything that is smaller than x.
        demodulation = (styles.square() @ power.t() + EPS).rsqrt() * SQRT2
        offset = (self.bias * SQRT2)[None, :, None, None]
        x = x * styles[:, :, None, None].to(x.dtype)
        weight = self.weight.to(x.dtype)
        if self.up:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = low_pass(x, self.resample_filter, gain=4.0)
        else:
            x = F.conv2d(x, weight, padding=1)
        x = torch.addcmul(offset.to(x.dtype), x, demodulation[:, :, None, None].to(x.dtype))
        if noise_mode == "const":
            x = x + (self.noise_const * (self.noise_strength * SQRT2)).to(x.dtype)
        elif noise_mode == "random":
            noise = torch.randn(x.shape[0], 1, *x.shape[2:], generator=rng)
            x = x + (noise.to(x.device) * (self.noise_strength * SQRT2)).to(x.dtype)
        x = F.leaky_relu(x, LEAK, inplace=True)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution from features to image channels, without demodulation."""

    def __init__(self, arch: Architecture, resolution: int) -> None:
        super().__init__()
        in_channels = arch.width(resolution)
        self.clamp = arch.conv_clamp
        self.weight_gain = 1 / math.sqrt(in_channels)
        self.affine = FullyConnected(arch.w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(arch.image_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(arch.image_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return float32 images of feature maps x (N, in, H, W) and w (N, w_dim)."""
        styles = self.affine(w) * self.weight_gain
        image = F.conv2d(x * styles[:, :, None, None].to(x.dtype), self.weight.to(x.dtype))
        image = image.float() + self.bias[None, :, None, None]
        return image if self.clamp is None else image.clamp(-self.clamp, self.clamp)


class SynthesisBlock(nn.Module):
    """All layers of one resolution."""

    resample_filter: Tensor

    def __init__(self, arch: Architecture, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        width = arch.width(resolution)
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(width, 4, 4))
        else:
            self.conv0 = SynthesisLayer(arch, arch.width(resolution // 2), resolution, up=True)
        self.conv1 = SynthesisLayer(arch, width, resolution, up=False)
        self.torgb = ToRGB(arch, resolution)
        self.register_buffer("resample_filter", fir_filter())

    @property
    def num_convs(self) -> int:
        """Convolutions of the block, and so the W+ rows before that of ToRGB."""
        return 1 if self.resolution == 4 else 2

    def forward(
        self,
        x: Tensor,
        image: Tensor | None,
        ws: Tensor,
        noise_mode: NoiseMode,
        rng: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Return feature maps and the image so far, of those of the block before."""
        rows = iter(ws.unbind(1))
        if self.resolution > 4:
            x = self.conv0(x, next(rows), noise_mode, rng)
        x = self.conv1(x, next(rows), noise_mode, rng)
        rgb = self.torgb(x, next(rows))
        if image is not None:
            rgb = rgb + upsample(image, self.resample_filter)
        return x, rgb


class SynthesisNetwork(nn.Module):
    """Turn W+ latents (N, L, w_dim) into images (N, C, H, W), about -1 to 1."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        for resolution in arch.resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(arch, resolution))

    def blocks(self) -> Iterator[tuple[SynthesisBlock, int]]:
        """Yield every block with the W+ row it starts at.

        A block's ToRGB takes the row that the next block's first convolution takes.
        """
        row = 0
        for resolution in self.arch.resolutions:
            block = self.get_submodule(f"b{resolution}")
            assert isinstance(block, SynthesisBlock)
            yield block, row
            row += block.num_convs

    def forward(
        self,
        ws: Tensor,
        noise_mode: NoiseMode = "const",
        *,
        rng: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return float32 images; feature maps are of type ``dtype``.

        Random noise is drawn on the CPU from ``rng``, so that a seed means one thing.
        """
        # Not get_parameter: torch.func puts a plain tensor in a parameter's place.
        const = self.get_submodule("b4").const
        assert isinstance(const, Tensor)
        x = const.to(dtype).expand(ws.shape[0], -1, -1, -1)
        image: Tensor | None = None
        for block, row in self.blocks():
            x, image = block(x, image, ws[:, row : row + block.num_convs + 1], noise_mode, rng)
        assert image is not None
        return image


class Generator(nn.Module):
    """StyleGAN2 generator: ``mapping`` (z to w) and ``synthesis`` (W+ to image)."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        self.mapping = MappingNetwork(arch)
        self.synthesis = SynthesisNetwork(arch)

    def broadcast(self, w: Tensor) -> Tensor:
        """Return W+ latents (N, L, w_dim) that repeat w (N, w_dim) in every row."""
        return w[:, None, :].expand(-1, self.arch.num_ws, -1)

    def forward(
        self, z: Tensor, truncation: float = 1.0, noise_mode: NoiseMode = "const"
    ) -> Tensor:
        """Return images of z (N, z_dim); ``truncation`` pulls w towards the mean w."""
        w = self.mapping(z)
        w = self.mapping.w_avg + truncation * (w - self.mapping.w_avg)
        image: Tensor = self.synthesis(self.broadcast(w), noise_mode)
        return image
