"""Degradation operators D: from an HR image to what an LR microscope would see.

Every operator is a small immutable object that maps images (N, C, H, W) to
images, differentiably, and operators compose. Images may be in any unit; noise
is given in the image's own unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.search.imaging import imaging_matrix, keys_weights
from napari_rls.search.optics import USUAL_SIGMA

Operator = Callable[[Tensor], Tensor]
"""From images to images."""


class Recorded(Protocol):
    """From HR images to LR images, with what determines it."""

    def __call__(self, image: Tensor) -> Tensor:
        """Return the LR images of HR images (N, C, H, W)."""

    def record(self) -> dict[str, Any]:
        """Return its ``name`` and all that determines it: plain numbers, strings and lists."""


@runtime_checkable
class Degradation(Recorded, Protocol):
    """D as the search, the samples, ``degrade`` and the encoders' fits take it.

    It is differentiable, works on any device that images are on, and keeps their unit: an offset
    and a gain of the image are those of the result. LR pixel i is centred on HR coordinate
    ``factor * (i + 1/2) - 1/2``.
    """

    @property
    def factor(self) -> int:
        """HR size divided by LR size."""

    def __call__(self, image: Tensor) -> Tensor:
        """Return the LR images (N, C, H / factor, W / factor) of HR images (N, C, H, W)."""

    def record(self) -> dict[str, Any]:
        """Return its ``name`` and all that determines it: plain numbers, strings and lists."""


def aligned_centres(size: int, factor: int) -> NDArray[np.float64]:
    """Return the centres of the LR pixels that tile an axis of ``size`` HR pixels.

    Raises
    ------
    ValueError
        If ``factor`` does not divide ``size``.
    """
    if factor < 1 or size % factor:
        raise ValueError(f"A side of {size} pixels cannot be divided by the factor {factor}.")
    return np.asarray((np.arange(size // factor) + 0.5) * factor - 0.5, np.float64)


def bicubic_matrix(size: int, factor: int) -> NDArray[np.float64]:
    """Return the antialiased bicubic downscaling of one axis, shape (size/factor, size).

    Keys' kernel with a = -0.5, stretched by the factor; at the borders the
    weights that remain are renormalised. This is what Pillow and torch's
    ``interpolate(antialias=True)`` do.

    Raises
    ------
    ValueError
        If ``factor`` does not divide ``size``.
    """
    return keys_weights(size, aligned_centres(size, factor), factor)


@dataclass(frozen=True)
class Bicubic:
    """Antialiased bicubic downscaling by ``factor``, as two matrix products.

    Examples
    --------
    >>> Bicubic(4)(torch.ones(1, 1, 8, 8)).shape
    torch.Size([1, 1, 2, 2])
    """

    factor: int

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image downscaled, (N, C, H / factor, W / factor)."""
        rows = _matrix(image.shape[-2], self.factor, image.dtype, image.device)
        columns = _matrix(image.shape[-1], self.factor, image.dtype, image.device)
        return rows @ image @ columns.mT

    def record(self) -> dict[str, Any]:
        """Return name and factor."""
        return {"name": "bicubic", "factor": self.factor}


@dataclass(frozen=True)
class Widefield:
    """A lens with a Gaussian PSF and a camera whose pixels integrate light, as two matrices.

    LR pixels tile the image, ``factor`` HR pixels each; light from outside it is taken to be as
    inside.

    Parameters
    ----------
    factor
        HR size divided by LR size.
    sigma
        Standard deviation of the PSF in LR pixels.

    Examples
    --------
    >>> Widefield(4)(torch.ones(1, 1, 8, 8)).shape
    torch.Size([1, 1, 2, 2])
    """

    factor: int
    sigma: float = USUAL_SIGMA

    def __call__(self, image: Tensor) -> Tensor:
        """Return the LR images, (N, C, H / factor, W / factor)."""
        of = self.factor, self.sigma, image.dtype, image.device
        return _widefield(image.shape[-2], *of) @ image @ _widefield(image.shape[-1], *of).mT

    def record(self) -> dict[str, Any]:
        """Return name, factor and width of the PSF."""
        return {"name": "optics", "psf": "gaussian", "factor": self.factor, "sigma": self.sigma}


@dataclass(frozen=True)
class GaussianBlur:
    """Gaussian blur of standard deviation ``sigma`` pixels; borders are reflected."""

    sigma: float

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image blurred."""
        if self.sigma <= 0:
            return image
        rows = _blur_matrix(image.shape[-2], self.sigma).to(image)
        columns = _blur_matrix(image.shape[-1], self.sigma).to(image)
        return rows @ image @ columns.mT


@dataclass(frozen=True)
class GaussianNoise:
    """Additive normal noise of standard deviation ``sigma``, in the image's unit."""

    sigma: float
    seed: int = 0

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image with noise added."""
        rng = torch.Generator().manual_seed(self.seed)
        return image + self.sigma * torch.randn(image.shape, generator=rng).to(image)


@dataclass(frozen=True)
class PoissonNoise:
    """Photon noise: ``photons`` photons per unit of intensity; negative values count as 0.

    The gradient passes straight through the draw.
    """

    photons: float
    seed: int = 0

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image as counted in photons, in its own unit."""
        rng = torch.Generator().manual_seed(self.seed)
        rate = (image.detach().clamp(min=0) * self.photons).cpu()
        noisy = torch.poisson(rate, generator=rng).to(image) / self.photons
        return image + (noisy - image).detach()


@dataclass(frozen=True)
class SaltAndPepper:
    """A share ``amount`` of the pixels set to the image's minimum or maximum, half each."""

    amount: float
    seed: int = 0

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image with some pixels replaced."""
        rng = torch.Generator().manual_seed(self.seed)
        draw = torch.rand(image.shape, generator=rng).to(image.device)
        low = image.detach().amin(dim=(-2, -1), keepdim=True)
        high = image.detach().amax(dim=(-2, -1), keepdim=True)
        image = torch.where(draw < self.amount / 2, low, image)
        return torch.where(draw > 1 - self.amount / 2, high, image)


@dataclass(frozen=True)
class Compose:
    """Operators applied one after the other, the first one first."""

    operators: tuple[Operator, ...]

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image after all operators."""
        for operator in self.operators:
            image = operator(image)
        return image


@lru_cache(maxsize=32)
def _matrix(size: int, factor: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.from_numpy(bicubic_matrix(size, factor)).to(device, dtype)


@lru_cache(maxsize=32)
def _widefield(
    size: int, factor: int, sigma: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    matrix = imaging_matrix(size, aligned_centres(size, factor), factor, sigma)
    return torch.from_numpy(matrix).to(device, dtype)


@lru_cache(maxsize=32)
def _blur_matrix(size: int, sigma: float) -> Tensor:
    """Blur of one axis as a (size, size) matrix, built from the unit vectors."""
    from scipy.ndimage import gaussian_filter1d

    return torch.from_numpy(gaussian_filter1d(np.eye(size), sigma, axis=0, mode="reflect"))
