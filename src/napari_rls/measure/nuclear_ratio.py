"""How much of a protein is in the nucleus of a crop's cell, as it will be measured of an image.

An image whose outline of the nucleus is blurred, or a pixel off, is measured within its own
outlines, not those of the truth: so do these, or networks learn images whose ratios are too even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.measure.translocation import (
    MIN_PIXELS,
    TranslocationSettings,
    nucleus_and_ring,
)

_DARK = 0.002
"""Light, of 0 to 1, of parts that are too dark for ratios to say much."""

_LARGEST = 2.0
"""Errors of log2 that are larger count as this: another nucleus may have been taken."""

_AT_ONCE = 256


@dataclass(frozen=True)
class Nuclear:
    """How ratios of crops are measured.

    Parameters
    ----------
    channel, settings
        Where, from 0, and how nuclei are found.
    offset
        What images of -1 stand for, as a share of what they stand for from -1 to 1: intensities of
        cameras do not begin at 0, and are measured as they are.
    """

    channel: int
    settings: TranslocationSettings
    offset: float = 0.0

    def log_ratios(self, images: Tensor) -> Tensor:
        """Return log2 of nucleus over ring of each cell and other channel (N, C - 1).

        Nucleus and ring are those that the image itself shows; the gradient is that of the light
        in them. NaN where no nucleus is in the centre.

        Parameters
        ----------
        images
            Images (N, C, S, S) in -1 to 1.
        """
        return self.log_ratios_within(images, self.parts(images))

    def parts(self, images: Tensor) -> Tensor:
        """Return where nucleus and ring of images (N, C, S, S) are, (N, 2, S, S) of 0 and 1."""
        dna = images[:, self.channel].detach().float().cpu().numpy()
        found = np.stack([nucleus_and_ring(one, self.settings) for one in dna])
        return torch.from_numpy(found).to(images)

    def log_ratios_within(self, images: Tensor, parts: Tensor) -> Tensor:
        """Return the :meth:`log_ratios` (N, C - 1) of images in given :meth:`parts`."""
        others = [k for k in range(images.shape[1]) if k != self.channel]
        counts = parts.sum((2, 3))
        light = torch.einsum("nchw,nphw->ncp", (images[:, others] + 1) / 2, parts)
        means = _lifted(light / counts[:, None].clamp(min=1) + self.offset)
        ratios = means[..., 0].log2() - means[..., 1].log2()
        there = (counts >= MIN_PIXELS).all(1)
        return torch.where(there[:, None], ratios, torch.nan)

    def error(self, images: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean absolute error of the ratios of images; 0 if none counts.

        Parameters
        ----------
        images
            Images (N, C, S, S) in -1 to 1.
        wanted
            The :meth:`log_ratios` of the cells (N, C - 1).
        """
        if not wanted.isfinite().any():
            return images.new_zeros(())
        error = self.log_ratios(images) - wanted.to(images)
        counted = error[error.isfinite()].abs().clamp(max=_LARGEST)
        return counted.mean() if len(counted) else images.new_zeros(())


def _lifted(light: Tensor) -> Tensor:
    """Return light of 0 to 1 as it is where there is any, and never less than a trace.

    Of :data:`_DARK` it makes 1.6 times that, of ten times as much 1 % more, and what images have
    below 0 still pulls at them.
    """
    return (light + (light.square() + 4 * _DARK**2).sqrt()) / 2


def log_ratios(hr: NDArray[np.generic], nuclear: Nuclear) -> Tensor:
    """Return the ratios (N, C - 1) of HR crops (N, C, S, S) of 0 to 255."""
    parts = np.array_split(hr, max(1, len(hr) // _AT_ONCE))
    return torch.cat([nuclear.log_ratios(torch.from_numpy(p / 127.5 - 1).float()) for p in parts])
