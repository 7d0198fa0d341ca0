"""Images that come nearer to their LR images: Richardson-Lucy, from wherever they are.

References
----------
Richardson, "Bayesian-based iterative method of image restoration", 1972; Lucy, "An iterative
technique for the rectification of observed distributions", 1974.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

_DARK: Final = 0.01
"""Light, of 0 to 1, that is added to all pixels, so that dark ones can become bright."""

_LARGEST: Final = 5.0
"""Factor by which a step makes a pixel brighter or darker at most."""

_MADE_GOOD: Final = 0.984375
"""Share of what an image that is being drawn differs by from an LR image without noise that is made
good in all: chosen on real cells."""

_LEFT: Final = 0.025
"""What flow matching leaves of LR images without noise if it is not held to them, a deviation of -1
to 1, measured on real cells: beside it, noise is no error of the image."""


def share_of_step(noise_power: Tensor, steps: int) -> Tensor:
    """Return which share of the difference from noisy LR images each of some steps makes good.

    Parameters
    ----------
    noise_power
        Variance of the noise of LR pixels (...), of -1 to 1.
    steps
        Number of steps.

    Returns
    -------
    Tensor
        Shares (...): after all steps that share is made good which is no noise.

    Examples
    --------
    >>> share_of_step(torch.zeros(1), steps=6)
    tensor([0.5000])
    """
    wrong = _LEFT**2 / (_LEFT**2 + noise_power)
    share: Tensor = 1 - (1 - _MADE_GOOD * wrong) ** (1 / steps)
    return share


def nearer(
    images: Tensor, lr: Tensor, degrade: Callable[[Tensor], Tensor], share: Tensor | float
) -> Tensor:
    """Return images after a step of Richardson-Lucy towards their LR images.

    A pixel's light is multiplied by the mean, over the LR pixels that see it, of the quotient of
    what they should be and what they are; so dark surroundings stay dark, which to add the
    difference would not leave.

    Parameters
    ----------
    images
        HR images (N, C, H, W); -1 is dark, what is below counts as dark.
    lr
        LR images (N, C, h, w), of the same unit.
    degrade
        The operator D.
    share
        Which share of the difference from ``lr`` is made good, 0 to 1, of all LR pixels or of each
        (N, C, h, w): less where their noise is larger.

    Returns
    -------
    Tensor
        Images (N, C, H, W), at least -1.

    Examples
    --------
    >>> from napari_rls.search.degradation import Bicubic
    >>> images, lr = torch.full((1, 1, 8, 8), -0.5), torch.zeros(1, 1, 2, 2)
    >>> round(float(nearer(images, lr, Bicubic(4), 1.0).mean() - lr.mean()), 3)
    0.0
    """
    light = ((images + 1) / 2).clamp(min=0) + _DARK
    with torch.enable_grad():
        varied = light.detach().requires_grad_()
        seen = (degrade(varied * 2 - 1) + 1) / 2
        (spread,) = torch.autograd.grad(seen, varied, torch.ones_like(seen), retain_graph=True)
        now = seen.detach()
        wanted = now + share * ((lr + 1) / 2 + _DARK - now)
        quotient = wanted.clamp(min=0) / now.clamp(min=_DARK / 2)
        (changed,) = torch.autograd.grad(seen, varied, quotient)
    # What no LR pixel sees stays.
    factor = torch.where(spread.abs() > torch.finfo(spread.dtype).eps, changed / spread, 1.0)
    factor = factor.clamp(1 / _LARGEST, _LARGEST)
    return (light * factor - _DARK).clamp(min=0) * 2 - 1
