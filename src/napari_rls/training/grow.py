"""Double the size of a trained generator, so that it learns large structures at little cost.

After Karras et al., "Progressive Growing of GANs", 2018, with StyleGAN2's skip
connections in place of a fade-in: the image of the new size starts as the upsampled
image of the old one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_rls.models.architecture import Architecture
from napari_rls.models.stylegan2 import Generator
from napari_rls.training.checkpoint import load_generator, read_note, save_generator
from napari_rls.training.run_folder import RunFolder
from napari_rls.training.settings import TrainingError, TrainSettings

_KIMG = "kimg"


def halved(images: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return images (N, C, H, W) at half the size, the mean of 2 x 2 pixels each."""
    count, channels, height, width = images.shape
    pixels = images.reshape(count, channels, height // 2, 2, width // 2, 2)
    mean: NDArray[np.float32] = pixels.mean(axis=(3, 5), dtype=np.float32)
    return mean


def grow(small: Generator, arch: Architecture, seed: int = 0) -> Generator:
    """Return a generator of twice the size that draws what ``small`` draws, upsampled.

    Blocks of the sizes that both have are copied. The new block has random weights of
    ``seed``, but those that turn its features into an image start at 0.

    Raises
    ------
    TrainingError
        If ``arch`` is not twice as large, with blocks of the same widths.
    """
    if small.arch.model_copy(update={"resolution": 2 * small.arch.resolution}) != arch:
        raise TrainingError(
            f"A generator of {small.arch.resolution} pixels cannot grow to {arch.resolution} "
            "pixels with these settings; the size must double and all else stay the same."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        large = Generator(arch)
    large.load_state_dict(small.state_dict(), strict=False)
    for part in ("weight", "bias"):
        name = f"synthesis.b{arch.resolution}.torgb.{part}"
        nn.init.zeros_(large.get_parameter(name))
    return large


def grown_start(half: Path, small: TrainSettings, settings: TrainSettings) -> Path:
    """Grow the averaged generator of a complete run at half the size; return its file.

    Raises
    ------
    TrainingError
        If the run cannot be read or the weights cannot be written.
    """
    average = load_generator(RunFolder(half).checkpoint, small.architecture, part="average.")
    grown = grow(average, settings.architecture, settings.seed)
    save_generator(_file(half), grown, {_KIMG: str(small.kimg)})
    return _file(half)


def kept_start(half: Path, kimg: float) -> Path:
    """Return the grown weights that a run at full size has begun with.

    Raises
    ------
    TrainingError
        If it began without such weights, or with others than after ``kimg``.
    """
    file = _file(half)
    if not file.exists():
        raise TrainingError(
            f"The run in {half.parent} began at full size, or {file} was removed: it cannot go on "
            "as a run that starts at half the size."
        )
    before = float(read_note(file).get(_KIMG, "nan"))
    if before != kimg:
        raise TrainingError(
            f"The run in {half.parent} was at half the size for {before:g} kimg, now {kimg:g} are "
            "asked for; resume it as it was or choose another folder."
        )
    return file


def _file(half: Path) -> Path:
    return half / "grown.safetensors"
