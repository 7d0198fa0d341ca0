"""Where the search starts: an estimate of w from the LR image, one small network per factor.

The network is the mean of an amortised posterior, E[w | y]: fitted to the
generator's own images, degraded, so it needs no paired data. The search goes on
from there; on its own it is only a guess.
"""

from __future__ import annotations

from torch import Tensor, nn

from napari_rls.models.architecture import Architecture
from napari_rls.models.manifest import EncoderShape


class LatentEncoder(nn.Module):
    """Estimate w (N, w_dim) from LR images (N, C, h, w) in -1 to 1.

    Parameters
    ----------
    pixels
        Values of one LR image, C h w.
    hidden
        Width of the two hidden layers.
    mean, std
        Mean and standard deviation of w per dimension, shape (w_dim,).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, pixels: int, hidden: int, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, mean.numel()),
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Return the estimate."""
        standardised: Tensor = self.layers(lr)
        return self.mean + self.std * standardised


def build_encoders(
    arch: Architecture, shape: EncoderShape | None, mean: Tensor, std: Tensor
) -> dict[int, LatentEncoder]:
    """Return untrained encoders for a generator, keyed by factor; without a shape, none."""
    if shape is None:
        return {}
    return {
        factor: LatentEncoder(
            arch.image_channels * (arch.resolution // factor) ** 2, shape.hidden, mean, std
        )
        for factor in shape.factors
    }
