"""The images of a measurement: whether they still are what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from napari_rls.widgets.measure.image_pairs import Images

if TYPE_CHECKING:
    from napari.layers import Image


class MeasuredImages:
    """Tells the first change of any layer that was measured, until :meth:`undo`.

    ``are_others`` tells from then on that they have changed.

    Parameters
    ----------
    images
        Which layers hold what.
    changed
        Called once, when the pixels of one of them change, as by another run of a search.
    """

    def __init__(self, images: Images, changed: Callable[[], None]) -> None:
        self._layers = _layers_of(images)
        self._changed = changed
        self.are_others = False
        for layer in self._layers:
            layer.events.data.connect(self._tell)

    def undo(self) -> None:
        """Let the layers alone again."""
        for layer in self._layers:
            layer.events.data.disconnect(self._tell)
        self._layers = []

    def _tell(self, _event: Any = None) -> None:
        self.undo()
        self.are_others = True
        self._changed()


def _layers_of(images: Images) -> list[Image]:
    """Return the layers, each once."""
    chosen: Iterable[Image] = (
        source.layer for pair in images.values() for source in pair.sources if source is not None
    )
    return list(dict.fromkeys(chosen))
