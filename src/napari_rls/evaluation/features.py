"""A small feature network for fluorescence microscopy, by which generated cells are judged.

Distances such as FID and KID compare the features of real and generated images.
The usual features are those of a classifier of RGB photographs, which is 90 MB to
download, wants 299 x 299 pixels and knows nothing of cells. This network is 0.3 MB,
comes with the package, takes any number of channels at 64 pixels and more, and
was taught to tell doses of drugs in real cells and to name what was done to an
image: blur, noise, warp, a channel taken from another cell (docs/features.md).
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.files.whole_file import whole_file

NAME = "napari-rls features v1"
"""Stands wherever a distance that was computed with these features does."""

SMALLEST = 8
"""Smallest side of an image, in pixels; it is meant for 64 to 256, where a cell has detail."""

_FILE = "features-v1.safetensors"
_KEY = "napari-rls-features"
_WIDTHS = (12, 24, 40, 56, 64)
_EPS = 1e-5


class FeatureNetwork(nn.Module):
    """Nine convolutions in five stages; every stage is pooled into means and deviations.

    Attributes
    ----------
    mean, std
        Statistics of the pooled features (F,): the mean over the real crops that it was
        trained on, and half the deviation over the same crops, corrupted as in training.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(2, _WIDTHS[0], 3, 1, 1)])
        for before, width in itertools.pairwise(_WIDTHS):
            self.convs.append(nn.Conv2d(before, width, 3, 2, 1))
            self.convs.append(nn.Conv2d(width, width, 3, 1, 1))
        self.num_features = 2 * sum(_WIDTHS)
        self.register_buffer("mean", torch.zeros(self.num_features))
        self.register_buffer("std", torch.ones(self.num_features))

    def maps(self, pairs: Tensor) -> Iterator[Tensor]:
        """Yield each stage's maps (N, width, H, W), (N, width, H / 2, W / 2), ... of pairs.

        Pairs of channels (N, 2, H, W), black -1, white 1; the maps are not negative.
        """
        x = F.relu(self.convs[0](pairs))
        yield x
        for down, level in zip(self.convs[1::2], self.convs[2::2], strict=True):
            x = F.relu(down(x))
            x = F.relu(x + level(x))
            yield x

    def pooled(self, pairs: Tensor) -> Tensor:
        """Return features (N, F) of pairs of channels (N, 2, H, W), black -1, white 1."""
        return torch.cat([_statistics(maps) for maps in self.maps(pairs)], 1)

    def forward(self, pairs: Tensor) -> Tensor:
        """Return standardised features (N, F) of pairs of channels (N, 2, H, W).

        The inverse hyperbolic sine leaves features of real cells nearly as they are and
        grows like a logarithm far from them: else a trace of noise, which hardly
        varies among real images, would outweigh everything about cells.
        """
        return torch.asinh((self.pooled(pairs) - self.mean) / self.std)

    def save(self, path: Path, note: dict[str, object]) -> None:
        """Write the network, weights in half precision, with ``note`` in the header."""
        tensors = {name: tensor.half() for name, tensor in self.state_dict().items()}
        # Statistics of silent features would round to nothing.
        tensors |= {"mean": self.mean, "std": self.std}
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with whole_file(path) as draft:
            save_file(plain, draft, {_KEY: json.dumps({"name": NAME, **note})})


def _statistics(maps: Tensor) -> Tensor:
    """Return means and deviations (N, 2 C) of feature maps (N, C, H, W)."""
    flat = maps.flatten(2)
    mean = flat.mean(2)
    deviation = (flat.square().mean(2) - mean.square()).clamp(min=0).add(_EPS).sqrt()
    return torch.cat([mean, deviation], 1)


def read_network(path: Path) -> FeatureNetwork:
    """Read a network that :meth:`FeatureNetwork.save` wrote; it computes in float32."""
    network = FeatureNetwork()
    network.load_state_dict(load_file(path))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.requires_grad_(False).eval()


def read_note(path: Path) -> dict[str, object]:
    """Return what the header of such a file says: name, what it was trained on."""
    with safe_open(path, framework="pt") as file:
        note: dict[str, object] = json.loads(file.metadata()[_KEY])
    return note


@functools.cache
def feature_network() -> FeatureNetwork:
    """Return the network that comes with the package; do not change it."""
    with as_file(files("napari_rls.evaluation") / _FILE) as path:
        return read_network(path)


@torch.no_grad()
def features(images: Tensor, network: FeatureNetwork | None = None, batch: int = 128) -> Tensor:
    """Return the features of images.

    Every channel is seen together with the next one, and the last one with the first,
    so that what channels have to do with each other counts; a single channel is
    seen with itself.

    Parameters
    ----------
    images
        Images (N, C, H, W), float, black -1 and white 1, of at least
        :data:`SMALLEST` pixels a side.
    network
        The network; by default the one that comes with the package.
    batch
        Images computed at once.

    Returns
    -------
    Tensor
        (N, C x 392), float32, on the CPU.

    Raises
    ------
    ValueError
        If the images are smaller or not of this shape.
    """
    _check(images)
    used = network or feature_network()
    parts = [_features(part.float(), used) for part in images.split(batch)]
    return torch.cat(parts) if parts else torch.empty(0, images.shape[1] * used.num_features)


def channel_pairs(images: Tensor) -> Tensor:
    """Return pairs of channels (N x C, 2, H, W) of images (N, C, H, W), as `features` sees them.

    Raises
    ------
    ValueError
        If the images are smaller than :data:`SMALLEST` or not of this shape.
    """
    _check(images)
    pairs = torch.stack([images, images.roll(-1, 1)], 2).flatten(0, 1)
    return pairs.contiguous(memory_format=torch.channels_last)


def _features(images: Tensor, network: FeatureNetwork) -> Tensor:
    found: Tensor = network(channel_pairs(images))
    return found.reshape(-1, images.shape[1] * network.num_features).cpu()


def _check(images: Tensor) -> None:
    if images.ndim != 4 or min(images.shape[-2:]) < SMALLEST:
        raise ValueError(
            f"Images of the shape {tuple(images.shape)} have no features; give images "
            f"(N, C, H, W) of at least {SMALLEST} pixels a side."
        )
