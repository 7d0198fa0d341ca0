"""How fast this machine trains: a few steps of networks that are thrown away."""

from __future__ import annotations

import time

import numpy as np
import torch

from napari_rls.search.contained import own_process
from napari_rls.search.device import choose_device
from napari_rls.training.dataset import Crops
from napari_rls.training.run import chosen_dtype
from napari_rls.training.trainer import Trainer
from napari_rls.training.training_settings import TrainSettings

FEW = 4
"""Images in a step on a CPU, whose speed hardly depends on their number."""


def images_per_second(settings: TrainSettings) -> float:
    """Measure how many images a second a run of these settings is trained on.

    Six steps are made, so that those that also compute R1 or path lengths, which are rare,
    count as often as they happen. No random number of a run is used up.

    Raises
    ------
    SettingsError
        If the device that was asked for is not there.
    """
    device = choose_device(settings.device).device
    batch = min(FEW, settings.batch_size) if device.type == "cpu" else settings.batch_size
    settings = settings.model_copy(update={"batch_size": batch, "warmup_kimg": 0.0})
    shape = (batch, len(settings.channels), settings.size, settings.size)
    crops = Crops(np.zeros(shape, np.uint8), settings)
    with own_process(settings.threads):
        trainer = Trainer(settings, device, chosen_dtype(settings, device))

        def seconds(step: int) -> float:
            """Make the step of this number in a run."""
            trainer.steps = step
            start = time.perf_counter()
            trainer.step(crops)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return time.perf_counter() - start

        seconds(0)  # the first takes memory, and on a GPU compiles
        plain = min(seconds(1), seconds(1))
        path, both = seconds(settings.path_interval), seconds(0)
    mean = plain + max(path - plain, 0.0) / settings.path_interval
    mean += max(both - path, 0.0) / settings.r1_interval
    return batch / mean
