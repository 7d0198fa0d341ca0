"""Flow matching: what an untrained network draws, and what a trained one has learnt."""

from __future__ import annotations

import pytest
import torch

from napari_rls.models.field_specs import FlowMatchingShape
from napari_rls.models.flow_matching import FlowMatching


def nothing(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (2, 32), (3, 64)])
def test_untrained_it_adds_noise_to_the_expected_image(channels: int, size: int) -> None:
    network = FlowMatching(channels, size, known=4, shape=FlowMatchingShape(width=4))
    expected = torch.rand(2, channels, size, size) * 2 - 1
    noise = torch.randn(expected.shape)
    drawn = network.draw(noise, expected, expected, torch.rand(2, 4))
    # Dark pixels are off by 0.04, and by a quarter of their light.
    wanted = expected + noise * (0.04 + 0.25 * (expected + 1))
    torch.testing.assert_close(drawn, wanted.clamp(-1, 1))
    torch.testing.assert_close(network.residual(wanted, expected), noise)


def test_coloured_noise_has_more_of_coarse_parts_at_every_size() -> None:
    white = torch.randn(200, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = FlowMatching(2, 32, known=1, shape=FlowMatchingShape(width=4))
    assert plain.start(white) is white
    coloured = FlowMatching(2, 32, known=1, shape=FlowMatchingShape(width=4, coloured=True))
    power = torch.fft.fft2(coloured.start(white), norm="ortho").abs().square().mean((0, 1))
    # 1 + 2 + 3 times as wide in the mean of an image, as it was where waves are shortest.
    assert power[0, 0] ** 0.5 == pytest.approx(6, rel=0.1)
    assert power[16, 16] ** 0.5 == pytest.approx(1, rel=0.1)
    # 1 + 2 exp(-2 (pi 3 / 32)^2) + 3 exp(-2 (pi / 4)^2), of four waves along a side of 32.
    assert power[0, 4] ** 0.5 == pytest.approx(3.56, rel=0.1)
    larger = FlowMatching(2, 64, known=1, shape=FlowMatchingShape(width=4, coloured=True))
    white = torch.randn(200, 2, 64, 64, generator=torch.Generator().manual_seed(1))
    power = torch.fft.fft2(larger.start(white), norm="ortho").abs().square().mean((0, 1))
    assert power[4, 0] ** 0.5 == pytest.approx(3.56, rel=0.1)


@pytest.mark.parametrize("coloured", [False, True])
def test_it_learns_what_an_image_may_be(coloured: bool) -> None:
    """Images are either of two, by chance: so are those that are drawn, and none between."""
    torch.manual_seed(0)
    network = FlowMatching(1, 8, known=1, shape=FlowMatchingShape(width=16, coloured=coloured))
    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    known = nothing(64, 1)
    expected = nothing(64, 1, 8, 8)
    for _ in range(300):
        signs = torch.randint(0, 2, (64, 1, 1, 1)) * 2.0 - 1
        end = network.residual(0.5 * signs.expand(-1, -1, 8, 8), expected)
        start, time = network.start(torch.randn(end.shape)), torch.rand(64)
        state = torch.lerp(start, end, time[:, None, None, None])
        adam.zero_grad()
        speed = network(state, time, expected, expected, known)
        (speed - (end - start)).square().mean().backward()
        adam.step()
    drawn = network.draw(torch.randn(64, 1, 8, 8), expected, expected, known)
    means = drawn.mean((1, 2, 3))
    assert ((means.abs() - 0.5).abs() < 0.15).float().mean() > 0.9
    assert 0.3 < (means > 0).float().mean() < 0.7
    assert drawn.std((1, 2, 3)).median() < 0.1


def test_what_is_known_and_seen_matters_once_trained() -> None:
    torch.manual_seed(0)
    network = FlowMatching(1, 8, known=2, shape=FlowMatchingShape(width=8))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    state, time = torch.randn(1, 1, 8, 8), torch.tensor([0.3])
    cells, expected, known = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), torch.rand(1, 2)
    first = network(state, time, cells, expected, known)
    for changed in (
        (state, time + 0.4, cells, expected, known),
        (state, time, cells + 0.5, expected, known),
        (state, time, cells, expected - 0.5, known),
        (state, time, cells, expected, known + 1),
    ):
        assert (network(*changed) - first).abs().max() > 1e-3
