"""The expected image: what an untrained network draws, what it can learn, sizes and channels."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from napari_rls.models.architecture import Architecture
from napari_rls.models.expected_image import ExpectedImage
from napari_rls.models.field_encoder import FieldEncoder
from napari_rls.models.field_specs import FieldEncoderShape


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (2, 32), (3, 64), (2, 128)])
def test_untrained_it_is_the_interpolated_image(channels: int, size: int) -> None:
    network = ExpectedImage(channels, size, known=4, width=4)
    cells = torch.rand(2, channels, size, size)
    torch.testing.assert_close(network(cells, torch.rand(2, 4)), cells)


def test_it_sharpens_what_it_knows() -> None:
    torch.manual_seed(0)
    y, x = torch.meshgrid(*[torch.arange(32) - 15.5] * 2, indexing="ij")
    radii = torch.tensor([4.0, 6.0, 8.0, 10.0])[:, None, None, None]
    sharp = torch.where((y.square() + x.square()).sqrt() < radii, 0.8, -0.8)
    blurred = F.interpolate(F.avg_pool2d(sharp, 8), scale_factor=8.0, mode="bilinear")
    network = ExpectedImage(1, 32, known=2, width=16)
    known = torch.zeros(4, 2)
    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(200):
        adam.zero_grad()
        (network(blurred, known) - sharp).abs().mean().backward()
        adam.step()
    before, after = ((image - sharp).abs().mean() for image in (blurred, network(blurred, known)))
    assert after < 0.5 * before


def test_latents_are_estimated_of_the_expected_image() -> None:
    architecture = Architecture(
        resolution=16, image_channels=2, z_dim=8, w_dim=8, channel_base=64, channel_max=8
    )
    mean, std = torch.zeros(8), torch.ones(8)
    torch.manual_seed(0)
    with_image, without = (
        FieldEncoder(architecture, FieldEncoderShape(width=4, hidden=8, image_width=w), mean, std)
        for w in (4, 0)
    )
    cells, seen = torch.rand(2, 2, 16, 16), (4.0, 0.5, torch.full((2, 2), 0.05))
    assert without.expected(cells, *seen) is cells
    torch.nn.init.constant_(with_image.image.last.bias, 0.3)
    expected = with_image.expected(cells, *seen)
    torch.testing.assert_close(expected, cells + 0.3)
    ws = with_image(cells, *seen)
    torch.testing.assert_close(ws, with_image.ws(*with_image.parts(expected, *seen)))
    assert not torch.allclose(ws, with_image.ws(*with_image.parts(cells, *seen)))
