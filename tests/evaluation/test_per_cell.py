"""PSNR against scikit-image, MS-SSIM against scipy and against pytorch-msssim's own."""

import numpy as np
import pytest
import torch
from pytorch_msssim import ms_ssim as whole_ms_ssim
from scipy.signal import convolve2d
from skimage.metrics import peak_signal_noise_ratio

from napari_rls.evaluation.per_cell import ms_ssim, ms_ssim_scales, ms_ssim_variant, psnr

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def pair(size: int, channels: int = 2, count: int = 3, noise: float = 0.2) -> list[torch.Tensor]:
    """Smooth random images in -1 to 1, and the same with noise that grows from cell to cell."""
    rng = torch.Generator().manual_seed(size)
    small = torch.rand(count, channels, 9, 9, generator=rng) * 2 - 1
    images = torch.nn.functional.interpolate(small, (size, size), mode="bicubic").clamp(-1, 1)
    grain = torch.randn(images.shape, generator=rng)
    level = noise * torch.arange(1, count + 1)[:, None, None, None]
    return [(images + level * grain).clamp(-1, 1), images]


def plain_ms_ssim(x: np.ndarray, y: np.ndarray, scales: int) -> float:
    """MS-SSIM of one channel: 7 taps of sigma 1.5, data range 2, by plain convolutions."""
    taps = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    result = 1.0
    for k in range(scales):
        mx, my, xx, yy, xy = (
            convolve2d(z, window, mode="valid") for z in (x, y, x * x, y * y, x * y)
        )
        contrast = (2 * (xy - mx * my) + c2) / (xx - mx**2 + yy - my**2 + c2)
        luminance = (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        term = contrast if k < scales - 1 else luminance * contrast
        result *= max(term.mean(), 0) ** (WEIGHTS[k] * 1.0001 / WEIGHTS[:scales].sum())
        x, y = halved(x), halved(y)
    return result


def halved(image: np.ndarray) -> np.ndarray:
    rows, columns = image.shape
    padded = np.pad(image, ((rows % 2, rows % 2), (columns % 2, columns % 2)))
    padded = padded[: padded.shape[0] // 2 * 2, : padded.shape[1] // 2 * 2]
    return sum(padded[i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4


def test_psnr_is_that_of_scikit_image_cell_by_cell() -> None:
    sr, truth = pair(64)
    found = psnr(sr, truth)
    for k in range(3):
        expected = peak_signal_noise_ratio(
            truth[k].double().numpy(), sr[k].double().numpy(), data_range=2
        )
        assert found[k].item() == pytest.approx(expected, rel=1e-6)
    assert found[0] > found[1] > found[2]
    assert psnr(truth, truth).isposinf().all()


@pytest.mark.parametrize(("size", "scales"), [(8, 1), (32, 3), (64, 4), (96, 4), (97, 5), (128, 5)])
def test_ms_ssim_is_that_of_plain_convolutions(size: int, scales: int) -> None:
    sr, truth = pair(size)
    assert ms_ssim_scales(size, size) == scales
    assert ms_ssim_variant(size, size) == f"window 7, sigma 1.5, {scales} scales"
    found = ms_ssim(sr, truth)
    x, y = sr.double().numpy(), truth.double().numpy()
    for k in range(3):
        expected = np.mean([plain_ms_ssim(x[k, c], y[k, c], scales) for c in (0, 1)])
        # pytorch-msssim makes its window in single precision.
        assert found[k].item() == pytest.approx(expected, rel=1e-5)
    assert found[0] > found[1] > found[2] > 0


@pytest.mark.parametrize("size", [128, 150])
def test_five_scales_are_those_of_pytorch_msssim(size: int) -> None:
    sr, truth = (images.double() for images in pair(size, channels=3))
    expected = whole_ms_ssim(sr, truth, data_range=2, size_average=False, win_size=7)
    torch.testing.assert_close(ms_ssim(sr, truth), expected, rtol=1e-6, atol=0)


def test_the_smaller_side_decides_and_equal_images_are_perfect() -> None:
    assert ms_ssim_scales(128, 64) == ms_ssim_scales(64, 128) == 4
    _, truth = pair(64)
    wide = torch.cat([truth, truth], 3)
    torch.testing.assert_close(ms_ssim(wide, wide), torch.ones(3, dtype=torch.float64))


def test_negative_structure_counts_as_none_and_tiny_images_are_refused() -> None:
    _, truth = pair(64)
    assert torch.equal(ms_ssim(-truth, truth), torch.zeros(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="7 pixels a side or more"):
        ms_ssim(truth[..., :6], truth[..., :6])
