"""The search itself: Adam on the W+ latents of a batch of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from napari_rls.search.objective import Objective, Terms
from napari_rls.search.schedule import Schedule, step_factor

MIN_GAIN = 1e-3
"""Relative gain in the objective that counts as progress for the early stop."""


@dataclass(frozen=True)
class State:
    """The best of every cell after ``step`` steps.

    ``ws`` (N, L, d); ``image`` (N, C, H, W) in -1 to 1; ``terms`` of (N,) each, infinite
    where a cell never had a finite objective; ``running`` (N,) is false for cells that
    stopped early or failed, ``failed`` (N,) true for those whose numbers were not finite.
    """

    step: int
    ws: Tensor
    image: Tensor
    terms: Terms
    running: Tensor
    failed: Tensor

    def copy(self) -> State:
        """Return a state that further steps will not change."""
        terms = Terms(*(getattr(self.terms, f.name).clone() for f in fields(Terms)))
        running, failed = self.running.clone(), self.failed.clone()
        return State(self.step, self.ws.clone(), self.image.clone(), terms, running, failed)


def search(
    objective: Objective,
    synthesis: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    steps: int,
    learning_rate: float,
    schedule: Schedule = "one-cycle",
    patience: int = 0,
) -> Iterator[State]:
    """Minimise ``objective`` from ``start`` and yield the state after every step.

    Cells are independent: the objective is summed over cells and Adam is
    elementwise. A cell whose objective or gradient stops being finite keeps its
    best iterate and is left out from then on.

    Parameters
    ----------
    objective
        What to minimise.
    synthesis
        G_s, from W+ latents (n, L, d) to images.
    start
        First latents (N, L, d).
    steps, learning_rate, schedule
        Iterations and largest step size of Adam, and how the step size changes.
    patience
        Steps without a gain after which a cell stops; 0 never stops one.

    Yields
    ------
    State
        ``steps`` states, or fewer if every cell stopped.
    """
    ws = start.detach().clone().requires_grad_()
    adam = torch.optim.Adam([ws], lr=learning_rate)
    running = torch.ones(len(ws), dtype=torch.bool, device=ws.device)
    stale = torch.zeros(len(ws), dtype=torch.long, device=ws.device)
    best: State | None = None
    for step in range(1, steps + 1):
        cells = running.nonzero().squeeze(1)
        adam.zero_grad()
        latents = ws[cells]
        image = synthesis(latents)
        terms = objective(latents, image, cells)
        terms.total.sum().backward()
        assert ws.grad is not None
        finite = terms.total.isfinite() & ws.grad[cells].isfinite().flatten(1).all(1)
        if best is None:
            best = _nothing_yet(ws, image, running)
        gain = best.terms.total[cells] - terms.total.detach()
        needed = MIN_GAIN * best.terms.total[cells].abs().nan_to_num(posinf=0.0)
        stale[cells] = torch.where(gain > needed, 0, stale[cells] + 1)
        _keep(best, cells, gain > 0, latents, image, terms)
        best.failed[cells[~finite]] = True
        running[cells[~finite]] = False
        if patience:
            running[cells[stale[cells] >= patience]] = False
        ws.grad[cells[~finite]] = 0.0
        yield replace(best, step=step).copy()
        if not running.any():
            return
        adam.param_groups[0]["lr"] = learning_rate * step_factor(schedule, step - 1, steps)
        adam.step()


def _nothing_yet(ws: Tensor, image: Tensor, running: Tensor) -> State:
    never = torch.full((len(ws),), torch.inf, device=ws.device)
    terms = Terms(*(never.clone() for _ in fields(Terms)))
    failed = torch.zeros_like(running)
    return State(0, ws.detach().clone(), image.detach().clone(), terms, running, failed)


def _keep(
    best: State, cells: Tensor, better: Tensor, latents: Tensor, image: Tensor, terms: Terms
) -> None:
    """Overwrite the best of those ``cells`` that got ``better``."""
    rows = cells[better]
    best.ws[rows] = latents.detach()[better]
    best.image[rows] = image.detach()[better]
    for f in fields(Terms):
        getattr(best.terms, f.name)[rows] = getattr(terms, f.name).detach()[better]
