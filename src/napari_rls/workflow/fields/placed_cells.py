"""Cells of an LR field in their places: the LR pixels of each, and how the microscope saw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_rls.models.intensity import IntensityMap
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.noise import MISFIT, NoiseModel
from napari_rls.search.optics import Psf

if TYPE_CHECKING:
    from napari_rls.search.kit import Seen

_MARGIN = 3
"""LR pixels around a window that its interpolation looks at."""


@dataclass(frozen=True, eq=False)
class PlacedCells:
    """Cells at places of an LR field.

    Attributes
    ----------
    places
        Centres (N, 2) of the cells, y and x in LR pixels; the first pixel is centred at 0.
    lr
        LR windows (N, C, n, n) in the field's unit, float32; NaN where a pixel lies outside the
        cell's crop or the field.
    upsampled
        The field (N, C, S, S) at the size and place of the HR crops, by cubic splines.
    optics
        D of each cell.
    noise
        Noise of the field's pixels.
    """

    places: NDArray[np.float64]
    lr: NDArray[np.float32]
    upsampled: NDArray[np.float32]
    optics: PlacedOptics
    noise: NoiseModel

    @classmethod
    def cut(
        cls,
        field: NDArray[np.generic],
        places: NDArray[np.float64],
        *,
        hr_size: int,
        ratio: float,
        sigma: float,
        psf: Psf,
        noise: NoiseModel,
    ) -> PlacedCells:
        """Cut the windows of cells out of a field (C, h, w).

        Parameters
        ----------
        field
            The field.
        places
            Centres (N, 2) of the cells in LR pixels.
        hr_size
            Side of the HR crops in HR pixels.
        ratio, sigma, psf
            The optics: HR pixels along an LR pixel, and the PSF.
        noise
            Noise of the field's pixels.
        """
        shape = field.shape[-2:]
        optics, firsts = PlacedOptics.at(
            places, hr_size, ratio, sigma, psf=psf, field_shape=(shape[0], shape[1])
        )
        side = optics.rows.shape[1]
        grid = (np.arange(hr_size) - (hr_size - 1) / 2) / ratio
        windows, larger = [], []
        for place, first in zip(places, firsts, strict=True):
            part = _part(field, first - _MARGIN, side + 2 * _MARGIN)
            windows.append(part[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN])
            at = np.meshgrid(*(grid + (place - first + _MARGIN)[:, None]), indexing="ij")
            larger.append([ndimage.map_coordinates(c, at, order=3, mode="nearest") for c in part])
        channels = len(field)
        lr = np.array(windows, np.float32).reshape(-1, channels, side, side)
        lr[np.broadcast_to(~optics.inside.numpy()[:, None], lr.shape)] = np.nan
        upsampled = np.array(larger, np.float32).reshape(-1, channels, hr_size, hr_size)
        return cls(np.asarray(places, np.float64), lr, upsampled, optics, noise)

    def __len__(self) -> int:
        return len(self.places)

    def seen(self, cells: NDArray[np.intp], intensity: IntensityMap) -> Seen:
        """Return how the microscope saw some cells, in the generator's unit.

        Parameters
        ----------
        cells
            Their numbers (n,).
        intensity
            Which of the field's intensities are which of the bundle's.
        """
        import torch

        from napari_rls.search.kit import Seen

        lr = self.lr[cells]
        known = np.nan_to_num(lr)
        weight = np.isfinite(lr).astype(np.float32)
        # Of the neighbourhood: a pixel's own noise must not tell how much of it is noise.
        mean = _box(known) / np.maximum(_box(weight), 1e-6)
        span = intensity.unit_span[:, None, None]
        variance = self.noise.variance(mean) / span**2 + MISFIT**2
        deviation = torch.from_numpy(np.sqrt(variance).astype(np.float32))
        interpolated = torch.from_numpy(intensity.encode(self.upsampled[cells]))
        optics = self.optics.of(torch.from_numpy(cells))
        return Seen(deviation, optics.share, interpolated, optics.ratio, optics.sigma, optics)


def _part(field: NDArray[np.generic], first: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Return a square of a field, whose edge pixels go on beyond it."""
    rows, columns = (
        np.clip(np.arange(side) + start, 0, size - 1)
        for start, size in zip(first, field.shape[-2:], strict=True)
    )
    part: NDArray[np.float64] = np.asarray(field[:, rows[:, None], columns[None]], np.float64)
    return part


def _box(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means over 3 x 3 pixels, with 0 beyond the edges."""
    means: NDArray[np.float32] = ndimage.uniform_filter(images, (0, 0, 3, 3), mode="constant")
    return means
