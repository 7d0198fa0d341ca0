"""Fit the noise of one channel: its power beside that of structure, at several brightnesses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.search.noise_spectrum import (
    EXPONENTS,
    SIDE,
    SIGMAS,
    SIZES,
    chosen,
    cosine_powers,
    log_power,
)

Array = NDArray[np.float64]

_FEWEST: Final = 60
"""Blocks without which there is no estimate."""

_BINS: Final = 6
_BIN: Final = 40
"""Most bins of brightness, and blocks that each needs."""

_INDEPENDENT: Final = 0.25
"""Independent blocks per block: those beside one another overlap by half."""

_SHAPE_ERROR: Final = 0.1
"""Relative error of the form of the structure's spectrum, as found on fields without noise."""

_LINE_ERROR: Final = 0.03
"""Relative error of a variance by what no fit shows, however many fields there are."""

_OUTLIER: Final = 12
"""A block is left out from this multiple of its bin's median: a hot pixel, the edge of debris."""

_EXPONENT: Final = (2.6, 0.8)
_LOG_SIZE: Final = (np.log(0.14), 0.5)
_SIGMA: Final = (0.56, 0.12)
"""What is known of the spectrum's numbers beforehand, mean and deviation.

As fitted to LR fields of cells without noise, where that of sigma holds what the specimen and the
HR lens smooth too.
"""

_SMOOTH: Final = 0.3
_GIVEN_SIGMA: Final = 0.08
"""For a known PSF: what else smooths, in LR pixels, and the deviation of both together."""


@dataclass(frozen=True)
class NoiseLine:
    """Variance of the noise of a channel as a line over its signal.

    Attributes
    ----------
    reference, at_reference, gain
        The line: at_reference + gain * (signal - reference).
    covariance
        Of at_reference and gain (2, 2).
    levels
        Signals of a dark, a middle and a bright place.
    dark_error
        Error of the dark level.
    lowest, cut
        Lowest value of a pixel, and share of pixels that have it.
    """

    reference: float
    at_reference: float
    gain: float
    covariance: Array
    levels: tuple[float, float, float]
    dark_error: float
    lowest: float
    cut: float

    def variance(self, signal: float) -> float:
        """Return the variance of a pixel."""
        return max(self.at_reference + self.gain * (signal - self.reference), 0.0)

    def deviation_of_variance(self, signal: float) -> float:
        """Return the standard error of :meth:`variance`."""
        arm = np.array([1.0, signal - self.reference])
        fitted = max(arm @ self.covariance @ arm, 0.0)
        return float(np.sqrt(fitted + (_LINE_ERROR * self.variance(signal)) ** 2))

    @property
    def gain_deviation(self) -> float:
        """Standard error of the gain."""
        return float(np.sqrt(max(self.covariance[1, 1], 0.0)))


def fit_noise(fields: list[Array], psf_sigma: float | None = None) -> NoiseLine:
    """Fit the noise of one channel.

    Of blocks of brightness k, the mean power of cosine j is V_k + S_k rho_j: V_k = a + g m_k is the
    variance of the noise at their mean signal m_k, S_k the power of their structure, and rho_j its
    fall (:func:`~napari_rls.search.noise_spectrum.log_power`), the same for all. The fit is least
    squares, weighted by the error of a mean of squares and by a relative error of rho; the errors
    of V follow from its curvature, with those of rho in them.

    Parameters
    ----------
    fields
        Images (h, w) of the channel.
    psf_sigma
        Deviation of the PSF in pixels, if known.

    Raises
    ------
    InputError
        If there are too few pixels.
    """
    values = np.concatenate([field[np.isfinite(field)] for field in fields])
    if len(values) == 0:
        raise InputError("There are no finite pixels from which noise could be estimated.")
    lowest, highest = float(values.min()), float(values.max())
    cut = float((values == lowest).mean())
    large = [field for field in fields if min(field.shape) >= SIDE]
    parts = [cosine_powers(field) for field in large]
    mean, brightest, powers = (
        np.concatenate([part[i] for part in parts]) if parts else np.empty(0) for i in range(3)
    )
    if highest > lowest and (values == highest).sum() > max(4, 1e-4 * len(values)):
        saturated = brightest >= highest
        mean, powers = mean[~saturated], powers[~saturated]
    if len(mean) < _FEWEST:
        raise InputError(
            f"Noise is estimated from blocks of {SIDE} x {SIDE} unsaturated pixels; there are "
            f"{len(mean)} where {_FEWEST} are needed: take a larger field, more of them, or give "
            "gain and read noise."
        )
    finest = powers[:, chosen()[2]].mean(axis=1)
    unit = float(np.median(finest))
    if unit <= 0:
        # Of one value, or of few: no noise at all.
        return NoiseLine(lowest, 0.0, 0.0, np.zeros((2, 2)), (lowest,) * 3, 0.0, lowest, cut)
    bins = _bins(mean)
    middle = np.array([np.median(finest[bins == k]) for k in range(bins.max() + 1)])
    kept = finest <= _OUTLIER * np.maximum(middle, unit * 1e-3)[bins]
    mean, powers, bins = mean[kept], powers[kept], bins[kept]
    signals = np.array([mean[bins == k].mean() for k in range(bins.max() + 1)])
    bin_powers = np.array([powers[bins == k].mean(axis=0) for k in range(bins.max() + 1)])
    at_first, gain, covariance = _fit(signals, bin_powers, np.bincount(bins), psf_sigma)
    line = (signals[0], at_first, gain, covariance)
    dark, error = _dark_level(large, max(at_first, 0.0))
    bright = max(float(np.quantile(mean, 0.98)), dark)
    levels = (dark, min(max(float(np.median(mean)), dark), bright), bright)
    return NoiseLine(*line, levels, error, lowest, cut)


