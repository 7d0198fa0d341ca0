"""The LR microscope as matrices: pixels that integrate light, a PSF, a cell anywhere on the grid.

An LR pixel is a box ``ratio`` HR pixels wide; what falls on it is the light of HR pixels, each a
box of uniform light, blurred by the point-spread function (PSF). Along an axis that is a matrix,
so D is ``rows @ image @ columns^T`` with a pair of matrices a cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_rls.search.optics import Psf

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Array = NDArray[np.float64]


def light_of_pixels(hr_size: int, centres: ArrayLike, ratio: float, sigma: float) -> Array:
    """Return how much of an LR pixel's kernel lies on each HR pixel; all of it would be 1.

    The kernel is the mean over the LR pixel's box of a Gaussian, and the share of an HR pixel its
    mean over that pixel's box: with G(x) = x Phi(x / s) + s phi(x / s), the integral of the normal
    distribution function of deviation s, light from left of an edge at the distance x reaches the
    LR pixel to the share (G(x + ratio / 2) - G(x - ratio / 2)) / ratio.

    Parameters
    ----------
    hr_size
        HR pixels along the axis; HR pixel j is centred at j.
    centres
        Centres of LR pixels (...) in HR coordinates.
    ratio
        Side of an LR pixel in HR pixels.
    sigma
        Deviation of the PSF in LR pixels; 0 for pixels alone.

    Returns
    -------
    ndarray
        Shares (..., hr_size); their sum is the share of the kernel that lies inside.
    """
    deviation = sigma * ratio
    edges = np.arange(hr_size + 1) - 0.5 - np.asarray(centres, np.float64)[..., None]
    right, left = edges + ratio / 2, edges - ratio / 2
    reached: Array = (_integral(right, deviation) - _integral(left, deviation)) / ratio
    return np.diff(reached, axis=-1).clip(0)


def imaging_matrix(hr_size: int, centres: ArrayLike, ratio: float, sigma: float) -> Array:
    """Return the weights of HR pixels in LR pixels, rows of sum 1.

    Light from outside the crop is not known: rows are divided by what lies inside, as if it went
    on as inside. :func:`light_of_pixels` tells how much that is.

    Parameters
    ----------
    hr_size, centres, ratio, sigma
        As for :func:`light_of_pixels`.

    Returns
    -------
    ndarray
        Weights (..., hr_size); 0 where nothing of the kernel lies inside.

    Examples
    --------
    >>> imaging_matrix(4, [0.5, 2.0], ratio=2, sigma=0)
    array([[0.5 , 0.5 , 0.  , 0.  ],
           [0.  , 0.25, 0.5 , 0.25]])
    """
    return _normalised(light_of_pixels(hr_size, centres, ratio, sigma))


def keys_weights(hr_size: int, centres: ArrayLike, ratio: float) -> Array:
    """Return the weights of antialiased bicubic downscaling (..., hr_size), rows of sum 1.

    Keys' kernel with a = -0.5, stretched by the ratio; at the borders the weights that remain are
    renormalised.
    """
    return _normalised(_keys(np.arange(hr_size), centres, ratio))


def enlarging_matrix(pixels: int, at: ArrayLike) -> Array:
    """Return the interpolation by cubic splines of ``pixels`` LR pixels along an axis.

    Beyond the first and the last pixel their values go on.

    Parameters
    ----------
    pixels
        LR pixels along the axis; the first is centred at 0.
    at
        Where values are wanted (n,), in LR pixels.

    Returns
    -------
    ndarray
        Weights (n, pixels), rows of sum 1.

    Examples
    --------
    >>> enlarging_matrix(3, [0.0, 1.0]).round(6) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    # Splines are linear in the pixels: what they make of unit vectors is their matrix.
    units = [
        ndimage.map_coordinates(unit, [np.asarray(at, np.float64)], order=3, mode="nearest")
        for unit in np.eye(pixels)
    ]
    return np.stack(units, axis=-1)


