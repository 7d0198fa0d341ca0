"""The search itself: Adam on what a method changes for a batch of cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from napari_rls.search.latents import Latents, Point, Synthesis
from napari_rls.search.objective import Objective, Terms
from napari_rls.search.projection import Projection, unconstrained
from napari_rls.search.schedule import Schedule, step_factor

MIN_GAIN = 1e-3
"""Relative gain in the objective that counts as progress for the early stop."""


@dataclass(frozen=True)
class Plan:
    """A method, made ready for a batch of cells.

    Parameters
    ----------
    objective
        Data term and priors.
    latents
        What is searched.
    steps, learning_rate, schedule
        Iterations and largest step size of Adam, and how the step size changes.
    project
        What is done to the latents after every step.
    keep
        Which iterate of a cell is the result: its ``best``, the ``last`` one that a step was
        taken from, or where that last step led, ``after`` it.
    goal
        Value that the data term of a cell must reach at least once, or None.
    patience
        Steps without a gain after which a cell stops; 0 never stops one.
    exact
        Makes the final images in float32; None where the search itself does.
    steady, steady_rate
        Those of the latents' variables that the schedule leaves alone, and their step size.
    """

    objective: Objective
    latents: Latents
    steps: int
    learning_rate: float
    schedule: Schedule = "one-cycle"
    project: Projection = unconstrained
    keep: Literal["best", "last", "after"] = "best"
    goal: float | None = None
    patience: int = 0
    exact: Synthesis | None = None
    steady: tuple[Tensor, ...] = ()
    steady_rate: float = 0.0


@dataclass(frozen=True)
class State:
    """What is kept of every cell after ``step`` steps, see :attr:`Plan.keep`.

    ``ws`` (N, L, d); ``noise`` maps (N, 1, h, w), if the method has its own; ``image`` (N, C,
    H, W) in -1 to 1; ``terms`` of (N,) each, infinite where a cell never had a finite
    objective; ``running`` (N,) is false for cells that stopped early or failed, ``failed``
    (N,) true for those whose numbers were not finite, ``reached`` (N,) true for those that
    came to the plan's goal, if it has one.
    """

    step: int
    ws: Tensor
    noise: tuple[Tensor, ...]
    image: Tensor
    terms: Terms
    running: Tensor
    failed: Tensor
    reached: Tensor

    def copy(self) -> State:
        """Return a state that further steps will not change."""
        return State(
            self.step,
            self.ws.clone(),
            tuple(noise.clone() for noise in self.noise),
            self.image.clone(),
            Terms(*(getattr(self.terms, f.name).clone() for f in fields(Terms))),
            self.running.clone(),
            self.failed.clone(),
            self.reached.clone(),
        )


def search(plan: Plan, before: State | None = None) -> Iterator[State]:
    """Minimise the plan's objective and yield the state after every step.

    Cells are independent: the objective is summed over cells and Adam is
    elementwise. A cell whose objective or gradient stops being finite keeps the
    iterate before that and is left out from then on.

    Parameters
    ----------
    plan
        What to minimise, and how.
    before
        What another search found that this one goes on from: its steps count, and cells
        that failed in it are left as they are.

    Yields
    ------
    State
        As many states as the plan has steps, or fewer if every cell stopped.
    """
    variables = plan.latents.variables
    # Fused is much faster for many tensors; its last digits are not those of the other one.
    adam = torch.optim.Adam(_groups(plan), lr=plan.learning_rate, fused=len(variables) > 1)
    running = torch.ones(len(variables[0]), dtype=torch.bool, device=variables[0].device)
    if before is not None:
        running &= ~before.failed
    stale = torch.zeros_like(running, dtype=torch.long)
    reached = torch.full_like(running, plan.goal is None)
    least = torch.full_like(running, torch.inf, dtype=torch.float32)
    kept = before.copy() if before is not None else None
    for step in range(1, plan.steps + 1):
        cells = running.nonzero().squeeze(1)
        if not len(cells):
            return
        adam.zero_grad()
        point = plan.latents(cells)
        terms = plan.objective(point.ws, point.image, cells)
        terms.total.sum().backward()
        finite = terms.total.isfinite() & _finite_gradients(variables, cells)
        if kept is None:
            kept = _nothing_yet(point)
        gain = least[cells] - terms.total.detach()
        needed = MIN_GAIN * least[cells].abs().nan_to_num(posinf=0.0)
        stale[cells] = torch.where(gain > needed, 0, stale[cells] + 1)
        least[cells[gain > 0]] = terms.total.detach()[gain > 0]
        _keep(kept, cells, gain > 0 if plan.keep == "best" else finite, point, terms)
        if plan.goal is not None:
            reached[cells] |= terms.data.detach() <= plan.goal
        kept.failed[cells[~finite]] = True
        running[cells[~finite]] = False
        if plan.patience:
            running[cells[stale[cells] >= plan.patience]] = False
        for variable in variables:
            assert variable.grad is not None
            variable.grad[cells[~finite]] = 0.0
        made = step + (before.step if before else 0)
        now = replace(kept, step=made, running=running, reached=reached)
        ends_after = plan.keep == "after" and step == plan.steps
        if not ends_after:
            yield now.copy()
        factor = step_factor(plan.schedule, step - 1, plan.steps)
        adam.param_groups[0]["lr"] = plan.learning_rate * factor
        adam.step()
        with torch.no_grad():
            plan.project()
            if ends_after:
                _keep_where_the_last_step_led(plan, now)
                yield now.copy()


def _groups(plan: Plan) -> list[dict[str, Any]]:
    """Return the variables as Adam takes them, those of the schedule first."""
    steady = {id(variable) for variable in plan.steady}
    groups: list[dict[str, Any]] = [
        {"params": [v for v in plan.latents.variables if id(v) not in steady]}
    ]
    if steady:
        groups.append({"params": list(plan.steady), "lr": plan.steady_rate})
    return groups


def _keep_where_the_last_step_led(plan: Plan, now: State) -> None:
    """Overwrite what is kept of the cells that still run with where they are."""
    cells = now.running.nonzero().squeeze(1)
    if not len(cells):
        return
    point = plan.latents(cells)
    terms = plan.objective(point.ws, point.image, cells)
    _keep(now, cells, terms.total.isfinite(), point, terms)


def _finite_gradients(variables: tuple[Tensor, ...], cells: Tensor) -> Tensor:
    finite = torch.ones_like(cells, dtype=torch.bool)
    for variable in variables:
        assert variable.grad is not None
        # A sum is not finite if one of its terms is not, and far quicker to look at.
        finite &= variable.grad.reshape(len(variable), -1).sum(1).isfinite()[cells]
    return finite


def _nothing_yet(point: Point) -> State:
    ws, noise, image = point.ws.detach(), tuple(m.detach() for m in point.noise), point.image
    never = torch.full((len(ws),), torch.inf, device=ws.device)
    no = torch.zeros_like(never, dtype=torch.bool)
    terms = Terms(*(never for _ in fields(Terms)))
    return State(0, ws, noise, image.detach(), terms, ~no, no, no).copy()


def _keep(kept: State, cells: Tensor, chosen: Tensor, point: Point, terms: Terms) -> None:
    """Overwrite what is kept of those ``cells`` that are ``chosen``."""
    rows = cells[chosen]
    kept.ws[rows] = point.ws.detach()[chosen]
    kept.image[rows] = point.image.detach()[chosen]
    for mine, its in zip(kept.noise, point.noise, strict=True):
        mine[rows] = its.detach()[chosen]
    for f in fields(Terms):
        getattr(kept.terms, f.name)[rows] = getattr(terms, f.name).detach()[chosen]
