"""The LR microscope's matrices against brute-force integration, and what its settings promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_rls import degrade
from napari_rls.errors import SettingsError
from napari_rls.search.degradation import Bicubic, Widefield, aligned_centres, bicubic_matrix
from napari_rls.search.imaging import PlacedOptics, imaging_matrix, light_of_pixels
from napari_rls.search.optics import Optics

S = 64
RATIOS = pytest.mark.parametrize("ratio", [2, 4, 6.4, 8, 16])
SIGMAS = pytest.mark.parametrize("sigma", [0, 0.3, 0.8])
PLACES = [(20.0, 20.0), (20.31, 19.77), (7.5, 33.25), (-0.4, 100.9)]


def cells(n: int, channels: int = 2) -> torch.Tensor:
    """Return noise on a disc well inside the crop, so that all light is known."""
    rng = np.random.default_rng(0)
    noise = rng.random((n, channels, S, S))
    y, x = np.mgrid[:S, :S] - (S - 1) / 2
    disc = np.hypot(y, x) < 14
    return torch.from_numpy((noise * disc).astype(np.float32))


def brute(image: np.ndarray, place: tuple[float, float], window: np.ndarray, n: int, ratio: float,
          sigma: float) -> np.ndarray:  # fmt: skip
    """Return an LR window (n, n) of one image by blurring a fine canvas and averaging boxes."""
    fine = 24 if sigma and ratio < 6 else 8
    margin = round(ratio + 5 * sigma * ratio) * fine
    canvas = np.pad(image.astype(np.float64).repeat(fine, 0).repeat(fine, 1), margin)
    blurred = gaussian_filter(canvas, sigma * ratio * fine, mode="constant", truncate=5)
    # Integral of the canvas up to any real coordinate, linear between its points.
    table = np.pad(blurred.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def edges(first: int, centre: float) -> np.ndarray:
        pixels = first + np.arange(n + 1) - 0.5
        hr = (pixels - centre) * ratio + (S - 1) / 2
        return (hr + 0.5) * fine + margin

    y, x = (edges(window[k], place[k]) for k in (0, 1))
    grid = np.arange(len(table))
    # Beyond the canvas there is no light, so that the ends of the table stand for it.
    rows = np.stack([np.interp(y, grid, column) for column in table.T], axis=1)
    sums = np.stack([np.interp(x, grid, row) for row in rows])
    return np.diff(np.diff(sums, axis=0), axis=1) / (ratio * fine) ** 2


@RATIOS
@SIGMAS
@pytest.mark.parametrize("place", PLACES[:2])
def test_placed_cells_equal_brute_force(
    ratio: float, sigma: float, place: tuple[float, float]
) -> None:
    image = cells(1)
    optics, windows = PlacedOptics.at([place], S, ratio, sigma)
    n = optics.rows.shape[1]
    ours = optics(image)[0, 0].numpy()
    # Rows are as if light went on outside; here there is none.
    known = optics.share[0].numpy()
    reference = brute(image[0, 0].numpy(), place, windows[0], n, ratio, sigma)
    held = optics.inside[0].numpy()
    assert held.sum() >= (S / ratio - 1) ** 2
    assert np.abs(ours * known - reference)[held].max() < 1e-4


def test_windows_hold_all_pixels_whose_centre_lies_in_the_crop() -> None:
    for ratio in (2, 4, 6.4, 7.3, 16, 40):
        optics, windows = PlacedOptics.at(PLACES, S, ratio, 0.45)
        n = optics.rows.shape[1]
        for cell, place in enumerate(PLACES):
            for axis in (0, 1):
                around = windows[cell, axis] + np.arange(-3, n + 3)
                hr = (around - place[axis]) * ratio + (S - 1) / 2
                within = (hr >= -0.5) & (hr < S - 0.5)
                assert not within[:3].any()
                assert not within[-3:].any()
                held = optics.inside[cell].any(dim=1 - axis).numpy()
                assert (held == within[3:-3]).all()


def test_pixels_beyond_the_field_are_not_inside() -> None:
    optics, windows = PlacedOptics.at([(1.0, 38.0)], S, 8, 0.45, field_shape=(40, 40))
    assert windows.tolist() == [[-3, 34]]
    expected = np.zeros((8, 8), bool)
    expected[3:, :6] = True
    assert (optics.inside[0].numpy() == expected).all()
    image = torch.rand(1, 1, S, S)
    assert (optics(image)[0, 0][~optics.inside[0]] == 0).all()
    assert (optics.share[0][~optics.inside[0]] == 0).all()


@RATIOS
@SIGMAS
def test_a_constant_stays(ratio: float, sigma: float) -> None:
    optics, _ = PlacedOptics.at(PLACES, S, ratio, sigma)
    flat = optics(torch.full((len(PLACES), 1, S, S), 7.0))
    assert np.allclose(flat[:, 0][optics.inside], 7, atol=1e-5)
    light = light_of_pixels(S, np.linspace(0, S - 1, 9), ratio, sigma)
    assert light.min() >= 0
    assert light.sum(axis=1).max() <= 1 + 1e-12


def test_the_share_tells_what_lies_inside() -> None:
    half = light_of_pixels(S, [-0.5, S - 0.5], 8, 0.45).sum(axis=1)
    assert np.allclose(half, 0.5)
    assert light_of_pixels(S, [S / 2], 8, 0.45).sum() == pytest.approx(1)
    assert (imaging_matrix(S, [-1000.0], 8, 0) == 0).all()
    bicubic, _ = PlacedOptics.at([(3.5, 3.5)], S, 8, 0, psf="bicubic")
    assert bicubic.share[0, 4, 4] == pytest.approx(1)
    assert 0.7 < bicubic.share[0, 0, 4] < 0.95


def test_light_is_kept_by_pixels_that_tile_the_plane() -> None:
    for ratio, sigma in ((6.4, 0.3), (3.7, 0.8), (16, 0)):
        centres = np.arange(-40, 80) * ratio + 0.3
        assert np.allclose(light_of_pixels(S, centres, ratio, sigma).sum(axis=0) * ratio, 1)


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
@SIGMAS
def test_an_aligned_cell_equals_the_crop_operator(factor: int, sigma: float) -> None:
    image = cells(2) + 3
    n = S // factor
    optics, windows = PlacedOptics.at([((n - 1) / 2, (n - 1) / 2)] * 2, S, factor, sigma)
    assert (windows == 0).all()
    assert optics.inside.all()
    crop = Widefield(factor, sigma)(image)
    assert (optics(image) - crop).abs().max() < 1e-5
    if sigma == 0:
        means = torch.nn.functional.avg_pool2d(image, factor)
        assert (crop - means).abs().max() < 1e-5


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_bicubic_is_that_of_the_crops(factor: int) -> None:
    image = cells(1)
    centres = (np.arange(S // factor) + 0.5) * factor - 0.5
    assert (aligned_centres(S, factor) == centres).all()
    n = S // factor
    optics, _ = PlacedOptics.at([((n - 1) / 2, (n - 1) / 2)], S, factor, 0, psf="bicubic")
    assert torch.equal(optics.rows[0], torch.from_numpy(bicubic_matrix(S, factor)).float())
    bicubic = Optics(psf="bicubic").crop_operator(factor, 0)
    assert torch.equal(bicubic(image), Bicubic(factor)(image))
    assert torch.allclose(optics(image), bicubic(image), atol=1e-6)
    assert optics.record() == {"name": "optics", "psf": "bicubic", "ratio": float(factor)}


def test_gradients_equal_finite_differences() -> None:
    optics, _ = PlacedOptics.at([(3.2, 3.9), (5.0, 4.1)], 12, 2.6, 0.4)
    exact = optics.to("cpu", torch.float64)
    image = torch.rand(2, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: (exact(x) ** 2).sum(), image)
    crop = Widefield(3, 0.4)
    assert torch.autograd.gradcheck(lambda x: (crop(x) ** 2).sum(), image)


def test_a_subset_is_of_those_cells() -> None:
    image = cells(4)
    optics, _ = PlacedOptics.at(PLACES, S, 6.4, 0.45)
    whole = optics(image)
    assert torch.equal(optics.of([2, 0])(image[[2, 0]]), whole[[2, 0]])
    mask = torch.tensor([False, True, False, True])
    part = optics.of(mask)
    assert torch.equal(part(image[mask]), whole[mask])
    assert torch.equal(part.inside, optics.inside[mask])
    assert part.record() == {"name": "optics", "psf": "gaussian", "ratio": 6.4, "sigma": 0.45}


def test_degrade_takes_it_by_name() -> None:
    hr = np.random.default_rng(0).random((2, S, S), np.float32)
    expected = Widefield(8, 0.45)(torch.from_numpy(hr)[None])[0]
    assert np.allclose(degrade(hr, 8, operator="optics"), expected, atol=1e-6)
    assert Widefield(8).record() == {
        "name": "optics", "psf": "gaussian", "factor": 8, "sigma": 0.45,
    }  # fmt: skip


def test_width_follows_from_aperture_and_wavelength() -> None:
    lens = Optics(na=0.3, wavelength_um=0.6)
    assert lens.sigma_in_lr_pixels(0.7) == pytest.approx(0.21 * 0.6 / 0.3 / 0.7)
    assert Optics(psf_sigma=0).sigma_in_lr_pixels(None) == 0
    assert Optics().sigma_in_lr_pixels(0.7) is None
    with pytest.raises(SettingsError, match=r"PSF is 0.42 um wide .* size of an LR pixel is not"):
        lens.sigma_in_lr_pixels(None)
    with pytest.raises(SettingsError, match=r"is 8.4 LR pixels of 0.05 um where at most 5"):
        lens.sigma_in_lr_pixels(0.05)


def test_the_ratio_is_given_or_of_the_pixel_sizes() -> None:
    assert Optics(ratio=6.4).ratio_of(None, None) == 6.4
    assert Optics().ratio_of(2.08, 0.325) == pytest.approx(6.4)
    with pytest.raises(SettingsError, match="as the LR image's pixel size is not; give the ratio"):
        Optics().ratio_of(None, 0.325)
    with pytest.raises(SettingsError, match="as the bundle's pixel size is not"):
        Optics().ratio_of(2.08, None)
    with pytest.raises(SettingsError, match=r"are 0\.8 of the bundle's"):
        Optics().ratio_of(0.26, 0.325)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ratio": 1}, "ratio must be 1.5 or more"),
        ({"ratio": True}, "ratio must be a number, not true"),
        ({"psf_sigma": 6}, "psf_sigma must be 5.0 or less"),
        ({"na": 0.3}, "wavelength_um must be given too"),
        ({"wavelength_um": 0.5}, "na must be given too"),
        ({"na": 1.7, "wavelength_um": 0.5}, "na must be 1.5 or less"),
        ({"na": 0.3, "wavelength_um": 510}, "wavelength_um must be 2.0 or less"),
        ({"psf_sigma": 0.4, "na": 0.3, "wavelength_um": 0.5}, "give one of them"),
        ({"psf": "bicubic", "psf_sigma": 0.4}, "psf_sigma cannot be used with the PSF 'bicubic'"),
        ({"sigma": 0.4}, "sigma"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence(values: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Optics.parse(values)


def test_settings_need_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, napari_rls.search.optics; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
