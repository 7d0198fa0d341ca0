"""One training step of a field encoder, and everything that a step changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.measure.nuclear_ratio import Nuclear
from napari_rls.models.bundle import Bundle
from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.models.field_specs import FieldEncoderShape
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.search.device import choose_dtype
from napari_rls.training.dataset import Crops
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.training.loop_parts import Parts
from napari_rls.training.shown_cells import ShownCells

WEIGHT_DECAY = 0.01
LARGEST_GRADIENT = 1.0

_COARSE = 4
"""Side of the squares whose means are compared, beside single pixels."""

_OWN, _COMMON, _SQUARES, _RATIO = 0.02, 0.003, 8.0, 0.2
"""Weights of what a row of W+ has of its own, of w far from usual, of the squared error and of the
nuclear ratio: chosen on real cells."""


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
        :func:`~napari_rls.measure.nuclear_ratio.log_ratios`.
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
        dtype = choose_dtype(settings.precision, bundle.generator, device)
        self.shown = ShownCells(
            manifest.hr_size,
            manifest.architecture.image_channels,
            settings.ratios(manifest.hr_size),
            batch_size=settings.batch_size,
            seed=settings.seed,
            device=device,
        )
        self.synthesis = FrozenSynthesis(bundle.generator.synthesis, dtype, device)
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
        return {"network.": self.network}, {"adam.": self.adam}, self.shown.streams

    def step(self, crops: Crops) -> Losses:
        """Show one batch of cells, as one microscope sees them."""
        self.adam.param_groups[0]["lr"] = self.settings.rate(self.steps)
        shown = self.shown.batch(crops, self.steps)
        hr, wanted = shown.hr, self.nuclear_ratios[shown.indices]
        with torch.autocast(self.device.type, torch.bfloat16, self.synthesis.dtype != hr.dtype):
            expected = self.network.expected(shown.cells, *shown.optics).to(hr)
        common, own = self.network.parts(expected.detach(), *shown.optics)
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

    @torch.no_grad()
    def held_out_l1(self, held_out: Tensor) -> float:
        """Return the mean absolute error on HR crops (N, C, H, W), seen by the same microscopes."""
        images = (
            self.synthesis(self.network(shown.cells, *shown.optics)) - shown.hr
            for shown in self.shown.held_out(held_out)
        )
        return _mean_size(images)

    def interpolated_l1(self, held_out: Tensor) -> float:
        """Return the same of the interpolated LR images, which are what the network is shown."""
        return _mean_size(shown.cells - shown.hr for shown in self.shown.held_out(held_out))


def _mean_size(errors: Iterable[Tensor]) -> float:
    return float(torch.cat([error.abs().mean((1, 2, 3)) for error in errors]).mean())
