"""The width of an LR lens's PSF, by cells of an LR image and what a bundle knows of cells.

LR images alone do not tell it: a blurred image of a sharp cell is a sharp image of a blurred one.
A search for the HR image does not either, as it fits HR images to any width. What tells is how
sharp cells are, which the bundle's generator has learnt: cells that it draws are seen through PSFs
of known widths, with the pixels and the noise of the LR image, and the width is the one at which
they look like those of the image. (A synthetic likelihood of a summary statistic: Wood,
"Statistical inference for noisy nonlinear ecological dynamic systems", Nature 466, 2010.)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from napari_rls.errors import InputError
from napari_rls.search.imaging import PlacedOptics

if TYPE_CHECKING:
    from torch import Tensor

    from napari_rls.search.noise import NoiseModel

Array = NDArray[np.float64]

WIDTHS: Final = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.8, 1.0, 1.2)
"""Widths in LR pixels that drawn cells are seen with."""

FEWEST: Final = 8
"""Cells below which a sentence says that they are few."""

_NARROW: Final = 0.4
"""Width below which estimates of real fields were off by more than 15 %, often by a third."""

_GRID: Final = tuple(round(0.01 * k, 2) for k in range(5, 121))
"""Widths that the curve is given at."""

_MODEL: Final = 0.1
"""Share of the width of PSF and pixel by which estimates of real fields are wrong beyond what the
number of their cells explains: seen on wells of BBBC013, whose cells are not quite as drawn."""

_INTERVAL: Final = 1.645**2 / 2
"""Height of the curve at the ends of a 90 % interval."""

_STRANGE: Final = 1.5
"""Deviations of drawn cells from which a field's median cell does not look like them."""

_SHIFTS: Final = ((1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0))
"""Distances in LR pixels, along both axes and both ways, at which pixels are compared."""

_RIDGE: Final = 0.003
_FAR: Final = 4.0


