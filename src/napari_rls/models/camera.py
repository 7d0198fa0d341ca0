"""The camera's noise on HR images, which no generator needs to learn.

A pixel that would be x without noise is recorded as

    x + sqrt(slope (x + 1) + floor) n,    n ~ N(0, 1) for every pixel and channel,

the Poisson-Gaussian model of photons and electronics (Foi et al. 2008), here in the
generator's unit, where -1 is black, and then, if its images are of whole grey levels, as the
nearest one. A generator that is trained through such a camera learns
the images without noise (Bora et al. 2018), and its search is free of it; the final image is
recorded like the HR images that it is compared with.

References
----------
Foi et al., "Practical Poissonian-Gaussian Noise Modeling and Fitting for Single-Image
Raw-Data", IEEE Transactions on Image Processing, 2008.
Bora, Price & Dimakis, "AmbientGAN: Generative models from lossy measurements", ICLR 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from napari_rls.models.part import Part

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEAST_VARIANCE = 1e-10
"""Keeps the deviation's gradient finite where there is no noise at all."""

_Variances = Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(max_length=16)]


class CameraNoise(Part):
    """Variance of the noise in the generator's unit, linear in the intensity, by channel.

    Examples
    --------
    >>> import torch
    >>> camera = CameraNoise(slope=(0.0,), floor=(0.0,), step=0.5)
    >>> camera.recorded(torch.tensor([[[-0.9, 0.3]]]), torch.zeros(1, 1, 2)).tolist()
    [[[-1.0, 0.5]]]
    """

    slope: _Variances = Field(description="Variance by which each unit of intensity adds.")
    floor: _Variances = Field(description="Variance where the image is black (-1).")
    step: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="From one whole grey level to the next, counted from black; 0: not whole.",
    )

    @model_validator(mode="after")
    def _of_the_same_channels(self) -> CameraNoise:
        if len(self.slope) != len(self.floor):
            raise ValueError("slope and floor need a number for each channel")
        return self

    def deviation(self, image: Tensor) -> Tensor:
        """Return the standard deviation of the noise in every pixel of ``image`` (..., C, H, W)."""
        slope, floor = (
            image.new_tensor(values)[:, None, None] for values in (self.slope, self.floor)
        )
        variance = slope * (image + 1).clamp(min=0) + floor
        return variance.clamp(min=LEAST_VARIANCE).sqrt()

    def recorded(self, image: Tensor, noise: Tensor) -> Tensor:
        """Return ``image`` (..., C, H, W) with the noise of standard normal numbers ``noise``.

        The gradient is that without whole grey levels.
        """
        noisy = image + self.deviation(image) * noise.to(image.device)
        if not self.step:
            return noisy
        whole = ((noisy.detach() + 1) / self.step).round() * self.step - 1
        return noisy + (whole - noisy.detach())

    def drawn(self, image: Tensor, rng: torch.Generator) -> Tensor:
        """Return ``image`` (..., C, H, W) with noise that is drawn on the CPU."""
        import torch  # manifests are read without it

        return self.recorded(image, torch.randn(image.shape, generator=rng))
