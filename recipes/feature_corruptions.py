"""What can be wrong with an image of cells, at a chosen strength, for ``features_v1.py``.

Images are (N, 2, H, W), 0 to 1; strengths (N,) run over 0 to 1, where 1 is gross. All
random numbers come from the generator that is passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Corruption = Callable[[Tensor, Tensor, torch.Generator], Tensor]


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _normal(x: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=rng)


def _uniform(x: Tensor, rng: torch.Generator) -> Tensor:
    return torch.rand(len(x), generator=rng)


def blur(x: Tensor, strength: Tensor, rng: torch.Generator | None = None) -> Tensor:  # noqa: ARG001
    """Blur by a Gaussian of 0.4 to 4.5 pixels."""
    return gaussian(x, 0.4 * torch.exp2(3.5 * strength))


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image by its own sigma (N,), in pixels; borders are mirrored."""
    margin = 12
    padded = F.pad(x, (margin,) * 4, mode="reflect")
    height, width = padded.shape[-2:]
    rows, columns = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    square = rows[:, None].square() + columns.square()
    kernel = torch.exp(-2 * math.pi**2 * _per_image(sigma).square() * square)
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * kernel, s=(height, width))
    return blurred[..., margin:-margin, margin:-margin]


def noise(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Add Gaussian noise of deviation 0.01 to 0.23, in half of the images shot-like."""
    sigma = _per_image(0.01 * torch.exp2(4.5 * strength))
    shot = _per_image(_uniform(x, rng) < 0.5)
    scale = torch.where(shot, (x.clamp(min=0) + 0.02).sqrt(), torch.ones_like(x))
    return x + sigma * scale * _normal(x, rng)


def salt_and_pepper(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Set a share of 0.002 to 0.13 of the pixels to black or white."""
    share = _per_image(0.002 * torch.exp2(6 * strength))
    drawn = torch.rand(x.shape, generator=rng)
    x = torch.where(drawn < share / 2, torch.zeros_like(x), x)
    return torch.where(drawn > 1 - share / 2, torch.ones_like(x), x)


def resample(x: Tensor, strength: Tensor, rng: torch.Generator | None = None) -> Tensor:  # noqa: ARG001
    """Shrink by 2, 4, 8 or 16 and enlarge again, both bicubic."""
    factors = torch.exp2((strength * 4).ceil().clamp(1, 4)).int()
    out = x.clone()
    for factor in factors.unique().tolist():
        rows = factors == factor
        small = F.interpolate(x[rows], scale_factor=1 / factor, mode="bicubic", antialias=True)
        out[rows] = F.interpolate(small, size=x.shape[-2:], mode="bicubic")
    return out


def warp(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Move pixels by a smooth random field of 0.7 to 5 pixels (root mean square)."""
    nodes = 6 if float(torch.rand((), generator=rng)) < 0.5 else 10
    coarse = torch.randn(len(x), 2, nodes, nodes, generator=rng)
    field = F.interpolate(coarse, size=x.shape[-2:], mode="bicubic")
    field = field * _per_image(0.7 * torch.exp2(2.8 * strength)) * (2 / x.shape[-1])
    grid = F.affine_grid(torch.eye(2, 3).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    grid = grid + field.permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def shuffle(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Let a share of the square patches, of 32 to 4 pixels, change places."""
    side = x.shape[-1]
    patch = int(side / 2 ** int(torch.randint(1, 5, (), generator=rng)))
    patches = F.unfold(x, patch, stride=patch)
    count = patches.shape[2]
    for k, share in enumerate(strength.tolist()):
        moved = torch.randperm(count, generator=rng)[: max(2, round(share * count))]
        turned = moved.roll(1)
        patches[k, :, moved] = patches[k, :, turned]
    return F.fold(patches, x.shape[-2:], patch, stride=patch)


def checkerboard(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Lay a checkerboard of squares of 1, 2 or 4 pixels over the image, 0.01 to 0.16."""
    square = 2 ** int(torch.randint(3, (), generator=rng))
    rows = torch.arange(x.shape[-1]) // square
    board = ((rows[:, None] + rows) % 2) * 2.0 - 1
    scale = torch.where(_per_image(_uniform(x, rng) < 0.5), 0.2 + 0.8 * x, torch.ones_like(x))
    return x + _per_image(0.01 * torch.exp2(4 * strength)) * board * scale


def other_channel(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Take one channel from another cell, wholly or, where weak, mixed with the own one."""
    which = torch.randint(2, (len(x),), generator=rng)
    strange = torch.arange(2) == which[:, None]
    mixed = torch.lerp(x, x.roll(1, 0), _per_image(strength))
    return torch.where(strange[:, :, None, None], mixed, x)


def gain(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Change gain, by up to 1.5 octaves, and offset, by up to 0.15, of each channel."""
    octaves = torch.rand(len(x), 2, generator=rng) * 2 - 1
    shift = torch.rand(len(x), 2, generator=rng) * 2 - 1
    factor = torch.exp2(1.5 * strength[:, None] * octaves)
    return x * factor[:, :, None, None] + (0.15 * strength[:, None] * shift)[:, :, None, None]


def paste(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Replace one side of a line across the image, at most half of it, by another cell's."""
    side = x.shape[-1]
    angle = _uniform(x, rng) * 2 * math.pi
    along = torch.linspace(-1, 1, side)
    distance = angle.cos()[:, None, None] * along[:, None] + angle.sin()[:, None, None] * along
    other = distance > (0.7 * (1 - strength))[:, None, None]
    return torch.where(other[:, None], x.roll(1, 0), x)


CORRUPTIONS: dict[str, Corruption] = {
    "blur": blur,
    "noise": noise,
    "salt and pepper": salt_and_pepper,
    "resampling": resample,
    "warp": warp,
    "patches shuffled": shuffle,
    "checkerboard": checkerboard,
    "other channel": other_channel,
    "gain and offset": gain,
    "half of another cell": paste,
}
KINDS = tuple(CORRUPTIONS)
_MIXING_CELLS = ("patches shuffled", "other channel", "half of another cell")
"""After these an image no longer shows one cell of its well."""

_HOW_MANY = (0.25, 0.75)
"""Share of images without corruption; share of those with at most one."""


def corrupted(x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Lay none, one or two corruptions over each image.

    Parameters
    ----------
    x
        Images (N, 2, H, W), 0 to 1.
    rng
        Source of the random numbers.

    Returns
    -------
    images, strengths, whole
        Images, clipped to 0 to 1; strengths (N, kinds), 0 where absent; whether an image
        still shows one cell (N,).
    """
    count = len(x)
    strengths = torch.rand(count, len(KINDS), generator=rng) * 0.95 + 0.05
    ranks = torch.rand(count, len(KINDS), generator=rng).argsort(1).argsort(1)
    drawn = torch.rand(count, generator=rng)
    number = (drawn > _HOW_MANY[0]).int() + (drawn > _HOW_MANY[1]).int()
    strengths = torch.where(ranks < number[:, None], strengths, 0.0)
    x = x.clone()
    # What comes from another cell comes first: blur and noise then lie over all of it.
    order = sorted(range(len(KINDS)), key=lambda k: KINDS[k] not in _MIXING_CELLS)
    for k in order:
        rows = strengths[:, k] > 0
        # Another cell is one of the same group: a group of one has no other.
        if KINDS[k] in _MIXING_CELLS and int(rows.sum()) < 2:
            strengths[rows, k] = 0
        elif rows.any():
            x[rows] = CORRUPTIONS[KINDS[k]](x[rows], strengths[rows, k], rng)
    mixing = [KINDS.index(kind) for kind in _MIXING_CELLS]
    whole = (strengths[:, mixing] == 0).all(1)
    return x.clamp(0, 1), strengths, whole
