"""Whole training runs of a tiny network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from napari_rls.training.run import Progress, train
from napari_rls.training.run_folder import RunFolder
from napari_rls.training.training_settings import TrainSettings

TINY = {
    "size": 8,
    "channels": ("DNA", "GFP"),
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 2,
    "channel_max": 8,
    "channel_last": 4,
    "batch_size": 4,
    "kimg": 0.12,
    "r1_interval": 4,
    "ada_interval": 2,
    "ada_start": 0.3,
    "ada_kimg": 0.2,
    "report_kimg": 0.02,
    "sample_kimg": 0.04,
    "snapshot_kimg": 0.04,
    "threads": 1,
    "device": "cpu",
    "precision": "float32",
}


def settings(**changes: object) -> TrainSettings:
    return TrainSettings.model_validate(TINY | changes)


def crops(count: int = 50) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, size=(count, 2, 8, 8), dtype=np.uint8)


def run(folder: Path, stop_at: int | None = None, **changes: object) -> list[Progress]:
    """Train; close the iteration once ``stop_at`` images were shown."""
    updates = []
    iteration = train(crops(), settings(**changes), folder)
    for progress in iteration:
        updates.append(progress)
        if stop_at is not None and progress.images >= stop_at:
            iteration.close()
    return updates


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(folder).checkpoint)


def assert_same_state(one: Path, two: Path) -> None:
    first, second = state(one), state(two)
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different
