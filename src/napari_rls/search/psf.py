"""The width of an LR lens's PSF, by how well HR images of some cells explain their LR windows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_rls.errors import InputError
from napari_rls.search.imaging import PlacedOptics

if TYPE_CHECKING:
    from torch import Tensor

    from napari_rls.search.noise import NoiseModel

GRID: Final = tuple(round(0.05 * k, 2) for k in range(31))
"""Widths that are tried, in LR pixels."""

_WHOLE: Final = 0.95
"""Share of an LR pixel's kernel that lies on its crop, if there are such pixels."""

_MIDDLE: Final = 4
"""Pixels of a cell that are taken in any case."""

_DRAWS: Final = 200


@dataclass(frozen=True)
class PsfEstimate:
    """Width of the PSF as some cells tell it.

    Attributes
    ----------
    sigma
        The likeliest deviation in LR pixels.
    interval
        90 % of what draws of the cells give.
    grid, curve
        Widths, and for each the negative log likelihood a pixel, above that of the best one.
    """

    sigma: float
    interval: tuple[float, float]
    grid: tuple[float, ...]
    curve: tuple[float, ...]

    def record(self) -> dict[str, Any]:
        """Return all of it: numbers and lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def estimate_psf(
    windows: Tensor,
    hr: Tensor,
    places: ArrayLike,
    ratio: float,
    noise: NoiseModel,
    *,
    grid: tuple[float, ...] = GRID,
    seed: int = 0,
) -> PsfEstimate:
    """Estimate the width of the PSF of LR windows whose HR images are known or estimated.

    Of every width, HR images become LR ones, and the Gaussian likelihood of the windows is taken
    with the noise of what is expected. HR images that were found with a wrong width have some of
    it in them, so that estimates are to be made again with the width that was found.

    Parameters
    ----------
    windows
        LR pixels (N, C, n, n) of cells, where
        :meth:`~napari_rls.search.imaging.PlacedOptics.at` puts their windows; what is not finite
        counts for nothing.
    hr
        Their HR images (N, C, S, S) in the unit of the windows.
    places
        Centres (N, 2) of the crops, as for ``PlacedOptics.at``.
    ratio
        Side of an LR pixel in HR pixels.
    noise
        Noise of the windows.
    grid
        Widths to try, rising.
    seed
        Seed of the draws of cells.

    Raises
    ------
    InputError
        If no LR pixel lies wholly on its crop.
    """
    size, spots = hr.shape[-1], np.asarray(places, np.float64)
    misfits: list[NDArray[np.float32]] = []
    pixels = 0
    for sigma in grid:
        optics = PlacedOptics.at(spots, size, ratio, sigma)[0].to(hr.device, hr.dtype)
        # The same pixels for every width: those that the widest one sees whole.
        if not misfits:
            widest = PlacedOptics.at(spots, size, ratio, grid[-1])[0].to(hr.device)
            share = widest.share
            # Of coarse pixels none may be whole, and the middle ones of a cell are taken.
            ranked = share.flatten(1).sort(dim=1, descending=True).values
            middle = float(ranked[:, min(_MIDDLE, ranked.shape[1]) - 1].median())
            counted = (share >= min(_WHOLE, 0.95 * middle))[:, None] & windows.isfinite()
            pixels = int(counted.sum())
            if not pixels:
                raise InputError("No LR pixel lies on its crop; the PSF cannot be estimated.")
        expected = optics(hr)
        variance = noise.variance(expected).clamp(min=1e-12)
        loss = ((windows - expected) ** 2 / variance + variance.log()) / 2
        misfits.append(loss.where(counted, loss.new_zeros(())).sum(dim=(1, 2, 3)).cpu().numpy())
    curves = np.stack(misfits, axis=1).astype(np.float64)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(curves), (_DRAWS, len(curves)))
    draws = [_lowest(np.array(grid), curves[cells].sum(axis=0)) for cells in chosen]
    total = curves.sum(axis=0)
    low, high = np.quantile(draws, [0.05, 0.95])
    return PsfEstimate(
        _lowest(np.array(grid), total),
        (float(low), float(high)),
        tuple(grid),
        tuple(((total - total.min()) / pixels).tolist()),
    )


def _lowest(grid: NDArray[np.float64], curve: NDArray[np.float64]) -> float:
    """Return where a curve is lowest, by the parabola through its three lowest points."""
    k = int(curve.argmin())
    if k in (0, len(grid) - 1):
        return float(grid[k])
    a, b, _ = np.polyfit(grid[k - 1 : k + 2] - grid[k], curve[k - 1 : k + 2] - curve[k], 2)
    return float(np.clip(grid[k] - b / (2 * a), grid[k - 1], grid[k + 1]))
