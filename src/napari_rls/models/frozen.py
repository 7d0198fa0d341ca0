"""Fast synthesis for the search: a generator whose weights no longer change.

Same function as :class:`~napari_rls.models.stylegan2.SynthesisNetwork` with
constant noise, or with noise maps that are given, prepared once per bundle:
demodulation becomes a small matrix product, constant noise and bias one tensor, the
gain of the activation is folded into both, ToRGB is a batched matrix product, and no
weight takes a gradient. On a
CPU, feature maps are channels_last, and bfloat16 where that is asked for;
styles and the image itself stay float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_rls.models.stylegan2 import (
    EPS,
    LEAK,
    SQRT2,
    FullyConnected,
    SynthesisLayer,
    SynthesisNetwork,
    ToRGB,
    upsample,
)


class _Affine(NamedTuple):
    """Style of a layer: ``row`` of W+ times ``weight`` plus ``bias``."""

    row: int
    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: FullyConnected, row: int, gain: float, device: torch.device) -> _Affine:
        weight = (layer.weight * (layer.weight_gain * gain)).detach().to(device)
        bias = (layer.bias * (layer.bias_gain * gain)).detach().to(device)
        return cls(row, weight.contiguous(), bias.contiguous())

    def __call__(self, ws: Tensor) -> Tensor:
        return F.linear(ws[:, self.row], self.weight, self.bias)


@dataclass(frozen=True)
class _Conv:
    style: _Affine
    weight: Tensor
    power: Tensor
    offset: Tensor
    bias: Tensor
    noise_gain: Tensor
    fir: Tensor | None
    clamp: float | None

    @classmethod
    def of(cls, layer: SynthesisLayer, row: int, dtype: torch.dtype, device: torch.device) -> _Conv:
        weight = layer.weight.detach()
        noise = (layer.noise_const * layer.noise_strength).detach()
        bias = layer.bias.detach()[None, :, None, None]
        offset = (noise[None, None] + bias) * SQRT2
        fir = None
        if layer.up:
            channels = weight.shape[0]
            fir = (layer.resample_filter.flip(0, 1) * 4).expand(channels, 1, 4, 4)
            fir = _feature_map(fir.contiguous(), dtype, device)
        kernel = weight.transpose(0, 1) if layer.up else weight
        return cls(
            style=_Affine.of(layer.affine, row, 1.0, device),
            weight=_feature_map(kernel, dtype, device),
            power=(weight.square().sum(dim=(2, 3)).t() / 2).contiguous().to(device),
            offset=_feature_map(offset, dtype, device),
            bias=_feature_map(bias * SQRT2, dtype, device),
            noise_gain=(layer.noise_strength.detach() * SQRT2).to(device),
            fir=fir,
            clamp=layer.clamp,
        )

    def __call__(self, x: Tensor, ws: Tensor, noise: Tensor | None) -> Tensor:
        styles = self.style(ws)
        # Half the power and half of EPS make this sqrt(2) times the demodulation.
        demodulation = torch.addmm(
            torch.full((), EPS / 2, device=x.device), styles.square(), self.power
        ).rsqrt()
        x = x * styles.to(x.dtype)[:, :, None, None]
        if self.fir is None:
            x = F.conv2d(x, self.weight, padding=1)
        else:
            x = F.conv_transpose2d(x, self.weight, stride=2)
            x = F.conv2d(x, self.fir, padding=1, groups=x.shape[1])
        offset = self.offset if noise is None else self.bias
        x = torch.addcmul(offset, x, demodulation.to(x.dtype)[:, :, None, None])
        if noise is not None:
            x = x.add_((noise * self.noise_gain).to(x.dtype))
        x = F.leaky_relu_(x, LEAK)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


@dataclass(frozen=True)
class _ToImage:
    style: _Affine
    weight: Tensor
    bias: Tensor
    clamp: float | None

    @classmethod
    def of(cls, layer: ToRGB, row: int, device: torch.device) -> _ToImage:
        return cls(
            style=_Affine.of(layer.affine, row, layer.weight_gain, device),
            weight=layer.weight.detach()[:, :, 0, 0].contiguous().to(device),
            bias=layer.bias.detach()[None, :, None, None].contiguous().to(device),
            clamp=layer.clamp,
        )

    def __call__(self, x: Tensor, ws: Tensor) -> Tensor:
        n, _, height, width = x.shape
        weight = (self.style(ws)[:, None, :] * self.weight).to(x.dtype)
        pixels = x.permute(0, 2, 3, 1).reshape(n, height * width, -1)
        image = torch.bmm(pixels, weight.transpose(1, 2)).float()
        image = image.transpose(1, 2).reshape(n, -1, height, width) + self.bias
        return image if self.clamp is None else image.clamp(-self.clamp, self.clamp)


@dataclass(frozen=True)
class _Block:
    convs: tuple[_Conv, ...]
    to_image: _ToImage
    fir: Tensor


def _feature_map(x: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return x.detach().to(device, dtype).contiguous(memory_format=torch.channels_last)


class FrozenSynthesis:
    """Images of W+ latents, as fast as the device allows.

    Parameters
    ----------
    synthesis
        The network to take the weights from; it is left as it is.
    dtype
        Type of the feature maps, ``torch.float32`` or ``torch.bfloat16``.
    device
        Where to compute.
    """

    def __init__(
        self,
        synthesis: SynthesisNetwork,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        device = torch.device(device)
        self.arch = synthesis.arch
        self.dtype = dtype
        self.device = device
        blocks: list[_Block] = []
        for block, row in synthesis.blocks():
            layers = [block.conv1] if row == 0 else [block.conv0, block.conv1]
            convs = tuple(_Conv.of(layer, row + k, dtype, device) for k, layer in enumerate(layers))
            to_image = _ToImage.of(block.torgb, row + len(convs), device)
            blocks.append(_Block(convs, to_image, block.resample_filter.to(device)))
        self._blocks = tuple(blocks)
        const = synthesis.get_parameter("b4.const").detach()
        self._const = _feature_map(const[None], dtype, device)

    @property
    def noise_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Shape of the noise map of each convolution, one map for all channels."""
        sides = [
            res
            for res, block in zip(self.arch.resolutions, self._blocks, strict=True)
            for _ in block.convs
        ]
        return tuple((1, side, side) for side in sides)

    def __call__(self, ws: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """Return float32 images (N, C, H, W).

        Parameters
        ----------
        ws
            W+ latents (N, L, w_dim), float32.
        noise
            A map (N, 1, h, w) for each convolution, float32; none at all takes the
            generator's constant noise.
        """
        x = self._const
        image: Tensor | None = None
        maps = iter(noise)
        for block in self._blocks:
            for conv in block.convs:
                x = conv(x, ws, next(maps, None))
            rgb = block.to_image(x, ws)
            image = rgb if image is None else rgb + upsample(image, block.fir)
        assert image is not None
        return image
