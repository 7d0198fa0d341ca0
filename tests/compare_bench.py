"""A controller of comparisons on a viewer model, with LR and GT cells of the tiny bundle's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from widget_bench import Thread

from napari_rls.widgets.compare.compare_controller import CompareController
from napari_rls.widgets.compare.compare_state import CompareState
from napari_rls.workflow.cells.degrade import degrade

FACTOR = 8


def hr_cells(count: int = 3) -> np.ndarray:
    """Return smooth random cells (N, 2, 32, 32), 8-bit."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(20, 220, (count, 2, 8, 8))
    return coarse.repeat(4, -1).repeat(4, -2).astype(np.uint8)


def lr_of(hr: np.ndarray) -> np.ndarray:
    return degrade(hr, FACTOR)


class CompareBench:
    """A controller with its viewer, state and thread."""

    def __init__(self, bundle: Path, memory: Path, *, steps: int = 3, **options) -> None:
        self.viewer = ViewerModel()
        self.state = CompareState()
        self.thread = Thread()
        self.controller = CompareController(
            self.viewer, self.state, self.thread.launch, memory, **options
        )
        self.controller.change("bundle", str(bundle))
        self.controller.choose_steps(steps)

    def add(self, hr: np.ndarray, *, gt: bool = True) -> None:
        """Add LR and GT cells, one layer per channel, and let the controller find them."""
        for c, channel in enumerate(("nucleus", "protein")):
            if gt:
                self.viewer.add_image(hr[:, c], name=f"GT {channel}", visible=False)
            self.viewer.add_image(lr_of(hr)[:, c], name=f"LR {channel}")
        self.controller.guess_inputs()

    def choose(self, *methods: str) -> None:
        for method in self.state.methods:
            self.controller.choose_method(method, False)
        for method in methods:
            self.controller.choose_method(method, True)

    def compare(self) -> None:
        self.controller.start()
        self.thread.finish()

    def step_until(self, method: str, step: int) -> None:
        """Deliver updates up to a step of a method's search."""
        while True:
            (update,) = self.thread.step()
            if update.method == method and update.search and update.search.step == step:
                return

    @property
    def said(self) -> str:
        return self.state.message.text

    @property
    def results(self) -> dict:
        return {result.method: result for result in self.controller.results}

    def sr(self, method: str) -> list:
        """Layers of a method."""
        return [x for x in self.viewer.layers if x.name.startswith(f"SR {FACTOR}x {method} (")]
