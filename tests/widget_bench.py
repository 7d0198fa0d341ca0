"""A controller on a viewer model, with a launch that the test drives step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from napari.components import ViewerModel

from napari_rls.models.bundle_file import read_manifest
from napari_rls.widgets.cells.input_state import InputState
from napari_rls.widgets.super_resolve.super_resolve_controller import SuperResolveController


class Thread:
    """Stands in for the thread: the search runs where and as far as the test says."""

    def __init__(self) -> None:
        self.started = 0
        self.stopped = False
        self._updates: Iterator = iter(())

    def launch(self, job, deliver, ended):
        self.started += 1
        self.stopped = False
        self.job, self.deliver, self.ended = job, deliver, ended
        self._updates = job.updates()
        return self._stop

    def _stop(self) -> None:
        self.stopped = True

    def step(self, count: int = 1) -> list:
        """Deliver the next updates; return them."""
        updates = [next(self._updates) for _ in range(count)]
        for update in updates:
            self.deliver(update)
        return updates

    def finish(self) -> None:
        """Run to the end, as a thread does that nobody stops."""
        for update in self._updates:
            self.deliver(update)
        self.ended()


class Bench:
    """A controller with its viewer, state and thread."""

    def __init__(self, bundle: Path, memory: Path, *, steps: int = 3, **settings) -> None:
        self.viewer = ViewerModel()
        self.state = InputState()
        self.thread = Thread()
        self.memory = memory
        self.manifest = read_manifest(bundle)
        self.controller = SuperResolveController(
            self.viewer, self.state, self.thread.launch, memory
        )
        for name, value in {
            "bundle": str(bundle),
            "steps": steps,
            "samples": 0,
            **settings,
        }.items():
            self.controller.change(name, value)

    def add_lr(self, data=None, **options):
        """Add LR cells, (3, 2, 4, 4) unless given, and let the controller find them."""
        data = lr_cells() if data is None else data
        layer = self.viewer.add_image(data, **{"name": "LR", **options})
        self.controller.guess_inputs()
        return layer

    @property
    def sr(self) -> list:
        return [layer for layer in self.viewer.layers if layer.name.startswith("SR")]

    @property
    def said(self) -> str:
        return self.state.message.text


def lr_cells(count: int = 3, channels: int = 2, size: int = 4) -> np.ndarray:
    """Return cells with a bright blob, 8-bit as from a microscope."""
    rng = np.random.default_rng(0)
    cells = rng.integers(10, 60, (count, channels, size, size), dtype=np.uint8)
    cells[..., size // 2, size // 2] = 200
    return cells
