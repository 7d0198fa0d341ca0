"""Random microscopes: surroundings, the LR grid, the way back to the crop's grid, noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_rls.search.noise import MISFIT
from napari_rls.training.drawn_optics import (
    DrawnCrops,
    DrawnNoise,
    DrawnOptics,
    around,
    crop_views,
    drawn,
    margin_of,
    middle,
)

SIZE, MARGIN = 32, 20


def optics(ratio: float, level: float = 0.0, poisson: float = 0.0, phase: float = 0.3):
    parts = torch.full((2,), level), torch.full((2,), poisson)
    return DrawnOptics(ratio, 0.4, (phase * ratio, 0.7 * phase * ratio), DrawnNoise(*parts))


def test_surroundings_are_the_mirror_image_of_a_shifted_crop() -> None:
    crops = torch.rand(3, 2, SIZE, SIZE)
    shifts = torch.tensor([[0, 0], [8, -3], [-8, 5]])
    found = around(crops, SIZE, shifts)
    far = MARGIN + 8
    whole = np.pad(crops.numpy(), ((0, 0), (0, 0), (far, far), (far, far)), mode="reflect")
    for image, reference, (y, x) in zip(found, whole, shifts.tolist(), strict=True):
        side = slice(8 + y, 8 + y + SIZE + 2 * MARGIN), slice(8 + x, 8 + x + SIZE + 2 * MARGIN)
        np.testing.assert_array_equal(image.numpy(), reference[:, *side])
    torch.testing.assert_close(middle(around(crops, SIZE), SIZE), crops)


def test_surroundings_that_are_known_are_taken_and_mirrored_beyond() -> None:
    assert margin_of(SIZE) == MARGIN
    wide = torch.rand(2, 2, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN)
    torch.testing.assert_close(around(wide, SIZE), wide)
    shifted = around(wide, SIZE, torch.tensor([[3, -2], [0, 0]]))
    torch.testing.assert_close(shifted[1], wide[1])
    torch.testing.assert_close(shifted[0, :, :-3, 2:], wide[0, :, 3:, :-2])
    torch.testing.assert_close(shifted[0, :, -3:, 2:], wide[0, :, -4:-1, :-2].flip(1))
    torch.testing.assert_close(middle(shifted, SIZE)[0], wide[0, :, 23 : 23 + SIZE, 18 : 18 + SIZE])


@pytest.mark.parametrize("ratio", [2.5, 4.0, 10.6])
def test_every_place_of_the_lr_image_comes_back_to_its_place(ratio: float) -> None:
    # Pixels, PSF and cubic splines all leave a slope as it is, so that an error of place shows.
    y, x = torch.meshgrid(*[torch.arange(SIZE + 2.0 * MARGIN)] * 2, indexing="ij")
    whole = torch.stack([y / 100, x / 100])[None]
    rng = torch.Generator().manual_seed(0)
    for phase in (0.0, 0.4, 0.99):
        cells, _ = optics(ratio, phase=phase).see(whole, SIZE, rng)
        torch.testing.assert_close(cells, middle(whole, SIZE) * 2 - 1, rtol=0, atol=0.02)


def test_deviation_is_that_of_the_noise_and_of_what_no_generator_draws() -> None:
    rng = torch.Generator().manual_seed(0)
    flat = torch.full((1, 2, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN), 0.6)
    for poisson, times in ((0.0, 1.0), (1.0, 2.0), (0.5, 1.5)):
        _, deviation = optics(5.0, 0.03, poisson).see(flat, SIZE, rng)
        expected = math.sqrt(4 * 0.03**2 * times + MISFIT**2)
        torch.testing.assert_close(deviation, torch.full((1, 2), expected))


def test_noise_has_the_variance_that_is_told() -> None:
    rng = torch.Generator().manual_seed(0)
    flat = torch.full((400, 2, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN), 0.6)
    # Centres of LR pixels lie on HR pixels, where splines give back what they go through.
    cells, _ = optics(5.0, 0.03, 1.0, phase=0.0).see(flat, SIZE, rng)
    seen = cells[..., 2::5, 2::5]
    assert seen.shape[-1] == 6
    assert float(seen.mean()) == pytest.approx(0.2, abs=0.002)
    assert float(seen.std()) == pytest.approx(2 * 0.03 * math.sqrt(2), rel=0.03)


def test_crops_are_seen_as_the_search_sees_them() -> None:
    whole = torch.rand(300, 2, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN) * 0.2 + 0.4
    views = crop_views(SIZE, 2, least=4)
    assert [view.factor for view in views] == [4, 8, 16]
    quiet = DrawnNoise(torch.zeros(2), torch.zeros(2))
    noise = DrawnNoise(torch.tensor([0.03, 0.01]), torch.tensor([0.0, 1.0]))
    rng = torch.Generator().manual_seed(0)
    for view in views:
        lr = view.degrade(middle(whole, SIZE)) * 2 - 1
        without, usual = DrawnCrops(view, quiet).see(whole, SIZE, rng)
        expected = view.seen(lr, quiet.model())
        torch.testing.assert_close(without, expected.interpolated, rtol=0, atol=1e-5)
        torch.testing.assert_close(usual, torch.full((300, 2), MISFIT))
        noisy, told = DrawnCrops(view, noise).see(whole, SIZE, rng)
        # A level of 0.03 of 0 to 1; 0.01 at 30 % of the range grows to 0.0129 at 50 %.
        deviations = torch.tensor([0.06, 2 * 0.01 * math.sqrt(0.5 / 0.3)])
        squares = (told.square() - MISFIT**2).mean(0).sqrt()
        torch.testing.assert_close(squares, deviations, rtol=0.05, atol=0)
        middles = (noisy - without)[..., view.factor // 2 - 1 :: view.factor, SIZE // 2]
        assert float(middles[:, 0].std() / middles[:, 1].std()) == pytest.approx(
            float(deviations[0] / deviations[1]), rel=0.15
        )


def test_a_third_of_the_batches_are_crops_of_any_factor() -> None:
    rng = torch.Generator().manual_seed(0)
    views = crop_views(SIZE, 2, least=4)
    many = [drawn((4.0, 20.0), views, 2, rng) for _ in range(600)]
    crops = [one for one in many if isinstance(one, DrawnCrops)]
    assert len(crops) == pytest.approx(200, abs=40)
    for view in views:
        assert sum(one.view is view for one in crops) == pytest.approx(67, abs=30)
    assert all(isinstance(drawn((4.0, 20.0), (), 2, rng), DrawnOptics) for _ in range(20))


def test_only_the_stream_decides_and_nothing_lies_outside_its_range() -> None:
    def some(seed: int) -> list[DrawnOptics]:
        rng = torch.Generator().manual_seed(seed)
        return [DrawnOptics.drawn((4.0, 20.0), 2, rng) for _ in range(400)]

    many, ratios = some(0), [each.ratio for each in some(0)]
    assert [each.ratio for each in many] == ratios != [each.ratio for each in some(1)]
    assert 4 <= min(ratios) < 4.1
    assert 19.5 < max(ratios) <= 20
    assert np.median(ratios) == pytest.approx(math.sqrt(80), rel=0.1)  # of a log-uniform one
    assert all(0 <= p < each.ratio for each in many for p in each.phases)
    assert all(0.25 <= each.sigma <= 0.75 for each in many)
    levels = torch.stack([each.noise.level for each in many])
    assert 0.003 <= levels.min() < 0.0032
    assert 0.055 < levels.max() <= 0.06
    assert float(levels.median()) == pytest.approx(math.sqrt(0.003 * 0.06), rel=0.15)
