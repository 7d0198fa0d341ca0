"""What LR images tell of a measurement, as a term of the objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_cells import field
from torch import Tensor

from napari_rls.measure.nuclear_ratio import Nuclear
from napari_rls.measure.translocation import TranslocationSettings, measure_translocation
from napari_rls.search.objective import Objective
from napari_rls.search.told import FOUND_EVERY, Told

NUCLEAR = Nuclear(0, TranslocationSettings())
CELLS = torch.arange(3)


def images() -> Tensor:
    """A cell alone, one with a neighbour, and an image without any in its centre."""
    places = [[(24, 24)], [(24, 24), (24, 41)], [(6, 6)]]
    made = np.stack([field(centres, (48, 48), radius=6) for centres in places])
    made[:, 1] += np.where(made[:, 0] > 100, 60, 0).astype(np.uint8)
    return torch.from_numpy(made / 127.5 - 1).float()


def test_errors_count_as_squares_and_then_as_they_are() -> None:
    ratios = NUCLEAR.log_ratios(images())
    for off, paid in ((0.0, 0.0), (0.15, 0.5 * 0.15**2 / 0.3), (-1.0, 0.85), (2.0, 1.85)):
        error = Told(ratios + off, NUCLEAR, 0.05).error(images(), CELLS)
        assert error[:2].tolist() == pytest.approx([0.05 * paid] * 2, abs=1e-6)
        assert error[2] == 0  # no nucleus to measure
    unknown = torch.full_like(ratios, torch.nan)
    assert (Told(unknown, NUCLEAR, 0.05).error(images(), CELLS) == 0).all()


def test_it_pulls_at_the_light_of_nucleus_and_ring_and_at_nothing_that_is_unknown() -> None:
    values = NUCLEAR.log_ratios(images()) + 1
    values[1] = torch.nan
    moving = images().requires_grad_()
    Told(values, NUCLEAR, 0.05).error(moving, CELLS).sum().backward()
    assert moving.grad is not None
    assert moving.grad.isfinite().all()
    assert (moving.grad[1:] == 0).all()
    found = measure_translocation(((images()[0] + 1) * 127.5).numpy())
    pull, nucleus, ring = moving.grad[0, 1], found.nucleus_mask, found.ring_mask
    assert (pull[torch.from_numpy(nucleus)] < 0).all()
    assert (pull[torch.from_numpy(ring)] > 0).all()
    assert (pull[torch.from_numpy(~nucleus & ~ring)] == 0).all()


def test_outlines_follow_the_image_every_few_calls() -> None:
    told = Told(NUCLEAR.log_ratios(images()), NUCLEAR, 1.0)
    moved = torch.roll(images(), (4, 4), (2, 3))
    assert told.error(images(), CELLS)[0] == 0
    between = [float(told.error(moved, CELLS)[0]) for _ in range(FOUND_EVERY - 1)]
    assert min(between) > 0.1
    assert float(told.error(moved, CELLS)[0]) == pytest.approx(0, abs=1e-3)


def test_each_cell_is_held_to_its_own_value_when_others_have_stopped() -> None:
    told = Told(NUCLEAR.log_ratios(images()) + torch.tensor([[0.0], [1.0], [0.0]]), NUCLEAR, 1.0)
    every = told.error(images(), CELLS)
    assert every.tolist() == pytest.approx([0, 0.85, 0], abs=1e-6)
    for left in ([1], [2, 1], [0]):
        cells = torch.tensor(left)
        assert torch.equal(told.error(images()[cells], cells), every[cells])


def test_the_objective_has_it_beside_the_others() -> None:
    lr, ws = images()[:, :, ::8, ::8], torch.zeros(3, 2, 4)
    told = Told(NUCLEAR.log_ratios(images()) + 1, NUCLEAR, 0.05)
    parts = (lr, lambda image: image[:, :, ::8, ::8], lambda ws: ws.sum(-1))
    data = lambda made, lr, cells: (made - lr).abs().mean((1, 2, 3))  # noqa: ARG005, E731
    without = Objective(*parts, data)(ws, images(), CELLS)
    held = Objective(*parts, data, told=told)(ws, images(), CELLS)
    assert (held.total - without.total).tolist() == pytest.approx([0.05 * 0.85] * 2 + [0.0])
    assert torch.equal(held.data, without.data)
