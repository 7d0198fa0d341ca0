"""The noise of LR crops: by what remains of them beside the images that a bundle draws of them.

A crop of a cell has too few pixels to tell noise from structure by itself. A field encoder
estimates what the cell looks like; the degraded image of that leaves of the LR pixels noise, and
what no generator draws of them even without noise, its misfit, which is known of real crops.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.models.manifest import MisfitAt
from napari_rls.search.degradation import Bicubic, Operator
from napari_rls.search.imaging import enlarging_matrix
from napari_rls.search.kit import Seen
from napari_rls.search.noise import MISFIT, NoiseModel

MOST: Final = 256
"""Crops that are looked at, at most, evenly over all."""

NOISY: Final = 0.04
"""Deviation of noise, of -1 to 1, from which a search goes by it: chosen on real cells."""

_BATCH: Final = 32

_FIRST: Final = 0.08
"""Deviation of LR pixels, of -1 to 1, that the encoder is told before one is known."""

_ROBUST: Final = 1.4826
"""Deviation of normal numbers over the median of their absolute values."""

_PSF_RANGE: Final = (0.45, 0.75)
"""PSF widths in LR pixels that encoders are told: they have seen no wider ones, and of sharper
images they know best what they look like with the usual width."""

_ENDS: Final = (0.05, 0.95)
"""Quantiles of what is expected of LR pixels, between which in the middle bright ones begin."""

_FEWEST: Final = 32
"""Bright LR pixels without which noise is taken not to depend on the signal."""


class Remains(NamedTuple):
    """What estimates leave of LR pixels, (C, 2): of a channel's dark ones and its bright ones.

    ``level`` is the median of what is expected of them, ``deviation`` that of the rest, by its
    median absolute value, which outliers hardly change; both of -1 to 1.
    """

    level: NDArray[np.float64]
    deviation: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CropView:
    """How LR crops were made that are whole numbers of LR pixels, as a field encoder is told it.

    Parameters
    ----------
    degrade
        The operator D.
    factor
        HR pixels along an LR pixel.
    hr_size
        HR pixels along a crop.
    """

    degrade: Operator
    factor: int
    hr_size: int

    @cached_property
    def sigma(self) -> float:
        """Deviation in LR pixels of a Gaussian PSF whose pixels blur as much as D does.

        D adds the variance of its kernel to a parabola; that of a square pixel is 1/12. Encoders
        are told 0.45 to 0.75.
        """
        x = (torch.arange(self.hr_size, dtype=torch.float32) + 0.5) / self.factor
        x = x - x.mean()
        middle = self.hr_size // self.factor // 2
        with torch.no_grad():
            image = torch.stack([x, x.square()])[None, :, None].expand(1, 2, self.hr_size, -1)
            line, parabola = self.degrade(image)[0, :, middle, middle].tolist()
        variance = max(parabola - line**2 - 1 / 12, 0.0)
        return float(np.clip(np.sqrt(variance), *_PSF_RANGE))

    def seen(self, lr: Tensor, noise: NoiseModel) -> Seen:
        """Return how LR crops (n, C, h, w), of -1 to 1, were seen, with noise in that unit."""
        size = self.hr_size // self.factor
        at = (np.arange(self.hr_size) + 0.5) / self.factor - 0.5
        enlarge = torch.from_numpy(enlarging_matrix(size, at)).to(lr)
        # Of the neighbourhood: a pixel's own noise must not tell how much of it is noise.
        near = torch.nn.functional.avg_pool2d(lr, 3, 1, 1, count_include_pad=False)
        variance = noise.variance(near) + MISFIT**2
        return Seen(
            variance.sqrt(),
            torch.ones_like(lr[:, 0]),
            enlarge @ lr @ enlarge.mT,
            float(self.factor),
            self.sigma,
        )


def crop_noise(bundle: Bundle, lr: NDArray[np.floating], view: CropView) -> NoiseModel | None:
    """Estimate the noise of LR crops (N, C, h, w), in units of -1 to 1.

    The estimate is made twice, as the encoder wants to know the noise too.

    Returns
    -------
    NoiseModel or None
        None where the bundle has no field encoder, or none that knows the factor.
    """
    spec, encoder = bundle.manifest.field_encoder, bundle.field_encoder
    if spec is None or encoder is None:
        return None
    low, high = spec.ratios
    misfit = misfit_at(spec.misfit, view.factor)
    if misfit is None or not low <= view.factor <= high:
        return None
    some = torch.from_numpy(np.asarray(lr[:: -(-len(lr) // MOST)], np.float32))
    noise = _same_everywhere(_FIRST, some.shape[1])
    for _ in range(2):
        found = remains(bundle, encoder, some, view, noise)
        noise = _line(found.level, np.maximum(found.deviation**2 - misfit**2, 0))
    return noise


def is_noisy(noise: NoiseModel, lr: NDArray[np.floating]) -> bool:
    """Tell whether LR crops (N, C, h, w), of -1 to 1, are noisier than their images are uncertain.

    That is where the root mean square of a channel's noise is above :data:`NOISY`.
    """
    variance = noise.variance(np.asarray(lr, np.float32)).mean((0, 2, 3))
    return bool((variance > NOISY**2).any())


@torch.no_grad()
def remains(
    bundle: Bundle, encoder: FieldEncoder, lr: Tensor, view: CropView, noise: NoiseModel
) -> Remains:
    """Return what an encoder's estimates leave of LR crops (N, C, h, w), of -1 to 1."""
    expected = torch.cat(
        [
            view.degrade(bundle.generator.synthesis(view.seen(part, noise).first_ws(encoder)))
            for part in lr.split(_BATCH)
        ]
    )
    levels, deviations = [], []
    for c in range(lr.shape[1]):
        means, rest = expected[:, c].numpy(), (lr - expected)[:, c].numpy()
        bright = means > np.quantile(means, _ENDS).mean()
        halves = (~bright, bright) if bright.sum() >= _FEWEST else (~bright, ~bright)
        levels.append([float(np.median(means[half])) for half in halves])
        deviations.append([_ROBUST * float(np.median(np.abs(rest[half]))) for half in halves])
    return Remains(np.array(levels), np.array(deviations))