def _bins(mean: Array) -> NDArray[np.int64]:
    """Return the bin of brightness of each block; bins hold about as many."""
    count = int(np.clip(len(mean) // _BIN, 2, _BINS))
    edges = np.unique(np.quantile(mean, np.linspace(0, 1, count + 1)[1:-1]))
    found = np.searchsorted(edges, mean, side="right")
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _fit(
    signals: Array, powers: Array, blocks: NDArray[np.int64], psf_sigma: float | None
) -> tuple[float, float, Array]:
    """Return variance at the first signal, gain and their covariance."""
    from scipy.optimize import least_squares

    _, twins, finest = chosen()
    unit = float(powers[:, finest].mean())
    reach = max(float(signals[-1] - signals[0]), 1e-9 * max(abs(float(signals[0])), 1.0))
    place, means = (signals - signals[0]) / reach, powers / unit
    sigma = _SIGMA if psf_sigma is None else (np.hypot(psf_sigma, _SMOOTH), _GIVEN_SIGMA)
    before = np.array([_EXPONENT, _LOG_SIZE, sigma])
    lower = [1e-6, 0.0, EXPONENTS[0], np.log(SIZES[0]), SIGMAS[0]] + [-40.0] * len(signals)
    upper = [1e9, 1e9, EXPONENTS[-1], np.log(SIZES[-1]), SIGMAS[-1]] + [40.0] * len(signals)
    first = 0.7 * float(means[0, finest].min())
    structure = np.log(np.maximum(means[:, 0] - first, 0.05 * first + 1e-6))
    numbers = np.clip(
        np.concatenate([[first, 0.3], before[:, 0], structure]),
        np.array(lower) + 1e-6,
        np.array(upper) - 1e-6,
    )

    def model(p: Array) -> tuple[Array, Array]:
        fall = log_power(float(p[2]), float(np.exp(p[3])), float(p[4]))
        return (p[0] + p[1] * place)[:, None], np.exp(p[5:, None] + fall)

    # The errors depend on what is fitted, and are found in turns with it.
    for _ in range(4):
        noise, light = model(numbers)
        square = 2 * (noise + light) ** 2 / (twins * _INDEPENDENT * blocks[:, None])
        error = np.sqrt(square + (_SHAPE_ERROR * light) ** 2)

        def misfit(p: Array, error: Array = error) -> Array:
            noise, light = model(p)
            known = (p[2:5] - before[:, 0]) / before[:, 1]
            return np.concatenate([((means - noise - light) / error).ravel(), known])

        found = least_squares(misfit, numbers, bounds=(lower, upper), max_nfev=60)
        numbers = found.x
    excess = max(1.0, 2 * found.cost / max(means.size + 3 - len(numbers), 1))
    covariance = np.linalg.pinv(found.jac.T @ found.jac)[:2, :2] * excess
    scale = np.array([unit, unit / reach])
    return (
        float(numbers[0] * scale[0]),
        float(numbers[1] * scale[1]),
        np.asarray(covariance * np.outer(scale, scale), np.float64),
    )


def _dark_level(fields: list[Array], variance: float) -> tuple[float, float]:
    """Return the darkest level of some extent and its error: means of blocks of 8 x 8."""
    side = 2 * SIDE
    means = []
    for field in fields:
        h, w = (max(n // side, 1) for n in field.shape)
        part = field[: h * side, : w * side]
        blocks = part.reshape(h, part.shape[0] // h, w, part.shape[1] // w)
        means.append(blocks.mean(axis=(1, 3)).ravel())
    found = np.concatenate(means)
    found = found[np.isfinite(found)]
    error = np.sqrt(variance) / side
    # The lowest of many means are low by chance: 2.05 deviations at the 2 % quantile.
    low, some = np.quantile(found, [0.02, 0.25]) if len(found) else (0.0, 0.0)
    return float(min(low + 2.05 * error, some)), float(error)
