"""The methods as users choose them: settings, what they return, what the record says."""

from __future__ import annotations

import copy
import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from flow_bench import with_flow
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from napari_rls import Settings, super_resolve
from napari_rls.errors import InputError, SettingsError
from napari_rls.models.bundle import Bundle
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.models.pix2pix import UNet
from napari_rls.search.degradation import Bicubic
from napari_rls.search.engine import State, search
from napari_rls.search.kit import Batch, Kit
from napari_rls.search.latents import WPlus
from napari_rls.search.method import (
    BRGM_LOOKS,
    CODE_RADIUS,
    PULSE_ERROR,
    REFINE_RATE,
    WEIGHTS_RATE,
)
from napari_rls.search.networks import Networks
from napari_rls.search.presets import OWN_METHODS, PRESET_FIELDS, PRESETS
from napari_rls.search.settings import METHODS
from napari_rls.workflow.cells.examples import draw_prior_sample
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.super_resolve.resolver import Update
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import result_stack
from napari_rls.workflow.super_resolve.trace import Trace

DRAWN = ("flow", "pix2pix")
SEARCHES = tuple(name for name, method in OWN_METHODS.items() if method.stages)
QUICK: dict[str, Any] = {"factor": 4, "steps": 12, "samples": 0, "precision": "float32"}


@pytest.fixture(scope="module")
def lr(tiny_bundle: Bundle) -> NDArray[np.float32]:
    return np.asarray(draw_prior_sample(tiny_bundle, count=3, factor=4, seed=2).lr.data)


def quick(method: str, **changes: Any) -> Settings:
    return Settings(**{"method": method, "refine_steps": 6, **QUICK, **changes})


def run(lr: NDArray[np.float32], bundle: Bundle, settings: Settings) -> list[Update]:
    return list(super_resolve(lr, bundle, settings))


def looks(a: Tensor, b: Tensor) -> Tensor:
    """Stand in for a perceptual distance."""
    return (a - b).diff(dim=-1).square().mean((1, 2, 3)) + 1e-3


def kit(bundle: Bundle, settings: Settings) -> Kit:
    start = "mean" if settings.start == "encoder" else settings.start
    return Kit(Networks(bundle), settings, start, Bicubic(4), looks)


def batch(lr: NDArray[np.float32], *cells: int) -> Batch:
    return Batch(torch.from_numpy(lr[list(cells)] / 127.5 - 1).float(), cells)


def states(bundle: Bundle, settings: Settings, cells: Batch) -> list[State]:
    found: list[State] = []
    before: State | None = None
    for stage in PRESETS[settings.method].load_stages():
        found += search(stage(kit(bundle, settings), cells, before), before)
        before = found[-1]
    return found


# -- settings ------------------------------------------------------------------------------


def test_methods_stand_in_their_order() -> None:
    first = ("rls", "rls-paper", "rls-authors-code", "rls-plus", "pulse", "brgm")
    assert METHODS[:6] == first
    assert METHODS[6:] == (
        *("unregularised", "rls-without-pw", "rls-without-pcross", "rls-without-told"),
        *("flow", "pix2pix"),
    )
    assert {*SEARCHES, *DRAWN} == set(METHODS)


