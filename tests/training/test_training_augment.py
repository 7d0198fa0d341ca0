"""Adaptive augmentation: what it does to pixels, how often, and that it does not leak."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_rls.training.augment import P_MAX, AdaptiveP, Draw, apply, augment, draw
from napari_rls.training.dataset import Crops
from napari_rls.training.trainer import Trainer
from napari_rls.training.training_settings import TrainSettings


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def still(count: int, channels: int) -> Draw:
    """Operations that change nothing."""
    operations = draw(count, channels, 16, 0.0, stream())
    torch.testing.assert_close(operations.matrix, torch.eye(2, 3).expand(count, 2, 3))
    return operations


def blob(size: int, y: float, x: float, width: float) -> torch.Tensor:
    """A Gaussian spot on black, (1, 1, size, size)."""
    at = torch.arange(size, dtype=torch.float32)
    rows, columns = (torch.exp(-((at - c) ** 2) / (2 * width**2)) for c in (y, x))
    return torch.outer(rows, columns)[None, None] * 1.5 - 1


def moments(image: torch.Tensor) -> tuple[float, float, float]:
    """Centre (y, x) and standard deviation along y of the light above black."""
    light = (image[0, 0] + 1).double()
    at = torch.arange(light.shape[0], dtype=torch.float64)
    rows, columns = light.sum(1) / light.sum(), light.sum(0) / light.sum()
    y, x = float(rows @ at), float(columns @ at)
    return y, x, math.sqrt(float(rows @ (at - y) ** 2))


def test_at_p_zero_nothing_changes_and_the_stream_goes_on() -> None:
    images, rng = torch.randn(4, 2, 16, 16), stream()
    assert torch.equal(augment(images, 0.0, rng), images)
    torch.testing.assert_close(apply(images, still(4, 2)), images, rtol=0, atol=1e-4)
    assert not torch.equal(rng.get_state(), stream().get_state())


def test_flips_right_angles_and_whole_shifts_move_pixels_onto_pixels() -> None:
    images = torch.randn(1, 2, 16, 16)
    flip = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
    torch.testing.assert_close(
        apply(images, replace(still(1, 2), matrix=flip)), images.flip(3), rtol=0, atol=1e-4
    )
    shift = torch.tensor([[[1.0, 0, 2 * 3 / 16], [0, 1, -2 * 2 / 16]]])
    moved = apply(images, replace(still(1, 2), matrix=shift))
    torch.testing.assert_close(moved[..., 2:, :-3], images[..., :-2, 3:], rtol=0, atol=1e-4)


def test_scale_and_rotation_do_to_a_spot_what_they_say() -> None:
    spot = blob(64, 40.0, 31.5, 3.0)
    turn = torch.tensor([[[0.0, -1, 0], [1, 0, 0]]])
    y, x, _ = moments(apply(spot, replace(still(1, 1), matrix=turn)))
    assert math.hypot(y - 31.5, x - 31.5) == pytest.approx(8.5, abs=0.02)
    assert y == pytest.approx(31.5, abs=0.02)
    smaller = torch.eye(2, 3)[None] * 1.25
    y, _, width = moments(apply(spot, replace(still(1, 1), matrix=smaller)))
    assert y - 31.5 == pytest.approx(8.5 / 1.25, abs=0.02)
    assert width == pytest.approx(3.0 / 1.25, abs=0.05)


def test_gain_keeps_black_and_offset_is_per_channel() -> None:
    images = torch.rand(2, 2, 16, 16) * 2 - 1
    gain = torch.tensor([[2.0, 1.0], [1.0, 0.5]])
    offset = torch.tensor([[0.0, 0.25], [0.0, 0.0]])
    seen = apply(images, replace(still(2, 2), gain=gain, offset=offset))
    torch.testing.assert_close(seen[0, 0] + 1, 2 * (images[0, 0] + 1), rtol=0, atol=2e-4)
    torch.testing.assert_close(seen[0, 1], images[0, 1] + 0.25, rtol=0, atol=1e-4)
    torch.testing.assert_close(seen[1, 1] + 1, (images[1, 1] + 1) / 2, rtol=0, atol=1e-4)


def test_channels_are_never_mixed() -> None:
    images = torch.randn(16, 3, 16, 16)
    other = images.clone()
    other[:, 1] = torch.randn(16, 16, 16)
    one, two = (augment(x, 0.8, stream(3)) for x in (images, other))
    assert torch.equal(one[:, [0, 2]], two[:, [0, 2]])
    assert not torch.equal(one[:, 1], two[:, 1])


def test_gradient_is_that_of_the_augmentation() -> None:
    # apply is affine in the images, so a finite difference is exact.
    operations = draw(4, 2, 16, 0.8, stream(1))
    images = torch.randn(4, 2, 16, 16, requires_grad=True)
    direction, weight = torch.randn(4, 2, 16, 16), torch.randn(4, 2, 16, 16)
    (gradient,) = torch.autograd.grad((apply(images, operations) * weight).sum(), images)
    with torch.no_grad():
        moved = (apply(images + direction, operations) - apply(images, operations)) * weight
    assert float((gradient * direction).sum()) == pytest.approx(float(moved.sum()), rel=1e-3)


def test_each_operation_comes_with_probability_p() -> None:
    count, p = 20_000, 0.3
    operations = draw(count, 2, 64, p, stream())
    linear, shift = operations.matrix[:, :, :2], operations.matrix[:, :, 2]
    near = 4 * math.sqrt(p * (1 - p) / count)
    assert (operations.gain[:, 0] != 1).float().mean() == pytest.approx(p, abs=near)
    assert (operations.offset[:, 1] != 0).float().mean() == pytest.approx(p, abs=near)
    assert (linear.det() < 0).float().mean() == pytest.approx(p / 2, abs=near)
    assert ((linear.det().abs() - 1).abs() > 1e-6).float().mean() == pytest.approx(p, abs=near)
    # Unturned: no free rotation, and no right angle or the one of 0 degrees.
    unturned = (linear[:, 1, 0].abs() < 1e-6) & (linear[:, 1, 1] > 0)
    expected = (1 - p) * (1 - p * 3 / 4)
    assert unturned.float().mean() == pytest.approx(expected, abs=near)
    pixels = shift * 32
    whole = (pixels - pixels.round()).abs().amax(1) < 1e-4
    assert whole.float().mean() == pytest.approx(1 - p, abs=near)
    assert pixels[whole].abs().max() == pytest.approx(8, abs=1e-4)


def test_the_same_stream_gives_the_same_augmentation() -> None:
    images = torch.randn(4, 2, 16, 16)
    assert torch.equal(augment(images, 0.5, stream(7)), augment(images, 0.5, stream(7)))
    assert not torch.equal(augment(images, 0.5, stream(7)), augment(images, 0.5, stream(8)))


def test_p_rises_falls_and_keeps_its_limits() -> None:
    ada = AdaptiveP(target=0.6, kimg=1.0)
    for _ in range(10):
        ada.observe(torch.ones(10))
        ada.adjust()
    assert ada.p == pytest.approx(0.1)  # 100 images of the 1,000 that take p from 0 to 1
    ada.observe(torch.tensor([1.0, 1.0, 1.0, -1.0]))  # mean sign 0.5, below the target
    ada.adjust()
    assert ada.p == pytest.approx(0.096)
    for sign, limit in ((1.0, P_MAX), (-1.0, 0.0)):
        for _ in range(20):
            ada.observe(torch.full((100,), sign))
            ada.adjust()
        assert ada.p == limit


def test_augmentations_do_not_leak_into_samples() -> None:
    # A spot that is always near the middle, on one grey: shifts, turns and offsets at
    # p = 0.4 scatter it by 0.6 pixels, and the generator has to undo that.
    rng = np.random.default_rng(0)
    y, x = 3.5 + rng.uniform(-0.3, 0.3, (2, 200))
    at = np.arange(8.0)
    rows, columns = (np.exp(-((at - c[:, None]) ** 2) / (2 * 1.2**2)) for c in (y, x))
    data = (40 + 150 * rows[:, :, None] * columns[:, None, :])[:, None].astype(np.float32)
    settings = TrainSettings(
        size=8,
        channels=("spot",),
        z_dim=8,
        w_dim=8,
        mapping_layers=2,
        channel_max=16,
        channel_last=8,
        learning_rate=0.005,
        ema_kimg=1,
        r1_gamma=0.1,
        mirror=False,
        ada_start=0.4,
        ada_kimg=10_000,
    )
    trainer = Trainer(settings, torch.device("cpu"), torch.float32)
    crops = Crops(data, settings)
    for _ in range(250):
        trainer.step(crops)
    assert trainer.ada.p == pytest.approx(0.4, abs=0.01)
    real = crops.batch(0, 200)
    seen = augment(real, 0.4, stream())
    scatter_real, scatter_seen, scatter = map(spot_scatter, (real, seen, trainer.samples(200)))
    assert scatter_real == pytest.approx(0.18, abs=0.02)
    assert scatter_seen > 0.5
    assert scatter < 0.22


def spot_scatter(images: torch.Tensor) -> float:
    """Standard deviation of the spot's centre in pixels, over images (N, 1, 8, 8)."""
    light = images[:, 0] - images[:, 0].amin((1, 2), keepdim=True)
    light = light / light.sum((1, 2), keepdim=True)
    centre = (light.sum(2) * torch.arange(8.0)).sum(1)
    return float(centre.std())
