"""A controller of measurements on a viewer model, and cells whose ratio is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from synthetic_cells import disc
from widget_bench import Thread

from napari_rls.widgets.measure.measure_controller import MeasureController
from napari_rls.widgets.measure.measure_state import state_of

SIDE = 48
RATIO = "Math_Ratio_NucleusCytoplasm_Signal"
"""Layers of one channel do not tell what it is called."""


def two_channels(ratios, centre=(23.5, 23.5)) -> np.ndarray:
    """Return cells (N, 2, 48, 48): nuclei of radius 7, their signal ``ratio`` times that around."""
    found = []
    for ratio in ratios:
        dna = np.where(disc((SIDE, SIDE), centre, 7), 200.0, 10.0)
        signal = np.where(disc((SIDE, SIDE), centre, 7.9), 20.0 * ratio, 20.0)
        found.append([dna, signal])
    return np.array(found, np.float32)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the area that two masks share over the area of either."""
    return (one & other).sum() / (one | other).sum()


class MeasureBench:
    """A controller with its viewer, state and thread."""

    def __init__(self, memory: Path) -> None:
        self.viewer = ViewerModel()
        self.state = state_of(self.viewer)
        self.thread = Thread()
        self.controller = MeasureController(self.viewer, self.state, self.thread.launch, memory)

    def add(self, name: str, data: np.ndarray, **options) -> list:
        """Add cells (N, 2, H, W) as a layer for DNA and one for GFP."""
        layers = [
            self.viewer.add_image(data[:, c], name=f"{name} {channel}", **options)
            for c, channel in enumerate(("DNA", "GFP"))
        ]
        self.controller.guess()
        return layers

    def measure(self) -> None:
        """Measure what is chosen."""
        self.controller.start()
        self.thread.finish()

    @property
    def table(self):
        return self.state.result.table

    @property
    def said(self) -> str:
        return self.state.message.text

    def layer(self, name: str):
        return self.viewer.layers[name]
