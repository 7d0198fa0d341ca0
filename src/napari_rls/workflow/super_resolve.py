"""Super-resolve a stack of cells: the one job behind the widget, the CLI and the API."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.flow import FrozenDensity
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.models.intensity import IntensityMap, choose_map
from napari_rls.models.manifest import Manifest
from napari_rls.search.degradation import Bicubic
from napari_rls.search.device import choose_device, choose_dtype
from napari_rls.search.engine import State, search
from napari_rls.search.objective import Objective
from napari_rls.search.posterior import Axes, draw_samples
from napari_rls.search.settings import Settings
from napari_rls.workflow.fit import check_fit, unusable_cells
from napari_rls.workflow.stack import CellStack, InputError, fitting_factor, stack_from_array

AXES_DRAWS = 10_000
"""Random w whose covariance scales the samples."""

SAMPLES_EVERY = 10
"""Steps of the sampling between two updates that show samples."""


@dataclass(frozen=True)
class Run:
    """What holds for a whole run; every update carries it.

    ``start`` is where the search really starts, which differs from the settings if the
    bundle has no encoder for the factor; ``skipped`` names the cells that cannot be
    searched and why.
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
        Best SR images so far (n, C, H, W), float32, in the LR image's unit.
    latents
        Their W+ latents (n, L, d).
    objective, log_density, cross
        Objective, P_w in nats and mean pairwise distance of each, (n,).
    lr_residual
        Mean absolute difference between the degraded SR image and the LR image, per
        cell and channel (n, C), in the LR image's unit.
    samples
        Samples of the posterior (S, n, C, H, W), float32, in the LR image's unit, as they
        form: in some updates of the sampling, the last among them; otherwise None.
    failed
        Cells whose search broke off because a number was not finite, (n,).
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
    found: bool
    finished: bool
    cells_done: int
    seconds: float
    seconds_left: float

    @property
    def must_show(self) -> bool:
        """Whether a view that leaves out updates must not leave out this one."""
        return self.finished or self.samples is not None


def super_resolve(
    lr: CellStack | NDArray[np.generic],
    bundle: Bundle | str,
    settings: Settings | None = None,
) -> Iterator[Update]:
    """Super-resolve cells and yield an update after every step of every batch.

    Parameters
    ----------
    lr
        LR cells: a stack, or an array (C, y, x) or (N, C, y, x), any real dtype, with the
        bundle's channels in the bundle's order.
    bundle
        A loaded bundle, or what :func:`load_bundle` takes.
    settings
        The settings; None takes the defaults with the factor that the LR size asks for.

    Raises
    ------
    InputError
        If the image does not fit the bundle and the factor, or no cell can be searched.
    BundleError
        If the bundle cannot be loaded.
    SettingsError
        If the device that was asked for is not there.
    """
    stack = lr if isinstance(lr, CellStack) else stack_from_array(lr)
    bundle = load_bundle(bundle) if isinstance(bundle, str) else bundle
    manifest = bundle.manifest
    if settings is None:
        height, width = stack.data.shape[-2:]
        fitting = fitting_factor(height, width, manifest.hr_size)
        settings = Settings(factor=fitting or Settings().factor)
    check_fit(stack, manifest, settings.factor)
    skipped = unusable_cells(stack)
    if len(skipped) == len(stack):
        raise InputError(f"{stack.name}: no cell can be searched ({next(iter(skipped.values()))}).")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    choice = choose_device(settings.device)
    dtype = choose_dtype(settings.precision, bundle.generator, choice.device)
    usable = [k for k in range(len(stack)) if k not in skipped]
    run = Run(
        manifest=manifest,
        settings=settings,
        intensity=choose_map(stack.data[usable], manifest.intensity, settings.intensity),
        device=str(choice.device),
        device_reason=choice.reason,
        precision=str(dtype).removeprefix("torch."),
        start=settings.start if settings.factor in bundle.encoders else "mean",
        cells=len(stack),
        skipped=skipped,
    )
    yield from _Batches(run, stack, bundle, choice.device, dtype).updates(usable)


