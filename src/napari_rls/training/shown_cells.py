"""HR crops as random microscopes see them: batches to train on, and held-out crops to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.training.dataset import Crops, mirrored
from napari_rls.training.drawn_optics import (
    Drawn,
    DrawnNoise,
    DrawnOptics,
    around,
    crop_views,
    drawn,
    middle,
)

_SHIFT, _FARTHEST = 1.3, 8
"""Deviation and largest shift of a crop in pixels: a cell's centre is not known exactly."""

_GAIN = 0.07
"""Crops are made brighter or darker by this share at most."""

_HELD_OUT_RATIOS = (4.0, 8.0, 16.0)
_HELD_OUT_SIGMA, _HELD_OUT_NOISE = 0.45, 0.02
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Shown:
    """A batch of cells that one microscope sees.

    Parameters
    ----------
    hr
        HR crops (N, C, S, S) in -1 to 1.
    cells
        Their LR images, interpolated to the same grid.
    ratio, sigma, deviation
        What a :class:`~napari_rls.models.field_encoder.FieldEncoder` is told of the microscope.
    indices
        Which of the crops they are (N,).
    """

    hr: Tensor
    cells: Tensor
    ratio: float
    sigma: float
    deviation: Tensor
    indices: Tensor

    @property
    def optics(self) -> tuple[float, float, Tensor]:
        """Ratio, sigma and deviation."""
        return self.ratio, self.sigma, self.deviation

    @property
    def known(self) -> Tensor:
        """What networks are told of the microscope (N, K)."""
        return FieldEncoder.known(*self.optics)


class ShownCells:
    """Shows HR crops, moved, mirrored and as random microscopes see them.

    Parameters
    ----------
    size
        Side S of the crops in pixels.
    channels
        Image channels C.
    ratios
        Least and largest ratio of pixel sizes.
    batch_size, seed
        Crops in a batch, and the seed of all that is random.
    device
        Where the batches are put.

    Attributes
    ----------
    streams
        The random streams, for checkpoints.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        ratios: tuple[float, float],
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.size, self.ratios, self.count, self.device = size, ratios, batch_size, device
        self.views = crop_views(size, channels, ratios[0])
        names = ("place", "optics", "noise")
        self.streams = {
            name: torch.Generator().manual_seed(4 * seed + k) for k, name in enumerate(names)
        }

    def batch(self, crops: Crops, step: int) -> Shown:
        """Return the batch of a step, counted from 0; steps must be taken in their order."""
        rng, count = self.streams["place"], self.count
        hr = (crops.batch(step * count, count) + 1) / 2
        shifts = (torch.randn(count, 2, generator=rng) * _SHIFT).round().long()
        gain = 1 + _GAIN * (2 * torch.rand(count, 1, 1, 1, generator=rng) - 1)
        whole = around(hr * gain, self.size, shifts.clamp(-_FARTHEST, _FARTHEST))
        whole = mirrored(whole, rng).to(self.device)
        seen = drawn(self.ratios, self.views, whole.shape[1], self.streams["optics"])
        indices = torch.tensor(crops.indices(step * count, count))
        return self._shown(whole, seen, self.streams["noise"], indices)

    def held_out(self, crops: Tensor) -> Iterator[Shown]:
        """Show held-out HR crops (N, C, H, W) in -1 to 1 by the same few microscopes each time."""
        rng = torch.Generator().manual_seed(0)
        low, high = self.ratios
        ratios = [ratio for ratio in _HELD_OUT_RATIOS if low <= ratio <= high]
        channels = crops.shape[1]
        for ratio in ratios or [low]:
            y, x = (ratio * torch.rand(2, generator=rng)).tolist()
            level, half = torch.full((channels,), _HELD_OUT_NOISE), torch.full((channels,), 0.5)
            optics = DrawnOptics(ratio, _HELD_OUT_SIGMA, (y, x), DrawnNoise(level, half))
            for part in torch.arange(len(crops)).split(_BATCH):
                whole = around((crops[part].to(self.device) + 1) / 2, self.size)
                yield self._shown(whole, optics, rng, part)

    def _shown(self, whole: Tensor, seen: Drawn, rng: torch.Generator, indices: Tensor) -> Shown:
        cells, deviation = seen.see(whole, self.size, rng)
        hr = middle(whole, self.size) * 2 - 1
        return Shown(hr, cells, seen.ratio, seen.sigma, deviation, indices)
