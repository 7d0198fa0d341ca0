"""Images held to what a microscope saw of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_rls.search.degradation import Bicubic
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.richardson_lucy import nearer, share_of_step


def difference(images: Tensor, lr: Tensor, degrade: Bicubic | PlacedOptics) -> float:
    return float((degrade(images) - lr).square().mean().sqrt())


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 2, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_it_is_richardson_and_lucy_s_step() -> None:
    """Against their formula, by matrices: x (D^T (y / D x)) / (D^T 1), with all light above 0."""
    optics, _ = PlacedOptics.at([[3.3, 3.1]], hr_size=8, ratio=2, sigma=0.5)
    rows, columns = optics.rows[0].double(), optics.columns[0].double()
    rng = torch.Generator().manual_seed(1)
    x, truth = (torch.rand(8, 8, generator=rng).double() + 0.2 for _ in range(2))
    y = rows @ truth @ columns.T
    back = rows.T @ (y / (rows @ x @ columns.T)) @ columns
    wanted = x * back / (rows.T @ torch.ones_like(y) @ columns)
    # As light of 0.01 more, of -1 to 1.
    first, lr = (2 * (light.float() - 0.01) - 1 for light in (x, y))
    lr = torch.where(optics.inside[0], lr, 0)
    got = nearer(first[None, None], lr[None, None], optics, optics.inside[:, None].float())
    torch.testing.assert_close((got[0, 0] + 1) / 2 + 0.01, wanted.float())


@pytest.mark.parametrize("factor", [4, 8])
def test_steps_come_to_the_lr_image(images: Tensor, factor: int) -> None:
    degrade = Bicubic(factor)
    lr = degrade(images.flip(0, 2))
    first = difference(images, lr, degrade)
    for _ in range(8):
        images = nearer(images, lr, degrade, 1.0)
    assert difference(images, lr, degrade) < first / 20
    assert images.min() >= -1


def test_what_fits_already_stays(images: Tensor) -> None:
    degrade = Bicubic(4)
    torch.testing.assert_close(nearer(images, degrade(images), degrade, 1.0), images)


def test_a_share_of_nothing_changes_nothing(images: Tensor) -> None:
    torch.testing.assert_close(nearer(images, torch.zeros(2, 2, 4, 4), Bicubic(4), 0.0), images)


def test_a_pixel_s_share_is_its_own() -> None:
    """What is next to pixels that are not to be held to changes little; what is held to, much."""
    images, lr = torch.full((1, 1, 16, 16), -0.5), torch.zeros(1, 1, 4, 4)
    share = torch.zeros(1, 1, 4, 4)
    share[..., :2] = 1
    changed = nearer(images, lr, Bicubic(4), share)
    assert changed[..., :4].mean() > -0.1
    torch.testing.assert_close(changed[..., -3:], images[..., -3:], atol=0.02, rtol=0)


def test_dark_surroundings_stay_dark() -> None:
    images = torch.full((1, 1, 16, 16), -1.0)
    images[..., 6:10, 6:10] = 0.0
    lr = Bicubic(8)((images + 1) * 1.5 - 1)
    changed = nearer(images, lr, Bicubic(8), 1.0)
    assert changed[..., 7, 7] > 0.3
    assert changed[..., 0, :].max() < -0.98


def test_noise_is_not_made_good() -> None:
    """In all steps it is the share of the variance that is not the noise's."""
    deviation = torch.tensor([0.0, 0.025, 0.1])
    share = share_of_step(deviation.square(), steps=6)
    made_good = 1 - (1 - share) ** 6
    wanted = 0.025**2 / (0.025**2 + deviation.square())
    torch.testing.assert_close(made_good / made_good[0], wanted)
    assert made_good[0] > 0.98
