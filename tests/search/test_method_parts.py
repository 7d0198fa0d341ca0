"""The pieces that methods are made of: against values by hand and reference solvers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, minimize
from torch import Tensor

from napari_rls.models.bundle import Bundle
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.search.data_terms import (
    AbsoluteError,
    FlooredSquares,
    SquaresAndLooks,
    enlarged,
    grey_squares,
)
from napari_rls.search.latents import PulseNormal
from napari_rls.search.own_generator import OwnGenerators, cells_that_fit
from napari_rls.search.priors import DensityAndShell, NormalPrior, cosine_gaps, geocross
from napari_rls.search.projection import KeepNear, KeepNorms, standardised, to_l1_ball


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


ALL = torch.arange(3)


# -- priors --------------------------------------------------------------------------------


def test_geocross_of_right_angles_by_hand() -> None:
    # Two orthogonal unit vectors in 2 dimensions: of 4 pairs, 2 have the angle pi / 2.
    ws = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    expected = 2 / 8 * (2 * (math.pi / 2) ** 2) / 4
    assert geocross(ws).item() == pytest.approx(expected, rel=1e-4)


def test_geocross_is_the_mean_squared_angle_of_rows_of_one_length() -> None:
    ws = torch.nn.functional.normalize(random(3, 5, 16), dim=-1) * 3
    cosines = torch.einsum("nid,njd->nij", ws / 3, ws / 3).double().numpy()
    angles = np.arccos(np.clip(cosines, -1, 1))
    np.testing.assert_allclose(geocross(ws), 16 / 8 * (angles**2).mean((1, 2)), rtol=1e-3)


def test_geocross_of_rows_of_other_lengths_as_published() -> None:
    ws = random(1, 2, 3)
    (x, y) = ws[0].double()
    angle = 2 * math.atan2((x - y).norm(), (x + y).norm())
    assert geocross(ws).item() == pytest.approx(3 / 8 * 2 * angle**2 / 4, rel=1e-4)


def test_equal_rows_have_a_finite_slope() -> None:
    for prior in (geocross, cosine_gaps):
        ws = torch.ones(1, 4, 3, requires_grad=True)
        prior(ws).sum().backward()
        assert ws.grad is not None
        assert ws.grad.isfinite().all()


def test_cosine_gaps_by_hand() -> None:
    # Angles of 90, 180 and 90 degrees, each pair twice: 1 + 2 + 1 gaps.
    ws = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]]])
    assert cosine_gaps(ws).item() == pytest.approx(2 * (1 + 2 + 1))


def test_the_normal_prior_by_hand() -> None:
    w = torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 3.0], [2.0, -3.0]])
    prior = NormalPrior.of(w)
    assert prior.mean.tolist() == [2.0, 0.0]
    assert prior.scale == pytest.approx(math.sqrt((1 + 1 + 9 + 9) / 4))
    ws = torch.tensor([[[2.0, 0.0], [4.0, 5.0]]])
    assert prior(ws).item() == pytest.approx((4 + 25) / 5 / 4)


def test_the_normal_prior_of_a_draw_is_one_over_the_dimension_on_average() -> None:
    w = random(50_000, 8) * 2 + 1
    assert NormalPrior.of(w)(w[:, None]).mean().item() == pytest.approx(1 / 8, rel=1e-3)


def test_density_and_shell_by_hand() -> None:
    # Rows of F(w) with the norms 5 and 1 in 4 dimensions: 3 and 1 away from the sphere.
    ws = torch.tensor([[[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]])
    prior = DensityAndShell(lambda w: (w, torch.tensor([[-7.0, 2.0]])), shell=2.0)
    assert prior(ws).item() == pytest.approx(((2 * 9 + 7) + (2 * 1 - 2)) / 2)


# -- data terms ----------------------------------------------------------------------------


def test_data_terms_by_hand() -> None:
    lr = torch.zeros(3, 2, 1, 2)
    degraded = torch.tensor([0.1, 0.02, 0.4])[:, None, None, None].expand_as(lr)
    torch.testing.assert_close(AbsoluteError(2.0)(degraded, lr, ALL), degraded[:, 0, 0, 0] * 2)
    torch.testing.assert_close(
        AbsoluteError(2.0, summed=True)(degraded, lr, ALL), degraded[:, 0, 0, 0] * 4
    )
    # In 0 to 1 the errors are half as large; 0.01^2 is below the floor.
    error = FlooredSquares(100.0, 2e-3)(degraded, lr, ALL)
    torch.testing.assert_close(error, 100 * torch.tensor([0.0025, 0.002, 0.04]))
    torch.testing.assert_close(
        grey_squares(degraded, lr), (127.5 * torch.tensor([0.1, 0.02, 0.4])) ** 2
    )


def test_an_error_below_the_floor_counts_as_there_and_has_no_slope() -> None:
    term = FlooredSquares(100.0, 2e-3)
    lr = torch.zeros(2, 1, 1, 1)
    degraded = torch.tensor([0.08, 0.1]).reshape(2, 1, 1, 1).requires_grad_()
    error = term(degraded, lr, ALL[:2])
    assert (error <= term.least).tolist() == [True, False]
    error.sum().backward()
    assert degraded.grad is not None
    assert degraded.grad.flatten()[0] == 0
    assert degraded.grad.flatten()[1] > 0


def test_squares_and_looks_weigh_each_cell() -> None:
    a, b = random(3, 2, 4, 4), random(3, 2, 4, 4, seed=1)

    def looks(x: Tensor, y: Tensor) -> Tensor:
        assert x.shape == y.shape == (2, 2, 8, 8)
        return (x - y).abs().amax((1, 2, 3))

    term = SquaresAndLooks(1e-3, looks, torch.tensor([1.0, 2.0, 3.0]), 8)
    cells = torch.tensor([0, 2])
    expected = 1e-3 * grey_squares(a[cells], b[cells])
    expected += torch.tensor([1.0, 3.0]) * (a - b)[cells].abs().amax((1, 2, 3))
    torch.testing.assert_close(term(a[cells], b[cells], cells), expected)


def test_images_are_brought_to_a_size_by_areas() -> None:
    image = random(1, 1, 4, 4)
    assert torch.equal(enlarged(image, 8), image.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(enlarged(image, 1).flatten(), image.mean().flatten())


# -- projections ---------------------------------------------------------------------------


def by_bisection(x: np.ndarray, radius: float) -> np.ndarray:
    """Project onto the l1 ball by a root search for the threshold."""
    if np.abs(x).sum() <= radius:
        return x
    theta = brentq(
        lambda t: np.maximum(np.abs(x) - t, 0).sum() - radius, 0, np.abs(x).max(), xtol=1e-14
    )
    return np.sign(x) * np.maximum(np.abs(x) - theta, 0)


@pytest.mark.parametrize("radius", [0.1, 1.0, 5.0, 30.0, 1000.0])
def test_the_l1_ball_against_bisection(radius: float) -> None:
    x = random(4, 3, 40).double()
    found = to_l1_ball(x, radius)
    expected = np.apply_along_axis(by_bisection, -1, x.numpy(), radius)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert (found.abs().sum(-1) <= radius * (1 + 1e-9)).all()


def test_the_l1_ball_against_a_solver() -> None:
    x = random(4, seed=3).double().numpy()
    radius = 0.5 * np.abs(x).sum()

    def split(p: np.ndarray) -> np.ndarray:  # positive and negative parts: smooth constraints
        return p[:4] - p[4:]

    solved = minimize(
        lambda p: ((split(p) - x) ** 2).sum(),
        np.zeros(8),
        method="SLSQP",
        bounds=[(0, None)] * 8,
        constraints={"type": "ineq", "fun": lambda p: radius - p.sum()},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    found = to_l1_ball(torch.from_numpy(x), radius)
    np.testing.assert_allclose(found, split(solved.x), atol=1e-5)


def test_the_l1_ball_by_hand_with_ties() -> None:
    x = torch.tensor([[2.0, -2.0, 0.5], [0.2, -0.3, 0.1]])
    assert to_l1_ball(x, 1.0).tolist() == [[0.5, -0.5, 0.0], pytest.approx([0.2, -0.3, 0.1])]


def test_vectors_keep_their_first_norms() -> None:
    u, noise = random(2, 3, 16), random(2, 1, 4, 4)
    before = u.norm(dim=-1), noise.flatten(1).norm(dim=-1)
    direction = (u * 3 + 1).clone()
    project = KeepNorms([u, noise.flatten(1)])
    with torch.no_grad():
        u.mul_(3).add_(1)
        noise.add_(5)
        project()
    torch.testing.assert_close(u.norm(dim=-1), before[0])
    torch.testing.assert_close(noise.flatten(1).norm(dim=-1), before[1])
    cosine = torch.nn.functional.cosine_similarity(u, direction, dim=-1)
    torch.testing.assert_close(cosine, torch.ones(2, 3))


def test_refined_latents_stay_near_and_maps_standardised() -> None:
    ws, noise = random(2, 3, 16), random(2, 8, 8)
    first = ws.clone()
    project = KeepNear(ws, 2.0, [noise])
    with torch.no_grad():
        ws[0].add_(1.0)
        ws[1].add_(0.01)
        noise.mul_(4).add_(2)
        project()
    torch.testing.assert_close((ws - first)[0].abs().sum(-1), torch.full((3,), 2.0))
    torch.testing.assert_close((ws - first)[1], torch.full((3, 16), 0.01))
    torch.testing.assert_close(noise.mean((1, 2)), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(noise.square().mean((1, 2)), torch.ones(2))
    torch.testing.assert_close(standardised(noise), noise)


def test_latents_are_kept_in_a_ball_around_a_vector() -> None:
    ws, centre = random(2, 3, 16), random(16, seed=1)
    outside = ws.clone()
    KeepNear(ws, 2.0, centre=centre)()
    expected = np.apply_along_axis(by_bisection, -1, (outside - centre).double().numpy(), 2.0)
    np.testing.assert_allclose(ws - centre, expected, atol=1e-5)


# -- parametrisations ----------------------------------------------------------------------


def test_pulse_normal_form_by_hand() -> None:
    draws = torch.tensor([[1.0, -0.2], [3.0, -0.6]])
    normal = PulseNormal.of(draws)
    assert normal.mean.tolist() == pytest.approx([2.0, -2.0])
    assert normal.deviation.tolist() == pytest.approx([math.sqrt(2), math.sqrt(2)])
    u = torch.tensor([0.5, 1.0])
    expected = [0.5 * math.sqrt(2) + 2, 0.2 * (math.sqrt(2) - 2)]
    assert normal.latent(u).tolist() == pytest.approx(expected)


def test_pulse_normal_form_and_back(tiny_bundle: Bundle) -> None:
    w = tiny_bundle.draw_w(2000, 3)
    normal = PulseNormal.of(tiny_bundle.draw_w(20_000, 4))
    u = normal.normal(w)
    torch.testing.assert_close(normal.latent(u), w, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(u.mean(0), torch.zeros(16), atol=0.1, rtol=0)
    torch.testing.assert_close(u.std(0), torch.ones(16), atol=0.1, rtol=0)


def test_noise_that_is_given_takes_the_place_of_constant_noise(tiny_bundle: Bundle) -> None:
    network = tiny_bundle.generator.synthesis
    frozen = FrozenSynthesis(network)
    ws = tiny_bundle.generator.broadcast(tiny_bundle.draw_w(2, 5))
    constant = [v for k, v in network.named_buffers() if k.endswith("noise_const")]
    assert [v.shape for v in constant] == [shape[1:] for shape in frozen.noise_shapes]
    maps = [v.expand(2, 1, *v.shape) for v in constant]
    torch.testing.assert_close(frozen(ws, maps), frozen(ws), atol=1e-5, rtol=1e-4)
    silent = [torch.zeros_like(m) for m in maps]
    expected = network(ws, "none")
    torch.testing.assert_close(frozen(ws, silent), expected, atol=1e-5, rtol=1e-4)


def test_noise_is_searched_in_bfloat16_too(tiny_bundle: Bundle) -> None:
    network = tiny_bundle.generator.synthesis
    exact, fast = FrozenSynthesis(network), FrozenSynthesis(network, torch.bfloat16)
    ws = tiny_bundle.generator.broadcast(tiny_bundle.draw_w(2, 5))
    maps = [random(2, *shape, seed=k) for k, shape in enumerate(exact.noise_shapes)]
    slopes = []
    for synthesis in (exact, fast):
        first = maps[0].clone().requires_grad_()
        synthesis(ws, [first, *maps[1:]]).square().sum().backward()
        assert first.grad is not None
        slopes.append(first.grad.flatten(1))
    assert torch.nn.functional.cosine_similarity(*slopes).min() > 0.99


def test_own_generators_start_as_the_bundles_and_leave_it_alone(tiny_bundle: Bundle) -> None:
    network = tiny_bundle.generator.synthesis
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ws = tiny_bundle.generator.broadcast(tiny_bundle.draw_w(3, 5))
    frozen = FrozenSynthesis(network)
    maps = [random(3, *shape, seed=k) for k, shape in enumerate(frozen.noise_shapes)]
    own = OwnGenerators(network, ws, maps, searched=2)
    parameters = len(list(network.parameters()))
    assert len(own.variables) == 1 + 2 + parameters
    assert len(own.weights) == parameters
    point = own(ALL)
    torch.testing.assert_close(point.image, frozen(ws, maps), atol=1e-5, rtol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(point.noise, maps, strict=True))
    # Each cell's image depends on its own weights only.
    point.image[1].sum().backward()
    for variable in own.variables:
        assert variable.grad is not None
        assert (variable.grad[[0, 2]] == 0).all()
    assert all(v.grad is not None and v.grad[1].any() for v in own.noise[:2])
    assert all(v.grad is None for v in own.noise[2:])
    adam = torch.optim.Adam(own.variables, lr=0.1)
    adam.step()
    changed = own(torch.tensor([1])).image
    assert not torch.allclose(changed, point.image[1:2], atol=1e-3)
    torch.testing.assert_close(
        own(torch.tensor([0, 2])).image, frozen(ws, maps)[[0, 2]], atol=1e-5, rtol=1e-4
    )
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_memory_bounds_the_cells_that_are_refined_at_once(tiny_bundle: Bundle) -> None:
    network = tiny_bundle.generator.synthesis
    one = 16 * sum(p.numel() for p in network.parameters()) / 1e9
    assert cells_that_fit(network, 5.5 * one) == 5
    assert cells_that_fit(network, 0.1 * one) == 1
