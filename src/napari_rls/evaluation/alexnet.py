"""AlexNet as LPIPS and its shift-tolerant form use it, for weights that the user has.

The networks' own packages need torchvision, and more, to be imported; their weights do
not.

References
----------
Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018.
Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_rls.errors import MetricError
from napari_rls.evaluation.weight_files import fill, read_weights

SMALLEST = 32
"""Smallest side of an image, in pixels: three times halved and pooled, little is left of it."""

_WIDTHS = (64, 192, 384, 256, 256)
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPS = 1e-10

_OFFICIAL = tuple(f"features.{k}" for k in (0, 3, 6, 8, 10))
_TOLERANT = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")


class AlexNetDistance(nn.Module):
    """Learned perceptual distance of RGB images on five stages of AlexNet.

    Maps of each stage are divided by their length over channels; the squared
    differences are weighed by a learned head, averaged over positions and summed over
    stages.

    Parameters
    ----------
    tolerant
        The shift-tolerant form: no stride in the first convolution and in the pools, but
        a binomial blur that takes every second pixel.
    """

    def __init__(self, *, tolerant: bool) -> None:
        super().__init__()
        self.tolerant = tolerant
        stride = 1 if tolerant else 4
        sizes = [(3, 64, 11, stride, 2), (64, 192, 5, 1, 2)]
        sizes += [(192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(wide_in, wide, kernel, stride, padding)
            for wide_in, wide, kernel, stride, padding in sizes
        )
        self.heads = nn.ParameterList(torch.zeros(1, width, 1, 1) for width in _WIDTHS)

    def stages(self, rgb: Tensor) -> Iterator[Tensor]:
        """Yield the maps of five stages of images (N, 3, H, W), black -1, white 1."""
        x = (rgb - rgb.new_tensor(_SHIFT)[:, None, None]) / rgb.new_tensor(_SCALE)[:, None, None]
        for k, conv in enumerate(self.convs):
            if k in (1, 2):
                x = self._halved(F.max_pool2d(x, 3, 1 if self.tolerant else 2))
            x = conv(x)
            if k == 0:
                x = self._halved(x)
            x = F.relu(x)
            yield x

    def _halved(self, x: Tensor) -> Tensor:
        if not self.tolerant:
            return x
        taps = x.new_tensor([0.25, 0.5, 0.25])
        kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
        padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, kernel, stride=2, groups=x.shape[1])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distance (N,) of RGB images (N, 3, H, W), black -1, white 1.

        Raises
        ------
        MetricError
            If they have fewer pixels a side than :data:`SMALLEST`.
        """
        if min(a.shape[2:]) < SMALLEST:
            raise MetricError(
                f"Images of {a.shape[2]} x {a.shape[3]} pixels are too small for LPIPS and "
                f"ST-LPIPS, which need {SMALLEST} a side; leave these features out."
            )
        found = [
            ((_unit(x) - _unit(y)).square() * head).sum(1).mean((1, 2))
            for x, y, head in zip(self.stages(a), self.stages(b), self.heads, strict=True)
        ]
        return torch.stack(found).sum(0)


def _unit(maps: Tensor) -> Tensor:
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + _EPS)


def read_lpips(path: Path) -> AlexNetDistance:
    """Read LPIPS v0.1: torchvision's AlexNet from ``path``, the heads from torchmetrics.

    Raises
    ------
    MetricError
        If ``path`` is not AlexNet, or the installed torchmetrics has no heads.
    """
    return _read(AlexNetDistance(tolerant=False), path, _heads_file(), _OFFICIAL)


def read_shift_tolerant(path: Path) -> AlexNetDistance:
    """Read shift-tolerant LPIPS, trunk and heads in one file of stlpips-pytorch.

    Raises
    ------
    MetricError
        If the file is something else.
    """
    names = tuple(f"net.{name}" for name in _TOLERANT)
    return _read(AlexNetDistance(tolerant=True), path, path, names)


def _heads_file() -> Path:
    spec = find_spec("torchmetrics")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "functional/image/lpips_models/alex.pth")
        if path.is_file():
            return path
    raise MetricError("The installed torchmetrics has no heads of LPIPS; install it again.")


def _read(
    network: AlexNetDistance, trunk_file: Path, heads_file: Path, names: tuple[str, ...]
) -> AlexNetDistance:
    trunk, heads = read_weights(trunk_file), read_weights(heads_file)
    weights = {
        f"convs.{k}.{kind}": trunk[f"{name}.{kind}"]
        for k, name in enumerate(names)
        for kind in ("weight", "bias")
        if f"{name}.{kind}" in trunk
    }
    weights |= {
        f"heads.{k}": heads[name]
        for k in range(len(_WIDTHS))
        if (name := f"lin{k}.model.1.weight") in heads
    }
    fill(network, weights, trunk_file)
    return network
