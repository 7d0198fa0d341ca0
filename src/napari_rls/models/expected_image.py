"""The image that a cell is expected to have, from what an LR microscope saw of it.

A U-Net that adds to the interpolated LR image. It knows nothing of StyleGAN2, and what it draws is
no cell but near the mean of all that the LR image may be of: blurred where that is in doubt. A
search is held near it, and draws the cell.
"""

from __future__ import annotations

from torch import Tensor

from napari_rls.models.four_levels import FourLevels


class ExpectedImage(FourLevels):
    """Draw expected images (N, C, S, S) of interpolated LR images.

    Parameters
    ----------
    channels
        Image channels C.
    size
        Side S of the images in pixels, a power of two from 8 on.
    known
        What is known of the microscope: numbers for each image.
    width
        Feature maps of the first level.
    """

    def __init__(self, channels: int, size: int, known: int, width: int) -> None:
        super().__init__(channels, size, width, maps=known)

    def forward(self, cells: Tensor, known: Tensor) -> Tensor:
        """Return the images.

        Parameters
        ----------
        cells
            Interpolated LR images (N, C, S, S) in -1 to 1.
        known
            What is known of the microscope (N, K).
        """
        return cells + self.run([cells], known)
