"""Fit the encoders of a bundle to generated images, degraded: no paired data are needed.

The LR images get normal noise on top, which keeps an encoder from reading more
out of an LR image than a real one, never quite like a generated one, holds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from napari_rls.models.encoder import LatentEncoder
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.models.stylegan2 import Generator as StyleGenerator
from napari_rls.search.operators import DEFAULT_OPERATOR, Imaging, make_operator
from napari_rls.training.fit_cost import EPOCHS
from napari_rls.training.passed_on import passed_on

Result = TypeVar("Result")

HELD_OUT = 0.05
RENDER_BATCH = 256
BATCH = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01


@torch.no_grad()
def render_lr(
    generator: StyleGenerator, w: Tensor, factors: Sequence[int]
) -> Generator[float, None, dict[int, Tensor]]:
    """Return the LR images (N, C, h, w), in -1 to 1, of w (N, d) for every factor.

    The share of the images that are done is yielded after each batch.
    """
    synthesis = FrozenSynthesis(generator.synthesis)
    # What encoders are fitted to; they start searches of any other operator too.
    operators = {f: make_operator(DEFAULT_OPERATOR, Imaging(f)) for f in factors}
    parts: dict[int, list[Tensor]] = {factor: [] for factor in factors}
    for k, rows in enumerate(batches := w.split(RENDER_BATCH), start=1):
        image = synthesis(generator.broadcast(rows))
        for factor in factors:
            parts[factor].append(operators[factor](image))
        yield k / len(batches)
    return {factor: torch.cat(images) for factor, images in parts.items()}


def fit_encoder(
    encoder: LatentEncoder, lr: Tensor, w: Tensor, *, noise: float, seed: int = 0
) -> Generator[float, None, float]:
    """Fit an encoder in place by the squared error of standardised w.

    There are :data:`~napari_rls.training.fit_cost.EPOCHS` passes over the data; the share of
    them that is done is yielded after each.

    Parameters
    ----------
    encoder
        What to fit.
    lr, w
        LR images (N, C, h, w) in -1 to 1 and the w (N, d) that made them.
    noise
        Standard deviation of the normal noise added to ``lr``.
    seed
        Seed of the weights, the noise and the order.

    Returns
    -------
    float
        Mean squared error of standardised w on held-out images without noise; an
        encoder that knows nothing has 1.
    """
    rng = torch.Generator().manual_seed(seed)
    _draw_weights(encoder, rng)
    encoder.requires_grad_(True)
    target = (w - encoder.mean) / encoder.std
    centre, spread = lr.mean(0), lr.std(0)
    cut = max(1, int(len(w) * HELD_OUT))
    adam = torch.optim.AdamW(encoder.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, EPOCHS)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(w) - cut, generator=rng).split(BATCH):
            rows = chosen + cut
            noisy = lr[rows] + noise * torch.randn(lr[rows].shape, generator=rng)
            loss = (encoder.layers((noisy - centre) / spread) - target[rows]).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        decay.step()
        yield (epoch + 1) / EPOCHS
    encoder.requires_grad_(False)
    _take_in_standardisation(encoder, centre.flatten(), spread.flatten())
    return float((encoder.layers(lr[:cut]) - target[:cut]).square().mean())


def _draw_weights(encoder: LatentEncoder, rng: torch.Generator) -> None:
    """Draw torch's usual first weights of linear layers from ``rng``."""
    for layer in encoder.layers:
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=rng)
            nn.init.uniform_(layer.bias, -bound, bound, generator=rng)


@torch.no_grad()
def _take_in_standardisation(encoder: LatentEncoder, centre: Tensor, spread: Tensor) -> None:
    """Make an encoder fitted to (lr - centre) / spread one of lr itself."""
    first = encoder.layers[1]
    assert isinstance(first, nn.Linear)
    first.weight.div_(spread)
    first.bias.sub_(first.weight @ centre)


def fit_encoders(
    encoders: Mapping[int, LatentEncoder],
    lr: Mapping[int, Tensor],
    w: Tensor,
    *,
    noise: float,
    seed: int = 0,
) -> Generator[float, None, tuple[float, ...]]:
    """Fit the encoder of every factor and return their held-out errors, in the same order.

    The share of all passes that are done is yielded after each.
    """
    errors: list[float] = []
    for factor, encoder in encoders.items():
        fit = fit_encoder(encoder, lr[factor], w, noise=noise, seed=seed)
        errors.append((yield from shares(fit, len(errors), len(errors) + 1, len(encoders))))
    return tuple(errors)


def shares(
    work: Generator[float, None, Result], begin: float, end: float, whole: float
) -> Generator[float, None, Result]:
    """Yield the shares of a part of some work as those of the whole; return the part's result.

    The part is what lies from ``begin`` to ``end`` of ``whole``.
    """
    return passed_on(work, lambda share: (begin + share * (end - begin)) / whole)
