"""An independent, plain StyleGAN2 to check ours against, and to time it against.

It follows the published description word by word: weights are modulated per
sample and run as one grouped convolution, zeros are inserted explicitly and FIR
filters are applied explicitly; float32 and NCHW throughout. It reads a state
dict with the names of stylegan2-ada-pytorch and shares no code with the package.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

State = dict[str, torch.Tensor]


def plain_mapping(state: State, z: torch.Tensor) -> torch.Tensor:
    x = z / torch.sqrt(torch.mean(z**2, dim=1, keepdim=True) + 1e-8)
    k = 0
    while f"mapping.fc{k}.weight" in state:
        weight = state[f"mapping.fc{k}.weight"]
        x = x @ (weight * 0.01 / math.sqrt(weight.shape[1])).T
        x = x + state[f"mapping.fc{k}.bias"] * 0.01
        x = torch.where(x < 0, 0.2 * x, x) * math.sqrt(2)
        k += 1
    return x


def _style(state: State, name: str, w: torch.Tensor) -> torch.Tensor:
    weight = state[f"{name}.affine.weight"]
    return w @ (weight / math.sqrt(weight.shape[1])).T + state[f"{name}.affine.bias"]


def _fir(x: torch.Tensor, taps: torch.Tensor, pad: tuple[int, int], gain: float) -> torch.Tensor:
    channels = x.shape[1]
    kernel = (taps * gain).flip(0, 1)[None, None].repeat(channels, 1, 1, 1)
    return F.conv2d(F.pad(x, (*pad, *pad)), kernel, groups=channels)


def _zero_insert(x: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.shape
    out = x.new_zeros(n, c, h, 2, w, 2)
    out[:, :, :, 0, :, 0] = x
    return out.reshape(n, c, 2 * h, 2 * w)


def _modulated(
    x: torch.Tensor, weight: torch.Tensor, style: torch.Tensor, *, up: bool, demodulate: bool
) -> torch.Tensor:
    n, c_in, h, w = x.shape
    c_out, _, k, _ = weight.shape
    per_sample = weight[None] * style[:, None, :, None, None]
    if demodulate:
        norm = torch.sqrt(per_sample.pow(2).sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
        per_sample = per_sample / norm
    x = x.reshape(1, n * c_in, h, w)
    if up:
        kernel = per_sample.transpose(1, 2).reshape(n * c_in, c_out, k, k)
        y = F.conv_transpose2d(x, kernel, stride=2, groups=n)
    else:
        kernel = per_sample.reshape(n * c_out, c_in, k, k)
        y = F.conv2d(x, kernel, padding=k // 2, groups=n)
    return y.reshape(n, c_out, *y.shape[2:])


def _layer(state: State, name: str, x: torch.Tensor, w: torch.Tensor, up: bool) -> torch.Tensor:
    style = _style(state, name, w)
    x = _modulated(x, state[f"{name}.weight"], style, up=up, demodulate=True)
    if up:
        x = _fir(x, state[f"{name}.resample_filter"], (1, 1), 4.0)
    x = x + state[f"{name}.noise_const"] * state[f"{name}.noise_strength"]
    x = x + state[f"{name}.bias"][None, :, None, None]
    return torch.where(x < 0, 0.2 * x, x) * math.sqrt(2)


def plain_synthesis(state: State, ws: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) of W+ latents (N, L, d)."""
    x = state["synthesis.b4.const"][None].repeat(ws.shape[0], 1, 1, 1)
    image = None
    row = 0
    resolution = 4
    while f"synthesis.b{resolution}.torgb.weight" in state:
        block = f"synthesis.b{resolution}"
        if resolution > 4:
            x = _layer(state, f"{block}.conv0", x, ws[:, row], up=True)
            row += 1
        x = _layer(state, f"{block}.conv1", x, ws[:, row], up=False)
        row += 1
        weight = state[f"{block}.torgb.weight"]
        style = _style(state, f"{block}.torgb", ws[:, row]) / math.sqrt(weight.shape[1])
        rgb = _modulated(x, weight, style, up=False, demodulate=False)
        rgb = rgb + state[f"{block}.torgb.bias"][None, :, None, None]
        if image is not None:
            taps = state[f"{block}.resample_filter"]
            rgb = rgb + _fir(_zero_insert(image), taps, (2, 1), 4.0)
        image = rgb
        resolution *= 2
    assert image is not None
    return image


def plain_discriminator(state: State, image: torch.Tensor) -> torch.Tensor:
    """Logits (N,): gains on outputs, explicit padding, a FIR filter before every halving."""

    def conv(name: str, x: torch.Tensor, down: bool = False, linear: bool = False) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        side = weight.shape[-1]
        weight = weight / math.sqrt(weight[0].numel())
        pad = side // 2
        if down:
            taps = state[f"{name}.resample_filter"][None, None]
            kernel = taps.expand(x.shape[1], 1, 4, 4)
            x = F.conv2d(F.pad(x, [pad + 1] * 4), kernel, groups=x.shape[1])
            x = F.conv2d(x, weight)[:, :, ::2, ::2]
        else:
            x = F.conv2d(F.pad(x, [pad] * 4), weight)
        if linear:
            return x
        x = x + state[f"{name}.bias"][None, :, None, None]
        return torch.where(x < 0, 0.2 * x, x) * math.sqrt(2)

    def dense(name: str, x: torch.Tensor) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return x @ (weight / math.sqrt(weight.shape[1])).T + state[f"{name}.bias"]

    x = conv(f"b{image.shape[-1]}.fromrgb", image)
    res = image.shape[-1]
    while res > 4:
        skip = conv(f"b{res}.skip", x, down=True, linear=True) * math.sqrt(0.5)
        x = conv(f"b{res}.conv1", conv(f"b{res}.conv0", x), down=True) * math.sqrt(0.5)
        x = x + skip
        res //= 2
    groups = len(x) // 4
    extra = torch.zeros(len(x), 1, 4, 4, dtype=x.dtype)
    for m in range(groups):
        members = [m + k * groups for k in range(4)]
        deviation = torch.sqrt(x[members].var(0, unbiased=False) + 1e-8).mean()
        extra[members] = deviation
    x = conv("b4.conv", torch.cat([x, extra], 1)).flatten(1)
    x = dense("b4.fc", x)
    x = torch.where(x < 0, 0.2 * x, x) * math.sqrt(2)
    return dense("b4.out", x)[:, 0]
