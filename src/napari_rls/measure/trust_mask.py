"""Pixels of SR images that can be trusted: no pixel in the mask is far from the truth.

A mask holds the pixels whose samples lie close together. How close, is chosen on cells whose
HR image is known, by conformal risk control (Angelopoulos et al. 2022), as confidence masks
of super-resolution are (Adame, Csillag & Goedert 2025).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_rls.models.trust import PixelTrust

ALPHA = 0.2
"""Share of the intensity range that the largest error in a mask is below, in the mean over cells.

At smaller shares masks hold next to nothing but background. Most errors are far smaller.
"""

SMOOTHING = 1.0
"""Standard deviation of the Gaussian over the spread of samples, in HR pixels."""

BLUR = 1.0
"""That over SR image and truth before they are compared: it forgives shifts below a pixel."""

LIMITS = np.geomspace(1e-4, 1, 161)
"""Spreads that are tried as limits, the same for all cells, as shares of the range."""

FEWEST_CELLS = 40
"""Cells that a mask is fitted to at least, as intervals are."""

Floats = NDArray[np.float64]


def spread(
    samples: NDArray[np.floating], low: Sequence[float], high: Sequence[float], smoothing: float
) -> Floats:
    """Return the smoothed deviation over samples (S, N, C, H, W), (N, C, H, W).

    It is a share of the intensity range; NaN where a sample is.

    Parameters
    ----------
    samples
        At least two samples of each cell.
    low, high
        Intensities of each channel that the generator sees as -1 and 1.
    smoothing
        Standard deviation of the Gaussian, in pixels.
    """
    deviation = np.std(samples, axis=0, ddof=1, dtype=np.float64)
    return _blurred(deviation, smoothing) / _span(low, high)


def errors(
    sr: NDArray[np.generic],
    truth: NDArray[np.generic],
    low: Sequence[float],
    high: Sequence[float],
    blur: float = BLUR,
) -> Floats:
    """Return absolute differences of blurred images (N, C, H, W), as shares of the range."""
    apart = np.asarray(sr, np.float64) - np.asarray(truth, np.float64)
    return np.asarray(np.abs(_blurred(apart, blur)) / _span(low, high))


def losses(scores: Floats, wrong: Floats, limits: Floats = LIMITS) -> Floats:
    """Return the largest error in the masks of cells at every limit, (cells, limits).

    It does not fall as masks grow, which risk control asks for. Errors above 1 count as 1;
    an empty mask has none.

    Parameters
    ----------
    scores, wrong
        Spread and error of the pixels of each cell, (cells, pixels).
    limits
        Limits of the spread, rising.
    """
    order = np.argsort(scores, axis=1)
    ranked = np.take_along_axis(scores, order, 1)
    largest = np.maximum.accumulate(np.take_along_axis(wrong, order, 1), axis=1)
    found = np.concatenate([np.zeros((len(scores), 1)), largest], 1).clip(0, 1)
    held = [np.searchsorted(cell, limits, side="right") for cell in ranked]
    return np.take_along_axis(found, np.stack(held), 1)


def largest_limit(loss: Floats, limits: Floats = LIMITS, alpha: float = ALPHA) -> float | None:
    """Return the largest limit whose risk of a new cell is at most alpha, None if none is.

    With R the mean of the losses (cells, limits) over n cells, which are at most 1, it is
    the largest limit with n / (n + 1) R + 1 / (n + 1) <= alpha.
    """
    cells = len(loss)
    risk = (loss.sum(0) + 1) / (cells + 1)
    fits = np.flatnonzero(risk <= alpha)
    return float(limits[fits[-1]]) if len(fits) else None


def fit_mask(
    sr: NDArray[np.generic],
    samples: NDArray[np.floating],
    truth: NDArray[np.generic],
    low: Sequence[float],
    high: Sequence[float],
) -> PixelTrust | None:
    """Choose the limit of every channel on cells whose HR image is known.

    Parameters
    ----------
    sr, truth
        Images (N, C, H, W).
    samples
        Samples of the SR images, (S, N, C, H, W).
    low, high
        Intensities of each channel that the generator sees as -1 and 1.

    Returns
    -------
    PixelTrust or None
        None if there are fewer than :data:`FEWEST_CELLS` cells, or no two samples.
    """
    if len(samples) < 2:
        return None
    scores, wrong = spread(samples, low, high, SMOOTHING), errors(sr, truth, low, high)
    known = np.isfinite(scores).all((1, 2, 3)) & np.isfinite(wrong).all((1, 2, 3))
    if known.sum() < FEWEST_CELLS:
        return None
    scores, wrong = scores[known], wrong[known]
    limits, shares = [], []
    for channel in range(scores.shape[1]):
        score, error = (x[:, channel].reshape(len(x), -1) for x in (scores, wrong))
        limit = largest_limit(losses(score, error))
        # Pixels that spread wider than any that was seen are none to trust.
        limit = None if limit is None else min(limit, float(score.max()))
        limits.append(limit)
        shares.append(float((score <= limit).mean()) if limit is not None else 0.0)
    return PixelTrust(
        cells=len(scores),
        alpha=ALPHA,
        smoothing=SMOOTHING,
        blur=BLUR,
        limits=tuple(limits),
        shares=tuple(shares),
    )


def mask(
    samples: NDArray[np.floating], known: PixelTrust, low: Sequence[float], high: Sequence[float]
) -> NDArray[np.bool_]:
    """Return which pixels (N, C, H, W) of cells with samples (S, N, C, H, W) can be trusted."""
    scores = spread(samples, low, high, known.smoothing)
    limits = [-1.0 if limit is None else limit for limit in known.limits]
    return np.asarray(scores <= np.array(limits)[:, None, None])


def _blurred(images: Floats, deviation: float) -> Floats:
    """Blur images (..., H, W); a NaN spoils its own image alone."""
    return np.asarray(gaussian_filter(images, (0,) * (images.ndim - 2) + (deviation,) * 2))


def _span(low: Sequence[float], high: Sequence[float]) -> Floats:
    return (np.asarray(high, np.float64) - np.asarray(low, np.float64))[:, None, None]
