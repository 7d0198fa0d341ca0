"""Double the size of trained networks, so that they learn large structures at little cost.

After Karras et al., "Progressive Growing of GANs", 2018, with StyleGAN2's skip
connections in place of a fade-in: the image of the new size starts as the upsampled
image of the old one, and the discriminator as one that sees images halved.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_rls.errors import TrainingError
from napari_rls.models.architecture import Architecture
from napari_rls.models.stylegan2 import LEAK, SQRT2, Generator
from napari_rls.training.checkpoint import Start, load_start, save_start
from napari_rls.training.discriminator import Discriminator, DiscriminatorBlock
from napari_rls.training.run_folder import RunFolder
from napari_rls.training.tensor_file import read_note
from napari_rls.training.training_settings import TrainSettings

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


def grow_discriminator(small: Discriminator, arch: Architecture, seed: int = 0) -> Discriminator:
    """Return a discriminator of twice the size that judges as ``small`` does halved images.

    Blocks of the sizes that both have are copied. In the new block some weights are set
    so that it computes ``small``'s first features of the image, halved by the FIR filter:
    every channel travels as its positive and its negative part, since a leaky ReLU
    keeps neither whole. The others are random of ``seed``, and cut off at the end.

    Raises
    ------
    TrainingError
        If ``arch`` has too few feature maps at full size for two of each channel.
    """
    channels, width = arch.image_channels, arch.width(arch.resolution)
    if width < 2 * channels:
        raise TrainingError(
            f"{channels} channels need at least {2 * channels} feature maps at full size to "
            f"double the size of a run; set channel_last to {2 * channels} or more."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        large = Discriminator(arch)
    large.load_state_dict(small.state_dict(), strict=False)
    old, new = _first(small).fromrgb, _first(large)
    identity = torch.eye(channels)
    parts = torch.cat([identity, -identity])  # of an image, positive and negative
    # lrelu(x) - lrelu(-x) = (1 + LEAK) x, twice, times the gain of each ReLU.
    whole = torch.cat([identity, -identity], 1) / ((1 + LEAK) * SQRT2)
    again = parts @ whole
    last = SQRT2 * old.weight[:, :, 0, 0] * old.weight_gain @ whole
    with torch.no_grad():
        for conv, matrix in ((new.fromrgb, parts), (new.conv0, again), (new.conv1, last)):
            centre = conv.weight.shape[-1] // 2
            rows, columns = matrix.shape
            conv.weight[:rows] = 0
            conv.weight[:rows, :columns, centre, centre] = matrix / conv.weight_gain
        assert new.conv1.bias is not None  # only the skip is linear
        assert old.bias is not None
        new.conv1.bias.copy_(SQRT2 * old.bias)
        new.skip.weight.zero_()
    return large


def _first(discriminator: Discriminator) -> DiscriminatorBlock:
    """Return the block that sees the image."""
    block = discriminator.get_submodule(f"b{discriminator.arch.resolution}")
    assert isinstance(block, DiscriminatorBlock)
    return block


def grown_start(half: Path, small: TrainSettings, settings: TrainSettings) -> Path:
    """Grow the networks of a complete run at half the size; return their file.

    Raises
    ------
    TrainingError
        If the run cannot be read, its networks cannot grow, or they cannot be written.
    """
    start = load_start(RunFolder(half).checkpoint, small.architecture)
    arch, seed = settings.architecture, settings.seed
    generator = grow(start.generator, arch, seed)
    assert start.discriminator is not None  # a checkpoint holds both
    discriminator = grow_discriminator(start.discriminator, arch, seed)
    save_start(_file(half), Start(generator, discriminator), {_KIMG: str(small.kimg)})
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
