"""Which layer is what: one LR layer or one per channel, and the GT beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_rls.text import for_qt
from napari_rls.widgets.inputs import channel_names, full_resolution, match_channels
from napari_rls.widgets.parts import PlainLabel
from napari_rls.widgets.state import Inputs
from napari_rls.workflow.stack import find_axes

if TYPE_CHECKING:
    from napari.layers import Image

MODES = (("One layer with a channel axis", False), ("One layer per channel", True))
NONE = ("(none)", None)


class InputPicker(QWidget):
    """A table: a row per channel of the bundle, a column for LR and one for GT.

    ``changed`` carries the new :class:`Inputs` after a choice of the user, ``mode_changed``
    whether every channel is to have a layer of its own.
    """

    changed = Signal(object)
    mode_changed = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._channels: tuple[str, ...] = ()
        self._layers: list[Image] = []
        self._inputs = Inputs()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnStretch(2, 1)
        self.mode = ComboBox(choices=MODES, tooltip="How the channels of the cells are stored.")
        self.mode.changed.connect(self.mode_changed.emit)
        self._grid.addWidget(QLabel("Input"), 0, 0)
        self._grid.addWidget(self.mode.native, 0, 1, 1, 2)
        self.lr: list[ComboBox] = []
        self.gt: list[ComboBox] = []
        self.indices: list[ComboBox] = []

    def show_inputs(self, inputs: Inputs, layers: Sequence[Image], channels: Sequence[str]) -> None:
        """Show a choice among layers for a bundle with these channels."""
        self._inputs, self._layers, self._channels = inputs, list(layers), tuple(channels)
        with self.mode.changed.blocked():
            self.mode.value = inputs.separate
        self._clear()
        self._grid.addWidget(_heading("LR"), 1, 1)
        self._grid.addWidget(_heading("GT (optional)"), 1, 2)
        rows = channels if inputs.separate else ("Layer",)
        for k, name in enumerate(rows):
            self._grid.addWidget(PlainLabel(name), 2 + k, 0)
            self.lr.append(self._layer_box(inputs.lr[k], 2 + k, 1))
            self.gt.append(self._layer_box(inputs.gt[k], 2 + k, 2))
        if not inputs.separate and len(channels) > 1:
            for k, name in enumerate(channels):
                self._grid.addWidget(PlainLabel(name), 3 + k, 0)
                self.indices.append(self._index_box(inputs, k))

    def _clear(self) -> None:
        while self._grid.count() > 2:
            widget = self._grid.takeAt(2).widget()
            widget.hide()
            widget.deleteLater()
        self.lr, self.gt, self.indices = [], [], []

    def _layer_box(self, chosen: Image | None, row: int, column: int) -> ComboBox:
        choices = [NONE, *((layer.name, layer) for layer in self._layers)]
        box = ComboBox(
            choices=choices, value=chosen, tooltip=for_qt("" if chosen is None else chosen.name)
        )
        return self._place(box, row, column, 1)

    def _index_box(self, inputs: Inputs, k: int) -> ComboBox:
        choices = [(label, index) for index, label in enumerate(_channel_labels(inputs.lr[0]))]
        index = inputs.channels[k]
        if all(index != known for _, known in choices):
            choices.append((f"{index}: missing" if inputs.lr[0] else "(none)", index))
        tip = f"Channel of the layer that is {self._channels[k]}."
        return self._place(ComboBox(choices=choices, value=index, tooltip=tip), 3 + k, 1, 2)

    def _place(self, box: ComboBox, row: int, column: int, span: int) -> ComboBox:
        # Long layer names must not widen the dock.
        box.native.setMinimumContentsLength(6)
        box.native.setSizeAdjustPolicy(
            box.native.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        box.changed.connect(self._choose)
        self._grid.addWidget(box.native, row, column, 1, span)
        return box

    def _choose(self) -> None:
        before = self._inputs
        lr = tuple(box.value for box in self.lr)
        gt = tuple(box.value for box in self.gt)
        channels = tuple(box.value for box in self.indices) or before.channels
        if not before.separate and lr != before.lr:
            channels = match_channels(lr[0], self._channels)
        self.changed.emit(Inputs(before.separate, lr, gt, channels))


def _channel_labels(layer: Image | None) -> list[str]:
    if layer is None:
        return []
    shape = full_resolution(layer).shape
    try:
        _, axis = find_axes(shape, layer.axis_labels)
    except ValueError:
        return []
    names = channel_names(layer)
    count = 1 if axis is None else shape[axis]
    return [f"{k}: {names[k]}" if len(names) == count else str(k) for k in range(count)]


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setEnabled(False)
    return label
