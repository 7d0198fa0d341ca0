"""LR images against independent references and the statistics that noise must have."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import napari_rls
from napari_rls.errors import InputError, SettingsError
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade, degrade_stack
from napari_rls.workflow.cells.stack import CellStack, Crop

RNG = np.random.default_rng(0)
HR = RNG.uniform(0, 1, (3, 2, 64, 64)).astype(np.float32)
FLAT = np.full((400, 400), 100.0)


def pillow(image: np.ndarray, factor: int) -> np.ndarray:
    height, width = image.shape
    size = (width // factor, height // factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_equals_pillow(factor: int) -> None:
    lr = degrade(HR, factor)
    assert lr.dtype == np.float32
    assert lr.shape == (3, 2, 64 // factor, 64 // factor)
    for n in range(3):
        for c in range(2):
            np.testing.assert_allclose(lr[n, c], pillow(HR[n, c], factor), atol=1e-5)


def test_is_the_package_s_degrade() -> None:
    assert napari_rls.degrade is degrade


def test_pixel_centres() -> None:
    ramp = np.tile(np.arange(64.0), (64, 1))
    lr = degrade(ramp, 8)
    inner = np.arange(8)[2:-2]
    expected = np.broadcast_to(8 * (inner + 0.5) - 0.5, (8, 4))
    np.testing.assert_allclose(lr[:, 2:-2], expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "bool"])
def test_unit_is_kept_whatever_the_type(dtype: str) -> None:
    flat = np.full((16, 32), 1 if dtype == "bool" else 100).astype(dtype)
    np.testing.assert_allclose(degrade(flat, 8), np.full((2, 4), flat[0, 0], float), rtol=1e-6)


def test_blur_comes_first() -> None:
    blurred = gaussian_filter(HR[0, 0].astype(float), 2.0, mode="reflect").astype(np.float32)
    np.testing.assert_allclose(degrade(HR[0, 0], 8, blur=2), pillow(blurred, 8), atol=1e-5)


def test_gaussian_noise_has_its_deviation() -> None:
    noise = degrade(FLAT, 2, gaussian=3) - 100
    assert noise.mean() == pytest.approx(0, abs=5 * 3 / 200)
    assert noise.std() == pytest.approx(3, rel=0.03)


def test_photons_set_the_variance() -> None:
    lr = degrade(FLAT, 2, poisson=2)  # 200 photons a pixel
    assert lr.mean() == pytest.approx(100, rel=0.005)
    assert lr.var() == pytest.approx(100 / 2, rel=0.05)
    np.testing.assert_allclose(lr * 2, np.round(lr * 2), atol=1e-3)  # whole photons


def test_salt_and_pepper_has_its_share() -> None:
    ramp = np.tile(np.linspace(0, 1, 400), (400, 1))
    clean, lr = degrade(ramp, 2), degrade(ramp, 2, salt_and_pepper=0.1)
    changed = lr != clean
    assert changed.mean() == pytest.approx(0.1, rel=0.1)
    assert set(np.unique(lr[changed])) == {clean.min(), clean.max()}
    assert (lr[changed] == clean.max()).mean() == pytest.approx(0.5, abs=0.05)


NOISY = [{"gaussian": 5.0}, {"poisson": 1.0}, {"salt_and_pepper": 0.2}]


@pytest.mark.parametrize("noise", NOISY)
def test_seed_decides(noise: dict[str, float]) -> None:
    image = HR[0] * 100
    first = degrade(image, 4, **noise, seed=1)
    np.testing.assert_array_equal(first, degrade(image, 4, **noise, seed=1))
    assert (first != degrade(image, 4, **noise, seed=2)).any()


def test_kinds_of_noise_are_independent() -> None:
    normal = degrade(FLAT, 2, gaussian=1) - 100
    photons = degrade(FLAT, 2, poisson=1) - 100
    ramp = np.tile(np.linspace(0, 1, 400), (400, 1))
    salt = degrade(ramp, 2, salt_and_pepper=0.5) - degrade(ramp, 2)
    for a, b in ((normal, photons), (normal, salt), (photons, salt)):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02


def test_stack_keeps_all_but_the_pixels() -> None:
    crops = (Crop("a.tif", "A01", 1.0, 2.0, "dose=1"), Crop(), Crop())
    hr = CellStack(HR, ("a", "b"), leading="cell", pixel_size_um=0.5, crops=crops, name="hr")
    lr = degrade_stack(hr, DegradeSettings(factor=4, gaussian=0.1, seed=3))
    np.testing.assert_array_equal(lr.data, degrade(HR, 4, gaussian=0.1, seed=3))
    assert lr.pixel_size_um == 2.0
    assert (lr.channels, lr.leading, lr.crops) == (hr.channels, hr.leading, hr.crops)


def test_unknown_pixel_size_stays_unknown() -> None:
    hr = CellStack(HR, ("a", "b"))
    assert degrade_stack(hr, DegradeSettings(factor=4)).pixel_size_um is None


def test_factor_must_divide() -> None:
    message = (
        "The image has 64 x 64 pixels, which the factor 7 does not divide; crop it or choose "
        "another factor."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        degrade(HR, 7)


@pytest.mark.parametrize("image", [np.zeros(8), np.zeros((0, 8, 8)), np.zeros((8, 8), complex)])
def test_what_is_no_image(image: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"an image of real numbers \(\.\.\., y, x\) is needed\.$"):
        degrade(image, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"factor": 0},
        {"blur": -1},
        {"gaussian": float("nan")},
        {"poisson": 0},
        {"salt_and_pepper": 1.5},
        {"seed": -1},
    ],
)
def test_values_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=rf"^degrade: {next(iter(wrong))} must be"):
        degrade(HR, **({"factor": 4} | wrong))


def test_noise_of_a_cell_does_not_depend_on_the_others() -> None:
    hr = np.random.default_rng(0).uniform(0, 200, (3, 2, 16, 16))
    noise = {"gaussian": 3.0, "poisson": 0.5, "salt_and_pepper": 0.1}
    every = degrade(hr, 4, seed=7, **noise)
    np.testing.assert_array_equal(degrade(hr[:1], 4, seed=7, **noise), every[:1])
    np.testing.assert_array_equal(degrade(hr[0], 4, seed=7, **noise), every[0])
    other = hr.copy()
    other[0] = 0
    np.testing.assert_array_equal(degrade(other, 4, seed=7, **noise)[1:], every[1:])
    same = degrade(np.repeat(hr[:1], 3, axis=0), 4, seed=7, gaussian=3.0)
    assert not np.allclose(same[0], same[1], atol=1)
