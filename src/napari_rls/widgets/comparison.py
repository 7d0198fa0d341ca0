"""The comparison of a run's LR, SR and GT images, switched on and off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_rls.widgets.inputs import Source, full_resolution, sources
from napari_rls.widgets.side_by_side import SideBySide
from napari_rls.widgets.sr_layers import channel_look, placement
from napari_rls.workflow.stack import InputError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_rls.models.manifest import Manifest
    from napari_rls.widgets.state import Inputs, State


class Comparison:
    """LR | SR | GT of the last run; ``state.comparing`` tells whether it is on."""

    def __init__(self, viewer: ViewerModel, state: State) -> None:
        self._viewer = viewer
        self._state = state
        self._inputs: Inputs | None = None
        self._sr: list[Image] = []
        self._manifest: Manifest | None = None
        self._shown: SideBySide | None = None

    def about(self, inputs: Inputs, sr: Sequence[Image], manifest: Manifest) -> None:
        """Compare these layers from now on."""
        self._inputs, self._sr, self._manifest = inputs, list(sr), manifest

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
        if inputs is None or not self._sr or not _all_in(self._viewer, self._sr):
            raise InputError("Super-resolve first: side by side shows the LR and SR of a run.")
        if not _all_in(self._viewer, inputs.lr):
            raise InputError("The LR layer of the last run is gone: there is nothing to compare.")
        gt = self._state.inputs.gt
        originals = [sources(inputs.lr, inputs.separate, inputs.channels)]
        if all(gt) and _all_in(self._viewer, gt):
            originals.append(self._gt_sources(gt))
        columns = [self._column(column) for column in originals]
        columns.insert(1, self._sr)
        self._shown = SideBySide(self._viewer, columns)
        self._state.comparing = True

    def stop(self) -> None:
        """Go back to how everything was."""
        if self._shown:
            shown, self._shown = self._shown, None
            shown.undo()
            self._state.comparing = False

    def forget(self, layer: Layer) -> None:
        """Note that a layer was removed: what it took part in ends."""
        if self._shown and layer in self._shown.layers:
            self.stop()
        if layer in self._sr:
            self._sr = []

    def _gt_sources(self, gt: Sequence[Image | None]) -> list[Source]:
        state = self._state.inputs
        try:
            found = sources(gt, state.separate, state.channels)
        except ValueError:
            raise InputError(f"The GT layer {gt[0].name} does not hold single cells.") from None
        for source in found:
            axis = source.channel_axis
            count = 1 if axis is None else full_resolution(source.layer).shape[axis]
            if source.index >= count:
                raise InputError(f"The GT layer {source.layer.name} has only {count} channel(s).")
        return found

    def _column(self, column: Sequence[Source]) -> list[Image]:
        """Return one layer per channel; of a layer with a channel axis, new ones."""
        assert self._manifest is not None
        layers = []
        for k, source in enumerate(column):
            layer = source.layer
            if source.channel_axis is not None:
                channel = self._manifest.channels[k]
                layer = Image(
                    source.pixels,
                    name=f"{layer.name} {channel.name}",
                    **channel_look(channel.colour, bottom=k == 0),
                    **placement(source),
                )
            layers.append(layer)
        return layers


def _all_in(viewer: ViewerModel, layers: Sequence[Image | None]) -> bool:
    return all(layer in viewer.layers for layer in layers)
