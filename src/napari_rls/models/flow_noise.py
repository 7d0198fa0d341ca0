"""The noise that flow matching comes from, and what of its way is known without a network.

Coarse parts of what an image has beside the expected one differ by several units, fine ones by less
than one, and how much depends on the channel and on how coarse the LR image is. White noise would
decide on coarse parts, and on bright spots, in the first moments of the way, where they are hidden
in it. Noise that is larger than what comes forth of it, and as coarse, leaves time for all.

References
----------
Karras, Aittala, Aila & Laine, "Elucidating the Design Space of Diffusion-Based Generative Models",
2022, section 5, for networks that see, and tell, numbers of one size at every time.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

_COARSE: Final = ((2.0, 3 / 128), (3.0, 1 / 16))
"""What coloured noise has beside white: amplitude, and deviation of a Gaussian that blurs it, as a
share of the image's side. That is about the spectrum of what expected images of real cells lack at
8x and 16x."""

RATIOS: Final = 5
"""Ratios of pixel sizes that spectra are measured at; between them they are interpolated."""

_BANDS, _NEAR = 12, 0.4
_LARGER = 3.0
"""How much larger measured noise is than what comes forth of it, beside white noise: a bright spot
stands out of noise that is as large as all that is not told of the image."""


class Known(NamedTuple):
    """What of the way is known without a network.

    Attributes
    ----------
    velocity
        The best linear guess of where states go (N, C, S, S), or 0.
    seen
        What states are to be divided by (N, C, 1, 1) to be of usual size.
    told
        How far the guess usually is off (N, C, 1, 1).
    """

    velocity: Tensor
    seen: Tensor
    told: Tensor


class PlainNoise(nn.Module):
    """White noise, or noise with more of coarse parts that is alike for all images.

    Parameters
    ----------
    coloured
        Whether it has more of coarse parts.
    """

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self.coloured = coloured

    def start(self, white: Tensor, known: Tensor) -> Tensor:  # noqa: ARG002
        """Return the noise (N, C, S, S) that images come from, of normal numbers of that shape."""
        if not self.coloured:
            return white
        side = white.shape[-1]
        amplitude = torch.ones(side, side // 2 + 1, device=white.device)
        squared = _frequencies(side).to(white.device).square() / side**2
        for more, deviation in _COARSE:
            amplitude += more * (-2 * (math.pi * deviation * side) ** 2 * squared).exp()
        return _filtered(white, amplitude)

    def guess(self, state: Tensor, time: Tensor, known: Tensor) -> Known:  # noqa: ARG002
        """Return that nothing is known."""
        one = torch.ones_like(state[:, :, :1, :1])
        return Known(torch.zeros_like(state), one, one)


class MeasuredNoise(nn.Module):
    """Noise that is as coarse as what expected images lack, in each channel and at each ratio.

    Parameters
    ----------
    channels
        Image channels C.

    Attributes
    ----------
    ratios
        What networks are told of the ratios (K,) that spectra were measured at, ascending.
    amplitude
        Root mean square of what expected images lack there (K, C, B), in bands of frequencies, as
        that of white noise is 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ratios: Tensor
        self.amplitude: Tensor
        self.register_buffer("ratios", torch.arange(RATIOS, dtype=torch.float32))
        self.register_buffer("amplitude", torch.ones(RATIOS, channels, _BANDS))

    def measure(self, place: int, known: Tensor, lacking: Tensor) -> None:
        """Keep the spectrum of what expected images lack (N, C, S, S) at one of the ratios.

        ``known`` is what networks are told of the microscope (N, K), the ratio first.
        """
        side = lacking.shape[-1]
        power = torch.fft.rfft2(lacking, norm="ortho").abs().square().mean(0)
        # Small images have no frequencies in some bands: all count, by how near they are.
        near = (-((_places(side)[..., None] - torch.arange(_BANDS)) / _NEAR).square() / 2).exp()
        shares = (near * _waves(side)[..., None]).to(power)
        mean = torch.einsum("chw,hwb->cb", power, shares) / shares.sum((0, 1))
        self.ratios[place] = known[0, 0]
        self.amplitude[place] = mean.sqrt()

    def start(self, white: Tensor, known: Tensor) -> Tensor:
        """Return the noise (N, C, S, S) that images come from, of normal numbers of that shape."""
        _, noise = self._powers(white.shape[-1], known)
        return _filtered(white, noise.sqrt())

    def guess(self, state: Tensor, time: Tensor, known: Tensor) -> Known:
        """Return where states (N, C, S, S) go at times (N,) if images were as normal as noise."""
        side, to = state.shape[-1], time[:, None, None, None]
        image, noise = self._powers(side, known)
        power = to**2 * image + (1 - to) ** 2 * noise
        velocity = _filtered(state, (to * image - (1 - to) * noise) / power)
        waves = _waves(side).to(state)
        usual = ((x * waves).sum((2, 3), keepdim=True) for x in (power, image * noise / power))
        seen, told = ((x / waves.sum()).sqrt() for x in usual)
        return Known(velocity, seen, told)

    def _powers(self, side: int, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return the power of images and of noise (N, C, S, S // 2 + 1) at every frequency."""
        at = known[:, :1].clamp(self.ratios[0], self.ratios[-1])
        upper = torch.searchsorted(self.ratios, at[:, 0].contiguous()).clamp(1, RATIOS - 1)
        low, high = self.ratios[upper - 1], self.ratios[upper]
        share = ((at[:, 0] - low) / (high - low))[:, None, None]
        amplitude = torch.lerp(self.amplitude[upper - 1], self.amplitude[upper], share)
        places = _places(side).to(amplitude)
        band = places.long().clamp(max=_BANDS - 2)
        between = torch.lerp(amplitude[..., band], amplitude[..., band + 1], places - band)
        image = between.square()
        return image, 1 + _LARGER**2 * image


def _frequencies(side: int) -> Tensor:
    """Return how many waves along a side those of a transform have (S, S // 2 + 1)."""
    along = torch.fft.fftfreq(side) * side
    waves: Tensor = (along[:, None] ** 2 + along[: side // 2 + 1] ** 2).sqrt()
    return waves


def _places(side: int) -> Tensor:
    """Return where frequencies lie among bands (S, S // 2 + 1), from 0 to the last."""
    highest = math.log1p(side / math.sqrt(2))
    places: Tensor = _frequencies(side).log1p() / highest * (_BANDS - 1)
    return places


def _waves(side: int) -> Tensor:
    """Return how many frequencies of a whole transform those of its half stand for."""
    waves = torch.full((side // 2 + 1,), 2.0)
    waves[[0, -1]] = 1
    return waves.expand(side, -1)


def _filtered(images: Tensor, amplitude: Tensor) -> Tensor:
    """Return images (N, C, S, S) whose frequencies are multiplied."""
    found: Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * amplitude, s=images.shape[-2:])
    return found
