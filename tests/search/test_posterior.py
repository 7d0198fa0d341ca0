"""Samples of the posterior: against Gaussians with known answers, and on a bundle."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.distributions import InverseGamma, MultivariateNormal, Normal

from napari_rls.models.bundle import Bundle
from napari_rls.models.flow import FrozenDensity
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.search.degradation import Bicubic
from napari_rls.search.objective import rls_objective
from napari_rls.search.posterior import (
    INVERSE_GAMMA,
    Axes,
    Gaussian,
    Published,
    Samples,
    draw_samples,
    log_gaussian,
)
from napari_rls.search.streams import Purpose, cell_stream, normal

ROWS, DIM = 3, 4


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def streams(cells: int) -> list[torch.Generator]:
    return [cell_stream(0, cell, Purpose.POSTERIOR) for cell in range(cells)]


def axes() -> Axes:
    """Axes of draws along unit vectors of known deviations, turned."""
    turned = torch.linalg.qr(random(DIM, DIM)).Q
    return Axes(turned, torch.tensor([0.5, 1.0, 1.5, 2.0]))


def test_axes_are_those_of_the_covariance() -> None:
    own = axes()
    w = 3 + (random(200_000, DIM) * own.deviations) @ own.directions.T
    found = Axes.of(w)
    torch.testing.assert_close(found.deviations, own.deviations, rtol=0.02, atol=0)
    covariance = (found.directions * found.deviations**2) @ found.directions.T
    torch.testing.assert_close(covariance, torch.cov(w.T), rtol=1e-3, atol=1e-3)
    assert found.scale == pytest.approx(math.sqrt((0.25 + 1 + 2.25 + 4) / 4), rel=0.02)


def test_axes_of_draws_without_spread_in_a_direction_stay_finite() -> None:
    w = random(100, DIM)
    w[:, 2] = 7
    assert (Axes.of(w).deviations > 0).all()


def test_entropy_is_that_of_the_covariance_of_the_draws() -> None:
    def made(together: float, apart: float) -> Gaussian:
        q = Gaussian(torch.zeros(1, ROWS, DIM), axes(), torch.zeros(1, 1, ROWS + 1, DIM))
        with torch.no_grad():
            q.together.fill_(math.log(together))
            q.apart.fill_(math.log(apart))
        return q

    def reference(q: Gaussian) -> Tensor:
        # Draws are linear in the noise: the images of its unit vectors give the covariance.
        size = (ROWS + 1) * DIM
        unit = torch.eye(size, dtype=torch.float64).reshape(size, 1, ROWS + 1, DIM)
        matrix = q.draw(unit.float())[:, 0].flatten(1).double()
        return MultivariateNormal(torch.zeros(ROWS * DIM).double(), matrix.T @ matrix).entropy()

    with torch.no_grad():
        first, second = made(0.4, 0.05), made(1.3, 0.2)
        difference = second.entropy() - first.entropy()
        expected = reference(second) - reference(first)
    assert difference.item() == pytest.approx(expected.item(), rel=1e-4)


def quadratic(target: Tensor, precision: float):
    """An objective E(w) = precision / 2 |w - target|^2 that looks at no image."""

    def energy(ws: Tensor, image: Tensor, cells: Tensor) -> SimpleNamespace:
        assert len(image) == len(ws)
        total = precision / 2 * (ws - target[cells]).square().sum((1, 2))
        return SimpleNamespace(total=total)

    return energy


def drawn(form: str, samples: int, steps: int, temperature: float = 1.0) -> Samples:
    target = random(2, ROWS, DIM, seed=3)
    *_, last = draw_samples(
        quadratic(target, 4.0),
        lambda ws: ws,
        torch.zeros_like(target),
        axes(),
        form=form,
        samples=samples,
        temperature=temperature,
        steps=steps,
        rngs=streams(2),
    )
    assert last.step == steps
    assert last.ws.shape == (samples, 2, ROWS, DIM)
    return last


@pytest.mark.parametrize(("temperature", "deviation"), [(1.0, 0.5), (4.0, 1.0)])
def test_the_bound_finds_mean_and_width_of_a_gaussian_posterior(
    temperature: float, deviation: float
) -> None:
    # exp(-4 |w - t|^2 / 2T) is a Gaussian of deviation sqrt(T / 4).
    found = drawn("bound", samples=4000, steps=600, temperature=temperature).ws
    target = random(2, ROWS, DIM, seed=3)
    torch.testing.assert_close(found.mean(0), target, rtol=0, atol=0.25 * deviation)
    assert found.std(0).mean().item() == pytest.approx(deviation, rel=0.15)


def test_the_published_form_pulls_its_samples_together() -> None:
    """Each sample is drawn to the best latent, as nothing rewards a spread."""
    start = drawn("paper", samples=5, steps=1).ws
    found = drawn("paper", samples=5, steps=600).ws
    assert found.std(0).mean() < 0.1 * start.std(0).mean()
    target = random(2, ROWS, DIM, seed=3)
    torch.testing.assert_close(found.mean(0), target, rtol=0, atol=0.05)


def test_the_published_form_has_no_temperature() -> None:
    cold, warm = (drawn("paper", samples=5, steps=20, temperature=t) for t in (1e-4, 1.0))
    assert torch.equal(cold.ws, warm.ws)
    # What is maximised is section 4.5 with log p(w | y) = -E(w), here of the first step.
    first = drawn("paper", samples=5, steps=1, temperature=1e-4)
    form = Published(torch.zeros(2, ROWS, DIM), axes(), _noise_of(5))
    target = random(2, ROWS, DIM, seed=3)
    energy = 2.0 * (form.ws - target).square().sum((2, 3))
    sigma = torch.nn.functional.softplus(form.rho)
    expected = -energy.sum(0) + log_gaussian(form.ws, form.mu, sigma)
    torch.testing.assert_close(first.bound, expected.detach(), rtol=1e-4, atol=1e-3)


def _noise_of(samples: int) -> Tensor:
    """The numbers that :func:`drawn` starts from."""
    return normal(streams(2), samples, ROWS + 1, DIM).transpose(0, 1)


def test_the_published_prior_against_torch() -> None:
    ws, mu = random(5, 2, ROWS, DIM), random(2, ROWS, DIM, seed=1)
    sigma = random(2, ROWS, DIM, seed=2).exp()
    concentration, rate = (torch.tensor(x) for x in INVERSE_GAMMA)
    expected = Normal(mu, sigma).log_prob(ws).sum((0, 2, 3))
    expected = expected + InverseGamma(concentration, rate).log_prob(sigma / 2).sum((1, 2))
    found = log_gaussian(ws, mu, sigma)
    # Equal up to a constant, which is the same for both cells.
    assert (found - expected)[0].item() == pytest.approx((found - expected)[1].item(), abs=1e-3)


@pytest.mark.parametrize("form", ["bound", "paper"])
def test_samples_of_a_bundle_fit_the_lr_image_and_repeat(tiny_bundle: Bundle, form: str) -> None:
    synthesis = FrozenSynthesis(tiny_bundle.generator.synthesis)
    start = tiny_bundle.generator.broadcast(tiny_bundle.draw_w(3, seed=5))
    objective = rls_objective(
        lr=Bicubic(4)(synthesis(start)),
        degrade=Bicubic(4),
        log_density=FrozenDensity(tiny_bundle.flow),
        lambda_w=1e-4,
        lambda_c=0.01,
    )

    def run() -> list[Samples]:
        return list(
            draw_samples(
                objective,
                synthesis,
                start,
                Axes.of(tiny_bundle.draw_w(1000, 0)),
                form=form,
                samples=4,
                temperature=1e-4,
                steps=30,
                rngs=streams(3),
            )
        )

    states = run()
    assert [state.step for state in states] == list(range(1, 31))
    assert torch.equal(states[-1].ws, run()[-1].ws)
    last = states[-1].ws
    assert (last.std(0) > 0).any()
    prior = tiny_bundle.generator.broadcast(tiny_bundle.draw_w(3, seed=9))
    far = (Bicubic(4)(synthesis(prior)) - objective.lr).abs().mean()
    near = torch.stack([(Bicubic(4)(synthesis(ws)) - objective.lr).abs().mean() for ws in last])
    assert near.mean() < 0.5 * far


def test_a_cell_without_finite_numbers_leaves_the_others_alone() -> None:
    target = random(2, ROWS, DIM, seed=3)
    target[1] = torch.nan
    *_, last = draw_samples(
        quadratic(target, 4.0),
        lambda ws: ws,
        torch.zeros(2, ROWS, DIM),
        axes(),
        form="bound",
        samples=3,
        temperature=1.0,
        steps=20,
        rngs=streams(2),
    )
    assert last.ws.isfinite().all()
    assert (last.ws[:, 0].mean(0) - target[0]).norm() < target[0].norm()
