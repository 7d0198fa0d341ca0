"""The nucleus of a crop's cell and what lies around it: where a protein's place shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_rls.measure.nuclei import NucleusSettings, central_nucleus, find_nuclei

NUCLEUS, SURROUNDINGS = 1, 2

_NEAR, _FAR = 1.5, 7.0
"""Distances from the nucleus, in pixels, between which its surroundings lie."""

_LEAST = 30
"""Pixels that a part has more of, or the cell does not count."""

_DARK = 0.01
"""Added to means, of 0 to 1: ratios of dark parts say nothing."""


@dataclass(frozen=True)
class Nuclear:
    """Where and how the nuclei of crops are found: channel, from 0, and settings."""

    channel: int
    settings: NucleusSettings


def cell_parts(hr: NDArray[np.generic], nuclear: Nuclear) -> NDArray[np.uint8]:
    """Return the parts (N, S, S) of HR crops (N, C, S, S): nucleus, surroundings, or 0.

    The nucleus is that in the crop's centre; its surroundings lie 1.5 to 7 pixels from it, and
    a pixel from other nuclei. Without a nucleus all is 0.
    """
    parts = np.zeros((len(hr), *hr.shape[2:]), np.uint8)
    for image, part in zip(hr[:, nuclear.channel], parts, strict=True):
        labels = find_nuclei(image, nuclear.settings).labels
        found = central_nucleus(labels, hr.shape[-1] / 8)
        if not found:
            continue
        own = labels == found
        others = ndimage.binary_dilation((labels > 0) & ~own)
        distance = ndimage.distance_transform_edt(~own)
        part[(distance > _NEAR) & (distance <= _FAR) & ~others] = SURROUNDINGS
        part[own] = NUCLEUS
    return parts


def ratio_error(images: Tensor, hr: Tensor, parts: Tensor, channel: int) -> Tensor:
    """Return the mean absolute error of log2 of nucleus over surroundings; 0 if none counts.

    Parameters
    ----------
    images, hr
        Images (N, C, S, S) in -1 to 1.
    parts
        See :func:`cell_parts`, (N, S, S).
    channel
        The one that shows nuclei, which is left out.
    """
    masks = torch.stack([parts == NUCLEUS, parts == SURROUNDINGS], 1).to(images.dtype)
    counts = masks.sum((2, 3))
    counted = (counts > _LEAST).all(1)
    others = [k for k in range(images.shape[1]) if k != channel]
    if not others or not counted.any():
        return images.new_zeros(())

    def log_ratio(x: Tensor) -> Tensor:
        sums = torch.einsum("nchw,nphw->ncp", (x[:, others] + 1) / 2, masks)
        logs = ((sums / counts[:, None].clamp(min=1)).clamp(min=0) + _DARK).log2()
        return logs[..., 0] - logs[..., 1]

    return (log_ratio(images) - log_ratio(hr))[counted].abs().mean()