@dataclass(frozen=True, eq=False)
class PlacedOptics:
    """D of N cells that lie anywhere on the grid of an LR field.

    Attributes
    ----------
    rows, columns
        Matrices (N, n, S), float32: weights of a crop's pixels in those of its LR window, 0 for
        LR pixels whose centre lies outside the crop.
    inside
        LR pixels of each window (N, n, n) that are to be compared: their centre lies inside the
        crop, and inside the field where its shape was given.
    share
        Share of each LR pixel's kernel (N, n, n) that lies on the crop; the rest of its light is
        taken to be as inside. A weight for pixels at a crop's edge, 0 where not ``inside``.
    psf, ratio, sigma
        What the matrices were made of; sigma, in LR pixels, is of the PSF 'gaussian' alone.
    """

    rows: Tensor
    columns: Tensor
    inside: Tensor
    share: Tensor
    psf: Psf
    ratio: float
    sigma: float

    @classmethod
    def at(
        cls,
        places: ArrayLike,
        hr_size: int,
        ratio: float,
        sigma: float,
        *,
        psf: Psf = "gaussian",
        field_shape: tuple[int, int] | None = None,
    ) -> tuple[PlacedOptics, NDArray[np.int64]]:
        """Return the optics of crops at their places, and where their LR windows begin.

        HR pixel j of a crop at p lies at the LR coordinate p + (j - (hr_size - 1) / 2) / ratio.

        Parameters
        ----------
        places
            Centres (N, 2) of the crops, y and x, in LR pixels; the field's first pixel is
            centred at 0.
        hr_size
            Side of a crop in HR pixels.
        ratio, sigma
            As for :func:`light_of_pixels`.
        psf
            The lens and its camera, or bicubic downscaling, which has no ``sigma``.
        field_shape
            Rows and columns of the LR field: pixels beyond are not ``inside``.

        Returns
        -------
        optics
            The matrices.
        windows
            First LR row and column (N, 2) of each cell's window, which may lie beyond the
            field's edge; windows have the side of ``optics.rows.shape[1]``.

        Examples
        --------
        >>> optics, windows = PlacedOptics.at([[10.0, 12.3]], hr_size=64, ratio=6.4, sigma=0.45)
        >>> windows.tolist(), optics.rows.shape[1]
        ([[5, 8]], 10)
        """
        import torch

        spots = np.asarray(places, np.float64).reshape(-1, 2)
        # As many pixels as a half-open interval of this length can hold.
        side = math.ceil(hr_size / ratio - 1e-9)
        start = spots - hr_size / ratio / 2
        windows = np.ceil(start - 1e-9).astype(np.int64)
        pixels = windows[..., None] + np.arange(side)
        held = pixels < (start + hr_size / ratio - 1e-9)[..., None]
        if field_shape is not None:
            held &= (pixels >= 0) & (pixels < np.array(field_shape)[:, None])
        centres = (pixels - spots[..., None]) * ratio + (hr_size - 1) / 2
        if psf == "bicubic":
            weights = keys_weights(hr_size, centres, ratio)
            share = _keys_share(hr_size, centres, ratio)
        else:
            light = light_of_pixels(hr_size, centres, ratio, sigma)
            weights, share = _normalised(light), light.sum(axis=-1)

        def both(mask: NDArray[Any]) -> Tensor:
            return torch.from_numpy(mask[:, 0, :, None] * mask[:, 1, None, :])

        matrices = torch.from_numpy((weights * held[..., None]).astype(np.float32))
        rows, columns = matrices[:, 0].contiguous(), matrices[:, 1].contiguous()
        shares = both(share * held).to(torch.float32)
        return cls(rows, columns, both(held), shares, psf, float(ratio), float(sigma)), windows

    def __call__(self, image: Tensor) -> Tensor:
        """Return the LR windows (N, C, n, n) of HR crops (N, C, S, S)."""
        return self.rows[:, None] @ image @ self.columns[:, None].mT

    def of(self, cells: Tensor | Sequence[int]) -> PlacedOptics:
        """Return the optics of some cells, in their order."""
        names = ("rows", "columns", "inside", "share")
        picked = cells if not isinstance(cells, Sequence) else list(cells)
        return replace(self, **{name: getattr(self, name)[picked] for name in names})

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> PlacedOptics:
        """Return the same on another device, or in another floating type."""
        return replace(
            self,
            rows=self.rows.to(device, dtype),
            columns=self.columns.to(device, dtype),
            inside=self.inside.to(device),
            share=self.share.to(device, dtype),
        )

    def record(self) -> dict[str, Any]:
        """Return what determines D, beside the cells' places."""
        sigma = {"sigma": self.sigma} if self.psf == "gaussian" else {}
        return {"name": "optics", "psf": self.psf, "ratio": self.ratio, **sigma}


def _integral(x: Array, deviation: float) -> Array:
    """Return the integral from minus infinity to x of the normal distribution function."""
    if deviation == 0:
        return x.clip(0)
    from scipy.special import ndtr

    scaled = x / deviation
    density = np.exp(-0.5 * scaled**2) / math.sqrt(2 * math.pi)
    return np.asarray(x * ndtr(scaled) + deviation * density, np.float64)


def _keys(pixels: NDArray[np.int64], centres: ArrayLike, ratio: float) -> Array:
    """Return Keys' kernel, stretched by the ratio, at the distances of pixels from centres."""
    distance = np.abs(pixels - np.asarray(centres, np.float64)[..., None]) / ratio
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def _keys_share(hr_size: int, centres: ArrayLike, ratio: float) -> Array:
    """Return the share of Keys' kernel that lies inside; its negative parts are not counted."""
    beyond = math.ceil(2 * ratio) + 1
    kernel = _keys(np.arange(-beyond, hr_size + beyond), centres, ratio).clip(0)
    return np.asarray(kernel[..., beyond:-beyond].sum(axis=-1) / kernel.sum(axis=-1))


def _normalised(weights: Array) -> Array:
    total = weights.sum(axis=-1, keepdims=True)
    usable = np.abs(total) > 1e-12
    return np.asarray(np.where(usable, weights / np.where(usable, total, 1), 0), np.float64)
