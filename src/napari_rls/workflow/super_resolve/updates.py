"""What a run tells of itself on the way."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.models.intensity import IntensityMap
from napari_rls.models.manifest import Manifest
from napari_rls.search.noise import NoiseModel
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.reading import Reading

_CHANCE = 1 / 3
"""Share of cells that may look strange without a word: of cells like the bundle's, few do."""


@dataclass(frozen=True)
class Run:
    """What holds for a whole run; every update carries it.

    ``start`` is where the search really starts, which differs from the settings if the
    bundle has no encoder for the factor, and is ``none`` if nothing is searched;
    ``skipped`` names the cells that cannot be searched and why, ``unusual`` those that are
    searched but whose intensities no cell should have; ``operator`` is the record of D.
    ``reading`` is what the axes and channels of the LR image are taken for, ``strange`` how
    many of the cells that are searched do not look like those that the bundle knows, ``scale``
    says in a sentence if their pixels are of another size. ``noise`` is that of LR crops, in their
    unit, if the search goes by it, ``held`` says in a sentence which measurement, told by the LR
    images, the search is held to.
    """

    manifest: Manifest
    settings: Settings
    intensity: IntensityMap
    device: str
    device_reason: str
    precision: str
    start: str
    cells: int
    skipped: Mapping[int, str] = field(default_factory=dict)
    unusual: Mapping[int, str] = field(default_factory=dict)
    operator: Mapping[str, Any] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    strange: int = 0
    scale: str = ""
    noise: NoiseModel | None = None
    held: str = ""

    @property
    def told(self) -> tuple[str, ...]:
        """Sentences on what the LR images told of intensities, noise and a measurement."""
        names = self.manifest.channel_names
        found = [self.intensity.words(names)]
        if self.noise is not None:
            each = zip(names, self.noise.read_noise, strict=True)
            noise = ", ".join(f"{name} {deviation:.3g}" for name, deviation in each)
            found.append(f"The search goes by the noise of the images, found as {noise} (SD).")
        return tuple(filter(None, (*found, self.held)))

    @property
    def doubt(self) -> str:
        """Why SR images may not be trusted, in sentences: size of pixels, look; or nothing."""
        searched = self.cells - len(self.skipped)
        if self.strange <= _CHANCE * searched:
            return self.scale
        remedy = (
            "if their camera or exposure is another, choose the intensities 'match'; else"
            if self.intensity.mode == "bundle"
            else "if the stain, the kind of cell or the pixel size is another,"
        )
        if self.noise is not None:
            remedy = f"that may be their noise, which the search knows; {remedy}"
        looks = (
            f"{self.strange} of {searched} cells do not look like those that the bundle "
            f"{self.manifest.name} knows (brightness, contrast, how light is spread): {remedy} "
            "their SR images are not to be trusted."
        )
        return f"{self.scale} {looks}".strip()


@dataclass(frozen=True, eq=False)
class Update:
    """The state of one batch of cells after one step; arrays are new in every update.

    Parameters
    ----------
    run
        What holds for the whole run.
    cells
        Indices into the LR stack, (n,).
    step, steps
        Steps made of the steps planned for this batch, those of the sampling included.
    sr
        Best SR images so far (n, C, H, W), float32, in the LR image's unit; for methods that
        return their last image, that of this step.
    latents
        Their W+ latents (n, L, d), L = 0 for a method without any.
    objective, log_density, cross
        Objective, P_w in nats and the method's measure of how far latent vectors lie apart
        of each, (n,); NaN for a method without latents.
    lr_residual
        Mean absolute difference between the degraded SR image and the LR image, per
        cell and channel (n, C), in the LR image's unit.
    samples
        Samples of the posterior (S, n, C, H, W), float32, in the LR image's unit, as they
        form: in some updates of the sampling, the last among them; otherwise None.
    failed
        Cells whose search broke off because a number was not finite, (n,).
    unreached
        Cells whose search is over and never came as near to the LR image as the method
        demands, (n,): those that PULSE's authors count as failed. ``sr`` holds their last
        image all the same.
    found
        Whether the search of the batch is over; ``sr`` is then remade in float32.
    finished
        Whether the batch is done, samples included.
    cells_done
        Cells of the run that are done.
    seconds, seconds_left
        Time since the start, and an estimate of what is left.
    """

    run: Run
    cells: NDArray[np.intp]
    step: int
    steps: int
    sr: NDArray[np.float32]
    latents: NDArray[np.float32]
    objective: NDArray[np.float32]
    log_density: NDArray[np.float32]
    cross: NDArray[np.float32]
    lr_residual: NDArray[np.float32]
    samples: NDArray[np.float32] | None
    failed: NDArray[np.bool_]
    unreached: NDArray[np.bool_]
    found: bool
    finished: bool
    cells_done: int
    seconds: float
    seconds_left: float

    @property
    def must_show(self) -> bool:
        """Whether a view that leaves out updates must not leave out this one."""
        return self.finished or self.samples is not None


class Clock:
    """Time since the start and what is left, from the share of the work that is done."""

    def __init__(self, work: int) -> None:
        self._work = work
        self._start = time.perf_counter()

    def read(self, done: int) -> tuple[float, float]:
        """Return the seconds since the start and those left, given the work done."""
        seconds = time.perf_counter() - self._start
        return seconds, seconds * (self._work - done) / max(done, 1)


@dataclass(frozen=True)
class Batches:
    """How the cells of a run are batched, and which batches are still to be searched.

    Batches are the same whatever is done already: rounding depends on what a cell is
    computed with, and a run that goes on must end as one that went through.
    """

    left: tuple[NDArray[np.intp], ...]
    done: int

    @classmethod
    def of(cls, usable: Sequence[int], size: int, done: Collection[int] = ()) -> Batches:
        """Batch the cells ``usable``; a batch is done if all of its cells are in ``done``."""
        every = [np.array(usable[k : k + size]) for k in range(0, len(usable), size)]
        left = tuple(cells for cells in every if not set(cells.tolist()) <= set(done))
        return cls(left, len(usable) - sum(map(len, left)))
