"""The discriminator against an independent one written from the published description."""

import math

import numpy as np
import pytest
import torch
from plain_stylegan2 import plain_discriminator
from torch.nn import functional as F

from napari_rls.models.architecture import Architecture
from napari_rls.training.discriminator import Discriminator, halve, minibatch_std

ARCH = Architecture(resolution=32, image_channels=2, channel_base=256, channel_max=16)


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    discriminator = Discriminator(ARCH)
    for parameter in discriminator.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter)
    return discriminator


def test_logits_equal_those_of_an_independent_discriminator(discriminator: Discriminator) -> None:
    image = torch.randn(8, 2, 32, 32)
    expected = plain_discriminator(discriminator.double().state_dict(), image.double())
    actual = discriminator.float()(image)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-5)
    fast = discriminator.to(memory_format=torch.channels_last)(image)
    torch.testing.assert_close(fast, actual, rtol=1e-4, atol=1e-5)


def test_bfloat16_logits_and_gradients_stay_close(discriminator: Discriminator) -> None:
    image = torch.randn(8, 2, 32, 32, requires_grad=True)
    exact, rounded = (discriminator(image, dtype) for dtype in (torch.float32, torch.bfloat16))
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.05 * exact.norm()
    (g0,), (g1,) = (torch.autograd.grad(x.sum(), image) for x in (exact, rounded))
    assert F.cosine_similarity(g0.flatten(), g1.flatten(), dim=0) > 0.99


def test_state_dict_has_the_official_names() -> None:
    block = {"conv0.weight", "conv0.bias", "conv1.weight", "conv1.bias", "skip.weight"}
    block |= {"resample_filter"} | {f"{c}.resample_filter" for c in ("conv0", "conv1", "skip")}
    expected = {f"b{res}.{name}" for res in (32, 16, 8) for name in block}
    expected |= {f"b32.fromrgb.{name}" for name in ("weight", "bias", "resample_filter")}
    expected |= {f"b4.conv.{name}" for name in ("weight", "bias", "resample_filter")}
    expected |= {f"b4.{layer}.{name}" for layer in ("fc", "out") for name in ("weight", "bias")}
    state = Discriminator(ARCH).state_dict()
    assert set(state) == expected
    assert state["b32.conv1.weight"].shape == (16, 8, 3, 3)
    assert state["b4.conv.weight"].shape == (16, 17, 3, 3)
    assert state["b4.fc.weight"].shape == (16, 256)


def test_halving_equals_the_filter_followed_by_dropping_pixels() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(8, 8))
    taps = np.array([1, 3, 3, 1]) / 8
    padded = np.pad(image, 1)
    expected = [
        [padded[y : y + 4, x : x + 4].T @ taps @ taps for x in range(0, 8, 2)]
        for y in range(0, 8, 2)
    ]
    kernel = torch.from_numpy(np.outer(taps, taps))
    actual = halve(torch.from_numpy(image)[None, None], kernel)[0, 0]
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-12)


def test_minibatch_std_sees_only_its_group() -> None:
    x = torch.zeros(8, 3, 4, 4)
    # With two groups, images 0, 2, 4, 6 form one and 1, 3, 5, 7 the other.
    x[0], x[2] = 1.0, -1.0
    extra = minibatch_std(x)[:, 3, 0, 0]
    torch.testing.assert_close(extra[::2], torch.full((4,), math.sqrt(0.5)))
    torch.testing.assert_close(extra[1::2], torch.full((4,), 1e-4))
    assert minibatch_std(torch.randn(6, 3, 4, 4)).shape == (6, 4, 4, 4)
