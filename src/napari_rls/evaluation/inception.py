"""The Inception network of FID and KID, for weights that the user has.

It is the graph of 2015-12-05 that Heusel et al. used, as torch-fidelity and pytorch-fid have
converted it. It differs from torchvision's: average pools leave the border out, the last
block has a maximum pool, and images are enlarged as TensorFlow 1 did. The graph is ours:
torchmetrics runs it by torch-fidelity only, which needs torchvision, unpickles whatever the file of
weights holds, and downloads one without asking where none is given.

References
----------
Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016.
Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_rls.errors import MetricError
from napari_rls.evaluation.weight_files import read_weights

NUM_FEATURES = 2048

_SIDE = 299
_EPS = 1e-3


class Inception:
    """Pooled features of RGB images.

    Parameters
    ----------
    weights
        The state dict as converted by torch-fidelity.

    Raises
    ------
    KeyError
        If a layer is missing.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self._convs: dict[str, tuple[Tensor, Tensor]] = {}
        for key, weight in weights.items():
            if key.endswith(".conv.weight"):
                name = key.removesuffix(".conv.weight")
                norm = {
                    k: weights[f"{name}.bn.{k}"].double()
                    for k in ("weight", "bias", "running_mean", "running_var")
                }
                # The batch normalisation of a fixed network is part of its convolution.
                scale = norm["weight"] / (norm["running_var"] + _EPS).sqrt()
                bias = norm["bias"] - norm["running_mean"] * scale
                fused = weight.double() * scale[:, None, None, None]
                self._convs[name] = fused.float(), bias.float()

    @torch.no_grad()
    def __call__(self, rgb: Tensor) -> Tensor:
        """Return features (N, 2048) of images (N, 3, H, W), black -1, white 1.

        As the network was made for 8-bit images, grey levels are rounded to 256 first, and
        what is darker than black or brighter than white is cut.
        """
        grey = ((rgb + 1) * 127.5).round().clamp(0, 255)
        x = (_enlarged(grey) - 128) / 128
        x = self._conv(x, "Conv2d_1a_3x3", stride=2)
        x = self._conv(x, "Conv2d_2a_3x3", same=False)
        x = F.max_pool2d(self._conv(x, "Conv2d_2b_3x3"), 3, 2)
        x = self._conv(x, "Conv2d_3b_1x1")
        x = F.max_pool2d(self._conv(x, "Conv2d_4a_3x3", same=False), 3, 2)
        for letter in "bcd":
            x = self._block_5(x, f"Mixed_5{letter}")
        x = self._block_6a(x)
        for letter in "bcde":
            x = self._block_6(x, f"Mixed_6{letter}")
        x = self._block_7a(x)
        for letter in "bc":
            x = self._block_7(x, f"Mixed_7{letter}", largest=letter == "c")
        return x.mean((2, 3))

    def _conv(self, x: Tensor, name: str, *, stride: int = 1, same: bool = True) -> Tensor:
        weight, bias = self._convs[name]
        padding = [side // 2 if same and stride == 1 else 0 for side in weight.shape[2:]]
        return F.relu(F.conv2d(x, weight, bias, stride, padding))

    def _chain(self, x: Tensor, branch: str, count: int) -> Tensor:
        for k in range(1, count + 1):
            x = self._conv(x, f"{branch}_{k}")
        return x

    def _pooled(self, x: Tensor, block: str) -> Tensor:
        mean = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return self._conv(mean, f"{block}.branch_pool")

    def _block_5(self, x: Tensor, block: str) -> Tensor:
        branches = [
            self._conv(x, f"{block}.branch1x1"),
            self._chain(x, f"{block}.branch5x5", 2),
            self._chain(x, f"{block}.branch3x3dbl", 3),
            self._pooled(x, block),
        ]
        return torch.cat(branches, 1)

    def _block_6a(self, x: Tensor) -> Tensor:
        long = self._chain(x, "Mixed_6a.branch3x3dbl", 2)
        branches = [
            self._conv(x, "Mixed_6a.branch3x3", stride=2),
            self._conv(long, "Mixed_6a.branch3x3dbl_3", stride=2),
            F.max_pool2d(x, 3, 2),
        ]
        return torch.cat(branches, 1)

    def _block_6(self, x: Tensor, block: str) -> Tensor:
        branches = [
            self._conv(x, f"{block}.branch1x1"),
            self._chain(x, f"{block}.branch7x7", 3),
            self._chain(x, f"{block}.branch7x7dbl", 5),
            self._pooled(x, block),
        ]
        return torch.cat(branches, 1)

    def _block_7a(self, x: Tensor) -> Tensor:
        short = self._conv(x, "Mixed_7a.branch3x3_1")
        long = self._chain(x, "Mixed_7a.branch7x7x3", 3)
        branches = [
            self._conv(short, "Mixed_7a.branch3x3_2", stride=2),
            self._conv(long, "Mixed_7a.branch7x7x3_4", stride=2),
            F.max_pool2d(x, 3, 2),
        ]
        return torch.cat(branches, 1)

    def _block_7(self, x: Tensor, block: str, *, largest: bool) -> Tensor:
        short = self._conv(x, f"{block}.branch3x3_1")
        long = self._chain(x, f"{block}.branch3x3dbl", 2)
        branches = [self._conv(x, f"{block}.branch1x1")]
        for stem, name in ((short, "branch3x3_2"), (long, "branch3x3dbl_3")):
            branches += [self._conv(stem, f"{block}.{name}{side}") for side in "ab"]
        if largest:
            branches.append(self._conv(F.max_pool2d(x, 3, 1, 1), f"{block}.branch_pool"))
        else:
            branches.append(self._pooled(x, block))
        return torch.cat(branches, 1)


def _enlarged(images: Tensor) -> Tensor:
    """Resize to 299 pixels linearly as TensorFlow 1 does: pixel k is taken from k / factor."""
    rows, columns = (_resampling(side) for side in images.shape[2:])
    return rows @ images @ columns.T


def _resampling(side: int) -> Tensor:
    where = torch.arange(_SIDE, dtype=torch.float64) * side / _SIDE
    before = where.long()
    share = (where - before).float()
    matrix = torch.zeros(_SIDE, side)
    k = torch.arange(_SIDE)
    matrix[k, before] += 1 - share
    matrix[k, (before + 1).clamp(max=side - 1)] += share
    return matrix


def read_inception(path: Path) -> Inception:
    """Read the network from ``weights-inception-2015-12-05-6726825d.pth``, or pytorch-fid's.

    Raises
    ------
    MetricError
        If the file is something else.
    """
    try:
        network = Inception(read_weights(path))
        # Every layer is used once, so that a wrong file is told from the right one here.
        network(torch.zeros(1, 3, 8, 8))
    except (KeyError, RuntimeError):
        raise MetricError(
            f"{path} is not the Inception network of FID; give "
            "weights-inception-2015-12-05-6726825d.pth."
        ) from None
    return network
