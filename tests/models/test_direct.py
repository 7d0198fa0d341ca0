"""The network that tells measurements without any image: its quantiles and its shape."""

from __future__ import annotations

import pytest
import torch

from napari_rls.models.direct import Direct
from napari_rls.models.direct_spec import LEVELS


@pytest.mark.parametrize(
    ("channels", "size", "factors"), [(1, 8, (2, 4)), (2, 64, (8, 16, 32)), (3, 128, (16,))]
)
def test_quantiles_never_cross(channels: int, size: int, factors: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = Direct(channels, size, factors, 4, 3)
    for factor in factors:
        lr = 3 * torch.randn(5, channels, size // factor, size // factor)
        for told in (network(lr, factor), network.turned(lr, factor)):
            assert told.shape == (5, 3, len(LEVELS))
            assert (told.diff(dim=2) > 0).all()


def test_it_tells_the_same_however_a_cell_lies() -> None:
    torch.manual_seed(0)
    network, lr = Direct(2, 32, (4, 8), 4, 2), torch.randn(3, 2, 8, 8)
    told = network.turned(lr, 4)
    torch.testing.assert_close(network.turned(lr.rot90(1, (2, 3)).flip(2), 4), told)
    assert not torch.allclose(network(lr.flip(3), 4), network(lr, 4))


def test_it_is_told_the_factor() -> None:
    torch.manual_seed(0)
    network = Direct(1, 32, (4, 8), 4, 1)
    flat = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)
    assert not torch.allclose(network(flat[0], 4), network(flat[1], 8))


def test_a_network_is_as_small_as_the_documentation_says() -> None:
    network = Direct(2, 64, (8, 16, 32), 32, 8)
    # In float16.
    assert sum(p.numel() for p in network.parameters()) * 2 < 0.5e6
