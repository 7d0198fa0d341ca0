"""The generator against an independent plain implementation, and its fast form against it."""

from __future__ import annotations

import pytest
import torch
from plain_stylegan2 import plain_mapping, plain_synthesis
from torch import Tensor

from napari_rls.models.architecture import Architecture
from napari_rls.models.bundle import Bundle
from napari_rls.models.frozen import FrozenSynthesis
from napari_rls.models.stylegan2 import Generator
from napari_rls.search.device import BFLOAT16_TOLERANCE, bfloat16_error


def random_latents(bundle: Bundle, count: int, seed: int = 1) -> Tensor:
    rows = bundle.draw_w(count * bundle.generator.arch.num_ws, seed)
    return rows.reshape(count, bundle.generator.arch.num_ws, -1)


def image_and_gradient(synthesis: object, ws: Tensor) -> tuple[Tensor, Tensor]:
    ws = ws.clone().requires_grad_()
    image = synthesis(ws)
    weights = torch.linspace(-1, 1, image[0].numel()).reshape(image.shape[1:])
    (image * weights).sum().backward()
    return image.detach(), ws.grad


def test_mapping_equals_the_plain_implementation(tiny_bundle: Bundle) -> None:
    z = tiny_bundle.draw_z(50, seed=3)
    expected = plain_mapping(tiny_bundle.generator.state_dict(), z)
    assert torch.allclose(tiny_bundle.generator.mapping(z), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["training", "frozen"])
def test_synthesis_equals_the_plain_implementation(tiny_bundle: Bundle, form: str) -> None:
    network = tiny_bundle.generator.synthesis
    ws = random_latents(tiny_bundle, 3)
    state = tiny_bundle.generator.state_dict()
    expected, slope = image_and_gradient(lambda w: plain_synthesis(state, w), ws)
    ours, our_slope = image_and_gradient(
        network if form == "training" else FrozenSynthesis(network), ws
    )
    assert (ours - expected).abs().max() < 1e-4 * expected.abs().max()
    assert (our_slope - slope).abs().max() < 1e-4 * slope.abs().max()


def test_every_row_of_the_latents_matters(tiny_bundle: Bundle) -> None:
    ws = random_latents(tiny_bundle, 1)
    _, slope = image_and_gradient(FrozenSynthesis(tiny_bundle.generator.synthesis), ws)
    assert (slope.abs().amax(dim=2) > 0).all()


def test_clamp_is_part_of_the_arithmetic() -> None:
    torch.manual_seed(0)
    free = Generator(Architecture(resolution=16, image_channels=1, z_dim=8, w_dim=8, channel_max=8))
    tight_shape = free.arch.model_copy(update={"conv_clamp": 0.5})
    tight = Generator(tight_shape).requires_grad_(False)
    tight.load_state_dict(free.state_dict())
    ws = tight.broadcast(tight.mapping(torch.randn(2, 8)))
    assert not torch.allclose(free.synthesis(ws), tight.synthesis(ws))
    assert torch.allclose(FrozenSynthesis(tight.synthesis)(ws), tight.synthesis(ws), atol=1e-5)


def test_bfloat16_stays_within_the_stated_error(tiny_bundle: Bundle) -> None:
    ws = random_latents(tiny_bundle, 8)
    network = tiny_bundle.generator.synthesis
    exact, slope = image_and_gradient(FrozenSynthesis(network), ws)
    rounded, rounded_slope = image_and_gradient(FrozenSynthesis(network, torch.bfloat16), ws)
    error = (rounded - exact).square().mean().sqrt() / exact.std()
    assert 0 < error < BFLOAT16_TOLERANCE
    assert torch.nn.functional.cosine_similarity(rounded_slope, slope, dim=2).min() > 0.99
    assert bfloat16_error(tiny_bundle.generator) < BFLOAT16_TOLERANCE


def test_cells_of_a_batch_do_not_influence_each_other(tiny_bundle: Bundle) -> None:
    ws = random_latents(tiny_bundle, 4)
    synthesis = FrozenSynthesis(tiny_bundle.generator.synthesis)
    together, slopes = image_and_gradient(synthesis, ws)
    for k in range(4):
        alone, slope = image_and_gradient(synthesis, ws[k : k + 1])
        assert torch.allclose(together[k], alone[0], atol=1e-5)
        assert torch.allclose(slopes[k], slope[0], rtol=1e-4, atol=1e-4)


def test_state_dict_has_the_official_names(tiny_bundle: Bundle) -> None:
    names = set(tiny_bundle.generator.state_dict())
    assert {
        "mapping.fc0.weight",
        "mapping.w_avg",
        "synthesis.b4.const",
        "synthesis.b4.conv1.affine.bias",
        "synthesis.b8.conv0.noise_const",
        "synthesis.b8.conv0.resample_filter",
        "synthesis.b32.torgb.weight",
    } <= names
    assert "synthesis.b4.conv0.weight" not in names
