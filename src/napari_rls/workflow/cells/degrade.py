"""Make LR images from HR ones: what a microscope of lower resolution would see."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError

from napari_rls.errors import InputError, SettingsError
from napari_rls.models.part import Checked
from napari_rls.search.operators import (
    DEFAULT_OPERATOR,
    Imaging,
    OperatorName,
    make_operator,
)
from napari_rls.search.settings import first_problem
from napari_rls.workflow.cells.pixels import as_pixels
from napari_rls.workflow.cells.stack import CellStack

if TYPE_CHECKING:
    from napari_rls.search.degradation import Degradation, Operator


class DegradeSettings(Checked):
    """How an HR image becomes an LR one; noise is in the image's own unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: int = Field(
        default=8, ge=1, le=256, title="Factor", description="HR size divided by LR size."
    )
    operator: OperatorName = Field(
        default=DEFAULT_OPERATOR,
        title="Operator",
        description="What makes LR images of HR ones.",
    )
    blur: float = Field(
        default=0.0,
        ge=0,
        le=100,
        title="Blur",
        description="Standard deviation of a Gaussian blur before downscaling, in HR pixels.",
    )
    gaussian: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        title="Gaussian noise",
        description="Standard deviation of additive noise, in the image's unit.",
    )
    poisson: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        title="Poisson noise",
        description="Photons per unit of intensity; fewer make more noise. None without it.",
    )
    salt_and_pepper: float = Field(
        default=0.0,
        ge=0,
        le=1,
        title="Salt and pepper",
        description="Share of pixels set to the image's minimum or maximum.",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, title="Seed", description="Seed of the noise.")


def degrade(
    hr: Any,
    factor: int,
    *,
    operator: Degradation | str = DEFAULT_OPERATOR,
    blur: float = 0.0,
    gaussian: float = 0.0,
    poisson: float | None = None,
    salt_and_pepper: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Degrade HR images (..., H, W) to LR images (..., H / factor, W / factor).

    In this order: Gaussian blur, the operator, by default antialiased bicubic downscaling
    (Keys' kernel with a = -0.5, weights renormalised at the borders, as in Pillow), Poisson
    noise, Gaussian noise, salt and pepper. LR pixel i is centred on HR coordinate
    factor * (i + 1/2) - 1/2, where 0 is the centre of the first HR pixel.

    Parameters
    ----------
    hr
        Images of any real type and unit: an array (masked pixels are NaN, and so is what
        they reach), a nested list, a dask or zarr array, a torch tensor.
    factor
        HR size divided by LR size.
    operator
        What makes LR images: the name of an operator, or the operator itself.
    blur
        Standard deviation of the blur in HR pixels.
    gaussian
        Standard deviation of the additive noise, in the image's unit.
    poisson
        Photons per unit of intensity, or None for no photon noise; negative
        intensities have no photons.
    salt_and_pepper
        Share of pixels set to their image's minimum or maximum.
    seed
        Seed of all noise. Images (N, C, H, W) are N cells, each with noise of its own that does
        not depend on the others.

    Returns
    -------
    ndarray
        LR images, float32, in the unit of ``hr``, not rounded.

    Raises
    ------
    InputError
        If the factor does not divide both sides, or there is no real image.
    SettingsError
        If a value is out of range, or the operator cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_rls import degrade
    >>> degrade(np.full((2, 8, 8), 7.0), 4)[0].round(3)
    array([[7., 7.],
           [7., 7.]], dtype=float32)
    """
    name = operator if isinstance(operator, str) else DEFAULT_OPERATOR
    try:
        settings = DegradeSettings(
            factor=factor,
            operator=name,
            blur=blur,
            gaussian=gaussian,
            poisson=poisson,
            salt_and_pepper=salt_and_pepper,
            seed=seed,
        )
    except ValidationError as error:
        raise SettingsError(f"degrade: {first_problem(error)}.") from None
    if isinstance(operator, str):
        operator = make_operator(operator, Imaging(settings.factor))
    return _degrade(as_pixels(hr, "the image"), settings, operator, "The image")


def degrade_stack(hr: CellStack, settings: DegradeSettings) -> CellStack:
    """Degrade cells; channels, crop records and the leading axis stay, pixels grow.

    Raises
    ------
    InputError
        If the factor does not divide both sides.
    SettingsError
        If the operator cannot be used.
    """
    size = hr.pixel_size_um
    operator = degrade_operator(hr, settings)
    return replace(
        hr,
        data=_degrade(as_pixels(hr.data, hr.name), settings, operator, hr.name),
        pixel_size_um=None if size is None else size * settings.factor,
        name=f"{hr.name} LR{settings.factor}x",
    )


def degrade_operator(hr: CellStack, settings: DegradeSettings) -> Degradation:
    """Return the operator that settings name, for a stack.

    Raises
    ------
    SettingsError
        If the operator cannot be used.
    """
    return make_operator(settings.operator, Imaging(settings.factor, hr.channels, hr.pixel_size_um))


def _degrade(
    hr: NDArray[np.generic], settings: DegradeSettings, operator: Degradation, name: str
) -> NDArray[np.float32]:
    import torch

    from napari_rls.search.degradation import GaussianBlur

    if hr.ndim < 2 or hr.size == 0 or hr.dtype.kind not in "biuf":
        raise InputError(
            f"{name} has the shape {hr.shape} and the type {hr.dtype}; an image of real numbers "
            "(..., y, x) is needed."
        )
    height, width = hr.shape[-2:]
    if height % settings.factor or width % settings.factor:
        raise InputError(
            f"{name} has {height} x {width} pixels, which the factor {settings.factor} does not "
            "divide; crop it or choose another factor."
        )
    with torch.no_grad():
        image = torch.from_numpy(np.ascontiguousarray(hr, np.float32))
        blurred = GaussianBlur(settings.blur)(image)
        # An operator takes (N, C, H, W).
        stack = blurred[(None,) * max(0, 4 - hr.ndim)].flatten(0, max(0, hr.ndim - 4))
        small = operator(stack)
        clean = small.reshape(*hr.shape[:-2], *small.shape[-2:])
        cells = clean.reshape(-1, *clean.shape[-3:])
        lr = torch.stack([_noise(settings, k)(cell) for k, cell in enumerate(cells)])
        noisy: NDArray[np.float32] = lr.reshape(clean.shape).numpy()
    return noisy


def _noise(settings: DegradeSettings, cell: int) -> Operator:
    """Return the noise of one cell, which is its own whatever stands beside it."""
    from napari_rls.search.degradation import Compose, GaussianNoise, PoissonNoise, SaltAndPepper
    from napari_rls.search.streams import Purpose, stream_seed

    def seed(purpose: Purpose) -> int:
        return stream_seed(settings.seed, cell, purpose)

    operators: list[Operator] = []
    if settings.poisson is not None:
        operators.append(PoissonNoise(settings.poisson, seed(Purpose.PHOTONS)))
    if settings.gaussian:
        operators.append(GaussianNoise(settings.gaussian, seed(Purpose.GAUSSIAN)))
    if settings.salt_and_pepper:
        operators.append(SaltAndPepper(settings.salt_and_pepper, seed(Purpose.SALT_AND_PEPPER)))
    return Compose(tuple(operators))
