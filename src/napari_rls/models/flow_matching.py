"""Images that a cell may have, drawn at random, given what an LR microscope saw of it.

Conditional flow matching: a network tells of noise that has gone a part of the way to an image
where it must go next, so that noise drawn anew comes to an image drawn anew, of all that the LR
image may be of. It works on what an image has beside the expected one, in units of how far that
usually is off. No generator takes part, and no latents.

Coarse parts of what an image has beside the expected one differ by several units, fine ones by less
than one. White noise would decide on the former in the first moments of the way, where they are
hidden in it; noise that is as coarse as they are has all come forth at about the same time.

References
----------
Lipman, Chen, Ben-Hamu, Nickel & Le, "Flow Matching for Generative Modeling", 2023, section 4.1,
with the path of optimal transport and no noise at its end; Esser et al., "Scaling Rectified Flow
Transformers", 2024, section 3.1, for the times that are trained most.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from napari_rls.models.field_specs import FlowMatchingShape
from napari_rls.models.four_levels import FourLevels, Level

STEPS: Final = 12
"""Steps from noise to an image: Heun's, but for the last, which is Euler's. What the network says
where a step leads is taken for what it would say at the beginning of the next."""

_SHORTER = 1.5
"""Steps get shorter towards the image by this power of what is left: fine detail comes last."""

_FLOOR, _SLOPE = 0.04, 0.25
"""How far an expected image of -1 to 1 is off: at a dark pixel, and what that grows by with its
light."""

_COARSE: Final = ((2.0, 3 / 128), (3.0, 1 / 16))
"""What coloured noise has beside white: amplitude, and deviation of a Gaussian that blurs it, as a
share of the image's side. That is about the spectrum of what expected images of real cells lack at
8x and 16x."""

_FIRST, _LAST = 0.1, 0.8
"""Times between which what is drawn is held to what the microscope saw: later ones let the network
mend what that did to the image."""

_TOLD, _WAVES = 64, 8
"""Numbers that levels are told, and waves of time among what they are made of."""

_GROUPS = 8


class _ToldLevel(Level):
    """A level that what is told scales and shifts between both convolutions."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after)
        self.norm = nn.GroupNorm(math.gcd(_GROUPS, after), after)
        self.told = nn.Linear(_TOLD, 2 * after)
        for parameter in self.told.parameters():
            nn.init.zeros_(parameter)

    def between(self, features: Tensor, *told: Tensor) -> Tensor:
        (numbers,) = told
        scale, shift = self.told(numbers)[:, :, None, None].chunk(2, 1)
        scaled: Tensor = self.norm(features) * (1 + scale) + shift
        return scaled


class FlowMatching(FourLevels):
    """Draw images (N, C, S, S) of interpolated LR images and the expected images of these.

    Parameters
    ----------
    channels
        Image channels C.
    size
        Side S of the images in pixels, a power of two from 8 on.
    known
        What is known of the microscope: numbers for each image.
    shape
        Feature maps of the first level, and the noise that images come from.
    """

    def __init__(self, channels: int, size: int, known: int, shape: FlowMatchingShape) -> None:
        super().__init__(channels, size, shape.width, images=3, level=_ToldLevel)
        self.coloured = shape.coloured
        self.times = nn.Sequential(
            nn.Linear(2 * _WAVES + known, _TOLD), nn.GELU(), nn.Linear(_TOLD, _TOLD), nn.GELU()
        )

    def forward(
        self, state: Tensor, time: Tensor, cells: Tensor, expected: Tensor, known: Tensor
    ) -> Tensor:
        """Return where states must go (N, C, S, S), as their change in a unit of time.

        Parameters
        ----------
        state
            What is between noise and :meth:`residual` (N, C, S, S).
        time
            How far it has come (N,), 0 to 1.
        cells, expected
            Interpolated LR images and expected images (N, C, S, S) in -1 to 1.
        known
            What is known of the microscope (N, K).
        """
        waves = time[:, None] * math.pi / 2 * 2.0 ** torch.arange(_WAVES, device=time.device)
        told = self.times(torch.cat([waves.sin(), waves.cos(), known], 1))
        return self.run([state, cells, expected], None, told)

    @staticmethod
    def usual(expected: Tensor) -> Tensor:
        """Return how far expected images (N, C, S, S) of -1 to 1 usually are off."""
        return _FLOOR + _SLOPE * (expected + 1).clamp(min=0)

    def residual(self, images: Tensor, expected: Tensor) -> Tensor:
        """Return what images have beside the expected ones, in units of :meth:`usual`."""
        return (images - expected) / self.usual(expected)

    def start(self, white: Tensor) -> Tensor:
        """Return the noise (N, C, S, S) that images come from, of normal numbers of that shape."""
        if not self.coloured:
            return white
        side = white.shape[-1]
        along = torch.fft.fftfreq(side, device=white.device)
        squared = along[:, None] ** 2 + along[: side // 2 + 1] ** 2
        amplitude = torch.ones_like(squared)
        for more, deviation in _COARSE:
            blurred = (-2 * (math.pi * deviation * side) ** 2 * squared).exp()
            amplitude = amplitude + more * blurred
        coloured: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) * amplitude, s=(side, side))
        return coloured

    @property
    def held_steps(self) -> int:
        """Number of steps after which :meth:`draw` asks what is nearer."""
        return sum(_FIRST <= time <= _LAST for time in _times().tolist())

    @torch.no_grad()
    def draw(
        self,
        noise: Tensor,
        cells: Tensor,
        expected: Tensor,
        known: Tensor,
        nearer: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return images (N, C, S, S) in -1 to 1 that normal numbers of that shape come to.

        Parameters
        ----------
        noise
            Normal numbers (N, C, S, S).
        cells, expected, known
            As of :meth:`forward`.
        nearer
            Makes images (N, C, S, S) more like what the microscope saw. On the way it is asked of
            the images that states are heading for; the network goes on from what it returns.
        """
        state, usual = self.start(noise), self.usual(expected)

        def speed_at(state: Tensor, time: Tensor) -> Tensor:
            found: Tensor = self(state, time.expand(len(state)), cells, expected, known)
            return found

        *pairs, (last, end) = itertools.pairwise(_times().to(noise.device))
        speed = speed_at(state, pairs[0][0])
        for now, then in pairs:
            there = speed_at(state + (then - now) * speed, then)
            state = state + (then - now) * (speed + there) / 2
            if nearer is not None and _FIRST <= then <= _LAST:
                heading = expected + (state + (1 - then) * there) * usual
                state = state + then * (nearer(heading) - heading) / usual
            speed = there
        state = state + (end - last) * speed_at(state, last)
        images: Tensor = (expected + state * usual).clamp(-1, 1)
        return images


def _times() -> Tensor:
    """Return when steps begin and end, from 0 to 1."""
    return 1 - torch.linspace(1, 0, STEPS + 1) ** _SHORTER
