"""Find the camera noise that HR crops have and a generator's images lack.

A small generator draws smooth cells: its noise inputs, one map for all channels, hardly
become the noise of photons, which is another one in every channel and grows with
the light. What is missing is the difference of two variances, as functions of the intensity.
"""

from __future__ import annotations

import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.nn import functional as F

from napari_rls.models.bundle import draw_w
from napari_rls.models.camera import LEAST_VARIANCE, CameraNoise
from napari_rls.models.stylegan2 import Generator

BINS = 24
"""Classes of intensity, each with as many real pixels."""

PIXELS = 1000 * 128**2
"""Pixels of a channel that are compared at most: more say no more, and take memory."""

_IMAGES = 1000

_BATCH = 64
_LOWER = 0.75
_LOWER_MEAN = 0.36838
"""Mean of the lower three quarters of squared standard normal numbers: whole grey levels move
it less than a median, and edges and spots less than a mean."""


def fit_camera(real: Tensor, generated: Tensor, step: float = 0.0) -> CameraNoise:
    """Return the noise with which ``generated`` images are as noisy as ``real`` ones.

    The noise of a class of pixels is the mean of the lower three quarters of their squared
    second differences (the mask of Immerkaer 1996, of gain 1), over what that is for normal
    numbers, since edges and spots are in the upper quarter; a pixel's class is its smoothed
    intensity. Slope and floor are a non-negative least-squares fit, weighted by the
    relative error of a variance, to what the generated images lack in each class. Rounding to
    whole grey levels adds a twelfth of their squared distance, which the floor is without.

    Parameters
    ----------
    real, generated
        Images (N, C, H, W) and (M, C, H, W) in the generator's unit.
    step
        From one whole grey level of the real images to the next; 0 if theirs are not whole.

    References
    ----------
    Immerkaer, "Fast Noise Variance Estimation", Computer Vision and Image Understanding, 1996.
    """
    slopes, floors = [], []
    for channel in range(real.shape[1]):
        level, squares = _noise(real[:, channel])
        ends = torch.quantile(_some(level), torch.linspace(0, 1, BINS + 1)[1:-1])
        wanted = _variances(level, squares, ends)
        own = _variances(*_noise(generated[:, channel]), ends)
        middles = torch.stack([x.mean() for x in _classes(level, level, ends)]) + 1
        lacking = (wanted - own).clamp(min=0)
        seen = (lacking.isfinite() & middles.isfinite()).nonzero().squeeze(1)
        if not len(seen):  # no intensity of the crops is one of the generated images
            slopes.append(0.0)
            floors.append(0.0)
            continue
        # Black pixels of whole grey levels are often all the same: no noise is no certainty.
        weight = 1 / wanted[seen].clamp(min=float(wanted[seen].median()) / 4 + LEAST_VARIANCE)
        rows = torch.stack([middles.clamp(min=0), torch.ones(BINS)], 1)[seen] * weight[:, None]
        (slope, floor), _ = nnls(rows.double().numpy(), (lacking[seen] * weight).double().numpy())
        slopes.append(min(float(slope), 1.0))
        floors.append(min(max(float(floor) - step**2 / 12, 0.0), 1.0))
    return CameraNoise(slope=tuple(slopes), floor=tuple(floors), step=step)


def enough_images(size: int) -> int:
    """Return how many images of a side of ``size`` pixels are compared."""
    return max(1, min(_IMAGES, PIXELS // size**2))


@torch.no_grad()
def images_to_compare(generator: Generator, seed: int = 0) -> Tensor:
    """Return random images (N, C, H, W) as the search makes them, without camera noise."""
    parts = draw_w(generator, enough_images(generator.arch.resolution), seed).split(_BATCH)
    return torch.cat([generator.synthesis(generator.broadcast(w)) for w in parts])


def _noise(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the smoothed intensity and the squared second differences of images (N, H, W)."""
    line = torch.tensor([1.0, -2.0, 1.0])
    smooth = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    difference = F.conv2d(image[:, None], (torch.outer(line, line) / 6)[None, None])
    level = F.conv2d(image[:, None], torch.outer(smooth, smooth)[None, None])
    return level.flatten(), difference[:, :, 1:-1, 1:-1].square().flatten()


def _some(values: Tensor, most: int = 1_000_000) -> Tensor:
    """Return evenly spaced ones of many values, as torch takes no quantiles of more."""
    return values[:: max(1, -(-len(values) // most))]


def _variances(level: Tensor, squares: Tensor, ends: Tensor) -> Tensor:
    """Return the variance of the noise in each class, NaN where it has no pixels."""
    variances = []
    for found in _classes(squares, level, ends):
        lower = found.sort().values[: max(1, int(len(found) * _LOWER))]
        variances.append(lower.mean() / _LOWER_MEAN)
    return torch.stack(variances)


def _classes(values: Tensor, level: Tensor, ends: Tensor) -> list[Tensor]:
    classes = torch.bucketize(level, ends)
    return [values[classes == k] for k in range(BINS)]