def test_a_method_brings_its_published_settings() -> None:
    pulse = Settings(method="pulse")
    assert (pulse.steps, pulse.learning_rate, pulse.schedule) == (100, 0.4, "one-cycle")
    assert (pulse.lambda_w, pulse.lambda_c, pulse.start, pulse.samples) == (0, 0.05, "random", 0)
    brgm = Settings(method="brgm")
    assert (brgm.steps, brgm.learning_rate, brgm.schedule) == (501, 0.1, "constant")
    assert (brgm.lambda_w, brgm.lambda_c, brgm.start, brgm.samples) == (100, 0.1, "mean", 0)
    for method in set(METHODS) - {"rls", "rls-without-pw", "rls-without-pcross"}:
        assert Settings.parse({"method": method}).lambda_m == 0
    paper = Settings(method="rls-paper")
    assert (paper.lambda_w, paper.lambda_c, paper.steps) == (5e-5, 0.01, 200)
    assert (paper.learning_rate, paper.schedule, paper.start) == (0.5, "one-cycle", "mean")
    assert (paper.reading, paper.posterior) == ("scaled", "paper")
    code = Settings(method="rls-authors-code")
    assert (code.lambda_w, code.lambda_c, code.steps, code.reading) == (0.002, 0.5, 500, "code")
    assert (code.learning_rate, code.schedule, code.start) == (0.5, "one-cycle", "mean")
    plus = Settings(method="rls-plus")
    assert (plus.steps, plus.refine_steps, plus.search_steps) == (200, 50, 250)
    for method, weights in (
        ("unregularised", (0, 0, 0)),
        ("rls-without-pw", (0, 0.01, 0.05)),
        ("rls-without-pcross", (5e-5, 0, 0.05)),
        ("rls-without-told", (5e-5, 0.01, 0)),
    ):
        ablation = Settings.parse({"method": method})
        assert (ablation.lambda_w, ablation.lambda_c, ablation.lambda_m) == weights
        rest = {"method", "lambda_w", "lambda_c", "lambda_m", "samples"}
        assert ablation.model_dump(exclude=rest) == Settings().model_dump(exclude=rest)


