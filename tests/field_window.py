"""What a user does with a field in a window."""

from __future__ import annotations

import numpy as np
from field_bench import drawn_field

from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.fields.field_dock import FieldWidget

SCALE, SHIFT = 2.6, (5.0, 7.0)
"""Of the LR layers, the size of a pixel and where the first one lies."""


def give(dock: FieldWidget, **texts: str) -> None:
    """Type into fields of the dock."""
    fields = {**dock.optics.fields, **dock.detection.fields, "noise": dock.noise}
    for name, text in texts.items():
        fields[name].native.setText(text)
        fields[name].native.editingFinished.emit()


def add_field(viewer, **options):
    """Open a field of two cells, a layer a channel."""
    field = drawn_field(8.0, 1, 2).lr
    place = {"scale": (SCALE, SCALE), "translate": SHIFT}
    return [
        viewer.add_image(pixels, name=f"plate {name}", **{**place, **options})
        for name, pixels in zip(field.channels, field.data[0], strict=True)
    ]


def click(qtbot, dock: FieldWidget, button) -> None:
    button.native.click()
    assert dock.state.phase is Phase.RUNNING, dock.message.text()
    qtbot.waitUntil(lambda: dock.state.phase is Phase.IDLE, timeout=120_000)


def layers(viewer, start: str) -> list:
    return [layer for layer in viewer.layers if layer.name.startswith(start)]


def put_points(dock: FieldWidget, places: np.ndarray) -> None:
    layer = dock.controller.points.layer
    assert layer is not None
    layer.data = places