class _Batches:
    """The search of one run, batch after batch."""

    def __init__(
        self, run: Run, stack: CellStack, bundle: Bundle, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.run = run
        self.lr = stack.data
        self.device = device
        self.degrade = Bicubic(run.settings.factor)
        self.fast = FrozenSynthesis(bundle.generator.synthesis, dtype, device)
        self.exact = FrozenSynthesis(bundle.generator.synthesis, torch.float32, device)
        self.log_density = FrozenDensity(bundle.flow, device)
        self.bundle = bundle
        settings = run.settings
        self.steps = settings.steps + (settings.sample_steps if settings.samples else 0)
        if settings.samples:
            self.axes = Axes.of(bundle.draw_w(AXES_DRAWS, settings.seed)).to(device)

    def updates(self, usable: list[int]) -> Iterator[Update]:
        settings = self.run.settings
        clock = _Clock(len(usable) * self.steps)
        done = 0
        for first in range(0, len(usable), settings.batch_size):
            cells = np.array(usable[first : first + settings.batch_size])
            encoded = torch.from_numpy(self.run.intensity.encode(self.lr[cells]))
            objective = Objective(
                lr=encoded.to(self.device),
                degrade=self.degrade,
                log_density=self.log_density,
                lambda_w=settings.lambda_w,
                lambda_c=settings.lambda_c,
                factor=settings.factor,
                reading=settings.reading,
            )
            states = search(
                objective,
                self.fast,
                self._start(encoded),
                steps=settings.steps,
                learning_rate=settings.learning_rate,
                schedule=settings.schedule,
                patience=settings.patience,
            )
            for state in states:
                found = state.step == settings.steps or not bool(state.running.any())
                if found:
                    with torch.no_grad():
                        state = replace(state, image=self.exact(state.ws))  # noqa: PLW2901
                finished = found and not settings.samples
                done += len(cells) if finished else 0
                work = done * self.steps + (0 if finished else len(cells) * state.step)
                update = self._update(objective, state, cells, done, clock.read(work))
                yield replace(update, found=found, finished=finished)
            if settings.samples:
                for step, samples in self._samples(objective, state, int(cells[0])):
                    finished = step == settings.sample_steps
                    done += len(cells) if finished else 0
                    begun = 0 if finished else len(cells) * (settings.steps + step)
                    seconds, left = clock.read(done * self.steps + begun)
                    yield replace(
                        update,
                        step=settings.steps + step,
                        samples=samples,
                        found=True,
                        finished=finished,
                        cells_done=done,
                        seconds=seconds,
                        seconds_left=left,
                    )

    def _samples(
        self, objective: Objective, found: State, first: int
    ) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
        """Draw samples around what was found; yield the step and, now and then, their images."""
        settings = self.run.settings
        drawn = draw_samples(
            objective,
            self.fast,
            found.ws,
            self.axes,
            form=settings.posterior,
            samples=settings.samples,
            temperature=settings.temperature,
            steps=settings.sample_steps,
            rng=torch.Generator().manual_seed(settings.seed + first),
        )
        for now in drawn:
            last = now.step == settings.sample_steps
            if not last and now.step % SAMPLES_EVERY:
                yield now.step, None
                continue
            synthesis = self.exact if last else self.fast
            with torch.no_grad():
                images = torch.stack([synthesis(ws) for ws in now.ws])
            yield now.step, self.run.intensity.decode(_numpy(images))

    @torch.no_grad()
    def _start(self, lr: Tensor) -> Tensor:
        """Return the first W+ latents (n, L, d) for LR images in -1 to 1, on the CPU."""
        if self.run.start == "encoder":
            w = self.bundle.encoders[self.run.settings.factor](lr)
        else:
            w = self.bundle.mean_w(seed=self.run.settings.seed).expand(len(lr), -1)
        return self.bundle.generator.broadcast(w).to(self.device)

    @torch.no_grad()
    def _update(
        self,
        objective: Objective,
        state: State,
        cells: NDArray[np.intp],
        done: int,
        seconds: tuple[float, float],
    ) -> Update:
        difference = (self.degrade(state.image) - objective.lr).abs().mean((2, 3))
        return Update(
            run=self.run,
            cells=cells,
            step=state.step,
            steps=self.steps,
            sr=self.run.intensity.decode(_numpy(state.image)),
            latents=_numpy(state.ws),
            objective=_numpy(state.terms.total),
            log_density=_numpy(state.terms.log_density),
            cross=_numpy(state.terms.cross),
            lr_residual=(_numpy(difference) * self.run.intensity.unit_span).astype(np.float32),
            samples=None,
            failed=state.failed.cpu().numpy(),
            found=False,
            finished=False,
            cells_done=done,
            seconds=seconds[0],
            seconds_left=seconds[1],
        )


class _Clock:
    """Time since the start and what is left, from the share of the work that is done."""

    def __init__(self, work: int) -> None:
        self._work = work
        self._start = time.perf_counter()

    def read(self, done: int) -> tuple[float, float]:
        seconds = time.perf_counter() - self._start
        return seconds, seconds * (self._work - done) / max(done, 1)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
