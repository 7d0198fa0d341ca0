"""Make the LR field that a microscope of lower resolution would record of an HR field."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError, SettingsError
from napari_rls.search.imaging import light_of_pixels

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SLAB = 64
"""LR rows made at once, so that no more of the HR field is in memory."""

_REACH = 6
"""Deviations of the PSF beyond which light is left out: 2e-9 of it."""


def degrade_field(
    hr: Any,
    ratio: float,
    sigma: float,
    *,
    offset: float = 0.0,
    gain: float | None = None,
    read_noise: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Degrade an HR field to what a lens with a Gaussian PSF and a camera would record.

    LR pixel i is centred on HR coordinate ratio * (i + 1/2) - 1/2, where 0 is the centre of the
    first HR pixel: the first LR pixel begins at the field's edge, and what is left over at the
    far edges is not recorded. Light from outside the field is taken to be as inside.

    Parameters
    ----------
    hr
        The field (C, H, W), as light above the offset in counts of the LR image: an array, or
        what is read in slices, such as a dask or zarr array.
    ratio
        Side of an LR pixel in HR pixels, any number from 1.
    sigma
        Standard deviation of the PSF in LR pixels.
    offset
        Counts of an LR pixel without light.
    gain
        Counts per photon; None for no photon noise. Negative light has no photons.
    read_noise
        Standard deviation of the camera's own noise, in counts.
    seed
        Seed of all noise, which is a channel's own.

    Returns
    -------
    ndarray
        The LR field (C, floor(H / ratio), floor(W / ratio)) in counts, float32, not rounded.

    Raises
    ------
    InputError
        If the field is not (C, H, W), or smaller than an LR pixel.
    SettingsError
        If a value is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> degrade_field(np.full((1, 20, 20), 7.0), 6.4, 0.45, offset=100)[0].round(3)
    array([[107., 107., 107.],
           [107., 107., 107.],
           [107., 107., 107.]], dtype=float32)
    """
    import torch

    from napari_rls.search.degradation import GaussianNoise, PoissonNoise
    from napari_rls.search.streams import Purpose, stream_seed

    _check(ratio=(ratio, 1), sigma=(sigma, 0), read_noise=(read_noise, 0))
    if gain is not None and not (math.isfinite(gain) and gain > 0):
        raise SettingsError(f"The gain is {gain:g} counts per photon; it must be above 0.")
    if len(hr.shape) != 3 or min(hr.shape) < 1 or min(hr.shape[1:]) < ratio:
        raise InputError(
            f"The field has the shape {tuple(hr.shape)}; (C, y, x) of at least {ratio:g} x "
            f"{ratio:g} pixels, an LR pixel, is needed."
        )
    rows, columns = (_band(size, ratio, sigma) for size in hr.shape[1:])
    field = np.empty((hr.shape[0], rows.shape[0], columns.shape[0]), np.float32)
    for channel, lr in enumerate(field):
        for first in range(0, len(lr), _SLAB):
            part = rows[first : first + _SLAB]
            top, bottom = part.indices.min(), part.indices.max() + 1
            slab = np.asarray(hr[channel, top:bottom], np.float32)
            lr[first : first + _SLAB] = (columns @ (part[:, top:bottom] @ slab).T).T
        noisy = torch.from_numpy(lr)
        if gain is not None:
            noisy = PoissonNoise(1 / gain, stream_seed(seed, channel, Purpose.PHOTONS))(noisy)
        if read_noise:
            noise = GaussianNoise(read_noise, stream_seed(seed, channel, Purpose.GAUSSIAN))
            noisy = noise(noisy)
        lr[:] = noisy.numpy() + np.float32(offset)
    return field


def _check(**values: tuple[float, float]) -> None:
    for name, (value, least) in values.items():
        if not (math.isfinite(value) and value >= least):
            raise SettingsError(f"{name} is {value:g}; it must be {least} or more.")


def _band(size: int, ratio: float, sigma: float) -> csr_array:
    """Return the imaging matrix of one axis (floor(size / ratio), size), sparse and float32."""
    from scipy.sparse import csr_array

    count = math.floor(size / ratio + 1e-9)
    centres = (np.arange(count) + 0.5) * ratio - 0.5
    reach = ratio / 2 + 0.5 + _REACH * sigma * ratio
    width = min(size, math.ceil(2 * reach) + 1)
    first = np.clip(np.ceil(centres - reach), 0, size - width).astype(np.int64)
    light = light_of_pixels(width, centres - first, ratio, sigma)
    weights = (light / light.sum(axis=1, keepdims=True)).astype(np.float32)
    indices = first[:, None] + np.arange(width)
    starts = np.arange(0, count * width + 1, width)
    return csr_array((weights.ravel(), indices.ravel(), starts), shape=(count, size))
