"""The flow: density against nflows and autograd, fitting, and the chi-squared check."""

from __future__ import annotations

import math

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from tiny_model import random_bundle

from napari_rls.models.flow import FrozenDensity, WFlow
from napari_rls.models.gaussianity import ks_from_chi_squared
from napari_rls.models.manifest import FlowSpec
from napari_rls.training.fit_flow import fit_flow

KINDS = pytest.mark.parametrize("kind", ["maf", "realnvp"])


def shaped_flow(kind: str) -> WFlow:
    """A flow whose weights are far from where they start, so that no term is negligible."""
    flow = random_bundle(flow_kind=kind).flow
    torch.manual_seed(5)
    for parameter in flow.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    return flow


@KINDS
def test_density_equals_that_of_nflows(kind: str) -> None:
    flow = shaped_flow(kind)
    w = 2 * torch.randn(20, 16)
    reference = Flow(flow.transform, StandardNormal([16])).log_prob((w - flow.mean) / flow.std)
    expected = reference - flow.std.log().sum()
    assert torch.allclose(flow.log_prob(w), expected, rtol=1e-4, atol=1e-3)
    assert torch.allclose(FrozenDensity(flow)(w), expected, rtol=1e-4, atol=1e-3)


@KINDS
def test_log_determinant_equals_that_of_autograd(kind: str) -> None:
    flow = shaped_flow(kind).double()
    w = torch.randn(1, 16, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x)[0][0], w)[:, 0]
    assert math.isclose(flow(w)[1].item(), jacobian.slogdet()[1].item(), rel_tol=1e-6, abs_tol=1e-6)


@KINDS
def test_the_density_of_standardised_w_leaves_a_constant_out(kind: str) -> None:
    flow = shaped_flow(kind)
    w = 2 * torch.randn(3, 5, 16)
    u, log_density = FrozenDensity(flow).standardised(w)
    expected, _ = flow.transform((w.reshape(15, 16) - flow.mean) / flow.std)
    torch.testing.assert_close(u, expected.reshape(3, 5, 16), rtol=1e-4, atol=1e-3)
    constant = flow.std.log().sum()
    torch.testing.assert_close(
        log_density - constant, flow.log_prob(w.reshape(15, 16)).reshape(3, 5), rtol=1e-4, atol=1e-3
    )
    assert constant.abs() > 0.1


@KINDS
def test_gradient_of_the_fast_density(kind: str) -> None:
    flow = shaped_flow(kind)
    w = torch.randn(2, 3, 16, requires_grad=True)
    (fast,) = torch.autograd.grad(FrozenDensity(flow)(w).sum(), w)
    (plain,) = torch.autograd.grad(flow.log_prob(w.reshape(6, 16)).sum(), w)
    assert torch.allclose(fast, plain, rtol=1e-3, atol=1e-3)


def curved_samples(count: int) -> torch.Tensor:
    """Two-dimensional samples on a curve with noise: far from normal."""
    rng = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, count, generator=rng)
    return torch.stack([x, x.square() + 0.3 * noise], 1)


@KINDS
def test_fitting_gaussianises(kind: str) -> None:
    w = curved_samples(4000)
    spec = FlowSpec.model_validate({"kind": kind, "blocks": 4, "hidden": 32})
    *_, last = fit_flow(w, spec, epochs=40)
    before = ks_from_chi_squared((w - w.mean(0)) / w.std(0))
    assert before > 0.1
    assert last.fit.ks_distance < before / 2
    assert last.fit.samples == 4000


def test_fitting_is_deterministic() -> None:
    w, spec = curved_samples(1000), FlowSpec(blocks=2, hidden=16)
    first, again, other = (
        list(fit_flow(w, spec, seed=seed, epochs=2))[-1].flow.weights() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_fitting_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    list(fit_flow(curved_samples(500), FlowSpec(blocks=1, hidden=8), epochs=1))
    assert torch.equal(torch.rand(1), expected)


def test_ks_distance_knows_normal_vectors() -> None:
    torch.manual_seed(0)
    normal = torch.randn(5000, 32)
    assert ks_from_chi_squared(normal) < 0.03
    assert ks_from_chi_squared(2 * normal) > 0.9
