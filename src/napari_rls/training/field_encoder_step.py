"""One training step of a field encoder, and everything that a step changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.bundle import Bundle
from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.models.manifest import FieldEncoderShape
from napari_rls.search.device import choose_dtype
from napari_rls.training.dataset import Crops, mirrored
from napari_rls.training.drawn_optics import (
    DrawnNoise,
    DrawnOptics,
    around,
    crop_views,
    drawn,
    middle,
)
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.training.loop_parts import Parts
from napari_rls.training.nuclear_ratio import Nuclear

WEIGHT_DECAY = 0.01
LARGEST_GRADIENT = 1.0

_SHIFT, _FARTHEST = 1.3, 8
"""Deviation and largest shift of a crop in pixels: a cell's centre is not known exactly."""

_GAIN = 0.07
"""Crops are made brighter or darker by this share at most."""

_COARSE = 4
"""Side of the squares whose means are compared, beside single pixels."""

_OWN, _COMMON, _SQUARES, _RATIO = 0.02, 0.003, 8.0, 0.2
"""Weights of what a row of W+ has of its own, of w far from usual, of the squared error and of the
nuclear ratio: chosen on real cells."""

_HELD_OUT_RATIOS = (4.0, 8.0, 16.0)
_HELD_OUT_SIGMA, _HELD_OUT_NOISE = 0.45, 0.02
_BATCH = 64


@dataclass(frozen=True)
class Losses:
    """What one step saw, as tensors: both L1, error of the nuclear ratio, both powers of W+."""

    l1: Tensor
    expected_l1: Tensor
    nuclear_ratio: Tensor
    own: Tensor
    common: Tensor

    def named(self) -> dict[str, Tensor]:
        """Return them by their names in a report."""
        return dict(vars(self))


