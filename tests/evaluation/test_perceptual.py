"""The perceptual distance: what it is of plain maps, its gradient, that it grows with damage."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from napari_rls.evaluation.features import feature_network
from napari_rls.evaluation.perceptual import distance_of_maps, perceptual_distance


def cells(count: int, channels: int = 2, size: int = 64, seed: int = 0) -> torch.Tensor:
    """Discs with grain and a smooth background, in -1 to 1, float64."""
    rng = torch.Generator().manual_seed(seed)
    along = torch.linspace(-1, 1, size, dtype=torch.float64)
    centre = torch.rand(2, count, channels, 1, 1, generator=rng, dtype=torch.float64) - 0.5
    distance = torch.hypot(along[:, None] - centre[0], along - centre[1])
    grain = torch.randn(count, channels, size, size, generator=rng, dtype=torch.float64)
    return (torch.sigmoid((0.4 - distance) * 30) * (1.2 + 0.1 * grain) - 0.9).clamp(-1, 1)


def blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    taps = torch.arange(-12, 13)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2)).to(images)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, 25)
    groups = images.shape[1]
    rows = F.conv2d(F.pad(images, (12, 12, 0, 0), mode="reflect"), kernel, groups=groups)
    rows = F.pad(rows, (0, 0, 12, 12), mode="reflect")
    return F.conv2d(rows, kernel.transpose(2, 3), groups=groups)


def warped(images: torch.Tensor, pixels: float) -> torch.Tensor:
    size = images.shape[-1]
    along = torch.linspace(-1, 1, size, dtype=images.dtype)
    y, x = torch.meshgrid(along, along, indexing="ij")
    bent = torch.stack([x + 2 * pixels / size * torch.sin(6 * y), y], -1)
    grid = bent.expand(len(images), -1, -1, -1)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("size", [32, 100, 256])
def test_equal_images_have_no_distance_and_the_order_does_not_matter(
    channels: int, size: int
) -> None:
    a, b = cells(2, channels, size).float(), cells(2, channels, size, seed=1).float()
    found = perceptual_distance(a, b)
    assert found.shape == (2,)
    assert found.dtype == torch.float32
    assert 0.01 < found.min() < found.max() < 2
    assert torch.equal(perceptual_distance(a, a), torch.zeros(2))
    assert torch.equal(perceptual_distance(b, a), found)


def test_the_distance_is_that_of_unit_vectors_of_the_networks_maps() -> None:
    a, b = cells(2, 3).float(), cells(2, 3, seed=1).float()
    pairs = []
    for k in range(3):
        stages = []
        chosen = [k, (k + 1) % 3]
        maps = [feature_network().maps(images[:, chosen]) for images in (a, b)]
        for x, y in zip(*maps, strict=True):
            # The squared distance of unit vectors is 2 - 2 cos.
            cosine = F.cosine_similarity(x.double(), y.double(), dim=1)
            stages.append((2 - 2 * cosine).mean((1, 2)))
        pairs.append(torch.stack(stages).mean(0))
    expected = torch.stack(pairs).mean(0)
    found = perceptual_distance(a, b).double()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_maps_are_compared_by_direction_only() -> None:
    x = torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1)
    y = torch.tensor([0.0, 0.5]).reshape(1, 2, 1, 1)
    silent = torch.zeros(1, 2, 1, 1)
    assert distance_of_maps([x], [x * 7]).item() == pytest.approx(0, abs=1e-9)
    assert distance_of_maps([x], [y]).item() == pytest.approx(2, rel=1e-3)
    assert distance_of_maps([x, x], [y, x]).item() == pytest.approx(1, rel=1e-3)
    assert distance_of_maps([x], [silent]).item() == pytest.approx(1, rel=1e-3)


def test_every_image_has_its_own_distance() -> None:
    a, b = cells(3), cells(3, seed=1)
    b[1] = a[1]
    found = perceptual_distance(a, b)
    assert found[1] == 0
    torch.testing.assert_close(found[2:], perceptual_distance(a[2:], b[2:]))


@pytest.mark.parametrize("damage", ["blur", "noise", "warp"])
def test_the_distance_grows_with_damage(damage: str) -> None:
    images = cells(8)
    grain = torch.randn(images.shape, generator=torch.Generator().manual_seed(2)).double()
    steps = {
        "blur": [blurred(images, sigma) for sigma in (0.5, 1, 2, 4)],
        "noise": [images + level * grain for level in (0.01, 0.05, 0.1, 0.3)],
        "warp": [warped(images, pixels) for pixels in (0.5, 2, 4, 8)],
    }[damage]
    found = torch.stack([perceptual_distance(images, worse) for worse in steps])
    assert found[0].min() > 1e-3
    assert found.diff(dim=0).min() > 0, found


def test_the_gradient_to_both_images_is_that_of_finite_differences() -> None:
    a, b = cells(2, size=32).requires_grad_(), cells(2, size=32, seed=1).requires_grad_()
    found = perceptual_distance(a, b)
    assert found.dtype == torch.float64
    slopes = torch.autograd.grad(found.sum(), (a, b))
    rng = torch.Generator().manual_seed(3)
    step = 1e-7  # small enough to cross hardly any kink of a ReLU
    for which, slope in enumerate(slopes):
        direction = torch.randn(a.shape, generator=rng, dtype=torch.float64)
        moved = [
            [x.detach() + sign * step * direction * (k == which) for k, x in enumerate((a, b))]
            for sign in (1, -1)
        ]
        up, down = (perceptual_distance(*pair).sum().item() for pair in moved)
        expected = (up - down) / (2 * step)
        assert (slope * direction).sum().item() == pytest.approx(expected, rel=1e-5)


def test_gradients_are_finite_for_images_without_any_structure() -> None:
    for value in (-1.0, 0.0, 1.0):
        flat = torch.full((1, 2, 32, 32), value, requires_grad=True)
        perceptual_distance(flat, cells(1, size=32).float()).sum().backward()
        assert flat.grad is not None
        assert flat.grad.isfinite().all()
        assert flat.grad.abs().max() > 0


def test_a_search_by_gradient_brings_an_image_nearer() -> None:
    target = cells(1, size=32).float()
    image = blurred(target, 3).requires_grad_()
    optimiser = torch.optim.Adam([image], lr=0.01)
    values = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = perceptual_distance(image, target).sum()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert values[-1] < values[0] / 2
    assert np.isfinite(values).all()


def test_the_embedded_network_is_left_as_it_is() -> None:
    before = {name: value.clone() for name, value in feature_network().state_dict().items()}
    perceptual_distance(cells(1), cells(1, seed=1))
    after = feature_network().state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert after["mean"].dtype == torch.float32


def test_images_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared; give two of the same shape"):
        perceptual_distance(torch.zeros(1, 2, 64, 64), torch.zeros(1, 2, 32, 32))
    with pytest.raises(ValueError, match="at least 8 pixels"):
        perceptual_distance(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))
