"""One training step of the half of a field encoder that estimates W+, against a discriminator.

Estimates of least error are of images between all those that a cell may have: blurred, and with
measurements that are too even. Here a discriminator judges the images (Isola et al. 2017), and
what is left of a measurement's slope over the cells of a batch counts.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.bundle import Bundle
from napari_rls.models.camera import CameraNoise
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.search.device import choose_dtype
from napari_rls.training.dataset import Crops, mirrored
from napari_rls.training.discriminator import Discriminator
from napari_rls.training.loop_parts import Parts
from napari_rls.training.losses import discriminator_loss, generator_loss, r1_penalty
from napari_rls.training.nuclear_ratio import LARGEST, Nuclear
from napari_rls.training.shown_cells import ShownCells, mean_size
from napari_rls.training.start_settings import StartSettings

LARGEST_GRADIENT = 1.0

_COARSE = 4
"""Side of the squares whose means are compared, beside single pixels."""

_SQUARES, _RATIO, _EVENNESS, _OWN, _COMMON = 8.0, 0.2, 1.0, 0.3, 0.003
"""Weights of the squared error, of the nuclear ratio, of its slope and mean over a batch, of what a
row of W+ has of its own, and of w far from usual: chosen on real cells."""

_FASTER = 2.0
"""Step size of D, in that of the encoder."""

_BETAS, _BETAS_D = (0.5, 0.99), (0.0, 0.99)

_R1, _R1_INTERVAL = 0.1, 16
"""Weight of the gradient penalty, and the steps from one to the next."""


@dataclass(frozen=True)
class Losses:
    """What one step saw, as tensors: see :class:`~napari_rls.training.fit_start.Report`."""

    l1: Tensor
    nuclear_ratio: Tensor
    evenness: Tensor
    own: Tensor
    common: Tensor
    generator_loss: Tensor
    discriminator_loss: Tensor

    def named(self) -> dict[str, Tensor]:
        """Return them by their names in a report."""
        return dict(vars(self))


class StartTrainer:
    """Networks, optimisers and random streams of a training.

    Parameters
    ----------
    settings
        How to train.
    bundle
        Whose generator draws and whose field encoder, which draws the expected image, is trained
        on; both are left as they are. Its discriminator is gone on with if it has one.
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
        The field encoder; what draws its expected images does not change.
    steps
        Steps made.
    """

    def __init__(
        self,
        settings: StartSettings,
        bundle: Bundle,
        ratios: Tensor,
        nuclear: Nuclear,
        device: torch.device,
    ) -> None:
        manifest, encoder = bundle.manifest, bundle.field_encoder
        assert manifest.field_encoder is not None
        assert encoder is not None
        self.settings, self.device = settings, device
        self.nuclear_ratios, self.nuclear = ratios, nuclear
        self.camera: CameraNoise | None = manifest.camera
        self.dtype = choose_dtype(settings.precision, bundle.generator, device)
        self.synthesis = FrozenSynthesis(bundle.generator.synthesis, self.dtype, device)
        self.shown = ShownCells(
            manifest.hr_size,
            manifest.architecture.image_channels,
            manifest.field_encoder.ratios,
            batch_size=settings.batch_size,
            seed=settings.seed,
            device=device,
        )
        seeds = (4 * settings.seed + 3, 4 * settings.seed + 2**31)
        self.streams = {"judged": torch.Generator().manual_seed(seeds[1]), **self.shown.streams}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds[0])
            judge = Discriminator(manifest.architecture)
        if bundle.discriminator:
            judge.load_state_dict(bundle.discriminator)
        self.network, self.discriminator = copy.deepcopy(encoder).to(device), judge.to(device)
        trained = [p for name, p in self.network.named_parameters() if _trained(name)]
        for parameter in trained:
            parameter.requires_grad_(True)
        rate = settings.learning_rate
        self.adam = torch.optim.Adam(trained, lr=rate, betas=_BETAS)
        self.adam_d = torch.optim.Adam(judge.parameters(), lr=_FASTER * rate, betas=_BETAS_D)
        self.steps = 0

    @property
    def parts(self) -> Parts:
        """All that a checkpoint holds."""
        networks = {"network.": self.network, "discriminator.": self.discriminator}
        return networks, {"adam.": self.adam, "adam_d.": self.adam_d}, self.streams

    def step(self, crops: Crops) -> Losses:
        """Show one batch of cells, as one microscope sees them: D first, then the encoder."""
        rate = self.settings.rate(self.steps)
        self.adam.param_groups[0]["lr"] = rate
        self.adam_d.param_groups[0]["lr"] = _FASTER * rate
        shown = self.shown.batch(crops, self.steps)
        with (
            torch.no_grad(),
            torch.autocast(self.device.type, torch.bfloat16, self.dtype != shown.hr.dtype),
        ):
            expected = self.network.expected(shown.cells, *shown.optics).to(shown.hr)
        common, own = self.network.parts(expected, *shown.optics)
        images = self.synthesis(self.network.ws(common, own))
        seen = images if self.camera is None else self.camera.drawn(images, self.streams["judged"])
        d_loss = self._discriminator_step(shown.hr, seen.detach())
        self.discriminator.requires_grad_(False)
        g_loss = generator_loss(self.discriminator(seen, self.dtype))
        error = images - shown.hr
        squares = error.square().mean() + F.avg_pool2d(error, _COARSE).square().mean()
        ratio, evenness = self._ratios(images, self.nuclear_ratios[shown.indices])
        own_power, common_power = own.square().mean(), common.square().mean()
        loss = _SQUARES * squares + _RATIO * ratio + _EVENNESS * evenness
        loss = loss + _OWN * own_power + _COMMON * (common_power - 1).clamp(min=0)
        _descend(self.adam, loss + self.settings.realism * g_loss, LARGEST_GRADIENT)
        self.discriminator.requires_grad_(True)
        self.steps += 1
        seen_losses = (error.abs().mean(), ratio, evenness, own_power, common_power, g_loss, d_loss)
        return Losses(*(x.detach() for x in seen_losses))

    @torch.no_grad()
    def held_out_l1(self, held_out: Tensor) -> float:
        """Return the mean absolute error on HR crops (N, C, H, W), seen by the same microscopes."""
        return mean_size(
            self.synthesis(self.network(shown.cells, *shown.optics)) - shown.hr
            for shown in self.shown.held_out(held_out)
        )

    def _discriminator_step(self, real: Tensor, fake: Tensor) -> Tensor:
        judge, rng = self.discriminator, self.streams["judged"]
        loss = discriminator_loss(
            judge(mirrored(real, rng), self.dtype), judge(mirrored(fake, rng), self.dtype)
        )
        _descend(self.adam_d, loss)
        if self.steps % _R1_INTERVAL == 0:
            real = real.detach().requires_grad_()
            penalty = r1_penalty(judge(real, self.dtype), real)
            _descend(self.adam_d, penalty * (_R1 / 2 * _R1_INTERVAL))
        return loss

    def _ratios(self, images: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the error of the ratios, and the power of what of it the true ratio tells.

        An estimate that is too even has an error that falls with the true ratio: its mean, and
        its slope over the cells of the batch, should be 0.
        """
        error = self.nuclear.log_ratios(images) - wanted.to(images)
        there = error.isfinite()
        if not there.any():
            nothing = images.new_zeros(())
            return nothing, nothing
        error = torch.where(there, error, 0).clamp(-LARGEST, LARGEST)
        count = there.sum(0).clamp(min=1)
        true = torch.where(there, wanted.to(images), 0)
        true = torch.where(there, true - true.sum(0) / count, 0)
        power = true.square().sum(0)
        slope = (error * true).sum(0) / power.clamp(min=1e-3)
        uneven = slope.square() * power / count + (error.sum(0) / count).square()
        return error.abs().sum() / there.sum(), uneven.mean()


def _descend(adam: torch.optim.Adam, loss: Tensor, largest: float = torch.inf) -> None:
    """Take a step of Adam; gradients are cut to a largest norm."""
    adam.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(adam.param_groups[0]["params"], largest)
    adam.step()


def _trained(name: str) -> bool:
    """Tell of a parameter of a field encoder whether it is of the half that estimates W+."""
    return not name.startswith("image.")
