"""Train the feature network "napari-rls features v1" that judges generated cells.

    python recipes/features_v1.py DATA OUT.safetensors

DATA is the folder of BBBC013. The network learns two things at once from real
crops: the drug and dose of a cell's well, and which corruptions, how strong,
were laid over the crop. Rows A, D, E, G, H are used, row B is not looked at.
Everything is seeded and computed on one thread in float32; it takes about a quarter
of an hour.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from feature_corruptions import KINDS, corrupted
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_rls.evaluation.features import FeatureNetwork
from napari_rls.training.dataset import mirrored
from napari_rls.workflow.cells.crops import PlateMap, cut_crops
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.usable import unusable_cells

SIZE = 64
ROWS = "ADEGH"
STEPS = 1800
BATCH = 64
RATE = 4e-3
SEED = 0

Crops = tuple[NDArray[np.uint8], list[str]]
"""Crops (N, 2, SIZE, SIZE) and a label each; labels of several sources are kept apart."""


def bbbc013(data: Path) -> Crops:
    """Cut the crops of the training wells; the label is drug, dose and control."""
    wells = PlateMap(data / "wells.csv")
    images, labels = [], []
    for path in sorted(p for row in ROWS for p in data.glob(f"{row}*.tif")):
        stack = cut_crops(read_stack(path), SIZE, plate_map=wells).stack
        bad = unusable_cells(stack) if len(stack) else {}
        good = [k for k in range(len(stack)) if k not in bad]
        images.append(stack.data[good])
        labels += [stack.crops[k].condition for k in good]
    return np.concatenate(images), labels


SOURCES: dict[str, Callable[[Path], Crops]] = {
    "BBBC013v1, rows A, D, E, G, H": bbbc013,
}
"""What the network is trained on: add a name and a function that gives crops."""


class Student(nn.Module):
    """The network with batch normalisation after each convolution, and its two heads."""

    def __init__(self, network: FeatureNetwork, classes: int) -> None:
        super().__init__()
        self.network = network
        for k, conv in enumerate(network.convs):
            network.convs[k] = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels))
        count = network.num_features
        self.normal = nn.BatchNorm1d(count, affine=False)
        self.condition = nn.Sequential(nn.Dropout(0.2), nn.Linear(count, classes))
        self.corruption = nn.Sequential(
            nn.Linear(count, 128), nn.ReLU(), nn.Linear(128, 2 * len(KINDS))
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of the condition, logits of each corruption, and strengths."""
        found = self.normal(self.network.pooled(images))
        present, strength = self.corruption(found).chunk(2, 1)
        return self.condition(found), present, strength

    def fused(self) -> FeatureNetwork:
        """Return the network with the normalisations folded into its convolutions."""
        self.eval()
        for k, layer in enumerate(self.network.convs):
            self.network.convs[k] = fuse_conv_bn_eval(*layer)
        return self.network


def batch_of(crops: Tensor, rng: torch.Generator) -> Tensor:
    """Return crops as training sees them, 0 to 1: turned, flipped, channels in both orders."""
    x = mirrored(crops.float(), rng)
    # Generated images are not whole grey levels; that alone must not tell them apart.
    x = (x + torch.rand(x.shape, generator=rng) - 0.5) / 255
    swapped = torch.rand(len(x), generator=rng) < 0.5
    return torch.where(swapped[:, None, None, None], x.flip(1), x)


def train(images: Tensor, labels: Tensor, classes: int) -> Student:
    """Train the network on crops (N, 2, SIZE, SIZE), uint8, with a class each."""
    rng = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    student = Student(FeatureNetwork(), classes).to(memory_format=torch.channels_last)
    adam = torch.optim.AdamW(student.parameters(), RATE, weight_decay=1e-2)
    plan = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=STEPS, pct_start=0.1)
    order = torch.cat(
        [
            torch.randperm(len(images), generator=rng)
            for _ in range(STEPS * BATCH // len(images) + 1)
        ]
    )
    began = time.monotonic()
    for step in range(STEPS):
        rows = order[step * BATCH : (step + 1) * BATCH]
        x, strengths, whole = corrupted(batch_of(images[rows], rng), rng)
        # Some images have one channel only, which is seen with itself.
        single = torch.rand(len(x), generator=rng) < 0.1
        x[single, 1] = x[single, 0]
        whole = whole & ~single
        condition, present, strength = student(
            (2 * x - 1).contiguous(memory_format=torch.channels_last)
        )
        there = (strengths > 0).float()
        known = torch.ones_like(there)
        known[single, KINDS.index("other channel")] = 0
        biology = (F.cross_entropy(condition, labels[rows], reduction="none") * whole).sum()
        biology = biology / whole.sum().clamp(min=1)
        naming = F.binary_cross_entropy_with_logits(present, there, known)
        grading = ((strength - strengths).square() * there * known).sum() / there.sum().clamp(min=1)
        loss = 0.3 * biology + 3 * naming + 3 * grading
        adam.zero_grad()
        loss.backward()
        adam.step()
        plan.step()
        if step % 50 == 0 or step == STEPS - 1:
            hit = ((present > 0) == there.bool()).float().mean()
            right = (condition.argmax(1) == labels[rows])[whole].float().mean()
            print(
                f"step {step}: condition {biology:.3f} ({right:.0%} right), naming {naming:.3f} "
                f"({hit:.1%}), grading {grading:.4f}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
    return student


@torch.no_grad()
def standardise(network: FeatureNetwork, images: Tensor) -> None:
    """Set the statistics of the network from crops (N, 2, SIZE, SIZE), uint8."""
    rng = torch.Generator().manual_seed(SEED)
    clean, worse = [], []
    for crops in images.split(BATCH):
        x = batch_of(crops, rng)
        clean.append(network.pooled(2 * x - 1))
        worse.append(network.pooled(2 * corrupted(x, rng)[0] - 1))
    std = torch.cat(worse).std(0) / 2
    network.mean.copy_(torch.cat(clean).mean(0))
    # A feature that hardly ever varies would otherwise outweigh all others.
    network.std.copy_(std.clamp(min=0.05 * float(std.median())))


def main(data: Path, out: Path) -> None:
    """Train on all sources and write the network."""
    torch.set_num_threads(1)
    crops, names = [], []
    for source, read in SOURCES.items():
        images, labels = read(data)
        print(f"{source}: {len(images)} crops of {len(set(labels))} conditions", flush=True)
        crops.append(torch.from_numpy(images))
        names += [f"{source}: {label}" for label in labels]
    images = torch.cat(crops)
    classes = sorted(set(names))
    student = train(images, torch.tensor([classes.index(n) for n in names]), len(classes))
    network = student.fused().requires_grad_(False)
    standardise(network, images)
    note: dict[str, object] = {
        "trained_on": f"{'; '.join(SOURCES)}: {len(images)} crops of {SIZE} x {SIZE} pixels",
        "taught": {"conditions": len(classes), "corruptions": list(KINDS)},
        "steps": STEPS,
        "batch": BATCH,
        "seed": SEED,
        "licence": "CC BY 3.0",
        "attribution": "Image set BBBC013v1, provided by Ilya Ravkin, available from the Broad "
        "Bioimage Benchmark Collection (Ljosa et al., Nature Methods, 2012).",
        "created_by": f"napari-rls {version('napari-rls')}",
    }
    network.save(out, note)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {network.num_features} features a pair")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
