"""Losses and lazy regularisation of StyleGAN2.

References
----------
Goodfellow et al. 2014 (non-saturating loss); Mescheder et al. 2018 (R1);
Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020,
section 3.2 and appendix B (path lengths, lazy regularisation).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATH_DECAY = 0.01
"""Weight of a batch in the running mean a of the path lengths."""


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return mean softplus(-D(x)) + mean softplus(D(G(z)))."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Return mean softplus(-D(G(z)))."""
    return F.softplus(-fake_logits).mean()


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Return the mean over images of ||grad D(x)||^2 at the real images that D saw.

    R1 adds gamma/2 times it. The graph is kept, so that it can be differentiated again.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return gradient.float().square().sum((1, 2, 3)).mean()


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """Return ||J^T y|| (N,) of the synthesis network, J its Jacobian at W+ ws (N, L, d).

    ``noise`` is y ~ N(0, I) of the images' shape (N, C, H, W); it is scaled by
    1/sqrt(H W), and the squared gradient averaged over the L rows.
    """
    scale = 1 / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * (noise * scale)).sum(), ws, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def path_penalty(lengths: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of (length - a)^2, and a after this batch; a has no gradient."""
    mean = torch.lerp(mean, lengths.detach().mean(), PATH_DECAY)
    return (lengths - mean).square().mean(), mean


def lazy_adam(
    parameters: Iterable[nn.Parameter], learning_rate: float, interval: int
) -> torch.optim.Adam:
    """Return Adam with betas (0, 0.99) for a network regularised every ``interval`` steps.

    A regularisation is a step of its own, ``interval`` + 1 instead of ``interval`` in
    all: rate and betas are scaled so that the sum of them moves as far as before.
    """
    ratio = interval / (interval + 1)
    return torch.optim.Adam(
        parameters, lr=learning_rate * ratio, betas=(0.0, 0.99**ratio), eps=1e-8
    )
