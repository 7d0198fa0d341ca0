"""SR images on the way: what the search has reached after every so many steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import write_frames
from napari_rls.workflow.super_resolve.updates import Run, Update


class Trace:
    """Frames of the search of a run, every ``every`` steps and after the last one.

    Parameters
    ----------
    result
        The run's collector; give both every update.
    every
        Steps between two frames.

    Attributes
    ----------
    frames
        SR images (F, N, C, H, W), float32; NaN where a cell was not reached. A cell that
        stopped early stays as it was.
    """

    def __init__(self, result: Collector, every: int) -> None:
        self.result = result
        self.every = every
        self.frames: NDArray[np.float32] = np.empty((0, *result.sr.shape), np.float32)
        self._planned = 0

    def begin(self, run: Run) -> None:
        """Make room for the run's frames."""
        if not self.frames.size:
            self._planned = run.settings.search_steps
            count = -(-self._planned // self.every)
            self.frames = np.full((count, *self.result.sr.shape), np.nan, np.float32)

    def add(self, update: Update) -> None:
        """Take the update's images over if its step is one of the trace's."""
        self.begin(update.run)
        if update.found or update.step % self.every == 0:
            frame = (min(update.step, self._planned) - 1) // self.every
            last = None if update.found else frame + 1
            self.frames[frame:last, update.cells] = update.sr

    @property
    def steps(self) -> list[int]:
        """The step of every frame."""
        return [min(k * self.every, self._planned) for k in range(1, len(self.frames) + 1)]

    def write(self, path: Path) -> None:
        """Write the frames, see :func:`~napari_rls.workflow.super_resolve.sr_files.write_frames`.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        write_frames(path, self.result, self.frames, "step", {"trace_steps": self.steps})
