"""One training step of Pix2Pix, and everything that a step changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.models.pix2pix import UNet
from napari_rls.search.operators import DEFAULT_OPERATOR, Imaging, make_operator
from napari_rls.training.dataset import Crops, mirrored
from napari_rls.training.loop_parts import Parts
from napari_rls.training.losses import discriminator_loss, generator_loss
from napari_rls.training.patch_discriminator import PatchDiscriminator
from napari_rls.training.pix2pix_settings import Pix2PixSettings

BETAS = (0.5, 0.999)
FIRST_DEVIATION = 0.02
"""Standard deviation of the first weights of convolutions."""

EVALUATED = 64
"""Held-out crops looked at together."""


@dataclass(frozen=True)
class Losses:
    """What one step saw, as tensors: both adversarial losses, and L1 with dropout."""

    discriminator: Tensor
    generator: Tensor
    l1: Tensor

    def named(self) -> dict[str, Tensor]:
        """Return them by their names in a report."""
        return {
            "discriminator_loss": self.discriminator,
            "generator_loss": self.generator,
            "l1": self.l1,
        }


class Pix2PixTrainer:
    """Networks, optimisers and random streams of a training.

    Parameters
    ----------
    settings
        How to train.
    channels, size
        Number of channels and side in pixels of the HR crops.
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
        self, settings: Pix2PixSettings, channels: int, size: int, device: torch.device
    ) -> None:
        self.settings = settings
        self.device = device
        self.degrade = make_operator(DEFAULT_OPERATOR, Imaging(settings.factor))
        seeds = [4 * settings.seed + k for k in range(3)]
        first, mirror, dropout = (torch.Generator().manual_seed(seed) for seed in seeds)
        self.streams = {"mirror": mirror, "dropout": dropout}
        width = settings.width
        network = UNet(channels, size, settings.factor, width, settings.width_max)
        discriminator = PatchDiscriminator(channels, size, width)
        for module in (network, discriminator):
            _draw_weights(module, first)
            module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.discriminator = network, discriminator
        rate = settings.learning_rate
        self.adam_g = torch.optim.Adam(network.parameters(), lr=rate, betas=BETAS)
        self.adam_d = torch.optim.Adam(discriminator.parameters(), lr=rate, betas=BETAS)
        self.steps = 0

    @property
    def parts(self) -> Parts:
        """All that a checkpoint holds."""
        networks = {"network.": self.network, "discriminator.": self.discriminator}
        return networks, {"adam_g.": self.adam_g, "adam_d.": self.adam_d}, self.streams

    def step(self, crops: Crops) -> Losses:
        """Show one batch of pairs: D first, then the U-Net."""
        size = self.settings.batch_size
        for adam in (self.adam_g, self.adam_d):
            adam.param_groups[0]["lr"] = self.settings.rate(self.steps)
        real = mirrored(crops.batch(self.steps * size, size), self.streams["mirror"])
        real = real.to(self.device)
        lr = self.degrade(real)
        enlarged = self.network.enlarged(lr)
        fake = self.network(lr, self.streams["dropout"])
        judged = self.discriminator(enlarged, fake.detach())
        d_loss = discriminator_loss(self.discriminator(enlarged, real), judged)
        # Halved, so that D learns more slowly than the U-Net (section 3.3).
        _descend(self.adam_d, d_loss / 2)
        self.discriminator.requires_grad_(False)
        g_loss = generator_loss(self.discriminator(enlarged, fake))
        l1 = F.l1_loss(fake, real)
        _descend(self.adam_g, g_loss + self.settings.l1_weight * l1)
        self.discriminator.requires_grad_(True)
        self.steps += 1
        return Losses(d_loss.detach(), g_loss.detach(), l1.detach())

    @torch.no_grad()
    def held_out_l1(self, held_out: Tensor) -> float:
        """Return the mean absolute error on HR crops (N, C, H, W), without dropout."""
        self.network.eval()
        errors = []
        for hr in held_out.split(EVALUATED):
            there = hr.to(self.device)
            errors.append((self.network(self.degrade(there)) - there).abs().mean((1, 2, 3)).cpu())
        self.network.train()
        return float(torch.cat(errors).mean())


def bicubic_l1(held_out: Tensor, factor: int) -> float:
    """Return the mean absolute error of bicubic upsampling on HR crops (N, C, H, W).

    Keys' kernel with a = -0.5, as the degradation has it.
    """
    degrade = make_operator(DEFAULT_OPERATOR, Imaging(factor))
    size = held_out.shape[-2:]
    errors = [
        (F.interpolate(degrade(hr), size, mode="bicubic", antialias=True) - hr)
        .abs()
        .mean((1, 2, 3))
        for hr in held_out.split(EVALUATED)
    ]
    return float(torch.cat(errors).mean())


def _draw_weights(network: nn.Module, rng: torch.Generator) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, FIRST_DEVIATION, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _descend(adam: torch.optim.Adam, loss: Tensor) -> None:
    adam.zero_grad(set_to_none=True)
    loss.backward()
    adam.step()
