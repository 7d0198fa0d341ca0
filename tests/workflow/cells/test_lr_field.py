"""LR fields: where their pixels lie, and the noise that they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_rls.errors import InputError, SettingsError
from napari_rls.search.degradation import Widefield
from napari_rls.search.imaging import PlacedOptics, imaging_matrix
from napari_rls.workflow.cells.lr_field import degrade_field


def field(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32) * 100


@pytest.mark.parametrize("factor", [2, 8])
@pytest.mark.parametrize("sigma", [0, 0.45])
def test_an_integer_ratio_is_the_crop_operator(factor: int, sigma: float) -> None:
    hr = field(2, 320, 160)
    expected = Widefield(factor, sigma)(torch.from_numpy(hr)[None])[0].numpy()
    assert np.allclose(degrade_field(hr, factor, sigma), expected, atol=1e-4)


def test_any_ratio_has_its_pixels_where_they_belong() -> None:
    hr = field(1, 700, 515)
    lr = degrade_field(hr, 6.4, 0.45)
    assert lr.shape == (1, 109, 80)
    assert lr.dtype == np.float32
    rows = imaging_matrix(700, (np.arange(109) + 0.5) * 6.4 - 0.5, 6.4, 0.45)
    columns = imaging_matrix(515, (np.arange(80) + 0.5) * 6.4 - 0.5, 6.4, 0.45)
    assert np.allclose(lr[0], rows @ hr[0] @ columns.T, atol=1e-4)


def test_a_crop_of_the_field_gives_the_pixels_of_its_window() -> None:
    hr = field(2, 300, 300)
    lr = degrade_field(hr, 6.4, 0.3)
    top, left = 101, 57
    # The crop's centre in LR pixels: HR coordinate h lies at (h + 1/2) / ratio - 1/2.
    place = [(first + 31.5 + 0.5) / 6.4 - 0.5 for first in (top, left)]
    optics, windows = PlacedOptics.at([place], 64, 6.4, 0.3)
    crop = torch.from_numpy(hr[None, :, top : top + 64, left : left + 64].copy())
    n = optics.rows.shape[1]
    y, x = windows[0]
    well_inside = optics.share[0] > 0.999
    assert well_inside.sum() >= 36
    difference = optics(crop)[0] - torch.from_numpy(lr[:, y : y + n, x : x + n])
    assert difference[:, well_inside].abs().max() < 0.05


def test_a_field_is_read_in_slices() -> None:
    class Slices:
        shape = (1, 4096, 64)
        rows = 0

        def __getitem__(self, index: tuple[int, slice]) -> np.ndarray:
            rows = index[1].stop - index[1].start
            self.rows = max(self.rows, rows)
            return np.full((rows, 64), 5, np.uint16)

    hr = Slices()
    assert np.allclose(degrade_field(hr, 8, 0.45), 5)
    assert hr.rows < 1024


def test_noise_has_the_variance_that_it_promises() -> None:
    flat = np.stack([np.full((1600, 1600), 40.0), np.full((1600, 1600), 0.0)])
    lr = degrade_field(flat, 8, 0.45, offset=100, gain=2.5, read_noise=3, seed=1)
    assert lr[0].mean() == pytest.approx(140, abs=0.3)
    assert lr[0].var() == pytest.approx(2.5 * 40 + 9, rel=0.03)
    assert lr[1].mean() == pytest.approx(100, abs=0.1)
    assert lr[1].var() == pytest.approx(9, rel=0.03)
    again = degrade_field(flat, 8, 0.45, offset=100, gain=2.5, read_noise=3, seed=1)
    assert (lr == again).all()
    other = degrade_field(flat, 8, 0.45, offset=100, gain=2.5, read_noise=3, seed=2)
    assert np.corrcoef(lr[0].ravel(), other[0].ravel())[0, 1] < 0.03
    assert np.corrcoef(lr[0].ravel(), lr[1].ravel())[0, 1] < 0.03


def test_what_cannot_be_is_a_sentence() -> None:
    with pytest.raises(InputError, match=r"shape \(8, 8\); \(C, y, x\) of at least 4 x 4"):
        degrade_field(field(8, 8), 4, 0)
    with pytest.raises(InputError, match="of at least 16 x 16 pixels, an LR pixel"):
        degrade_field(field(1, 8, 8), 16, 0)
    with pytest.raises(SettingsError, match="gain is 0 counts per photon; it must be above 0"):
        degrade_field(field(1, 8, 8), 2, 0, gain=0)
    with pytest.raises(SettingsError, match="ratio is nan; it must be 1 or more"):
        degrade_field(field(1, 8, 8), float("nan"), 0)
