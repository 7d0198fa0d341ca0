"""Training steps of this package against plain ones, images a second in one process.

    OMP_NUM_THREADS=1 python benchmarks/training.py [SIZE [CHANNEL_LAST]]

Plain means as stylegan2-ada-pytorch publishes it: weights modulated per sample in one
grouped convolution, FIR filters as steps of their own, new images for D's and G's step,
float32, NCHW. Losses, R1 and path lengths come as often in both, augmentation in neither.
Quote the ratios; the numbers depend on the machine and on what else it does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_rls.models.intensity import IntensityMap
from napari_rls.models.stylegan2 import Generator
from napari_rls.search.device import computes_in_bfloat16
from napari_rls.training.dataset import Crops
from napari_rls.training.discriminator import Discriminator
from napari_rls.training.losses import (
    discriminator_loss,
    generator_loss,
    lazy_adam,
    path_lengths,
    path_penalty,
    r1_penalty,
)
from napari_rls.training.trainer import PATH_SHARE, Trainer
from napari_rls.training.training_settings import TrainSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from plain_stylegan2 import plain_discriminator, plain_mapping, plain_synthesis

STEPS = 32


class Plain:
    """The same training in the plain form."""

    def __init__(self, settings: TrainSettings) -> None:
        self.settings = settings
        torch.manual_seed(settings.seed)
        self.g = dict(Generator(settings.architecture).state_dict())
        self.d = dict(Discriminator(settings.architecture).state_dict())
        for state in (self.g, self.d):
            for name, tensor in state.items():
                learns = not name.endswith(("noise_const", "resample_filter", "w_avg"))
                state[name] = tensor.clone().requires_grad_(learns)
        self.adam_g = lazy_adam(self._learning(self.g), settings.learning_rate, 4)
        self.adam_d = lazy_adam(self._learning(self.d), settings.learning_rate, 16)
        self.path_mean = torch.zeros(())
        self.steps = 0

    def step(self, real: Tensor) -> None:
        settings, count = self.settings, len(real)
        with torch.no_grad():
            fake = plain_synthesis(self.g, self._ws(count))
        loss = discriminator_loss(
            plain_discriminator(self.d, real), plain_discriminator(self.d, fake)
        )
        self._descend(self.adam_d, loss)
        if self.steps % settings.r1_interval == 0:
            leaf = real.clone().requires_grad_()
            penalty = r1_penalty(plain_discriminator(self.d, leaf), leaf)
            self._descend(self.adam_d, penalty * settings.r1_gamma / 2 * settings.r1_interval)
        fake = plain_synthesis(self.g, self._ws(count))
        self._descend(self.adam_g, generator_loss(plain_discriminator(self.d, fake)))
        if self.steps % settings.path_interval == 0:
            ws = self._ws(count // PATH_SHARE)
            images = plain_synthesis(self.g, ws)
            lengths = path_lengths(images, ws, torch.randn_like(images))
            penalty, self.path_mean = path_penalty(lengths, self.path_mean)
            self._descend(self.adam_g, penalty * settings.path_weight * settings.path_interval)
        self.steps += 1

    def _ws(self, count: int) -> Tensor:
        w = plain_mapping(self.g, torch.randn(count, self.settings.z_dim))
        return w[:, None].repeat(1, self.settings.architecture.num_ws, 1)

    @staticmethod
    def _learning(state: dict[str, Tensor]) -> list[Tensor]:
        return [tensor for tensor in state.values() if tensor.requires_grad]

    @staticmethod
    def _descend(adam: torch.optim.Adam, loss: Tensor) -> None:
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()


def images_per_second(step: Callable[[], object], batch: int) -> float:
    """Return the images a second over whole cycles of the lazy regularisations."""
    step()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * batch / (time.perf_counter() - start)


def main(size: int = 64, channel_last: int = 16) -> None:
    """Measure both forms."""
    settings = TrainSettings(
        size=size, channels=("DNA", "GFP"), channel_last=channel_last, ada_target=0, mirror=False
    )
    data = np.random.default_rng(0).integers(0, 256, (64, 2, size, size), np.uint8)
    crops = Crops(data, settings)
    real = torch.from_numpy(
        IntensityMap("bundle", (0, 0), (255, 255)).encode(data[: settings.batch_size])
    )
    plain = Plain(settings)
    speeds = {"plain float32": images_per_second(lambda: plain.step(real), settings.batch_size)}
    types = [torch.float32]
    if computes_in_bfloat16(torch.device("cpu")):
        types.append(torch.bfloat16)
    for dtype in types:
        trainer = Trainer(settings, torch.device("cpu"), dtype)
        name = str(dtype).removeprefix("torch.")
        speeds[f"fast {name}"] = images_per_second(
            lambda trainer=trainer: trainer.step(crops), settings.batch_size
        )
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {size} px")
    for form, speed in speeds.items():
        ratio = speed / speeds["plain float32"]
        print(f"{form}: {speed:.1f} images/s, {ratio:.2f} times plain")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
