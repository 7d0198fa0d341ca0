"""Images of the planes of a layer in one array, of which those that were begun are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_rls.widgets.cells.sources import Source


class PlaneStack:
    """Images (H, W) of some planes, or stacks (S, H, W) of them, with the axes of a layer.

    Parameters
    ----------
    source
        A channel of the LR layer, whose axes before the last two these have too.
    first
        Images of the first plane, (H, W) or (S, H, W).
    planes
        How many planes there can be. Memory is taken as they are begun.
    """

    def __init__(self, source: Source, first: NDArray[Any], planes: int = 1) -> None:
        *lead, height, width = first.shape
        front = list(source.shape[:-2])
        self.planes = planes
        self._axis: int | None = None
        if source.cell_axis is not None:
            self._axis = source.cell_axis + len(lead)
            front[source.cell_axis] = planes
        self._images = first.shape
        shape = (*lead, *front, height, width)
        if planes == 1:
            self._all = np.ascontiguousarray(first).reshape(shape)
        else:
            self._all = np.zeros(shape, first.dtype)
            self.plane(0)[:] = first
        self.begun = 1

    def begin(self, plane: int, images: NDArray[Any]) -> None:
        """Show a plane, with these images at first."""
        self.begun = max(self.begun, plane + 1)
        self.plane(plane)[:] = images

    def plane(self, plane: int) -> NDArray[Any]:
        """Return the images of a plane, to be drawn into."""
        if self._axis is None:
            return self._all.reshape(self._images)
        return self._all[(slice(None),) * self._axis + (plane,)].reshape(self._images)

    @property
    def shown(self) -> NDArray[Any]:
        """The planes that were begun, with the layer's axes."""
        if self._axis is None:
            return self._all
        return self._all[(slice(None),) * self._axis + (slice(0, self.begun),)]
