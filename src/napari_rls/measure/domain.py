"""Whether a cell is like those that a bundle knows: by its LR residual, log-density and look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_rls.models.trust import Domain

FALSE_ALARMS = 0.05
"""Share of ordinary cells that are flagged."""

STEPS = 100
"""Steps between the quantiles that a manifest stores."""

DARK = 0.01
"""Share of the intensity range below which differences do not count."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of SR cells.

    ``residual`` (N,) is the LR residual (see :func:`residual_share`), ``log_density`` (N,)
    P_w in nats, ``look`` (N, K) comes from :func:`look`; NaN where something is not known.
    """

    residual: Floats
    log_density: Floats
    look: Floats

    def __getitem__(self, cells: NDArray[np.generic]) -> Evidence:
        return Evidence(self.residual[cells], self.log_density[cells], self.look[cells])


@dataclass(frozen=True, eq=False)
class Verdict:
    """How ordinary cells are; all arrays are (N,).

    The percentiles are the share of held-out cells, in percent, with a smaller LR residual,
    a lower log-density and a less strange look. ``poor_fit`` marks residuals that are too
    large, ``out_of_domain`` log-densities that are too low and looks that are too strange.
    Cells of which nothing is known have NaN and no mark.
    """

    residual_percentile: Floats
    density_percentile: Floats
    look_percentile: Floats
    poor_fit: NDArray[np.bool_]
    out_of_domain: NDArray[np.bool_]

    @classmethod
    def of_nothing(cls, cells: int) -> Verdict:
        """Return the verdict on cells of which nothing is known."""
        nothing, no = np.full(cells, np.nan), np.zeros(cells, np.bool_)
        return cls(nothing, nothing, nothing, no, no)


def residual_share(
    lr_residual: NDArray[np.floating], low: Sequence[float], high: Sequence[float]
) -> Floats:
    """Return the LR residual (N, C) as a share of the intensity range, mean over channels (N,).

    Parameters
    ----------
    lr_residual
        Mean absolute difference from the LR image, in its unit.
    low, high
        Intensities of each channel that the generator sees as -1 and 1.
    """
    span = np.asarray(high, np.float64) - np.asarray(low, np.float64)
    return np.asarray((np.asarray(lr_residual, np.float64) / span).mean(1))


def look(
    sr: NDArray[np.generic], low: Sequence[float], high: Sequence[float], factor: int
) -> Floats:
    """Describe SR images (N, C, H, W) as they are at the LR scale, (N, K).

    Of block means over ``factor`` pixels: per channel the logarithms of mean, standard
    deviation and maximum and of the centre over the mean, and the correlation of every two
    channels. An LR image tells no more; what SR adds is the generator's and always looks
    ordinary.

    Parameters
    ----------
    sr
        The images, in their unit.
    low, high
        Intensities of each channel that the generator sees as -1 and 1.
    factor
        HR size divided by LR size.
    """
    count, channels, height, width = sr.shape
    bottom, top = (np.asarray(x, np.float64)[:, None, None] for x in (low, high))
    share = (sr.astype(np.float64) - bottom) / (top - bottom)
    blocks = share.reshape(count, channels, height // factor, factor, width // factor, factor)
    small = blocks.mean((3, 5))
    rows, columns = (slice(size // 4, size - size // 4) for size in small.shape[-2:])
    mean, deviation = small.mean((2, 3)), small.std((2, 3))
    logs = [_log(x) for x in (mean, deviation, small.max((2, 3)))]
    centre = _log(small[:, :, rows, columns].mean((2, 3))) - logs[0]
    apart = small - mean[..., None, None]
    products = np.einsum("nchw,ndhw->ncd", apart, apart) / apart[0, 0].size
    scale = deviation[:, :, None] * deviation[:, None] + DARK**2
    first, second = np.triu_indices(channels, 1)
    return np.concatenate([*logs, centre, (products / scale)[:, first, second]], 1)


def fit_domain(evidence: Evidence) -> Domain:
    """Describe the held-out cells of a bundle.

    A cell's rank is the smallest of three shares of held-out cells: those with a larger
    residual, with a lower log-density and with a stranger look. The threshold is the rank
    below which :data:`FALSE_ALARMS` of them lie.

    Raises
    ------
    ValueError
        If there are too few cells with finite numbers to tell a look from another.
    """
    finite = [np.isfinite(evidence.residual), np.isfinite(evidence.log_density)]
    known = np.all([*finite, np.isfinite(evidence.look).all(1)], axis=0)
    if known.sum() <= 2 * evidence.look.shape[1]:
        raise ValueError(f"only {known.sum()} held-out cells have finite numbers")
    own = evidence[known]
    centre = own.look.mean(0)
    # What does not vary at all must not count without bound.
    covariance = np.cov(own.look.T) + 1e-6 * np.eye(len(centre))
    precision = np.asarray(np.linalg.inv(covariance), np.float64)
    distance = _distance(own.look, centre, precision)
    grid = np.linspace(0, 1, STEPS + 1)
    quantiles = [np.quantile(x, grid) for x in (own.residual, own.log_density, distance)]
    residuals, densities, distances = (tuple(map(float, x)) for x in quantiles)
    domain = Domain(
        cells=len(distance),
        lr_residual=residuals,
        log_density=densities,
        distance=distances,
        centre=tuple(map(float, centre)),
        precision=tuple(tuple(map(float, row)) for row in precision),
        threshold=0,
        false_alarms=FALSE_ALARMS,
    )
    rank = np.min(_ranks(domain, own), axis=0)
    return domain.model_copy(update={"threshold": float(np.quantile(rank, FALSE_ALARMS))})


def judge(domain: Domain, evidence: Evidence) -> Verdict:
    """Compare cells with the held-out ones."""
    larger, lower, stranger = _ranks(domain, evidence)
    return Verdict(
        100 * (1 - larger),
        100 * lower,
        100 * (1 - stranger),
        larger < domain.threshold,
        (lower < domain.threshold) | (stranger < domain.threshold),
    )


def strange_looks(domain: Domain, looks: Floats) -> NDArray[np.bool_]:
    """Return which looks (N, K) are stranger than those of nearly all held-out cells, (N,)."""
    return _stranger(domain, looks) < domain.threshold


def _ranks(domain: Domain, evidence: Evidence) -> tuple[Floats, Floats, Floats]:
    """Return the shares of held-out cells that are farther out, by each of the three rules."""
    return (
        1 - _share_below(domain.lr_residual, evidence.residual),
        _share_below(domain.log_density, evidence.log_density),
        _stranger(domain, evidence.look),
    )


def _stranger(domain: Domain, looks: Floats) -> Floats:
    """Return the shares of held-out cells with a stranger look, (N,)."""
    distance = _distance(looks, np.array(domain.centre), np.array(domain.precision))
    return 1 - _share_below(domain.distance, distance)


def _distance(looks: Floats, centre: Floats, precision: Floats) -> Floats:
    """Return Mahalanobis distances (N,)."""
    apart = looks - centre
    return np.asarray(np.sqrt(np.einsum("ni,ij,nj->n", apart, precision, apart)))


def _share_below(quantiles: Sequence[float], values: Floats) -> Floats:
    """Return the share of held-out cells below each value; NaN for NaN."""
    shares = np.interp(values, quantiles, np.linspace(0, 1, len(quantiles)))
    return np.where(np.isfinite(values), shares, np.nan)


def _log(share: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(share, 0) + DARK))
