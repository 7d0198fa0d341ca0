"""Which layer is what: one LR layer or one per channel, and the GT beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_rls.text import for_qt
from napari_rls.widgets.cells.guess_layers import match_channels
from napari_rls.widgets.cells.input_state import Inputs
from napari_rls.widgets.cells.layer_facts import axis_names, channel_names, full_resolution
from napari_rls.widgets.common.parts import PlainLabel, shorten, there
from napari_rls.workflow.cells.stack import find_axes

if TYPE_CHECKING:
    from napari.layers import Image

MODES = (("One layer with a channel axis", False), ("One layer per channel", True))
NONE = ("(none)", None)


class InputPicker(QWidget):
    """A table: a row per channel of the bundle, a column for LR and one for GT.

    ``changed`` carries the new :class:`Inputs` after a choice of the user, ``mode_changed``
    whether every channel is to have a layer of its own.

    Parameters
    ----------
    truth
        Whether there is a column for GT.
    """

    changed = Signal(object)
    mode_changed = Signal(bool)

    def __init__(self, *, truth: bool = True) -> None:
        super().__init__()
        self._truth = truth
        self._inputs = Inputs()
        self._shown: tuple[Any, ...] | None = None
        self._rows: tuple[bool, tuple[str, ...]] | None = None
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnStretch(2, 1)
        self.mode = ComboBox(choices=MODES, tooltip="How the channels of the cells are stored.")
        self.mode.changed.connect(self._change_mode)
        self._grid.addWidget(QLabel("Input"), 0, 0)
        self._grid.addWidget(self.mode.native, 0, 1, 1, 2)
        self.lr: list[ComboBox] = []
        self.gt: list[ComboBox] = []
        self.indices: list[ComboBox] = []

    def show_inputs(self, inputs: Inputs, layers: Sequence[Image], channels: Sequence[str]) -> None:
        """Show a choice among layers for a bundle with these channels."""
        layer_choices = [NONE, *((layer.name, layer) for layer in layers)]
        shown = (inputs, layer_choices, tuple(channels), _index_choices(inputs, channels))
        # napari tells of every single layer that comes or goes.
        if shown == self._shown:
            return
        if (inputs.separate, tuple(channels)) != self._rows:
            self._build(inputs.separate, tuple(channels))
        self._shown, self._inputs = shown, inputs
        with self.mode.changed.blocked():
            self.mode.value = inputs.separate
        for boxes, chosen in ((self.lr, inputs.lr), (self.gt, inputs.gt if self._truth else ())):
            for box, layer in zip(boxes, chosen, strict=True):
                _offer(box, layer_choices, layer)
                box.tooltip = for_qt("" if layer is None else layer.name)
        for box, choices, index in zip(self.indices, shown[-1], inputs.channels, strict=False):
            _offer(box, choices, index)

    def _build(self, separate: bool, channels: tuple[str, ...]) -> None:
        """Make the rows for layers of one channel or of all."""
        while self._grid.count() > 2:
            widget = there(there(self._grid.takeAt(2)).widget())
            widget.hide()
            widget.deleteLater()
        self._rows = (separate, channels)
        self.lr, self.gt, self.indices = [], [], []
        self._grid.addWidget(_heading("LR"), 1, 1)
        if self._truth:
            self._grid.addWidget(_heading("GT (optional)"), 1, 2)
        for k, name in enumerate(channels if separate else ("Layer",)):
            self._grid.addWidget(PlainLabel(name), 2 + k, 0)
            self.lr.append(self._place(2 + k, 1, 1 if self._truth else 2))
            if self._truth:
                self.gt.append(self._place(2 + k, 2, 1))
        if not separate and len(channels) > 1:
            for k, name in enumerate(channels):
                self._grid.addWidget(PlainLabel(name), 3 + k, 0)
                box = self._place(3 + k, 1, 2)
                box.tooltip = for_qt(f"Channel of the layer that is {name}.")
                self.indices.append(box)

    def _place(self, row: int, column: int, span: int) -> ComboBox:
        box = ComboBox(choices=[NONE])
        shorten(box.native, 6)
        box.changed.connect(self._choose)
        self._grid.addWidget(box.native, row, column, 1, span)
        return box

    def _change_mode(self, separate: bool) -> None:
        self._shown = None  # the boxes say something else now
        self.mode_changed.emit(separate)

    def _choose(self) -> None:
        self._shown, before = None, self._inputs
        lr = tuple(box.value for box in self.lr)
        gt = tuple(box.value for box in self.gt) or before.gt
        channels = tuple(box.value for box in self.indices) or before.channels
        if not before.separate and lr != before.lr:
            assert self._rows is not None
            channels = match_channels(lr[0], self._rows[1])
        self.changed.emit(Inputs(before.separate, lr, gt, channels))


def _offer(box: ComboBox, choices: Sequence[tuple[str, object]], value: object) -> None:
    with box.changed.blocked():
        box.choices = ()  # or a layer that was renamed would keep its old name
        box.choices = choices
        box.value = value


def _index_choices(inputs: Inputs, channels: Sequence[str]) -> list[list[tuple[str, int]]]:
    """Return, for each channel of the bundle, the layer's channels that it may be."""
    if inputs.separate or len(channels) < 2:
        return []
    found = [(label, index) for index, label in enumerate(_channel_labels(inputs.lr[0]))]
    offered = []
    for index in inputs.channels:
        known = any(index == other for _, other in found)
        missing = (f"{index}: missing" if inputs.lr[0] else "(none)", index)
        offered.append(found if known else [*found, missing])
    return offered


def _channel_labels(layer: Image | None) -> list[str]:
    if layer is None:
        return []
    shape = full_resolution(layer).shape
    try:
        _, axis = find_axes(shape, axis_names(layer))
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
