"""The noise of LR crops: by what remains of them beside the images that a bundle draws of them.

A crop of a cell has too few pixels to tell noise from structure by itself. A field encoder
estimates what the cell looks like; the degraded image of that leaves of the LR pixels noise, and
what no generator draws of them even without noise, its misfit, which is known of real crops.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.field_encoder import NOISIEST, FieldEncoder
from napari_rls.models.field_specs import FieldEncoderSpec, MisfitAt
from napari_rls.search.degradation import Bicubic, Operator
from napari_rls.search.imaging import enlarging_matrix
from napari_rls.search.kit import Seen
from napari_rls.search.noise import MISFIT, NoiseModel

MOST: Final = 256
"""Crops that are looked at, at most, evenly over all."""

NOISY: Final = 0.05
"""Deviation of noise, of -1 to 1, from which a search goes by it: chosen on real cells."""

_BATCH: Final = 32

_FIRST: Final = 0.08
"""Deviation of LR pixels, of -1 to 1, that the encoder is told before one is known."""

_SHARE: Final = 0.3
"""Share of crops of which less is left than of the one that is taken for the noise of all.

Noise is the same in all of them, what it is not differs: structure that is drawn wrongly, hot
pixels, debris.
"""

_DRAWN: Final = 2000
"""Crops of normal numbers that tell what is low by chance."""

_SHARPEST, _USUAL_SHARPEST, _WIDEST = 0.0, 0.45, 0.75
"""PSF widths in LR pixels between which encoders are told: they have seen no wider ones, and those
that have not seen crops know best what sharper images look like with the usual width."""


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
    channels
        Channels of a crop; D may treat each in its own way.
    known
        Whether the encoder has seen crops, and so sharper images than those of lenses.
    """

    degrade: Operator
    factor: int
    hr_size: int
    channels: int
    known: bool = False

    @cached_property
    def sigma(self) -> float:
        """Deviation in LR pixels of a Gaussian PSF whose pixels blur as much as D does.

        D adds the variance of its kernel, here the mean of all channels', to a parabola; that of a
        square pixel is 1/12. Encoders are told 0 to 0.75, or 0.45 to 0.75.
        """
        x = (torch.arange(self.hr_size, dtype=torch.float32) + 0.5) / self.factor
        x = x - x.mean()
        middle = self.hr_size // self.factor // 2
        with torch.no_grad():
            images = torch.stack([x, x.square()])[:, None, None]
            images = images.expand(2, self.channels, self.hr_size, -1)
            line, parabola = self.degrade(images)[:, :, middle, middle].double()
        variance = max(float((parabola - line**2).mean()) - 1 / 12, 0.0)
        sharpest = _SHARPEST if self.known else _USUAL_SHARPEST
        return float(np.clip(np.sqrt(variance), sharpest, _WIDEST))

    def seen(self, lr: Tensor, noise: NoiseModel) -> Seen:
        """Return how LR crops (n, C, h, w), of -1 to 1, were seen, with noise in that unit."""
        size = self.hr_size // self.factor
        at = (np.arange(self.hr_size) + 0.5) / self.factor - 0.5
        enlarge = torch.from_numpy(enlarging_matrix(size, at)).to(lr)
        variance = noise.variance(lr) + MISFIT**2
        return Seen(
            variance.sqrt(),
            torch.ones_like(lr[:, 0]),
            enlarge @ lr @ enlarge.mT,
            float(self.factor),
            self.sigma,
        )