def misfit_of_crops(
    bundle: Bundle, encoder: FieldEncoder, hr: Tensor, ratios: tuple[float, float]
) -> tuple[MisfitAt, ...]:
    """Return what is left of LR pixels of HR crops (N, C, S, S), of -1 to 1, without noise.

    That is of crops that the encoder was not fitted to, degraded by ``bicubic`` at all factors
    that are powers of 2 within the ratios that it knows.
    """
    size = hr.shape[-1]
    quiet = _same_everywhere(0.0, hr.shape[1])
    found = []
    for factor in (2**k for k in range(1, size.bit_length() - 1)):
        if size % factor or not ratios[0] <= factor <= ratios[1]:
            continue
        view = CropView(Bicubic(factor), factor, size)
        left = remains(bundle, encoder, view.degrade(hr), view, quiet).deviation
        dark, bright = left.T.tolist()
        found.append(MisfitAt(factor=factor, dark=tuple(dark), bright=tuple(bright)))
    return tuple(found)


def misfit_at(known: tuple[MisfitAt, ...], factor: int) -> NDArray[np.float64] | None:
    """Return the misfit (C, 2) of dark and bright LR pixels at a factor, or None.

    Between two factors it follows from both, over their logarithm.
    """
    if not known:
        return None
    each = sorted(known, key=lambda one: one.factor)
    places = np.log([one.factor for one in each])
    values = np.array([[one.dark, one.bright] for one in each]).transpose(2, 1, 0)
    channels = [[np.interp(np.log(factor), places, half) for half in c] for c in values]
    return np.array(channels, np.float64)


def _same_everywhere(deviation: float, channels: int) -> NoiseModel:
    return NoiseModel((0.0,) * channels, (0.0,) * channels, (deviation,) * channels)


def _line(level: NDArray[np.float64], variance: NDArray[np.float64]) -> NoiseModel:
    """Return the noise whose variances (C, 2) at two levels are these; it grows with the signal."""
    (dark, bright), (least, most) = level.T, variance.T
    grows = (most > least) & (bright > dark)
    gain = np.where(grows, (most - least) / np.where(grows, bright - dark, 1), 0)
    floor = np.where(grows, least, (least + most) / 2)
    return NoiseModel(tuple(gain.tolist()), tuple(dark.tolist()), tuple(np.sqrt(floor).tolist()))
