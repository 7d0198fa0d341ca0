"""A measurement that LR images tell by themselves, which a search holds its images to.

Many images fit an LR image, and the one that a search ends at need not be measured as the cells
that have such LR images are. What a regression from LR pixels tells of a measurement is nearer
to the truth; of the images that fit, the search then takes one that is measured as that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

FOUND_EVERY: Final = 10
"""Calls of :meth:`Told.error` between two in which outlines are found anew: images change slowly
in a search, and finding them takes as long as a step."""

_FROM: Final = 0.3
"""Error of log2 from which the penalty grows as the error; below, as its square."""


class Ratios(Protocol):
    """Measures log2 ratios of the light in two parts of an image, with a gradient."""

    def parts(self, images: Tensor) -> Tensor:
        """Return the two parts (n, 2, S, S), 0 or 1, of images (n, C, S, S) in -1 to 1."""

    def log_ratios_within(self, images: Tensor, parts: Tensor) -> Tensor:
        """Return log2 ratios (n, K) of images in given parts; NaN where there is none."""


@dataclass(eq=False)
class Told:
    """What the LR images of a batch tell of a measurement, for one search.

    Parameters
    ----------
    values
        Log2 ratios (N, K); NaN where nothing is told.
    ratios
        Measures them of images.
    weight
        Penalty of an error of 1 or more, for each that it grows by: ``lambda_m``.
    """

    values: Tensor
    ratios: Ratios
    weight: float
    _parts: Tensor | None = field(default=None, init=False)
    _calls: int = field(default=0, init=False)

    def error(self, images: Tensor, cells: Tensor) -> Tensor:
        """Return what images (n, C, S, S) pay that are measured otherwise, (n,).

        Nothing where there is no nucleus to measure. Parts are found anew in every
        :data:`FOUND_EVERY`-th call; between, those of the images before stand in.

        Parameters
        ----------
        images
            Images in -1 to 1.
        cells
            Which cells of the batch they are of (n,).
        """
        if self._calls % FOUND_EVERY == 0:
            found = self.ratios.parts(images.detach())
            if self._parts is None:
                self._parts = found.new_zeros(len(self.values), *found.shape[1:])
            self._parts[cells] = found
        self._calls += 1
        assert self._parts is not None
        values = self.values[cells]
        made = self.ratios.log_ratios_within(images, self._parts[cells])
        known = made.isfinite() & values.isfinite()
        apart = torch.where(known, made, 0.0) - torch.where(known, values, 0.0)
        loss = F.smooth_l1_loss(apart, torch.zeros_like(apart), reduction="none", beta=_FROM)
        return self.weight * loss.sum(1)
