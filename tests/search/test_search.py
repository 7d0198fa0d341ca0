"""The search: objective against hand-computed values, independence of cells, early stop, NaN."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from napari_rls.errors import SettingsError
from napari_rls.models.bundle import Bundle
from napari_rls.models.flow import FrozenDensity
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.search.degradation import Bicubic
from napari_rls.search.device import choose_device, choose_dtype
from napari_rls.search.engine import Plan, State, search
from napari_rls.search.latents import WPlus
from napari_rls.search.objective import Estimate, Hold, Objective, Reading, rls_objective
from napari_rls.search.priors import pairwise_distance, pairwise_squares
from napari_rls.search.schedule import step_factor


class Case:
    """Four cells of the tiny bundle, degraded 4x, and the start of their search."""

    def __init__(self, bundle: Bundle) -> None:
        self.synthesis = FrozenSynthesis(bundle.generator.synthesis)
        truth = self.synthesis(bundle.generator.broadcast(bundle.draw_w(4, seed=5)))
        self.lr = Bicubic(4)(truth)
        self.density = FrozenDensity(bundle.flow)
        self.objective = self.read()
        self.start = bundle.generator.broadcast(bundle.mean_w()[None]).expand(4, -1, -1)

    def read(self, reading: Reading = "scaled") -> Objective:
        return rls_objective(
            self.lr,
            Bicubic(4),
            self.density,
            lambda_w=1e-4,
            lambda_c=0.01,
            reading=reading,
        )

    def plan(self, objective: Objective, cells: slice = slice(None), **how: Any) -> Plan:
        latents = WPlus(self.start[cells], self.synthesis)
        return Plan(objective, latents, **{"steps": 30, "learning_rate": 0.1, **how})

    def run(self, cells: slice = slice(None), **how: Any) -> list[State]:
        objective = replace(self.objective, lr=self.objective.lr[cells])
        return list(search(self.plan(objective, cells, **how)))


@pytest.fixture
def case(tiny_bundle: Bundle) -> Case:
    return Case(tiny_bundle)


def random_ws() -> Tensor:
    return torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))


def test_cross_terms_by_hand() -> None:
    ws = random_ws()
    for n in range(3):
        distances = [
            math.dist(ws[n, i].tolist(), ws[n, j].tolist())
            for i in range(5)
            for j in range(i + 1, 5)
        ]
        assert pairwise_distance(ws)[n].item() == pytest.approx(sum(distances) / 10, rel=1e-5)
        squares = sum(d**2 for d in distances)
        assert pairwise_squares(ws)[n].item() == pytest.approx(squares, rel=1e-5)


def test_cross_term_of_equal_rows_has_no_slope() -> None:
    ws = torch.ones(1, 6, 4, requires_grad=True)
    pairwise_distance(ws).sum().backward()
    assert ws.grad is not None
    assert torch.equal(ws.grad, torch.zeros_like(ws))


@pytest.mark.parametrize("reading", ["scaled", "mean", "sum", "code"])
def test_objective_is_the_sum_of_its_terms(
    case: Case, tiny_bundle: Bundle, reading: Reading
) -> None:
    objective = case.read(reading)
    ws = tiny_bundle.draw_w(4 * tiny_bundle.generator.arch.num_ws, 2).reshape(4, -1, 16)
    image = case.synthesis(ws)
    terms = objective(ws, image, torch.arange(4))
    difference = (Bicubic(4)(image) - objective.lr).abs()
    data = {
        # 8 x 8 LR pixels are four times as many as 4 x 4.
        "scaled": difference.mean((1, 2, 3)) * 4,
        "mean": difference.mean((1, 2, 3)),
        "sum": difference.sum((1, 2, 3)),
        # 10 times the mean of images in 0 to 1, whose differences are half as large.
        "code": 10 * (difference / 2).mean((1, 2, 3)),
    }[reading]
    cross = pairwise_squares(ws) if reading == "sum" else pairwise_distance(ws)
    density = torch.stack([tiny_bundle.flow.log_prob(ws[n]).mean() for n in range(4)])
    assert torch.allclose(terms.total, data - 1e-4 * density + 0.01 * cross, rtol=1e-4)


def test_an_estimate_holds_the_search_and_frees_its_rows_of_the_priors(case: Case) -> None:
    rng = torch.Generator().manual_seed(0)
    ws = case.start + torch.randn(case.start.shape, generator=rng)
    scale = torch.full((ws.shape[-1],), 2.0)
    cells = torch.tensor([1, 3])
    moved = ws[cells] + 0.5
    image = case.synthesis(moved)
    expected = torch.full((4, *image.shape[1:]), -0.4)
    expected[cells] = image - 0.05
    known = Estimate(ws, expected, scale, Hold(latents=3.0, image=0.7))
    objective = replace(case.objective, estimate=known)
    with_it, without = objective(moved, image, cells), case.objective(moved, image, cells)
    # Moved alike, all rows have of their own what the estimate has: nothing is left for P_cross.
    torch.testing.assert_close(with_it.cross, torch.zeros(2), atol=1e-5, rtol=0)
    assert (without.cross > 1).all()
    same = ws[cells].mean(1, keepdim=True).expand_as(moved) + 0.5
    torch.testing.assert_close(with_it.log_density, case.density(same).mean(1))
    far = with_it.total - with_it.data + 1e-4 * with_it.log_density
    # Of what is expected to be bright, an error of the same size counts less.
    errors = 0.05 / (0.04 + 0.1 * (image.double() - 0.05 + 1).clamp(min=0))
    means = errors.unflatten(-1, (-1, 2)).mean(-1).unflatten(-2, (-1, 2)).mean(-2)
    apart = means.square().mean((1, 2, 3))
    wanted = 3 * (0.5 / 2) ** 2 + 0.7 * apart
    torch.testing.assert_close(far.double(), wanted, rtol=1e-4, atol=0)


def test_images_of_estimates_say_the_less_of_many_lr_pixels() -> None:
    assert Hold.of_drawn(16) == Hold(13, 8)
    assert Hold.of_drawn(64) == Hold(13 / 16, 0.5)


def test_search_comes_closer_to_the_lr_image(case: Case) -> None:
    states = case.run()
    assert [state.step for state in states] == list(range(1, 31))
    assert (states[-1].terms.data < 0.5 * states[0].terms.data).all()


def test_the_best_is_kept_and_never_gets_worse(case: Case) -> None:
    totals = torch.stack([state.terms.total for state in case.run()])
    assert (totals.diff(dim=0) <= 0).all()
    last = case.run()[-1]
    again = case.objective(last.ws, case.synthesis(last.ws), torch.arange(4))
    assert torch.allclose(again.total, last.terms.total, rtol=1e-4)
    assert torch.allclose(case.synthesis(last.ws), last.image, atol=1e-4)


def test_the_point_after_the_last_step_is_one_step_further(case: Case) -> None:
    how = {"steps": 6, "schedule": "constant"}
    *_, last = case.run(keep="after", **how)
    *_, further = case.run(keep="last", **{**how, "steps": 7})
    assert (last.step, further.step) == (6, 7)
    torch.testing.assert_close(last.ws, further.ws)
    torch.testing.assert_close(last.image, further.image)
    torch.testing.assert_close(last.terms.total, further.terms.total)
    assert not torch.allclose(last.ws, case.run(keep="last", **how)[-1].ws, atol=0.01)
    assert not last.image.requires_grad


def test_a_step_into_the_void_is_not_kept(case: Case) -> None:
    """A cell that fails in the last step keeps the iterate before it; the others go on."""
    case.objective.lr[2] = torch.nan
    *_, last = case.run(keep="after", steps=3)
    assert last.failed.tolist() == [False, False, True, False]
    assert last.image.isfinite().all()


def test_what_is_steady_keeps_its_step_size(case: Case) -> None:
    plan = case.plan(case.objective, steps=1, learning_rate=0.1, schedule="one-cycle")
    (ws,) = plan.latents.variables
    first = ws.detach().clone()
    list(search(plan))
    # The first step of a cycle is a tenth of the learning rate, and Adam's is that at most.
    assert (ws - first).abs().max().item() == pytest.approx(0.01, rel=1e-3)
    plan = replace(case.plan(case.objective, steps=1), schedule="one-cycle")
    (ws,) = plan.latents.variables
    list(search(replace(plan, steady=(ws,), steady_rate=0.03)))
    assert (ws - first).abs().max().item() == pytest.approx(0.03, rel=1e-3)


def test_states_do_not_change_afterwards(case: Case) -> None:
    runner = search(case.plan(case.objective, steps=5))
    first = next(runner)
    image, total = first.image.clone(), first.terms.total.clone()
    list(runner)
    assert torch.equal(first.image, image)
    assert torch.equal(first.terms.total, total)


def test_a_batch_equals_its_cells_run_singly(case: Case) -> None:
    # Rounding grows along a trajectory, so only its beginning can be compared.
    together = case.run(steps=5)[-1]
    for k in range(4):
        alone = case.run(slice(k, k + 1), steps=5)[-1]
        assert torch.allclose(alone.ws[0], together.ws[k], atol=1e-3)
        assert torch.allclose(alone.image[0], together.image[k], atol=1e-3)


def test_nan_does_not_spread(case: Case) -> None:
    expected = case.run(steps=10)[-1]
    case.objective.lr[2] = torch.nan
    state = case.run(steps=10)[-1]
    others = [0, 1, 3]
    assert torch.allclose(state.ws[others], expected.ws[others], atol=1e-3)
    assert state.failed.tolist() == [False, False, True, False]
    assert state.running.tolist() == [True, True, False, True]
    assert state.image.isfinite().all()


def test_cells_that_gain_nothing_stop_early(case: Case) -> None:
    blind = replace(case.objective, degrade=lambda image: Bicubic(4)(image) * 0)
    blind = replace(blind, lambda_w=0.0, lambda_c=0.0)
    states = list(search(case.plan(blind, steps=50, patience=4)))
    assert len(states) < 10
    assert not states[-1].running.any()
    assert len(case.run(patience=30)) == 30


def test_schedule() -> None:
    factors = [step_factor("one-cycle", step, 200) for step in range(200)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[90] == pytest.approx(1.0)
    assert factors[180] == pytest.approx(0.1)
    assert 0.001 < factors[199] < 0.01
    assert {step_factor("constant", step, 200) for step in range(200)} == {1.0}


def test_device_and_precision() -> None:
    assert choose_device("cpu").device.type == "cpu"
    assert "CPU" in choose_device("cpu").reason
    with pytest.raises(SettingsError, match="cuda:99"):
        choose_device("cuda:99")


def test_bfloat16_is_not_taken_where_it_errs(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr("napari_rls.search.device.computes_in_bfloat16", lambda _: True)
    assert choose_dtype("auto", tiny_bundle.generator, cpu) == torch.bfloat16
    monkeypatch.setattr("napari_rls.search.device.BFLOAT16_TOLERANCE", 1e-6)
    assert choose_dtype("auto", tiny_bundle.generator, cpu) == torch.float32
    assert choose_dtype("bfloat16", tiny_bundle.generator, cpu) == torch.bfloat16
