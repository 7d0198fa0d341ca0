"""rosinality's generator, written plainly from its description, to check the import against.

Every convolution has the gain 1 / sqrt(fan in) on its weights, is modulated per
sample, and demodulated after the gain; zeros are inserted and filters applied
explicitly. It reads a state dict with rosinality's names and shares no code with the
package.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch.nn import functional as F

State = dict[str, torch.Tensor]


def random_state(
    widths: tuple[int, ...], *, dim: int, layers: int, channels: int, seed: int = 0
) -> State:
    """Return random weights for sides 4, 8, ... of these widths, under rosinality's names."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng)

    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps) / 64 * 4
    state: State = {}
    for k in range(1, layers + 1):
        state[f"style.{k}.weight"] = normal(dim, dim) * 100
        state[f"style.{k}.bias"] = normal(dim)

    def modulated(name: str, c_in: int, c_out: int, size: int) -> None:
        state[f"{name}.conv.weight"] = normal(1, c_out, c_in, size, size)
        state[f"{name}.conv.modulation.weight"] = normal(c_in, dim)
        state[f"{name}.conv.modulation.bias"] = 1 + 0.1 * normal(c_in)

    def styled(name: str, c_in: int, c_out: int) -> None:
        modulated(name, c_in, c_out, 3)
        state[f"{name}.noise.weight"] = 0.1 * normal(1)
        state[f"{name}.activate.bias"] = 0.1 * normal(c_out)

    def rgb(name: str, c_in: int) -> None:
        modulated(name, c_in, channels, 1)
        state[f"{name}.bias"] = 0.1 * normal(1, channels, 1, 1)

    state["input.input"] = normal(1, widths[0], 4, 4)
    styled("conv1", widths[0], widths[0])
    rgb("to_rgb1", widths[0])
    state["noises.noise_0"] = normal(1, 1, 4, 4)
    for i, (before, width) in enumerate(itertools.pairwise(widths)):
        side = 8 * 2**i
        styled(f"convs.{2 * i}", before, width)
        state[f"convs.{2 * i}.conv.blur.kernel"] = kernel
        styled(f"convs.{2 * i + 1}", width, width)
        rgb(f"to_rgbs.{i}", width)
        state[f"to_rgbs.{i}.upsample.kernel"] = kernel
        for k in (2 * i + 1, 2 * i + 2):
            state[f"noises.noise_{k}"] = normal(1, 1, side, side)
    return state


def mapping(state: State, z: torch.Tensor) -> torch.Tensor:
    """Latents w (N, d) of z (N, d)."""
    x = z * torch.rsqrt(torch.mean(z**2, dim=1, keepdim=True) + 1e-8)
    k = 1
    while f"style.{k}.weight" in state:
        weight = state[f"style.{k}.weight"]
        x = F.linear(x, weight * (0.01 / math.sqrt(weight.shape[1])))
        x = F.leaky_relu(x + state[f"style.{k}.bias"] * 0.01, 0.2) * math.sqrt(2)
        k += 1
    return x


def _filtered(x: torch.Tensor, kernel: torch.Tensor, pad: tuple[int, int]) -> torch.Tensor:
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n * c, 1, h, w), (*pad, *pad))
    y = F.conv2d(x, kernel.flip(0, 1)[None, None])
    return y.reshape(n, c, *y.shape[2:])


def _convolved(state: State, name: str, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    weight = state[f"{name}.conv.weight"]
    modulation = state[f"{name}.conv.modulation.weight"]
    style = w @ (modulation / math.sqrt(modulation.shape[1])).T
    style = (style + state[f"{name}.conv.modulation.bias"])[:, None, :, None, None]
    size = weight.shape[-1]
    per_sample = weight * style / math.sqrt(weight.shape[2] * size**2)
    if not name.startswith("to_rgb"):
        power = per_sample.square().sum(dim=(2, 3, 4), keepdim=True)
        per_sample = per_sample * torch.rsqrt(power + 1e-8)
    up = f"{name}.conv.blur.kernel" in state
    images = []
    for image, kernel in zip(x.split(1), per_sample, strict=True):
        if up:
            grown = F.conv_transpose2d(image, kernel.transpose(0, 1), stride=2)
            images.append(_filtered(grown, state[f"{name}.conv.blur.kernel"], (1, 1)))
        else:
            images.append(F.conv2d(image, kernel, padding=size // 2))
    return torch.cat(images)


def _styled(state: State, index: int, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    name = f"convs.{index - 1}" if index else "conv1"
    x = _convolved(state, name, x, w)
    x = x + state[f"{name}.noise.weight"] * state[f"noises.noise_{index}"]
    bias = state[f"{name}.activate.bias"].reshape(1, -1, 1, 1)
    return F.leaky_relu(x + bias, 0.2) * math.sqrt(2)


def synthesis(state: State, w: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) of w (N, d), with the stored noise."""
    x = state["input.input"].repeat(len(w), 1, 1, 1)
    x = _styled(state, 0, x, w)
    image = _convolved(state, "to_rgb1", x, w) + state["to_rgb1.bias"]
    i = 0
    while f"to_rgbs.{i}.bias" in state:
        x = _styled(state, 2 * i + 1, x, w)
        x = _styled(state, 2 * i + 2, x, w)
        n, c, h, width = image.shape
        spread = image.new_zeros(n, c, 2 * h, 2 * width)
        spread[:, :, ::2, ::2] = image
        skip = _filtered(spread, state[f"to_rgbs.{i}.upsample.kernel"], (2, 1))
        image = skip + _convolved(state, f"to_rgbs.{i}", x, w) + state[f"to_rgbs.{i}.bias"]
        i += 1
    return image