def test_the_documents_tell_of_every_method(pytestconfig: pytest.Config) -> None:
    table = (pytestconfig.rootpath / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([a-z0-9-]+)`", rows)) == set(METHODS)


def test_the_published_settings_are_those_of_the_recipe(pytestconfig: pytest.Config) -> None:
    recipe = Settings.load(pytestconfig.rootpath / "recipes" / "rls-paper.json")
    paper = Settings(method="rls-paper")
    assert paper.model_dump(exclude={"method"}) == recipe.model_dump(exclude={"method"})


def test_what_is_given_wins_and_only_that_counts_as_set() -> None:
    settings = Settings(method="pulse", steps=7)
    assert (settings.steps, settings.learning_rate) == (7, 0.4)
    assert settings.model_fields_set == {"method", "steps"}
    assert Settings.parse(settings.model_dump()) == settings
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_another_method_takes_its_own_values_and_keeps_the_others() -> None:
    mine = Settings.parse({**Settings(lambda_w=3e-5, steps=70, factor=16, seed=4).model_dump()})
    pulse = mine.with_method("pulse")
    assert pulse == Settings(method="pulse", factor=16, seed=4)
    assert pulse.with_method("rls") == Settings(factor=16, seed=4)
    assert {"lambda_w", "lambda_c", "steps", "learning_rate", "start"} <= PRESET_FIELDS
    with pytest.raises(SettingsError, match="method"):
        mine.with_method("magic")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"method": "pulse", "samples": 3}, "samples must be 0 for the method pulse"),
        ({"method": "pulse", "start": "mean"}, "start must be random for the method pulse"),
        ({"method": "unregularised", "lambda_c": 0.1}, "lambda_c must be 0.0 for the method unreg"),
        ({"method": "pix2pix", "steps": 200}, "steps must be 1 for the method pix2pix"),
        ({"lambda_w": 2}, "lambda_w must be at most 1 for the method rls"),
        ({"method": "rls-plus", "lambda_w": 100}, "lambda_w must be at most 1 for the method rls-"),
    ],
)
def test_what_a_method_cannot_do_is_told(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Settings.parse(values)


# -- all methods ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", SEARCHES)
def test_every_method_comes_closer_to_the_lr_image(
    method: str, lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    settings = quick(method, steps=40)
    updates = run(lr, tiny_bundle, settings)
    assert [u.step for u in updates] == list(range(1, settings.search_steps + 1))
    assert {u.steps for u in updates} == {settings.search_steps}
    assert [u.found for u in updates] == [False] * (settings.search_steps - 1) + [True]
    assert updates[-1].finished
    residual = [u.lr_residual.mean() for u in (updates[0], updates[-1])]
    assert residual[1] < 0.8 * residual[0]
    assert all(np.isfinite(u.sr).all() for u in updates)


@pytest.mark.parametrize("method", SEARCHES)
def test_a_batch_equals_its_cells_searched_singly(
    method: str, lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    settings = quick(method, steps=4, refine_steps=3)
    together = run(lr, tiny_bundle, settings)[-1]
    alone = run(lr, tiny_bundle, settings.model_copy(update={"batch_size": 1}))
    for k, update in enumerate(u for u in alone if u.finished):
        assert update.cells.tolist() == [k]
        np.testing.assert_allclose(update.sr[0], together.sr[k], atol=0.2)


@pytest.mark.parametrize("method", METHODS)
def test_the_record_names_the_method(
    method: str, lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    bundle = with_flow(with_network(tiny_bundle))
    settings = quick(method, **({"steps": 1} if method in DRAWN else {}))
    result = Collector(CellStack(lr, ("a", "b"), name="lr.tif"), 32)
    for update in super_resolve(lr, bundle, settings):
        result.add(update)
    record = json.loads(json.dumps(result.provenance(), allow_nan=False))
    name, year = {
        "rls-plus": ("RLS\\+", 2023),
        "pulse": ("PULSE", 2020),
        "brgm": ("BRGM", 2020),
        "unregularised": ("without regularization", 2024),
        "rls-without-pw": ("without P_w", 2024),
        "rls-without-pcross": ("without P_cross", 2024),
        "rls-without-told": ("not held to the ratio", 2024),
        "flow": ("Conditional flow matching", 2023),
        "pix2pix": ("Pix2Pix", 2017),
        "rls-paper": ("published settings", 2024),
        "rls-authors-code": ("as in the code of its authors", 2024),
    }.get(method, ("^Regularized Latent Search", 2024))
    assert record["method"].count(str(year)) == 1
    assert re.search(name, record["method"])
    assert record["complete"]
    assert all(cell["steps"] == settings.search_steps for cell in record["cells"])
    kind = "SR4x" if method == "rls" else f"SR4x_{method}"
    assert result_stack(result).name == f"lr.tif {kind}"


def test_cells_that_fail_do_not_spread(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    settings = quick("rls-plus", steps=3, refine_steps=3)
    expected = states(tiny_bundle, settings, batch(lr, 0, 1, 2))[-1]
    broken = lr.copy()
    broken[1] = np.nan
    found = states(tiny_bundle, settings, batch(broken, 0, 1, 2))
    assert [s.step for s in found] == [1, 2, 3, 4, 5, 6]
    last = found[-1]
    assert last.failed.tolist() == [False, True, False]
    torch.testing.assert_close(last.image[[0, 2]], expected.image[[0, 2]], atol=1e-3, rtol=1e-3)
    assert last.image.isfinite().all()


# -- each method's own ---------------------------------------------------------------------


def test_the_authors_code_minimises_what_it_says(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    """Against the sum written out, a cell and a row at a time, with the unfrozen networks."""
    own, cells = kit(tiny_bundle, quick("rls-authors-code")), batch(lr, 0, 1)
    plan = PRESETS["rls-authors-code"].load_stages()[0](own, cells, None)
    (ws,) = plan.latents.variables
    noise = own.noise(cells)
    with torch.no_grad():
        ws.add_(0.3 * torch.randn(ws.shape, generator=torch.Generator().manual_seed(0)))
    point = plan.latents(torch.arange(2))
    found = plan.objective(point.ws, point.image, torch.arange(2))
    flow, network = tiny_bundle.flow, copy.deepcopy(tiny_bundle.generator.synthesis)
    buffers = [b for name, b in network.named_buffers() if name.endswith("noise_const")]
    for n in range(2):
        for buffer, drawn in zip(buffers, noise, strict=True):
            buffer.copy_(drawn[n, 0])
        image = (network(ws[n : n + 1].detach()) + 1) / 2
        data = 10 * (Bicubic(4)(image) - (cells.lr[n : n + 1] + 1) / 2).abs().mean()
        density, shell = 0.0, 0.0
        for w in ws[n].detach():
            u, log_det = flow.transform(((w - flow.mean) / flow.std)[None])
            density -= float(Normal(0.0, 1.0).log_prob(u).sum() + log_det)
            shell += (math.dist(u[0].tolist(), [0.0] * 16) - 4.0) ** 2
        rows = ws[n].detach().tolist()
        pairs = [math.dist(a, b) for k, a in enumerate(rows) for b in rows[:k]]
        assert len(pairs) == 28
        expected = (
            float(data)
            + 0.002 * density / len(rows)
            + 0.004 * shell / len(rows)
            + 0.5 * sum(pairs) / len(pairs)
        )
        assert found.total[n].item() == pytest.approx(expected, rel=1e-4)


def test_the_authors_code_starts_at_the_mean_and_stays_in_its_ball(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    own, cells = kit(tiny_bundle, quick("rls-authors-code", lambda_c=0, steps=40)), batch(lr, 0, 1)
    plan = PRESETS["rls-authors-code"].load_stages()[0](own, cells, None)
    (ws,) = plan.latents.variables
    mean = tiny_bundle.mean_w()
    assert torch.equal(ws.detach(), mean.expand_as(ws))
    free = replace(plan, latents=WPlus(ws, own.fast, own.noise(cells)), project=lambda: None)
    radius = CODE_RADIUS * math.sqrt(16)
    *_, unbound = search(free)
    *_, last = search(plan)
    assert (unbound.ws - mean).abs().sum(-1).max() > radius
    assert (last.ws - mean).abs().sum(-1).max() <= radius * (1 + 1e-5)
    for kept, drawn in zip(last.noise, own.noise(cells), strict=True):
        assert torch.equal(kept, drawn)


def test_rls_plus_refines_what_rls_found(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    cells = batch(lr, 0, 1, 2)
    plus = quick("rls-plus")
    found = states(tiny_bundle, plus, cells)
    rls = found[11]
    own = kit(tiny_bundle, plus)
    # RLS comes first, with noise that is drawn for each cell.
    for kept, drawn in zip(rls.noise, own.noise(cells), strict=True):
        assert torch.equal(kept, drawn)
    torch.testing.assert_close(own.fast(rls.ws, rls.noise), rls.image, atol=1e-4, rtol=1e-3)
    # The first iterate of the refinement is the RLS solution itself, judged by the data alone.
    torch.testing.assert_close(found[12].image, rls.image, atol=1e-4, rtol=1e-3)
    difference = (Bicubic(4)(rls.image) - cells.lr).abs().mean((1, 2, 3))
    torch.testing.assert_close(found[12].terms.total, difference, atol=1e-5, rtol=1e-3)
    assert (found[-1].terms.total < found[12].terms.total).all()
    # Steps of 1e-4 at most cannot leave the ball.
    assert (found[-1].ws - rls.ws).abs().max() <= 6.5e-4


def test_rls_plus_steps_and_noise_as_its_authors(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    cells, settings = batch(lr, 0, 1), quick("rls-plus", steps=3, refine_steps=1)
    own = kit(tiny_bundle, settings)
    rls, refine = PRESETS["rls-plus"].load_stages()
    *_, before = search(rls(own, cells, None))
    plan = refine(own, cells, before)
    ws, *others = plan.latents.variables
    weight = next(v for v in others if any(v is steady for steady in plan.steady))
    first = ws.detach().clone(), weight.detach().clone()
    list(search(plan, before))
    # The first step of the cycle is a tenth of the step size; that of the weights is constant.
    assert (ws - first[0]).abs().max().item() == pytest.approx(0.1 * REFINE_RATE, rel=0.02)
    assert (weight - first[1]).abs().max().item() == pytest.approx(WEIGHTS_RATE, rel=0.02)
    # All maps are standardised, also those that are not searched.
    for noise in plan.latents(torch.arange(2)).noise:
        torch.testing.assert_close(noise.mean((2, 3)), torch.zeros(2, 1), atol=1e-6, rtol=0)
        torch.testing.assert_close(noise.square().mean((2, 3)), torch.ones(2, 1))


def test_pulse_stays_on_its_spheres(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    settings = quick("pulse")
    own, cells = kit(tiny_bundle, settings), batch(lr, 0, 1)
    plan = PRESETS["pulse"].load_stages()[0](own, cells, None)
    u, *noise = plan.latents.variables
    first = [v.detach().clone() for v in (u, *noise)]
    assert len(noise) == 5
    *_, last = search(plan)
    torch.testing.assert_close(u.norm(dim=-1), first[0].norm(dim=-1))
    assert not torch.allclose(u, first[0], atol=0.1)
    for now, then in zip(noise, first[1:], strict=True):
        torch.testing.assert_close(now.flatten(1).norm(dim=1), then.flatten(1).norm(dim=1))
        assert not torch.allclose(now, then, atol=0.01)
    assert torch.equal(last.noise[-1], torch.zeros_like(last.noise[-1]))
    fixed = cells.normal(settings.seed, (8, 16), *own.fast.noise_shapes)
    assert torch.equal(last.noise[5], fixed[6])


def test_brgm_returns_where_its_last_step_led(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    cells = batch(lr, 0, 1)
    (last, further) = (states(tiny_bundle, quick("brgm", steps=steps), cells) for steps in (5, 6))
    assert len(last) == 5
    # After 5 steps of Adam: what the sixth step sets out from, its state before the last.
    own = kit(tiny_bundle, quick("brgm", steps=6))
    plan = replace(PRESETS["brgm"].load_stages()[0](own, cells, None), keep="last")
    *_, sixth = search(plan)
    torch.testing.assert_close(last[-1].ws, sixth.ws)
    torch.testing.assert_close(last[-1].image, sixth.image, atol=1e-4, rtol=1e-3)
    assert not torch.allclose(last[-1].ws, further[-1].ws, atol=1e-3)


@pytest.mark.parametrize("method", ["pulse", "brgm"])
def test_the_last_iterate_is_returned(
    method: str, lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    # A step size under which the objective also rises.
    settings = quick(method, steps=25, learning_rate=2.0, schedule="constant")
    found = states(tiny_bundle, settings, batch(lr, 0, 1, 2))
    totals = torch.stack([s.terms.total for s in found])
    assert (totals.diff(dim=0) > 0).any()
    assert (totals[-1] > totals.min(0).values).any()
    last = found[-1]
    again = FrozenSynthesis(tiny_bundle.generator.synthesis)(last.ws, last.noise)
    torch.testing.assert_close(again, last.image, atol=1e-4, rtol=1e-3)


def test_pulse_tells_which_cells_never_came_near(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    # LR images that no generated cell can come near to.
    far = lr.copy()
    far[1] = np.indices(far.shape[-2:]).sum(0) % 2 * 255
    result = Collector(CellStack(far, ("a", "b"), name="lr.tif"), 32)
    settings = quick("pulse", steps=60)
    reached = torch.zeros(3, dtype=torch.bool)
    for update in super_resolve(far, tiny_bundle, settings):
        result.add(update)
        encode = update.run.intensity.encode
        error = Bicubic(4)(torch.from_numpy(encode(update.sr))) - torch.from_numpy(encode(far))
        reached |= (error / 2).square().mean((1, 2, 3)) <= 2e-3
        assert update.found or not update.unreached.any()
    assert reached.any()
    assert not reached[1]
    assert update.unreached.tolist() == (~reached).tolist()
    assert not update.failed.any()
    record = result.cells[1]
    assert record.status == "failed"
    assert "never came as near" in record.reason
    assert np.isfinite(result.sr).all()
    assert result.complete
    assert PULSE_ERROR.least == pytest.approx(0.2)


def test_brgm_weighs_looks_as_at_the_start(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    settings, cells = quick("brgm"), batch(lr, 0, 1)
    own = kit(tiny_bundle, settings)
    plan = PRESETS["brgm"].load_stages()[0](own, cells, None)
    point = plan.latents(torch.arange(2))
    terms = plan.objective(point.ws, point.image, torch.arange(2))
    degraded = Bicubic(4)(point.image)
    squares = 1e-3 * ((degraded - cells.lr) * 127.5).square().mean((1, 2, 3))
    torch.testing.assert_close(terms.data, squares * (1 + BRGM_LOOKS), rtol=1e-3, atol=1e-6)
    # At the mean of W both priors are zero.
    torch.testing.assert_close(terms.total, terms.data, rtol=1e-4, atol=1e-5)
    far = settings.model_copy(update={"factor": 32})
    assert (
        PRESETS["brgm"].load_stages()[0](replace(own, settings=far), cells, None).objective.lambda_c
        == 1.0
    )


def test_random_numbers_follow_the_seed_and_the_cell(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    first = run(lr, tiny_bundle, quick("pulse", steps=2))[-1].sr
    again = run(lr, tiny_bundle, quick("pulse", steps=2))[-1].sr
    other = run(lr, tiny_bundle, quick("pulse", steps=2, seed=1))[-1].sr
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1)
    same = np.repeat(lr[:1], 2, axis=0)
    twice = run(same, tiny_bundle, quick("pulse", steps=2))[-1].sr
    assert not np.allclose(twice[0], twice[1], atol=1)


def test_rls_starts_where_it_is_told(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    drawn = run(lr, tiny_bundle, quick("rls", start="random", steps=1))[-1]
    assert drawn.run.start == "random"
    assert not np.allclose(drawn.latents[0], drawn.latents[1])
    mean = run(lr, tiny_bundle, quick("rls", steps=1))[-1]
    assert mean.run.start == "mean"
    expected = tiny_bundle.mean_w().numpy()
    np.testing.assert_allclose(mean.latents[2, 5], expected, atol=1e-6)


def test_frames_of_rls_plus_go_on_to_its_last_step(
    lr: NDArray[np.float32], tiny_bundle: Bundle
) -> None:
    result = Collector(CellStack(lr, ("a", "b"), name="lr.tif"), 32)
    trace = Trace(result, 5)
    for update in super_resolve(lr, tiny_bundle, quick("rls-plus")):
        result.add(update)
        trace.add(update)
    assert trace.steps == [5, 10, 15, 18]
    np.testing.assert_array_equal(trace.frames[-1], result.sr)


# -- Pix2Pix -------------------------------------------------------------------------------


def with_network(bundle: Bundle) -> Bundle:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(2, 32, 4, 4, 16).requires_grad_(False).eval()
    return replace(bundle, pix2pix={4: network})


def test_pix2pix_draws_a_batch_at_once(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    bundle = with_network(tiny_bundle)
    settings = quick("pix2pix", steps=1, batch_size=2)
    updates = run(lr, bundle, settings)
    assert [u.cells.tolist() for u in updates] == [[0, 1], [2]]
    assert all(u.step == u.steps == 1 and u.found and u.finished for u in updates)
    assert [u.cells_done for u in updates] == [2, 3]
    singly = run(lr, bundle, settings.model_copy(update={"batch_size": 1}))
    np.testing.assert_allclose(updates[0].sr[1], singly[1].sr[0], atol=1e-3)
    # Dropout is in use, so that the seed matters.
    other = run(lr, bundle, settings.model_copy(update={"seed": 1}))
    assert not np.allclose(other[0].sr, updates[0].sr, atol=0.1)
    assert updates[0].run.start == "none"


def test_a_bundle_without_the_network_says_so(lr: NDArray[np.float32], tiny_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="tiny has no Pix2Pix network for 4x; train one"):
        run(lr, tiny_bundle, quick("pix2pix", steps=1))
