"""The flips and right-angle rotations of a square image: a cell may lie in any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Turn:
    """One of the 8 ways to lay a square image (..., S, S) on itself.

    Parameters
    ----------
    quarters
        Right angles that it is rotated by.
    mirrored
        Whether its columns are reversed after that.

    Examples
    --------
    >>> import torch
    >>> image = torch.tensor([[1, 2], [3, 4]])
    >>> Turn(1, mirrored=True)(image).tolist()
    [[4, 2], [3, 1]]
    >>> Turn(1, mirrored=True).back(Turn(1, mirrored=True)(image)).tolist()
    [[1, 2], [3, 4]]
    """

    quarters: int
    mirrored: bool

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image turned."""
        turned = image.rot90(self.quarters, (-2, -1))
        return turned.flip(-1) if self.mirrored else turned

    def back(self, image: Tensor) -> Tensor:
        """Return the image turned the other way."""
        image = image.flip(-1) if self.mirrored else image
        return image.rot90(-self.quarters, (-2, -1))


TURNS: Final = tuple(Turn(k, mirrored) for mirrored in (False, True) for k in range(4))
"""All of them; the first leaves an image as it is."""