def crop_noise(bundle: Bundle, lr: NDArray[np.floating], view: CropView) -> NoiseModel | None:
    """Estimate the noise of LR crops (N, C, h, w), in units of -1 to 1.

    It is the same for all signals: crops are too few pixels to tell what of it is that of photons.
    The estimate is made twice, as the encoder wants to know the noise too.

    Returns
    -------
    NoiseModel or None
        None where the bundle has no field encoder, none that knows the factor, or none that has
        seen such noise: the crops may be no images of its cells.
    """
    spec, encoder = bundle.manifest.field_encoder, bundle.field_encoder
    if spec is None or encoder is None:
        return None
    misfit = misfit_at(spec.misfit, view.factor)
    # Of fewer LR pixels than fields of its ratios have, structure cannot be told from noise.
    if misfit is None or not spec.knows(view.factor):
        return None
    some = torch.from_numpy(np.asarray(lr[:: -(-len(lr) // MOST)], np.float32))
    deviation = np.full(some.shape[1], _FIRST)
    for _ in range(2):
        left = remains(bundle, encoder, some, view, _constant(deviation))
        deviation = np.sqrt((left**2 - misfit**2).clip(0))
    return _constant(deviation) if deviation.max() <= NOISIEST else None


def quiet(channels: int) -> NoiseModel:
    """Return what is no noise."""
    return _constant(np.zeros(channels))


def is_noisy(noise: NoiseModel) -> bool:
    """Tell whether a channel's noise, of -1 to 1, is above :data:`NOISY`."""
    return max(noise.read_noise) > NOISY


@torch.no_grad()
def remains(
    bundle: Bundle, encoder: FieldEncoder, lr: Tensor, view: CropView, noise: NoiseModel
) -> NDArray[np.float64]:
    """Return what an encoder's estimates leave of LR crops (N, C, h, w), deviations (C,).

    It is by the median absolute value of the crop of which less is left than of 70 % of them, over
    what that is of normal numbers: of few pixels it is by chance low.
    """
    expected = [
        view.degrade(bundle.generator.synthesis(view.seen(part, noise).first_ws(encoder)))
        for part in lr.split(_BATCH)
    ]
    rest = (lr - torch.cat(expected)).abs().flatten(2).numpy()
    by_chance = _typical(np.abs(np.random.default_rng(0).normal(size=(_DRAWN, rest.shape[2]))))
    return _typical(rest) / by_chance


def _typical(rest: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the median (...) over pixels that a share of the crops (N, ..., pixels) is below."""
    of_crops = np.median(rest, axis=-1)
    return np.asarray(np.quantile(of_crops, _SHARE, axis=0), np.float64)


def misfit_of_crops(
    bundle: Bundle, encoder: FieldEncoder, hr: Tensor, spec: FieldEncoderSpec
) -> tuple[MisfitAt, ...]:
    """Return what is left of LR pixels of HR crops (N, C, S, S), of -1 to 1, without noise.

    That is of crops that the encoder was not fitted to, degraded by ``bicubic`` at all factors
    that are powers of 2 and that it knows, of crops or as ratios of fields.
    """
    size = hr.shape[-1]
    found = []
    for factor in (2**k for k in range(1, size.bit_length() - 1)):
        known = spec.knows_crops(factor)
        if size % factor or not (known or spec.knows(factor)):
            continue
        view = CropView(Bicubic(factor), factor, size, hr.shape[1], known)
        left = remains(bundle, encoder, view.degrade(hr), view, quiet(hr.shape[1]))
        found.append(MisfitAt(factor=factor, deviation=tuple(left.tolist())))
    return tuple(found)


def misfit_at(known: tuple[MisfitAt, ...], factor: int) -> NDArray[np.float64] | None:
    """Return the misfit (C,) at a factor, or None.

    Between two factors it follows from both, over their logarithm.
    """
    if not known:
        return None
    each = sorted(known, key=lambda one: one.factor)
    places = np.log([one.factor for one in each])
    channels = np.transpose([one.deviation for one in each])
    return np.array([np.interp(np.log(factor), places, channel) for channel in channels])


def _constant(deviation: NDArray[np.float64]) -> NoiseModel:
    channels = len(deviation)
    return NoiseModel((0.0,) * channels, (-1.0,) * channels, tuple(deviation.tolist()))
