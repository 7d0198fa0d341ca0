"""How long a training takes: measured in a few steps, remembered, and put into words."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_job import SETTINGS

from napari_rls.training.dataset import Crops
from napari_rls.training.speed import images_per_second
from napari_rls.training.trainer import Trainer
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train import train_time
from napari_rls.workflow.train.train_time import estimate, measured, recalled, remember, work

USUAL = TrainSettings(channels=("DNA", "GFP"))


def test_a_few_steps_tell_the_speed_of_many() -> None:
    settings = SETTINGS.model_copy(update={"size": 32, "channel_last": 16, "channel_max": 32})
    told = images_per_second(settings)
    crops = Crops(np.zeros((4, 2, 32, 32), np.uint8), settings)
    trainer = Trainer(settings, torch.device("cpu"), torch.float32)
    trainer.step(crops)
    start = time.perf_counter()
    for _ in range(16):
        trainer.step(crops)
    seen = 16 * 4 / (time.perf_counter() - start)
    assert 0.25 < told / seen < 4


def test_measuring_uses_up_no_random_number_and_no_thread() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    images_per_second(SETTINGS.model_copy(update={"threads": 2}))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_speed_is_remembered_for_each_device_and_holds_for_other_networks() -> None:
    assert recalled(SETTINGS) is None
    speed = measured(SETTINGS)
    assert recalled(SETTINGS) == speed
    assert recalled(SETTINGS.model_copy(update={"threads": 7})) is None
    large = SETTINGS.model_copy(update={"size": 64, "channel_max": 64})
    assert recalled(large) == speed
    remember(large, 3.0)
    assert recalled(SETTINGS) == pytest.approx(3.0 * work(large))
    remember(large, 0.0)
    assert recalled(SETTINGS) == pytest.approx(3.0 * work(large))


@pytest.mark.parametrize("text", ["{", "[]", '{"cpu": -1}', '{"cpu": "x"}', "[" * 100_000])
def test_a_damaged_memory_is_none(text: str, user_folders: Path) -> None:
    file = train_time._file()
    assert user_folders in file.parents
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert recalled(SETTINGS) is None
    remember(SETTINGS, 5.0)
    assert recalled(SETTINGS) == pytest.approx(5.0 * work(SETTINGS))


def test_an_estimate_counts_both_sizes_and_the_fits() -> None:
    assert work(USUAL) == pytest.approx(1)
    double = USUAL.model_copy(update={"size": 128})
    assert work(double) == pytest.approx(4, rel=0.02)
    plain = estimate(USUAL, 40, 1000)
    assert (plain.full, plain.half, plain.fitting) == (10_000, 0, 1000)
    assert str(plain) == "About 3.1 h for 400 kimg on this machine (estimate)."
    grown = estimate(double, 40, 1000, grow_kimg=100)
    assert grown.full == pytest.approx(40_000, rel=0.02)
    # Half the size has all blocks but the largest, and those of the same widths.
    block = (128 * 16) ** 2 / (4 * (64 * 16) ** 2 + (4 * 128) ** 2)
    assert grown.half == pytest.approx(100_000 * (work(double) - block) / 40)
    assert grown.kimg == 500
    # A slow machine fits slowly; one with a GPU fits on its CPU.
    assert estimate(USUAL, 10, 1000).fitting == 4000
    assert estimate(USUAL, 4000, 1000).fitting == 1000
    assert plain.share(0, 0.5, 0) == pytest.approx(5 / 11)
    assert plain.share(1, 1, 1) == 1
