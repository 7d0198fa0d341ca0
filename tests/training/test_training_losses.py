"""Losses against closed forms."""

import math

import pytest
import torch

from napari_rls.training.losses import (
    discriminator_loss,
    generator_loss,
    lazy_adam,
    path_lengths,
    path_penalty,
    r1_penalty,
)


def test_non_saturating_losses() -> None:
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    sigmoid = [1 / (1 + math.exp(-x)) for x in (2.0, -1.0, 0.5, -3.0)]
    expected_d = -sum(map(math.log, sigmoid[:2])) / 2
    expected_d -= sum(math.log(1 - s) for s in sigmoid[2:]) / 2
    expected_g = -sum(map(math.log, sigmoid[2:])) / 2
    assert float(discriminator_loss(real, fake)) == pytest.approx(expected_d, rel=1e-6)
    assert float(generator_loss(fake)) == pytest.approx(expected_g, rel=1e-6)


def test_r1_of_a_quadratic_discriminator_and_its_own_gradient() -> None:
    # D(x) = a/2 ||x||^2 has gradient a x: R1 is a^2 ||x||^2 and its derivative 2 a ||x||^2.
    real = torch.randn(3, 2, 4, 4, requires_grad=True)
    a = torch.tensor(1.5, requires_grad=True)
    squares = real.square().sum((1, 2, 3))
    penalty = r1_penalty(a / 2 * squares, real)
    mean_square = squares.mean().item()
    assert penalty.item() == pytest.approx(1.5**2 * mean_square, rel=1e-5)
    penalty.backward()
    assert float(a.grad) == pytest.approx(3.0 * mean_square, rel=1e-5)


def test_path_lengths_of_a_linear_synthesis() -> None:
    torch.manual_seed(0)
    rows, d = 4, 5
    jacobian = torch.randn(2 * 4 * 4, rows * d)
    ws = torch.randn(3, rows, d, requires_grad=True)
    images = (ws.flatten(1) @ jacobian.T).reshape(3, 2, 4, 4)
    noise = torch.randn(images.shape)
    pulled = (noise.flatten(1) / 4) @ jacobian
    expected = (pulled.square().sum(1) / rows).sqrt()
    torch.testing.assert_close(path_lengths(images, ws, noise), expected)


def test_path_penalty_measures_from_the_running_mean() -> None:
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    penalty, mean = path_penalty(lengths, torch.tensor(0.0))
    assert float(mean) == pytest.approx(0.02)
    assert not mean.requires_grad
    assert penalty.item() == pytest.approx(((1 - 0.02) ** 2 + (3 - 0.02) ** 2) / 2)


def test_lazy_adam_makes_up_for_the_extra_step() -> None:
    group = lazy_adam([torch.nn.Parameter(torch.zeros(1))], 0.0025, 16).param_groups[0]
    assert group["lr"] == pytest.approx(0.0025 * 16 / 17)
    assert group["betas"] == (0.0, pytest.approx(0.99 ** (16 / 17)))
