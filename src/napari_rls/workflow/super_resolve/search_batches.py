"""The search of a run, batch after batch, with the samples of what it found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.search.degradation import Degradation
from napari_rls.search.drawn import Drawer
from napari_rls.search.engine import Plan, State, search
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.kit import Batch, Kit, Seen
from napari_rls.search.networks import Networks
from napari_rls.search.objective import Objective, Terms
from napari_rls.search.own_generator import cells_that_fit
from napari_rls.search.posterior import draw_samples
from napari_rls.search.presets import PRESETS
from napari_rls.search.streams import Purpose
from napari_rls.workflow.super_resolve.told_of_lr import teller
from napari_rls.workflow.super_resolve.updates import Batches, Clock, Run, Update

SAMPLES_EVERY = 10
"""Steps of the sampling between two updates that show samples."""


class SearchBatches:
    """The search of one run.

    Parameters
    ----------
    run
        What holds for all of it.
    lr
        LR images (N, C, h, w) in the run's intensities.
    networks
        The bundle's, ready to search with.
    degrade
        The operator D.
    seen
        Tells of cells (n,) how the microscope saw them, where that is known; pixels of ``lr`` that
        are not to be compared are then NaN.
    """

    def __init__(
        self,
        run: Run,
        lr: NDArray[np.generic],
        networks: Networks,
        degrade: Degradation | PlacedOptics,
        seen: Callable[[NDArray[np.intp]], Seen] | None = None,
    ) -> None:
        settings = run.settings
        method = PRESETS[settings.method]
        self.run = run
        self.lr = lr
        self._seen = seen
        tell = teller(networks.bundle, settings)
        self.kit = Kit(networks, settings, run.start, degrade, _looks, tell)
        self.stages = method.load_stages()
        self.size = settings.batch_size
        if method.own_generators:
            fitting = cells_that_fit(networks.bundle.generator.synthesis)
            self.size = min(self.size, fitting)
        self.by_flow = settings.posterior == "flow"
        self.sample_steps = settings.samples if self.by_flow else settings.sample_steps
        self.steps = settings.search_steps + (self.sample_steps if settings.samples else 0)

    def updates(self, usable: Sequence[int], kept: Collection[int] = ()) -> Iterator[Update]:
        """Search the cells ``usable`` and yield an update after every step.

        Batches of which all cells are ``kept`` are left out and count as done.
        """
        settings = self.run.settings
        batches = Batches.of(usable, self.size, kept)
        clock = Clock((len(usable) - batches.done) * self.steps)
        done = batches.done
        for cells in batches.left:
            batch = self._batch(cells)
            for now in self._states(batch):
                plan, state, found = now
                finished = found and not settings.samples
                done += len(cells) if finished else 0
                made = (done - batches.done) * self.steps
                work = made + (0 if finished else len(cells) * state.step)
                update = self._update(batch, state, found=found)
                seconds, left = clock.read(work)
                update = replace(
                    update, finished=finished, cells_done=done, seconds=seconds, seconds_left=left
                )
                yield update
            if settings.samples:
                for step, samples in self._samples(plan, state, batch):
                    finished = step == self.sample_steps
                    done += len(cells) if finished else 0
                    begun = 0 if finished else len(cells) * (settings.search_steps + step)
                    made = (done - batches.done) * self.steps
                    seconds, left = clock.read(made + begun)
                    yield replace(
                        update,
                        step=settings.search_steps + step,
                        samples=samples,
                        finished=finished,
                        cells_done=done,
                        seconds=seconds,
                        seconds_left=left,
                    )

    def _batch(self, cells: NDArray[np.intp]) -> Batch:
        encoded = torch.from_numpy(self.run.intensity.encode(self.lr[cells]))
        if self._seen is None:
            return Batch(encoded.to(self.kit.device), tuple(cells.tolist()))
        seen = self._seen(cells).to(self.kit.device)
        known = encoded.nan_to_num(0).to(self.kit.device)
        return Batch(known, tuple(cells.tolist()), seen)

    def _kit_of(self, batch: Batch) -> Kit:
        """Return the kit with D of these very cells."""
        if batch.seen is None or batch.seen.optics is None:
            return self.kit
        return replace(self.kit, degrade=batch.seen.optics)

    def _states(self, batch: Batch) -> Iterator[tuple[Plan | None, State, bool]]:
        """Go through the stages; yield plan and state of each step and whether it is the last."""
        if not self.stages:
            yield None, drawn_state(self._kit_of(batch), batch), True
        state: State | None = None
        for k, stage in enumerate(self.stages):
            before = state
            if before is not None and bool(before.failed.all()):
                return
            plan = stage(self._kit_of(batch), batch, before)
            for state in search(plan, before):
                made = state.step - (before.step if before else 0)
                over = made == plan.steps or not bool(state.running.any())
                if over and plan.exact is not None:
                    with torch.no_grad():
                        image = plan.exact(state.ws, state.noise)
                    state = replace(state, image=image)  # noqa: PLW2901
                last = k == len(self.stages) - 1 or bool(state.failed.all())
                yield plan, state, over and last

    def _samples(
        self, plan: Plan | None, found: State, batch: Batch
    ) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
        """Draw samples; yield the step and, now and then, their images."""
        if plan is None or self.by_flow:
            yield from self._drawn(batch)
        else:
            yield from self._around(plan.objective, found, batch)

    def _drawn(self, batch: Batch) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
        drawer, images = Drawer(self._kit_of(batch), batch), list[Tensor]()
        for step in range(1, self.sample_steps + 1):
            images.append(drawer.draw(step))
            last = step == self.sample_steps
            decoded = self.run.intensity.decode(as_numpy(torch.stack(images))) if last else None
            yield step, decoded

    def _around(
        self, objective: Objective, found: State, batch: Batch
    ) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
        """Fit samples to the posterior around what was found."""
        settings = self.run.settings
        drawn = draw_samples(
            # The weight of what LR images tell of a measurement is no likelihood.
            replace(objective, told=None),
            self.kit.fast,
            found.ws,
            self.kit.draws.axes,
            form="paper" if settings.posterior == "paper" else "bound",
            samples=settings.samples,
            temperature=settings.temperature,
            steps=settings.sample_steps,
            rngs=batch.streams(settings.seed, Purpose.POSTERIOR),
        )
        for now in drawn:
            last = now.step == settings.sample_steps
            if not last and now.step % SAMPLES_EVERY:
                yield now.step, None
                continue
            synthesis = self.kit.exact if last else self.kit.fast
            with torch.no_grad():
                images = [synthesis(ws) for ws in now.ws]
            if last:
                images = [self.kit.recorded(x, batch, 1 + k) for k, x in enumerate(images)]
            yield now.step, self.run.intensity.decode(as_numpy(torch.stack(images)))

    @torch.no_grad()
    def _update(self, batch: Batch, state: State, *, found: bool) -> Update:
        """Return the update of a state; what it says of the whole run is still to be filled in."""
        image = self.kit.recorded(state.image, batch) if found and self.stages else state.image
        difference = (self._kit_of(batch).degrade(image) - batch.lr).abs().mean((2, 3))
        if batch.seen is not None and batch.seen.optics is not None:
            # Pixels outside differ by nothing.
            difference = difference / batch.seen.optics.inside.float().mean((1, 2))[:, None]
        unreached = ~(state.reached | state.failed) & found
        return Update(
            run=self.run,
            cells=np.array(batch.cells),
            step=state.step,
            steps=self.steps,
            sr=self.run.intensity.decode(as_numpy(image)),
            latents=as_numpy(state.ws),
            objective=as_numpy(state.terms.total),
            log_density=as_numpy(state.terms.log_density),
            cross=as_numpy(state.terms.cross),
            lr_residual=(as_numpy(difference) * self.run.intensity.unit_span).astype(np.float32),
            samples=None,
            failed=state.failed.cpu().numpy(),
            unreached=unreached.cpu().numpy(),
            found=found,
            finished=False,
            cells_done=0,
            seconds=0.0,
            seconds_left=0.0,
        )


@torch.no_grad()
def drawn_state(kit: Kit, batch: Batch) -> State:
    """Return images that flow matching draws as what a search of one step has found.

    The objective is the mean absolute error of the degraded images, in -1 to 1; there are no
    latents.
    """
    image = Drawer(kit, batch).draw(0)
    cells = len(image)
    data = (kit.degrade(image) - batch.lr).abs().mean((1, 2, 3))
    nothing = torch.full_like(data, torch.nan)
    no = torch.zeros(cells, dtype=torch.bool, device=image.device)
    terms = Terms(data, nothing, nothing, data)
    ws = image.new_empty(cells, 0, 0)
    return State(1, ws, (), image, terms, running=no, failed=no, reached=~no)


def as_numpy(tensor: Tensor) -> NDArray[np.float32]:
    """Return a tensor's numbers as float32."""
    return tensor.float().cpu().numpy()


def _looks(one: Tensor, other: Tensor) -> Tensor:
    from napari_rls.evaluation.perceptual import perceptual_distance

    return perceptual_distance(one, other)
