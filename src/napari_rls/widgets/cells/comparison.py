"""The comparison of LR, SR of one or more methods, and GT images, switched on and off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakMethod

from napari.components import ViewerModel
from napari.layers import Image

from napari_rls.errors import InputError
from napari_rls.widgets.cells.input_state import Lacking
from napari_rls.widgets.cells.side_by_side import SideBySide
from napari_rls.widgets.cells.sources import Source, sources
from napari_rls.widgets.cells.sr_layers import channel_look, placement
from napari_rls.widgets.common.parts import there
from napari_rls.widgets.common.run_controller import Soon, at_once

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_rls.models.manifest import Manifest
    from napari_rls.widgets.cells.input_state import Inputs, InputState

NO_RUN = Lacking.compare
NO_LR = "The LR layer of the last run is gone: there is nothing to compare."


_on: WeakKeyDictionary[ViewerModel, WeakMethod[Callable[[], None]]] = WeakKeyDictionary()
"""What ends the comparison that a viewer shows: one that began within another could not be undone
but in the reverse order."""


class Comparison:
    """LR | SR, one column or more | GT; ``state.comparing`` tells whether it is on.

    A viewer shows one at a time, whichever widget it is of.

    Parameters
    ----------
    viewer
        The viewer.
    state
        What the view shows.
    soon
        Calls a function once the window has drawn; at once where there is none.
    """

    def __init__(self, viewer: ViewerModel, state: InputState, soon: Soon = at_once) -> None:
        self._viewer = viewer
        self._soon = soon
        self._state = state
        self._inputs: Inputs | None = None
        self._sr: list[list[Image]] = []
        self._manifest: Manifest | None = None
        self._shown: SideBySide | None = None
        self._nothing = NO_RUN

    def about(self, inputs: Inputs, sr: Sequence[Sequence[Image]], manifest: Manifest) -> None:
        """Compare these layers from now on: of every method, one per channel."""
        self._inputs, self._manifest = inputs, manifest
        self._sr = [list(column) for column in sr]
        self._nothing = NO_RUN

    def shows(self, inputs: Inputs, sr: Sequence[Sequence[Image]]) -> bool:
        """Whether these very layers lie side by side already."""
        return bool(self._shown) and inputs == self._inputs and [*map(list, sr)] == self._sr

    def toggle(self) -> None:
        """Switch the comparison on or off.

        Raises
        ------
        InputError
            If there is nothing to compare.
        """
        if self._shown:
            self.stop()
        else:
            self.start()

    def start(self) -> None:
        """Lay the layers side by side; layers with several channels are split for the time.

        Raises
        ------
        InputError
            If a layer of the last run is gone, or the GT layer does not fit.
        """
        inputs = self._inputs
        if inputs is None or not self._sr:
            raise InputError(self._nothing)
        if (other := _on.get(self._viewer)) and (end := other()):
            end()
        gt = self._state.inputs.gt
        lr = sources(inputs.lr, inputs.separate, inputs.channels)
        columns = [[self._split(k, source) for k, source in enumerate(lr)], *self._sr]
        places: dict[Layer, dict[str, Any]] = {}
        if all(gt) and _all_in(self._viewer, gt):
            columns.append(self._gt_column(gt, lr, places))
        self._shown = SideBySide(self._viewer, columns, places)
        _on[self._viewer] = WeakMethod(self.stop)
        self._state.comparing = True
        self._unfold(self._shown, self._shown.unfold())

    def _unfold(self, shown: SideBySide, steps: Iterator[None]) -> None:
        """Take the next step, as long as this is on; the window draws in between."""
        if shown is not self._shown:
            return
        try:
            next(steps)
        except StopIteration:
            return
        except BaseException:
            self.stop()
            raise
        self._soon(partial(self._unfold, shown, steps))

    def stop(self) -> None:
        """Go back to how everything was."""
        if self._shown:
            shown, self._shown = self._shown, None
            shown.undo()
            _on.pop(self._viewer, None)
            self._state.comparing = False

    def forget(self, layer: Layer) -> None:
        """Note that a layer was removed: what it took part in ends."""
        if self._shown and layer in self._shown.layers:
            self.stop()
        self._sr = [column for column in self._sr if layer not in column]
        # Layers that are gone are not held in memory.
        inputs = self._inputs
        if inputs and layer in inputs.lr:
            self._inputs, self._sr, self._nothing = None, [], NO_LR
        elif inputs and layer in inputs.gt:
            gone = tuple(None if gt is layer else gt for gt in inputs.gt)
            self._inputs = replace(inputs, gt=gone)

    @property
    def obstacle(self) -> str:
        """Why nothing can be compared, in a sentence; "" if there is something."""
        return "" if self._inputs and self._sr else self._nothing

    def _split(self, k: int, source: Source) -> Image:
        """Return the layer of one channel; of a layer with a channel axis, a new one."""
        return source.layer if source.channel_axis is None else self._made(k, source, source, 1)

    def _gt_column(
        self,
        gt: Sequence[Image | None],
        lr: Sequence[Source],
        places: dict[Layer, dict[str, Any]],
    ) -> list[Image]:
        """Return layers that show the GT; those of the viewer get the LR layer's place for it."""
        state = self._state.inputs
        try:
            found = sources(gt, state.separate, state.channels)
        except ValueError:
            raise InputError(
                f"The GT layer {there(gt[0]).name} does not hold single cells."
            ) from None
        if len(found) != len(lr):
            raise InputError("The bundle has changed since the last run: super-resolve again.")
        factors = [_finer(source, own) for source, own in zip(found, lr, strict=True)]
        column = []
        for k, (source, own, factor) in enumerate(zip(found, lr, factors, strict=True)):
            if source.channel_axis is None:
                # Adding and removing layers would keep the window waiting.
                places[source.layer] = placement(own, factor)
                column.append(source.layer)
            else:
                column.append(self._made(k, source, own, factor))
        return column

    def _made(self, k: int, source: Source, place: Source, factor: float) -> Image:
        """Return a layer of one channel's pixels, ``factor`` times finer than ``place``."""
        assert self._manifest is not None
        channel = self._manifest.channels[k]
        which = "" if source.channel_axis is None else f" {channel.name}"
        return Image(
            source.pixels,
            name=f"{source.layer.name}{which} (side by side)",
            **channel_look(channel.colour, bottom=k == 0),
            **placement(place, factor),
        )


def _finer(gt: Source, lr: Source) -> float:
    """Return how many times finer than the LR image the GT image is.

    Raises
    ------
    InputError
        If they are not images of the same cells.
    """
    factor = gt.shape[-1] / lr.shape[-1]
    if gt.shape != (*lr.shape[:-2], lr.shape[-2] * factor, lr.shape[-1] * factor):
        raise InputError(
            f"The GT layer {gt.layer.name} has the shape {gt.layer.data.shape}, which is not that "
            f"of the LR layer, {lr.layer.data.shape}, with finer pixels."
        )
    return factor


def _all_in(viewer: ViewerModel, layers: Sequence[Image | None]) -> bool:
    return all(layer in viewer.layers for layer in layers)
