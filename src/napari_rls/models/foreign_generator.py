"""From another program's tensors, under their official names, to a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from pydantic import ValidationError
from torch import Tensor

from napari_rls.errors import RefusedError
from napari_rls.models.architecture import Architecture
from napari_rls.models.safe_pickle import plain
from napari_rls.models.stylegan2 import Generator, fir_filter

MAX_CHANNELS: Final = 16
AVERAGED: Final = 10_000
"""Number of random w whose mean is the mean w, where a checkpoint brings none."""

_BATCH = 1000
_FILTER = "resample_filter"
_FILTER_TOLERANCE = 1e-6
_MOST_TAPS = 32
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True)
class ForeignTensor:
    """A tensor of a checkpoint: its shape, and how to get it once the shape is found right."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


ForeignTensors = Mapping[str, ForeignTensor]


def build_generator(tensors: ForeignTensors, conv_clamp: float | None) -> Generator:
    """Make a generator of tensors with the names of stylegan2-ada-pytorch.

    The architecture is read off the shapes. No memory is taken before all names and
    shapes are found to be those of that architecture.

    Parameters
    ----------
    tensors
        All parameters and buffers. ``mapping.w_avg`` may be missing; it is then the mean
        of :data:`AVERAGED` random w.
    conv_clamp
        Outputs of layers are clamped to +- this value; None does not clamp.

    Raises
    ------
    RefusedError
        If they are no StyleGAN2 generator that a bundle can hold.
    """
    arch = read_architecture({name: t.shape for name, t in tensors.items()}, conv_clamp)
    with torch.device("meta"):
        expected = {name: tuple(t.shape) for name, t in Generator(arch).state_dict().items()}
    if "mapping.w_avg" not in tensors:
        del expected["mapping.w_avg"]
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise RefusedError(f"its tensor {name} is missing")
        if name not in expected:
            raise RefusedError(f"it has a tensor {plain(name)}, which no StyleGAN2 generator has")
        if name.endswith(_FILTER):
            _check_filter(name, tensors[name])
        if tensors[name].shape != expected[name]:
            raise RefusedError(
                f"its tensor {name} has the shape {tensors[name].shape}, where a StyleGAN2 "
                f"generator of its size has {expected[name]}"
            )
    generator = Generator(arch).requires_grad_(False).eval()
    state = generator.state_dict()
    for name in expected:
        state[name].copy_(_checked(name, tensors[name].read()))
    if "mapping.w_avg" not in expected:
        state["mapping.w_avg"].copy_(_mean_w(generator))
    return generator


def read_architecture(
    shapes: Mapping[str, tuple[int, ...]], conv_clamp: float | None = None
) -> Architecture:
    """Read the architecture off the shapes of a generator's tensors.

    Raises
    ------
    RefusedError
        If there is none that fits, or it is larger than a bundle may be.
    """
    resolutions = [4]
    while f"synthesis.b{2 * resolutions[-1]}.conv1.weight" in shapes:
        resolutions.append(2 * resolutions[-1])
    layers = 0
    while f"mapping.fc{layers}.weight" in shapes:
        layers += 1
    const = _shape(shapes, "synthesis.b4.const", 3)
    if const[1:] != (4, 4):
        raise RefusedError(
            f"its images are not square powers of two (they start from {const[1]} x {const[2]} "
            "pixels, not from 4 x 4)"
        )
    widths = {r: _shape(shapes, f"synthesis.b{r}.conv1.weight", 4)[0] for r in resolutions}
    channels = _shape(shapes, f"synthesis.b{resolutions[-1]}.torgb.weight", 4)[0]
    if channels > MAX_CHANNELS:
        raise RefusedError(
            f"its images have {channels} channels; a bundle has up to {MAX_CHANNELS}"
        )
    try:
        return Architecture(
            resolution=resolutions[-1],
            image_channels=channels,
            z_dim=_shape(shapes, "mapping.fc0.weight", 2)[1],
            w_dim=_shape(shapes, "synthesis.b4.conv1.affine.weight", 2)[1],
            mapping_layers=layers,
            channel_base=_channel_base(widths),
            channel_max=widths[4],
            conv_clamp=conv_clamp,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise RefusedError(
            f"its {'.'.join(str(part) for part in first['loc'])} does not fit a bundle "
            f"({first['msg']}, found {plain(str(first['input']))})"
        ) from None


def _channel_base(widths: Mapping[int, int]) -> int:
    """Return the smallest b of width(r) = min(b // r, width(4)), the rule of StyleGAN2."""
    base = max(width * r for r, width in widths.items())
    if any(min(base // r, widths[4]) != width for r, width in widths.items()):
        found = ", ".join(str(width) for width in widths.values())
        raise RefusedError(
            f"the numbers of its feature maps ({found} from 4 pixels on) do not follow StyleGAN2's "
            "rule min(base / side, max)"
        )
    return base


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in shapes:
        raise RefusedError(f"its tensor {name} is missing")
    if len(shapes[name]) != dimensions or 0 in shapes[name]:
        raise RefusedError(f"its tensor {name} has the shape {shapes[name]}")
    return shapes[name]


def _checked(name: str, tensor: Tensor) -> Tensor:
    return fir_filter() if name.endswith(_FILTER) else _finite(name, tensor)


def _finite(name: str, tensor: Tensor) -> Tensor:
    if tensor.dtype not in _FLOATS:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise RefusedError(f"its tensor {name} holds {kind}, not floating-point numbers")
    if not torch.isfinite(tensor).all():
        raise RefusedError(f"its tensor {name} holds NaN or infinite values")
    return tensor


def _check_filter(name: str, stored: ForeignTensor) -> None:
    """Refuse another low-pass filter, by its name: its taps."""
    expected = fir_filter()
    taps = "another filter"
    if len(stored.shape) == expected.ndim and max(stored.shape) <= _MOST_TAPS:
        kernel = _finite(name, stored.read()).float()
        if kernel.shape == expected.shape and (kernel - expected).abs().max() <= _FILTER_TOLERANCE:
            return
        taps = _taps(kernel) or taps
    raise RefusedError(
        f"its {name} is {taps}, not [1, 3, 3, 1], the only one that a bundle's generator has"
    )


def _taps(kernel: Tensor) -> str:
    """Return the taps of a separable filter (n, n) if it has such, the least as 1."""
    row = kernel.sum(0)
    row = row / row[row != 0].abs().min() if row.any() else row
    separable = torch.outer(row, row) / row.sum().square()
    if not row.any() or not torch.allclose(separable, kernel / kernel.sum(), atol=1e-3):
        return ""
    return f"the filter [{', '.join(f'{tap:.3g}' for tap in row.tolist())}]"


def _mean_w(generator: Generator) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(AVERAGED, generator.arch.z_dim, generator=rng)
    return torch.cat([generator.mapping(part) for part in z.split(_BATCH)]).mean(0)
