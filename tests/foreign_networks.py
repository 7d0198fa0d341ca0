"""Files of random weights laid out as those of networks that the tests cannot have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

ALEX = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))


def _random(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    fan_in = torch.Size(shape[1:]).numel()
    return torch.randn(shape, generator=rng) * (2 / fan_in) ** 0.5


def _alex(names: tuple[str, ...], rng: torch.Generator) -> dict[str, Tensor]:
    found = {}
    for name, (wide, before, kernel) in zip(names, ALEX, strict=True):
        found[f"{name}.weight"] = _random((wide, before, kernel, kernel), rng)
        found[f"{name}.bias"] = torch.randn(wide, generator=rng) / 10
    return found


def write_alexnet(path: Path) -> dict[str, Tensor]:
    """Write a file such as torchvision's ``alexnet-owt-7be5be79.pth``."""
    weights = _alex(
        tuple(f"features.{k}" for k in (0, 3, 6, 8, 10)), torch.Generator().manual_seed(0)
    )
    torch.save(weights | {"classifier.6.bias": torch.zeros(1000)}, path)
    return weights


def write_shift_tolerant(path: Path) -> dict[str, Tensor]:
    """Write a file such as ``alex_shift_tolerant.pth`` of stlpips-pytorch, in the old format."""
    rng = torch.Generator().manual_seed(1)
    names = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
    weights = _alex(tuple(f"net.{name}" for name in names), rng)
    for k, (wide, _, _) in enumerate(ALEX):
        weights[f"lin{k}.model.1.weight"] = torch.rand(1, wide, 1, 1, generator=rng)
    weights["scaling_layer.shift"] = torch.zeros(1, 3, 1, 1)
    weights["net.slice1.1.filt"] = torch.ones(64, 1, 3, 3) / 9
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    return weights


def write_inception(path: Path) -> None:
    """Write a file such as ``weights-inception-2015-12-05-6726825d.pth``."""
    rng = torch.Generator().manual_seed(2)
    weights = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    for name, wide, before, rows, columns in _inception_convs():
        weights[f"{name}.conv.weight"] = _random((wide, before, rows, columns), rng)
        weights[f"{name}.bn.weight"] = torch.rand(wide, generator=rng) + 0.5
        weights[f"{name}.bn.bias"] = torch.randn(wide, generator=rng) / 10
        weights[f"{name}.bn.running_mean"] = torch.randn(wide, generator=rng) / 10
        weights[f"{name}.bn.running_var"] = torch.rand(wide, generator=rng) + 0.5
        weights[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    torch.save(weights, path)


def _inception_convs() -> Iterator[tuple[str, int, int, int, int]]:
    """Yield name, channels out and in, and kernel of every convolution."""
    yield "Conv2d_1a_3x3", 32, 3, 3, 3
    yield "Conv2d_2a_3x3", 32, 32, 3, 3
    yield "Conv2d_2b_3x3", 64, 32, 3, 3
    yield "Conv2d_3b_1x1", 80, 64, 1, 1
    yield "Conv2d_4a_3x3", 192, 80, 3, 3
    for letter, before, pool in (("b", 192, 32), ("c", 256, 64), ("d", 288, 64)):
        block = f"Mixed_5{letter}.branch"
        yield f"{block}1x1", 64, before, 1, 1
        yield f"{block}5x5_1", 48, before, 1, 1
        yield f"{block}5x5_2", 64, 48, 5, 5
        yield f"{block}3x3dbl_1", 64, before, 1, 1
        yield f"{block}3x3dbl_2", 96, 64, 3, 3
        yield f"{block}3x3dbl_3", 96, 96, 3, 3
        yield f"{block}_pool", pool, before, 1, 1
    yield "Mixed_6a.branch3x3", 384, 288, 3, 3
    yield "Mixed_6a.branch3x3dbl_1", 64, 288, 1, 1
    yield "Mixed_6a.branch3x3dbl_2", 96, 64, 3, 3
    yield "Mixed_6a.branch3x3dbl_3", 96, 96, 3, 3
    for letter, inner in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        block = f"Mixed_6{letter}.branch"
        yield f"{block}1x1", 192, 768, 1, 1
        yield f"{block}7x7_1", inner, 768, 1, 1
        yield f"{block}7x7_2", inner, inner, 1, 7
        yield f"{block}7x7_3", 192, inner, 7, 1
        yield f"{block}7x7dbl_1", inner, 768, 1, 1
        for k, (rows, columns) in enumerate([(7, 1), (1, 7), (7, 1)]):
            yield f"{block}7x7dbl_{k + 2}", inner, inner, rows, columns
        yield f"{block}7x7dbl_5", 192, inner, 1, 7
        yield f"{block}_pool", 192, 768, 1, 1
    yield "Mixed_7a.branch3x3_1", 192, 768, 1, 1
    yield "Mixed_7a.branch3x3_2", 320, 192, 3, 3
    yield "Mixed_7a.branch7x7x3_1", 192, 768, 1, 1
    yield "Mixed_7a.branch7x7x3_2", 192, 192, 1, 7
    yield "Mixed_7a.branch7x7x3_3", 192, 192, 7, 1
    yield "Mixed_7a.branch7x7x3_4", 192, 192, 3, 3
    for letter, before in (("b", 1280), ("c", 2048)):
        block = f"Mixed_7{letter}.branch"
        yield f"{block}1x1", 320, before, 1, 1
        yield f"{block}3x3_1", 384, before, 1, 1
        yield f"{block}3x3_2a", 384, 384, 1, 3
        yield f"{block}3x3_2b", 384, 384, 3, 1
        yield f"{block}3x3dbl_1", 448, before, 1, 1
        yield f"{block}3x3dbl_2", 384, 448, 3, 3
        yield f"{block}3x3dbl_3a", 384, 384, 1, 3
        yield f"{block}3x3dbl_3b", 384, 384, 3, 1
        yield f"{block}_pool", 192, before, 1, 1
