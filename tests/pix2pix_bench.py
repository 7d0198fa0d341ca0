"""Trainings of a tiny Pix2Pix network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from napari_rls.training.dataset import Crops
from napari_rls.training.pix2pix import Progress, train
from napari_rls.training.pix2pix_settings import Pix2PixSettings
from napari_rls.training.training_settings import TrainSettings

SHAPE = TrainSettings(size=16, channels=("DNA", "GFP"), batch_size=4)


TINY = {
    "factor": 4,
    "width": 8,
    "width_max": 16,
    "steps": 30,
    "batch_size": 4,
    "threads": 1,
    "device": "cpu",
    "report_steps": 10,
}


def settings(**changes: object) -> Pix2PixSettings:
    return Pix2PixSettings.model_validate(TINY | changes)


def images(count: int, seed: int) -> np.ndarray:
    """Discs of random place, size and brightness: more than an LR image shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    centre = rng.uniform(5, 11, (2, count, 2, 1, 1))
    radius = rng.uniform(2, 5, (count, 2, 1, 1))
    inside = np.hypot(y - centre[0], x - centre[1]) < radius
    return (20 + inside * rng.uniform(80, 230, (count, 2, 1, 1))).astype(np.uint8)


def crops(seed: int = 0) -> Crops:
    return Crops(images(50, seed), SHAPE)


def held_out() -> torch.Tensor:
    return torch.from_numpy(crops().map.encode(images(40, 1)))


def run(folder: Path, stop_at: int | None = None, **changes: object) -> list[Progress]:
    """Train; close the iteration after ``stop_at`` steps."""
    updates = []
    iteration = train(crops(), held_out(), settings(**changes), folder)
    for progress in iteration:
        updates.append(progress)
        if progress.steps == stop_at:
            iteration.close()
    return updates
