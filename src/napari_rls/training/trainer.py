"""One training step of StyleGAN2-ADA, and everything that a step changes."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from napari_rls.models.stylegan2 import Generator
from napari_rls.training.augment import AdaptiveP, augment
from napari_rls.training.dataset import Crops, mirrored
from napari_rls.training.discriminator import Discriminator
from napari_rls.training.loop_parts import all_finite
from napari_rls.training.losses import (
    discriminator_loss,
    generator_loss,
    lazy_adam,
    path_lengths,
    path_penalty,
    r1_penalty,
)
from napari_rls.training.training_settings import TrainSettings

Network = TypeVar("Network", bound=nn.Module)

W_DECAY = 0.005
"""Weight of a batch in the running mean of w."""

PATH_SHARE = 2
"""Path lengths are taken on a batch that is smaller by this."""


@dataclass(frozen=True)
class Streams:
    """The random streams of a run, all on the CPU."""

    mirror: torch.Generator
    latent: torch.Generator
    noise: torch.Generator
    augment: torch.Generator
    path: torch.Generator

    @classmethod
    def from_seed(cls, seed: int) -> Streams:
        """Return streams that differ from each other and from those of other seeds."""
        seeds = [8 * seed + k for k in range(5)]
        return cls(*(torch.Generator().manual_seed(s) for s in seeds))


@dataclass(frozen=True)
class Losses:
    """What one step saw, as tensors; NaN where the step had no such part."""

    discriminator: Tensor
    generator: Tensor
    r1: Tensor
    path_length: Tensor
    real_sign: Tensor


class Trainer:
    """Networks, optimisers and random streams of a run.

    Parameters
    ----------
    settings
        The run's settings.
    device, dtype
        Where to compute, and the type of the feature maps.
    start
        Generator to go on from, or None for random weights.
    judge
        Discriminator to go on from, or None for random weights.

    Attributes
    ----------
    generator, average, discriminator
        G, its moving average G_ema (what becomes a bundle), and D.
    images
        Images shown so far.
    """

    def __init__(
        self,
        settings: TrainSettings,
        device: torch.device,
        dtype: torch.dtype,
        start: Generator | None = None,
        judge: Discriminator | None = None,
    ) -> None:
        self.settings = settings
        self.device = device
        self.dtype = dtype
        self.streams = Streams.from_seed(settings.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            generator = Generator(settings.architecture)
            discriminator = Discriminator(settings.architecture)
        if start is not None:
            generator.load_state_dict(start.state_dict())
        if judge is not None:
            discriminator.load_state_dict(judge.state_dict())
        self.generator = _placed(generator, device)
        self.discriminator = _placed(discriminator, device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        lazy = settings.path_interval if settings.path_weight else 1_000_000
        rate = settings.learning_rate
        self.adam_g = lazy_adam(self.generator.parameters(), rate, lazy)
        self.rate_g = self.adam_g.param_groups[0]["lr"]
        self.adam_d = lazy_adam(self.discriminator.parameters(), rate, settings.r1_interval)
        self.rate_d = self.adam_d.param_groups[0]["lr"]
        self.ada = AdaptiveP(settings.ada_target, settings.ada_kimg, settings.ada_start)
        # A trained G must not be pulled towards the path lengths 0 of an untrained one.
        self.path_mean = torch.full((), 0.0 if start is None else torch.nan, device=device)
        self.images = 0
        self.steps = 0

    def step(self, crops: Crops) -> Losses:
        """Show one batch: D, R1 when due, G, path lengths when due, averages, ADA's p."""
        settings, nan = self.settings, torch.full((), torch.nan)
        warming = self.images < settings.warmup_kimg * 1000
        self._set_rates()
        real = crops.batch(self.images, settings.batch_size)
        if settings.mirror:
            real = mirrored(real, self.streams.mirror)
        real = self._seen(real.to(self.device))
        with torch.set_grad_enabled(not warming):
            fake = self._synthesise(self._mixed_ws(settings.batch_size))
            if settings.camera is not None:
                fake = settings.camera.drawn(fake, self.streams.noise)
            fake = self._seen(fake)
        d_loss, real_sign = self._discriminator_step(real, fake.detach())
        r1, path_length, g_loss = nan, nan, nan
        if self.steps % settings.r1_interval == 0 and settings.r1_gamma:
            r1 = self._r1_step(real)
        if not warming:
            g_loss = self._generator_step(fake)
            if self.steps % settings.path_interval == 0 and settings.path_weight:
                path_length = self._path_step()
            self._update_average()
        self.images += settings.batch_size
        self.steps += 1
        if self.steps % settings.ada_interval == 0:
            self.ada.adjust()
        return Losses(d_loss, g_loss, r1, path_length, real_sign)

    @torch.no_grad()
    def samples(self, count: int) -> Tensor:
        """Return ``count`` images of the averaged generator; the same z at every call."""
        rng = torch.Generator().manual_seed(self.settings.seed)
        z = torch.randn(count, self.settings.z_dim, generator=rng).to(self.device)
        images: Tensor = self.average(z)
        camera = self.settings.camera
        return (images if camera is None else camera.drawn(images, rng)).cpu()

    def finite(self) -> bool:
        """Tell whether every weight is a finite number."""
        return all_finite((self.generator, self.discriminator))

    def _discriminator_step(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        real_logits = self.discriminator(real, self.dtype)
        fake_logits = self.discriminator(fake, self.dtype)
        loss = discriminator_loss(real_logits, fake_logits)
        _descend(self.adam_d, loss)
        signs = real_logits.detach().sign()
        self.ada.observe(signs)
        return loss.detach(), signs.mean()

    def _r1_step(self, real: Tensor) -> Tensor:
        """Penalise D's gradient at the real images as it saw them, augmented."""
        real = real.detach().requires_grad_()
        penalty = r1_penalty(self.discriminator(real, self.dtype), real)
        _descend(self.adam_d, penalty * (self.settings.r1_gamma / 2 * self.settings.r1_interval))
        return penalty.detach()

    def _generator_step(self, fake: Tensor) -> Tensor:
        """Teach G with the images that D has just been taught with."""
        self.discriminator.requires_grad_(False)
        loss = generator_loss(self.discriminator(fake, self.dtype))
        _descend(self.adam_g, loss)
        self.discriminator.requires_grad_(True)
        return loss.detach()

    def _set_rates(self) -> None:
        """Let G's step size rise from 0 after a warm-up, in as many kimg, and both decay at last.

        Adam takes full steps however faint D's gradient is: at full rate G would run away
        from a D that has only begun to know it, and D would never catch up.
        """
        settings = self.settings
        since = (self.images + settings.batch_size) / 1000 - settings.warmup_kimg
        share = min(max(since, 0) / settings.warmup_kimg, 1.0) if settings.warmup_kimg else 1.0
        decay = settings.decay(self.images)
        for adam, rate in ((self.adam_g, self.rate_g * share), (self.adam_d, self.rate_d)):
            for group in adam.param_groups:
                group["lr"] = rate * decay

    def _path_step(self) -> Tensor:
        ws = self._mixed_ws(max(1, self.settings.batch_size // PATH_SHARE))
        images = self._synthesise(ws)
        noise = torch.randn(images.shape, generator=self.streams.path).to(self.device)
        lengths = path_lengths(images, ws, noise)
        if self.path_mean.isnan():
            self.path_mean = lengths.detach().mean()
        penalty, self.path_mean = path_penalty(lengths, self.path_mean)
        _descend(self.adam_g, penalty * (self.settings.path_weight * self.settings.path_interval))
        return lengths.detach().mean()

    def _mixed_ws(self, count: int) -> Tensor:
        """Return W+ latents (count, L, d); where styles mix, rows from a random one on differ."""
        rng, num_ws = self.streams.latent, self.generator.arch.num_ws
        z = torch.randn(2, count, self.settings.z_dim, generator=rng).to(self.device)
        cut = torch.randint(1, num_ws, (count,), generator=rng)
        mixes = torch.rand(count, generator=rng) < self.settings.style_mixing
        cut = torch.where(mixes, cut, num_ws)
        w, other = self.generator.mapping(z.flatten(0, 1)).chunk(2)
        if torch.is_grad_enabled():
            mean = self.generator.mapping.w_avg
            mean.lerp_(w.detach().mean(0), W_DECAY)
        first = (torch.arange(num_ws) < cut[:, None]).to(self.device)
        return torch.where(first[:, :, None], w[:, None], other[:, None])

    def _synthesise(self, ws: Tensor) -> Tensor:
        images: Tensor = self.generator.synthesis(
            ws, "random", rng=self.streams.noise, dtype=self.dtype
        )
        return images

    def _seen(self, images: Tensor) -> Tensor:
        """Return images as D gets to see them."""
        return augment(images, self.ada.p, self.streams.augment)

    @torch.no_grad()
    def _update_average(self) -> None:
        settings = self.settings
        half_life = settings.ema_kimg * 1000
        if settings.ema_rampup:
            half_life = min(half_life, self.images * settings.ema_rampup)
        keep = 0.5 ** (settings.batch_size / max(half_life, 1e-8))
        now = self.generator.state_dict()
        for name, parameter in self.average.named_parameters():
            parameter.lerp_(now[name], 1 - keep)
        for name, buffer in self.average.named_buffers():
            buffer.copy_(now[name])


def _placed(network: Network, device: torch.device) -> Network:
    placed: Network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _descend(adam: torch.optim.Adam, loss: Tensor) -> None:
    adam.zero_grad(set_to_none=True)
    loss.backward()
    adam.step()
