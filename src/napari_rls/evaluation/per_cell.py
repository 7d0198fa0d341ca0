"""How near each SR image is to the truth, cell by cell: PSNR and MS-SSIM."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

DATA_RANGE = 2.0
"""From black, -1, to white, 1: the bundle's whole range, whatever a cell uses of it."""

WINDOW = 7
"""Taps of MS-SSIM's Gaussian; the usual 11 need more than 160 pixels for five scales."""

SIGMA = 1.5

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_NO_LUMINANCE = 1e6


def psnr(sr: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio (N,) of images (N, C, H, W), in dB.

    10 log10(R^2 / MSE) by torchmetrics, R = :data:`DATA_RANGE`, the mean over all pixels
    and channels of a cell; infinite for equal images.
    """
    # Slow to import, and needed only here.
    from torchmetrics.functional.image import peak_signal_noise_ratio

    found: Tensor = peak_signal_noise_ratio(
        sr.double(), truth.double(), data_range=DATA_RANGE, reduction="none", dim=(1, 2, 3)
    )
    return found


def ms_ssim_scales(height: int, width: int) -> int:
    """Return how many of MS-SSIM's five scales images have room for, 0 for none.

    The rule of pytorch-msssim: the coarsest scale is larger than a window less one, so
    five above 96 pixels a side, and four at 64.
    """
    side = min(height, width)
    return sum(side > (WINDOW - 1) * 2**k for k in range(len(_WEIGHTS)))


def ms_ssim_variant(height: int, width: int) -> str:
    """Return the name of the variant of MS-SSIM that images of this size get."""
    return f"window {WINDOW}, sigma {SIGMA}, {ms_ssim_scales(height, width)} scales"


def ms_ssim(sr: Tensor, truth: Tensor) -> Tensor:
    """Return the multiscale structural similarity (N,) of images (N, C, H, W), at most 1.

    The product over scales of the mean contrast-structure term, and of the whole SSIM
    at the coarsest, each to its weight; the mean over channels. The weights of scales that
    do not fit are left out, and the others raised to the sum of all five. Negative means
    count as 0. SSIM is pytorch-msssim's, whose own ``ms_ssim`` refuses fewer than five
    scales; where five fit, this is the same.

    Raises
    ------
    ValueError
        If images have no room for a single scale.

    References
    ----------
    Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality
    assessment", Asilomar 2003.
    """
    from pytorch_msssim import ssim

    scales = ms_ssim_scales(*sr.shape[-2:])
    if not scales:
        raise ValueError(f"MS-SSIM needs images of {WINDOW} pixels a side or more.")
    weights = torch.tensor(_WEIGHTS[:scales], dtype=torch.float64)
    weights *= sum(_WEIGHTS) / weights.sum()
    n, channels = sr.shape[:2]
    x, y = (images.double().flatten(0, 1)[:, None] for images in (sr, truth))
    product = torch.ones(n * channels, dtype=torch.float64)
    for k, weight in enumerate(weights.tolist()):
        last = k == scales - 1
        # A huge first constant makes the luminance term 1 and leaves contrast-structure.
        constants = (0.01 if last else _NO_LUMINANCE, 0.03)
        term = ssim(x, y, DATA_RANGE, False, WINDOW, SIGMA, K=constants)
        product *= term.clamp(min=0) ** weight
        if not last:
            padding = [side % 2 for side in x.shape[2:]]
            x, y = (F.avg_pool2d(images, 2, padding=padding) for images in (x, y))
    return product.reshape(n, channels).mean(1)
