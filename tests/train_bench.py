"""A training controller on a viewer model, tiny settings, and fields to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from napari.components import ViewerModel
from synthetic_cells import field
from widget_bench import Thread

from napari_rls.widgets.train.train_controller import TrainController
from napari_rls.widgets.train.train_plan import TrainPlan
from napari_rls.widgets.train.train_state import TrainState

CENTRES = [(30.0, 40.0), (60.0, 25.0), (64.0, 64.0), (6.0, 80.0)]
SMALL = {
    "size": 16,
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 2,
    "channel_max": 8,
    "channel_last": 4,
    "batch_size": 4,
    "kimg": 0.04,
    "report_kimg": 0.01,
    "snapshot_kimg": 0.02,
    "threads": 1,
    "device": "cpu",
    "precision": "float32",
}


def write_fields(folder: Path, count: int = 4) -> Path:
    """Write fields of two channels, three usable nuclei each and one at the border."""
    folder.mkdir()
    for k in range(count):
        image = np.roll(field(CENTRES), k, axis=2)
        tifffile.imwrite(folder / f"f{k}.ome.tif", image, metadata={"Channel": {"Name": NAMES}})
    return folder


NAMES = ["GFP", "Hoechst"][::-1]


def small_plan(folder: Path, **settings) -> TrainPlan:
    """Return a plan that takes a second, without images, in ``folder``."""
    plan = TrainPlan(folder=folder, name="mine", fit_samples=300, fit_epochs=1)
    for name, value in {**SMALL, **settings}.items():
        plan = plan.with_part("settings", name, value)
    return plan


class StepByStep(Thread):
    """A thread that the test drives; stopped, it closes what it runs, as the real one does."""

    def close(self) -> None:
        """End after a stop."""
        assert self.stopped
        self._updates.close()
        self.ended()

    def run_until(self, done) -> None:
        """Deliver updates until the condition holds."""
        for update in self._updates:
            self.deliver(update)
            if done():
                return
        raise AssertionError("the work ended first")

    def finish(self) -> None:
        """Run to the end; an error is delivered, as by the real thread."""
        try:
            for update in self._updates:
                self.deliver(update)
        except Exception as error:  # noqa: BLE001
            self.deliver(error)
        self.ended()


class TrainBench:
    """A controller with its viewer, state and thread."""

    def __init__(self, plan: TrainPlan, memory: Path, beside=None) -> None:
        self.viewer = ViewerModel()
        self.state = TrainState()
        self.thread = StepByStep()
        self.memory = memory
        plan.save(memory)
        self.controller = TrainController(
            self.viewer, self.state, self.thread.launch, memory, beside
        )

    def choose(self, folder: Path) -> None:
        """Choose images and let the thread look at them."""
        self.controller.choose_images([str(folder)])
        self.thread.finish()

    def train(self) -> None:
        """Train to the end."""
        self.controller.start()
        self.thread.finish()

    @property
    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]

    @property
    def said(self) -> str:
        return self.state.message.text