class FieldEncoderTrainer:
    """Network, optimiser and random streams of a training.

    Parameters
    ----------
    settings
        How to train.
    bundle
        Whose generator draws; it is left as it is.
    ratios
        What is in the nuclei of the crops' cells (N, C - 1), see
        :func:`~napari_rls.training.nuclear_ratio.log_ratios`.
    nuclear
        How that is measured.
    device
        Where to compute.

    Attributes
    ----------
    network
        What becomes part of a bundle.
    steps
        Steps made.
    """

    def __init__(
        self,
        settings: FieldEncoderSettings,
        bundle: Bundle,
        ratios: Tensor,
        nuclear: Nuclear,
        device: torch.device,
    ) -> None:
        self.settings, self.device = settings, device
        self.nuclear_ratios, self.nuclear = ratios, nuclear
        manifest = bundle.manifest
        self.size, self.ratios = manifest.hr_size, settings.ratios(manifest.hr_size)
        dtype = choose_dtype(settings.precision, bundle.generator, device)
        channels = manifest.architecture.image_channels
        self.views = crop_views(self.size, channels, settings.ratio_low)
        self.synthesis = FrozenSynthesis(bundle.generator.synthesis, dtype, device)
        seeds = [4 * settings.seed + k for k in range(3)]
        names = ("place", "optics", "noise")
        self.streams = {
            name: torch.Generator().manual_seed(seed)
            for name, seed in zip(names, seeds, strict=True)
        }
        shape = FieldEncoderShape(**settings.model_dump(include={*FieldEncoderShape.model_fields}))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4 * settings.seed + 3)
            mean, std = bundle.flow.mean.clone(), bundle.flow.std.clone()
            network = FieldEncoder(manifest.architecture, shape, mean, std)
        self.network = network.to(device)
        self.adam = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY
        )
        # Neither of both shortens the steps of the other.
        drawing = [] if network.image is None else [*network.image.parameters()]
        others = [p for name, p in network.named_parameters() if not name.startswith("image.")]
        self.clipped = [group for group in (drawing, others) if group]
        self.steps = 0

    @property
    def parts(self) -> Parts:
        """All that a checkpoint holds."""
        return {"network.": self.network}, {"adam.": self.adam}, self.streams

    def step(self, crops: Crops) -> Losses:
        """Show one batch of cells, as one microscope sees them."""
        settings, size = self.settings, self.size
        self.adam.param_groups[0]["lr"] = settings.rate(self.steps)
        whole, wanted = self._drawn(crops)
        optics = drawn(self.ratios, self.views, whole.shape[1], self.streams["optics"])
        cells, deviation = optics.see(whole, size, self.streams["noise"])
        hr = middle(whole, size) * 2 - 1
        seen = optics.ratio, optics.sigma, deviation
        with torch.autocast(self.device.type, torch.bfloat16, self.synthesis.dtype != hr.dtype):
            expected = self.network.expected(cells, *seen).to(hr)
        common, own = self.network.parts(expected.detach(), *seen)
        loss, l1, ratio = self._apart(self.synthesis(self.network.ws(common, own)), hr, wanted)
        own_power, common_power = own.square().mean(), common.square().mean()
        loss = loss + _OWN * own_power + _COMMON * (common_power - 1).clamp(min=0)
        expected_l1 = torch.zeros(())
        if self.network.image is not None:
            blurred, expected_l1, _ = self._apart(expected, hr, wanted)
            loss = loss + blurred
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.clipped:
            nn.utils.clip_grad_norm_(group, LARGEST_GRADIENT)
        self.adam.step()
        self.steps += 1
        return Losses(*(x.detach() for x in (l1, expected_l1, ratio, own_power, common_power)))

    def _apart(self, images: Tensor, hr: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return how far images are from HR crops in all, their L1, and the ratio's error.

        Squares, since those of a mean are least: what has the least L1 is darker where few of all
        cells that it may be are bright.
        """
        error = images - hr
        squares = error.square().mean() + F.avg_pool2d(error, _COARSE).square().mean()
        ratio = self.nuclear.error(images, wanted)
        return _SQUARES * squares + _RATIO * ratio, error.abs().mean(), ratio

    def _drawn(self, crops: Crops) -> tuple[Tensor, Tensor]:
        """Return the next crops with their surroundings, of 0 to 1, and their nuclear ratios."""
        count, rng = self.settings.batch_size, self.streams["place"]
        wanted = self.nuclear_ratios[crops.indices(self.steps * count, count)]
        hr = (crops.batch(self.steps * count, count) + 1) / 2
        shifts = (torch.randn(count, 2, generator=rng) * _SHIFT).round().long()
        gain = 1 + _GAIN * (2 * torch.rand(count, 1, 1, 1, generator=rng) - 1)
        seen = around(hr * gain, self.size, shifts.clamp(-_FARTHEST, _FARTHEST))
        return mirrored(seen, rng).to(self.device), wanted

    @torch.no_grad()
    def held_out_l1(self, held_out: Tensor) -> float:
        """Return the mean absolute error on HR crops (N, C, H, W), seen by the same microscopes."""
        errors = [
            (self._images(cells, optics, deviation) - middle(hr, self.size)).abs().mean((1, 2, 3))
            for hr, optics, cells, deviation in self._held_out(held_out)
        ]
        return float(torch.cat(errors).mean())

    def interpolated_l1(self, held_out: Tensor) -> float:
        """Return the same of the interpolated LR images, which are what the network is shown."""
        errors = [
            (cells - middle(hr, self.size)).abs().mean((1, 2, 3))
            for hr, _, cells, _ in self._held_out(held_out)
        ]
        return float(torch.cat(errors).mean())

    def _held_out(self, held_out: Tensor) -> Iterator[tuple[Tensor, DrawnOptics, Tensor, Tensor]]:
        rng = torch.Generator().manual_seed(0)
        low, high = self.ratios
        ratios = [ratio for ratio in _HELD_OUT_RATIOS if low <= ratio <= high]
        channels = held_out.shape[1]
        for ratio in ratios or [low]:
            y, x = (ratio * torch.rand(2, generator=rng)).tolist()
            level, half = torch.full((channels,), _HELD_OUT_NOISE), torch.full((channels,), 0.5)
            optics = DrawnOptics(ratio, _HELD_OUT_SIGMA, (y, x), DrawnNoise(level, half))
            for hr in held_out.split(_BATCH):
                there = hr.to(self.device)
                yield there, optics, *optics.see(around((there + 1) / 2, self.size), self.size, rng)

    def _images(self, cells: Tensor, optics: DrawnOptics, deviation: Tensor) -> Tensor:
        return self.synthesis(self.network(cells, optics.ratio, optics.sigma, deviation))

    def finite(self) -> bool:
        """Tell whether every weight is a finite number."""
        return all(bool(p.isfinite().all()) for p in self.network.parameters())
