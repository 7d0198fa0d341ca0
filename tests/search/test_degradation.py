"""Degradation operators against Pillow, torch, SciPy and the statistics that they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_rls.search.degradation import (
    Bicubic,
    Compose,
    GaussianBlur,
    GaussianNoise,
    PoissonNoise,
    SaltAndPepper,
    bicubic_matrix,
)

FACTORS = pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])


def picture(side: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@FACTORS
def test_bicubic_equals_pillow(factor: int) -> None:
    image = picture()
    ours = Bicubic(factor)(image)
    side = 64 // factor
    for n in range(2):
        for c in range(3):
            reference = Image.fromarray(image[n, c].numpy()).resize(
                (side, side), Image.Resampling.BICUBIC
            )
            assert np.abs(ours[n, c].numpy() - np.asarray(reference)).max() < 1e-5


@FACTORS
def test_bicubic_equals_torch(factor: int) -> None:
    image = picture()
    reference = torch.nn.functional.interpolate(
        image, scale_factor=1 / factor, mode="bicubic", antialias=True
    )
    assert (Bicubic(factor)(image) - reference).abs().max() < 1e-5


def test_bicubic_keeps_a_constant() -> None:
    assert np.allclose(bicubic_matrix(64, 16).sum(axis=1), 1)


def test_bicubic_refuses_what_does_not_divide() -> None:
    with pytest.raises(ValueError, match="64 pixels cannot be divided by the factor 7"):
        bicubic_matrix(64, 7)


def test_blur_equals_scipy() -> None:
    image = picture()
    expected = gaussian_filter(image.double().numpy(), (0, 0, 1.5, 1.5), mode="reflect")
    assert np.abs(GaussianBlur(1.5)(image).numpy() - expected).max() < 1e-5


def test_gaussian_noise_has_its_deviation_and_seed() -> None:
    image = torch.full((1, 1, 256, 256), 7.0)
    noisy = GaussianNoise(2.0, seed=1)(image)
    assert abs(noisy.std().item() - 2) < 0.03
    assert abs(noisy.mean().item() - 7) < 0.03
    assert torch.equal(noisy, GaussianNoise(2.0, seed=1)(image))
    assert not torch.equal(noisy, GaussianNoise(2.0, seed=2)(image))


def test_poisson_noise_has_the_variance_of_its_photons() -> None:
    image = torch.full((1, 1, 256, 256), 50.0)
    noisy = PoissonNoise(photons=4.0)(image)
    assert abs(noisy.mean().item() - 50) < 0.1
    assert abs(noisy.var().item() - 50 / 4) < 0.3


def test_salt_and_pepper_touches_its_share() -> None:
    image = picture(128)
    noisy = SaltAndPepper(0.1)(image)
    changed = noisy != image
    assert abs(changed.float().mean().item() - 0.1) < 0.01
    extremes = (noisy == image.amax((-2, -1), keepdim=True)) | (
        noisy == image.amin((-2, -1), keepdim=True)
    )
    assert extremes[changed].all()


@pytest.mark.parametrize(
    "operator",
    [Bicubic(4), GaussianBlur(1.0), GaussianNoise(0.1), PoissonNoise(100.0), SaltAndPepper(0.1)],
)
def test_operators_are_differentiable(operator: Bicubic) -> None:
    image = picture(16).requires_grad_()
    Compose((operator, Bicubic(2)))(image).sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad.abs().sum() > 0


def test_composition_applies_the_first_operator_first() -> None:
    image = picture()
    both = Compose((GaussianBlur(2.0), Bicubic(8)))(image)
    assert torch.equal(both, Bicubic(8)(GaussianBlur(2.0)(image)))