@dataclass(frozen=True)
class PsfEstimate:
    """Width of the PSF as the cells of an image tell it.

    Attributes
    ----------
    sigma
        The likeliest standard deviation in LR pixels.
    interval
        Of 90 %; it holds the differences that were seen between drawn and real cells of BBBC013.
    cells
        Cells that it is told by.
    strangeness
        By how many standard deviations the cells differ from those that the bundle draws.
    grid, curve
        Widths in LR pixels, and the negative log-likelihood at each, 0 at the likeliest.
    of
        Name of the image, if that is to be told.
    """

    sigma: float
    interval: tuple[float, float]
    cells: int
    strangeness: float
    grid: tuple[float, ...]
    curve: tuple[float, ...]
    of: str = ""

    def record(self) -> dict[str, Any]:
        """Return all of it: numbers and lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @property
    def doubts(self) -> list[str]:
        """What speaks against it, in sentences."""
        low, high = self.interval
        said = []
        if low <= self.grid[0] or high >= self.grid[-1]:
            said.append(
                f"It may lie beyond {self.grid[0]:g} to {self.grid[-1]:g} LR pixels, which are "
                "tried."
            )
        if self.sigma < _NARROW:
            said.append("So narrow a PSF is hardly told, as pixels are wider than it is.")
        if self.cells < FEWEST:
            said.append(f"These are few: {FEWEST} or more tell it better.")
        if self.strangeness > _STRANGE:
            said.append(
                "The cells do not look like those that the bundle knows: do not rely on it."
            )
        return said

    def words(self) -> str:
        """Return it in sentences.

        Examples
        --------
        >>> PsfEstimate(0.471, (0.4, 0.54), 30, 0.5, (0.05, 1.2), (9.0, 9.0)).words()
        'PSF width by 30 cells: 0.47 LR pixels (90 %: 0.40 to 0.54).'
        """
        low, high = self.interval
        of = f" of {self.of}" if self.of else ""
        found = (
            f"PSF width by {self.cells} cells{of}: {self.sigma:.2f} LR pixels "
            f"(90 %: {low:.2f} to {high:.2f})."
        )
        return " ".join([found, *self.doubts])


def estimate_psf(
    windows: NDArray[np.floating[Any]],
    drawn: Tensor,
    ratio: float,
    noise: NoiseModel,
    *,
    seed: int = 0,
) -> PsfEstimate:
    """Estimate the width of the PSF of LR windows of cells.

    Drawn cells, seen with all of :data:`WIDTHS`, teach a regression from what windows look like
    (how alike pixels are that lie near each other, whatever their brightness and their noise) to
    the width: each half one, and the other half tells what that returns for a true width. The
    estimate is the width for which they return the median of the image's cells.

    Parameters
    ----------
    windows
        LR pixels (N, C, n, n) around cells, in the generator's unit; NaN counts for nothing.
    drawn
        HR images (M, C, S, S) of cells like these, in the same unit.
    ratio
        Side of an LR pixel in HR pixels.
    noise
        Noise of the windows, in the same unit.
    seed
        Seed of the drawn cells' noise and of where they lie on the pixel grid.

    Raises
    ------
    InputError
        If LR pixels are too large to compare those of a cell, or no window has any.
    """
    known = np.asarray(windows, np.float64)
    known = known[np.all(np.isfinite(known).any(axis=(2, 3)), axis=1)]
    if not len(known):
        raise InputError("No LR pixel lies on a cell; the width of the PSF cannot be estimated.")
    if known.shape[-1] < 3:
        raise InputError(
            f"A cell has {known.shape[-1]} LR pixels along its side; the width of the PSF cannot "
            "be estimated from fewer than 3: give it, or NA and wavelength of the lens."
        )
    seen = np.stack([_looks(w, noise) for w in _seen(drawn, ratio, noise, seed)])
    own = _looks(known, noise)
    # What teaches a regression does not tell what it returns.
    halves = np.array_split(np.arange(seen.shape[1]), 2)
    regressions = [_Regression.fit(seen[:, half], np.array(WIDTHS)) for half in halves]
    told = np.concatenate(
        [
            [regression(looks) for looks in seen[:, half]]
            for regression, half in zip(regressions, reversed(halves), strict=True)
        ],
        axis=1,
    )
    found = np.mean([regression(own) for regression in regressions], axis=0)

    grid = np.array(_GRID)
    rising = np.maximum.accumulate(np.median(told, axis=1))
    expected = PchipInterpolator(WIDTHS, rising)(grid)
    # The standard error of a median.
    error = 1.2533 * float(found.std()) / np.sqrt(len(found))
    # A pixel's box has the variance 1/12; the same error is a greater one of a narrow PSF.
    model = _MODEL * (grid**2 + 1 / 12) / grid * np.gradient(expected, grid)
    curve = (np.median(found) - expected) ** 2 / (2 * (error**2 + model**2).clip(1e-12))
    curve -= curve.min()
    best = int(curve.argmin())
    inside = grid[curve <= _INTERVAL]
    nearest = seen[int(np.abs(np.array(WIDTHS) - grid[best]).argmin())]
    away = (np.median(own, axis=0) - nearest.mean(0)) / nearest.std(0).clip(1e-9)
    return PsfEstimate(
        float(grid[best]),
        (float(inside[0]), float(inside[-1])),
        len(found),
        float(np.sqrt((away.clip(-_FAR, _FAR) ** 2).mean())),
        _GRID,
        tuple(curve.tolist()),
    )


def _seen(drawn: Tensor, ratio: float, noise: NoiseModel, seed: int) -> list[Array]:
    """Return the LR windows (M, C, n, n) of drawn cells for each of the widths."""
    import torch

    rng, dice = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    windows = []
    for width in WIDTHS:
        places = rng.random((len(drawn), 2))
        optics, _ = PlacedOptics.at(places, drawn.shape[-1], ratio, width)
        clean = optics(drawn)
        deviation = noise.variance(clean).sqrt()
        noisy = clean + deviation * torch.randn(clean.shape, generator=dice)
        beyond = ~optics.inside[:, None].expand_as(noisy)
        windows.append(noisy.masked_fill(beyond, torch.nan).double().numpy())
    return windows


def _looks(windows: Array, noise: NoiseModel) -> Array:
    """Return what windows (N, C, n, n) look like, (N, features), but for brightness and noise."""
    known = np.isfinite(windows)
    filled = np.nan_to_num(windows)
    count = known.sum(axis=(2, 3)).clip(1)
    mean = filled.sum(axis=(2, 3)) / count
    parts = np.where(known, filled - mean[..., None, None], 0)
    variance = np.where(known, noise.variance(filled), 0).sum(axis=(2, 3))
    power = ((parts**2).sum(axis=(2, 3)) - variance) / count
    near = np.stack([_alike(parts, parts, known, shift) for shift in _SHIFTS], axis=-1)
    # Where noise is all that there is, nothing is divided by next to nothing.
    power = np.maximum(power, 0.2 * np.abs(near[..., 0]) + 1e-9)
    looks = [(near / power[..., None]).clip(-2, 2)]
    looks.append(((parts**3).sum(axis=(2, 3)) / count / power**1.5).clip(-5, 5)[..., None])
    for one, other in combinations(range(windows.shape[1]), 2):
        both = known[:, one] & known[:, other]
        scale = np.sqrt(power[:, one] * power[:, other])[:, None]
        pairs = [_alike(parts[:, one], parts[:, other], both, s) for s in ((0, 0), *_SHIFTS[:3])]
        looks.append((np.stack(pairs, axis=-1) / scale).clip(-2, 2)[:, None])
    return np.concatenate([look.reshape(len(windows), -1) for look in looks], axis=1)


def _alike(one: Array, other: Array, known: NDArray[np.bool_], shift: tuple[int, int]) -> Array:
    """Return the mean product (...) of pixels (..., n, n) a shift apart, in all its directions."""
    side, found = one.shape[-1], []
    if max(shift) >= side:
        return np.zeros(one.shape[:-2])
    for down, right in dict.fromkeys([shift, shift[::-1]]):
        for flip in (1, -1) if down else (1,):
            a, b = one[..., ::flip, :], other[..., ::flip, :]
            k = known[..., ::flip, :]
            there, here = np.s_[..., down:, right:], np.s_[..., : side - down, : side - right]
            both = (k[there] & k[here]).sum(axis=(-2, -1)).clip(1)
            found.append((a[there] * b[here]).sum(axis=(-2, -1)) / both)
    return np.asarray(np.mean(found, axis=0))


@dataclass(frozen=True, eq=False)
class _Regression:
    """Ridge regression on features, their squares and products."""

    mean: Array
    spread: Array
    weights: Array

    @classmethod
    def fit(cls, looks: Array, widths: Array) -> _Regression:
        """Learn it from looks (widths, M, features)."""
        flat = looks.reshape(-1, looks.shape[-1])
        raw = cls(flat.mean(0), flat.std(0).clip(1e-6), np.empty(0))
        terms = raw._terms(flat)
        ridge = np.full(terms.shape[1], _RIDGE * len(terms))
        ridge[0] = 0
        target = np.repeat(widths, looks.shape[1])
        weights = np.linalg.solve(terms.T @ terms + np.diag(ridge), terms.T @ target)
        return cls(raw.mean, raw.spread, np.asarray(weights, np.float64))

    def __call__(self, looks: Array) -> Array:
        """Return the width that each of some windows seems to have."""
        return np.asarray(self._terms(looks) @ self.weights)

    def _terms(self, looks: Array) -> Array:
        scaled = ((looks - self.mean) / self.spread).clip(-_FAR, _FAR)
        pairs = combinations_with_replacement(range(scaled.shape[1]), 2)
        products = [scaled[:, i] * scaled[:, j] for i, j in pairs]
        return np.column_stack([np.ones(len(scaled)), scaled, *products])
