"""How different two images look to the embedded feature network.

The distance is built as LPIPS is (Zhang et al., "The Unreasonable Effectiveness of Deep
Features as a Perceptual Metric", 2018), on features of microscopy in place of
photographs, and without LPIPS's learned heads: no judgements of people on cells were
there to learn them from. So it is not LPIPS, and its values cannot be compared with LPIPS.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable

import torch
from torch import Tensor

from napari_rls.evaluation.features import FeatureNetwork, channel_pairs, feature_network

_EPS = 1e-4
"""Keeps gradients bounded where no channel responds; real cells have 3e-3 or more everywhere."""


def perceptual_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return how different images look, pair by pair; 0 for equal ones, at most 2.

    Each stage's maps are divided by their length over channels at each position; the
    squared differences are summed over channels and averaged over positions, over
    stages, and over the pairs of channels that
    :func:`~napari_rls.evaluation.features.features` sees.

    Parameters
    ----------
    a, b
        Images (N, C, H, W), float, black -1 and white 1, on one device, of at least
        :data:`~napari_rls.evaluation.features.SMALLEST` pixels a side. Differentiable
        to both; an image that takes no gradient costs none.

    Returns
    -------
    Tensor
        (N,), on their device; float64 if both images are, else float32.

    Raises
    ------
    ValueError
        If the shapes differ, or have no features.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"Images of the shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be compared; give "
            "two of the same shape."
        )
    double = a.dtype == b.dtype == torch.float64
    network = _network_on(a.device, torch.float64 if double else torch.float32)
    maps = (network.maps(channel_pairs(x.to(network.mean.dtype))) for x in (a, b))
    per_pair = distance_of_maps(*maps)
    return per_pair.reshape(a.shape[:2]).mean(1)


def distance_of_maps(first: Iterable[Tensor], second: Iterable[Tensor]) -> Tensor:
    """Return the mean over stages of the squared distance of unit vectors at each position.

    Parameters
    ----------
    first, second
        Maps (N, channels, H, W) of each stage of two sets of images.

    Returns
    -------
    Tensor
        (N,).
    """
    stages = [
        (_unit(x) - _unit(y)).square().sum(1).mean((1, 2))
        for x, y in zip(first, second, strict=True)
    ]
    return torch.stack(stages).mean(0)


def _unit(maps: Tensor) -> Tensor:
    return maps * (maps.square().sum(1, keepdim=True) + _EPS).rsqrt()


@functools.cache
def _network_on(device: torch.device, dtype: torch.dtype) -> FeatureNetwork:
    return copy.deepcopy(feature_network()).to(device, dtype)
