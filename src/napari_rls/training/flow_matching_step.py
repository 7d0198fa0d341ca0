"""One training step of flow matching, and everything that a step changes."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from napari_rls.models.bundle import Bundle, flow_matching_of
from napari_rls.models.field_specs import ABOVE, COARSE
from napari_rls.search.degradation import Bicubic
from napari_rls.search.device import choose_dtype
from napari_rls.training.dataset import Crops
from napari_rls.training.flow_matching_settings import FlowMatchingSettings
from napari_rls.training.loop_parts import Parts
from napari_rls.training.shown_cells import Shown, ShownCells

WEIGHT_DECAY = 0.01
LARGEST_GRADIENT = 1.0

_TIMES: Final = {"image": (0.0, 1.2), "coarse": (-0.4, 1.4)}
"""Mean and deviation of the logit of the times that are trained: the middle is hardest, and of
coarse images, which white noise becomes, what is a bit before it."""

_REPEATS: Final = {"image": 1, "coarse": 2}
"""Noises and times that each crop is shown with: passes of small images are cheap."""


@dataclass(frozen=True)
class Losses:
    """What one step saw: mean squared error of the velocity."""

    velocity: Tensor

    def named(self) -> dict[str, Tensor]:
        """Return it by its name in a report."""
        return {"velocity": self.velocity}


class FlowMatchingTrainer:
    """Network, optimiser and random streams of a training.

    Parameters
    ----------
    settings
        How to train.
    bundle
        Whose field encoder expects images, and has seen the microscopes to train for.
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
        self, settings: FlowMatchingSettings, bundle: Bundle, device: torch.device
    ) -> None:
        manifest, encoder = bundle.manifest, bundle.field_encoder
        assert manifest.field_encoder is not None
        assert encoder is not None
        assert encoder.image is not None
        self.settings, self.device = settings, device
        # The bundle's own encoder stays where it is.
        self.encoder = copy.deepcopy(encoder).to(device)
        self.short = choose_dtype(settings.precision, bundle.generator, device) != torch.float32
        self.coarse = Bicubic(COARSE) if settings.part == "coarse" else None
        low, high = manifest.field_encoder.ratios
        self.shown = ShownCells(
            manifest.hr_size,
            manifest.architecture.image_channels,
            (low if self.coarse is None else max(low, ABOVE), high),
            batch_size=settings.batch_size,
            seed=settings.seed,
            device=device,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4 * settings.seed + 3)
            network = flow_matching_of(manifest, settings.shape, settings.part)
        self.network = network.to(device)
        self.adam = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=WEIGHT_DECAY
        )
        self.steps = 0

    @property
    def parts(self) -> Parts:
        """All that a checkpoint holds."""
        return {"network.": self.network}, {"adam.": self.adam}, self.shown.streams

    def step(self, crops: Crops) -> Losses:
        """Show one batch of cells, each somewhere between noise and its image."""
        self.adam.param_groups[0]["lr"] = self.settings.rate(self.steps)
        shown, rng = self.shown.batch(crops, self.steps), self.shown.streams["noise"]
        part = self.settings.part
        hr, cells, expected, known = (
            x.repeat_interleave(_REPEATS[part], 0) for x in self._told(shown)
        )
        end = self.network.residual(hr, expected)
        start = self.network.start(torch.randn(end.shape, generator=rng).to(end))
        middle, spread = _TIMES[part]
        time = (torch.randn(len(end), generator=rng) * spread + middle).sigmoid().to(end)
        state = torch.lerp(start, end, time[:, None, None, None])
        with self._in_short():
            velocity = self.network(state, time, cells, expected, known)
        loss = (velocity.to(end) - (end - start)).square().mean()
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.adam.step()
        self.steps += 1
        return Losses(loss.detach())

    def held_out_l1(self, held_out: Tensor) -> float:
        """Return the mean absolute error of an image drawn of each HR crop (N, C, H, W)."""
        rng = torch.Generator().manual_seed(0)
        errors = []
        for shown in self.shown.held_out(held_out):
            hr, cells, expected, known = self._told(shown)
            noise = torch.randn(hr.shape, generator=rng).to(hr)
            with self._in_short():
                drawn = self.network.draw(noise, cells, expected, known)
            errors.append((drawn - hr).abs().mean((1, 2, 3)))
        return float(torch.cat(errors).mean())

    def expected_l1(self, held_out: Tensor) -> float:
        """Return the same of the expected images: less, as they are blurred."""
        told = map(self._told, self.shown.held_out(held_out))
        errors = [(expected - hr).abs().mean((1, 2, 3)) for hr, _, expected, _ in told]
        return float(torch.cat(errors).mean())

    @torch.no_grad()
    def _told(self, shown: Shown) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return images to be drawn, cells, expected images, and what else the network is told."""
        with self._in_short():
            expected = self.encoder.expected(shown.cells, *shown.optics).to(shown.hr)
        images = shown.hr, shown.cells, expected
        if self.coarse is not None:
            images = self.coarse(images[0]), self.coarse(images[1]), self.coarse(images[2])
        return *images, shown.known

    def _in_short(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, self.short)
