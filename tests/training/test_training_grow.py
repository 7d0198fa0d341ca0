"""A generator that doubles its size draws at first what it drew before, upsampled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_job import SETTINGS

from napari_rls.errors import TrainingError
from napari_rls.models.stylegan2 import Generator, fir_filter, upsample
from napari_rls.training.discriminator import Discriminator, halve
from napari_rls.training.grow import grow, grow_discriminator, halved

LARGE = SETTINGS.architecture
SMALL = LARGE.model_copy(update={"resolution": LARGE.resolution // 2})


def small() -> Generator:
    """Return a generator with no weight at its first value."""
    torch.manual_seed(3)
    generator = Generator(SMALL)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return generator


@torch.no_grad()
def test_grown_image_is_the_old_one_upsampled() -> None:
    old = small()
    new = grow(old, LARGE, seed=1)
    z = torch.randn(5, SMALL.z_dim)
    assert torch.equal(new(z), upsample(old(z), fir_filter()))
    assert new(z).shape == (5, 2, 16, 16)
    for name, tensor in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], tensor)
    again = grow(old, LARGE, seed=1).state_dict()
    assert all(torch.equal(again[k], v) for k, v in new.state_dict().items())
    other = grow(old, LARGE, seed=2).state_dict()
    assert not torch.equal(other["synthesis.b16.conv0.weight"], again["synthesis.b16.conv0.weight"])


def test_the_new_block_learns() -> None:
    new = grow(small(), LARGE)
    new(torch.randn(2, SMALL.z_dim)).square().sum().backward()
    gradient = new.get_parameter("synthesis.b16.torgb.weight").grad
    assert gradient is not None
    assert gradient.abs().min() > 0


@pytest.mark.parametrize("change", [{"resolution": 32}, {"channel_base": 128}, {"w_dim": 16}])
def test_only_a_generator_of_half_the_size_grows(change: dict[str, int]) -> None:
    with pytest.raises(TrainingError, match="the size must double and all else stay the same"):
        grow(small(), LARGE.model_copy(update=change))


def test_halved_images_are_means_of_four_pixels() -> None:
    image = np.arange(32, dtype=np.uint8).reshape(1, 2, 4, 4) * 8
    half = halved(image)
    assert half.shape == (1, 2, 2, 2)
    assert half.dtype == np.float32
    assert half[0, 1, 0, 1] == image[0, 1, :2, 2:].astype(float).mean()


@torch.no_grad()
def test_grown_discriminator_judges_as_the_old_one_does_halved_images() -> None:
    torch.manual_seed(4)
    old = Discriminator(SMALL)
    for parameter in old.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    new = grow_discriminator(old, LARGE, seed=1)
    images = torch.randn(8, 2, 16, 16)
    expected = old(halve(images, fir_filter()))
    assert expected.std() > 0.01
    torch.testing.assert_close(new(images), expected)
    again = grow_discriminator(old, LARGE, seed=1).state_dict()
    assert all(torch.equal(again[k], v) for k, v in new.state_dict().items())


def test_the_new_block_of_the_discriminator_learns() -> None:
    new = grow_discriminator(Discriminator(SMALL), LARGE)
    new(torch.randn(4, 2, 16, 16)).square().sum().backward()
    for name in ("fromrgb", "conv0", "conv1", "skip"):
        gradient = new.get_parameter(f"b16.{name}.weight").grad
        assert gradient is not None
        assert gradient.abs().max() > 0


def test_too_narrow_a_discriminator_does_not_grow() -> None:
    narrow = {"image_channels": LARGE.width(16) // 2 + 1}
    with pytest.raises(TrainingError, match="set channel_last to"):
        grow_discriminator(
            Discriminator(SMALL.model_copy(update=narrow)), LARGE.model_copy(update=narrow)
        )
