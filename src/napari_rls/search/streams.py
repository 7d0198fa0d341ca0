"""Random numbers of a cell: from the seed, the cell and what they are for, and from nothing else.

A cell's numbers do not depend on the cells beside it, on the size of a batch or on the order of
work, and those of one seed are not those of another. All are drawn on the CPU, so that a seed
means the same on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """What random numbers of a cell are for. Numbers in use never change their meaning."""

    METHOD = 0
    """What a method draws to begin with: a latent, PULSE's noise, Pix2Pix's dropout."""
    NOISE = 1
    """Noise maps of the generator."""
    CAMERA = 2
    """Noise of the camera on final images; its draws are the SR image and its samples."""
    POSTERIOR = 3
    """Samples of the posterior: those that are shown, and those of every step of the fit."""
    PHOTONS = 4
    """Poisson noise of an LR image."""
    GAUSSIAN = 5
    """Gaussian noise of an LR image."""
    SALT_AND_PEPPER = 6
    """Salt and pepper of an LR image."""
    FLOW = 7
    """Noise that flow matching brings to images: draw 0 is an SR image, later ones are samples."""


def stream_seed(seed: int, cell: int, purpose: Purpose, draw: int = 0) -> int:
    """Return the seed of :func:`cell_stream`, for what makes its own generator."""
    state = np.random.SeedSequence((seed, cell, int(purpose), draw)).generate_state(1)
    return int(state[0])


def cell_stream(seed: int, cell: int, purpose: Purpose, draw: int = 0) -> torch.Generator:
    """Return a cell's own random numbers for one purpose.

    Parameters
    ----------
    seed
        The run's.
    cell
        The cell's number in the run, from 0.
    purpose
        What they are for.
    draw
        Tells several streams of one purpose apart.
    """
    return torch.Generator().manual_seed(stream_seed(seed, cell, purpose, draw))


def normal(streams: Sequence[torch.Generator], *shape: int) -> Tensor:
    """Draw standard normal numbers (len(streams), *shape) on the CPU, a row from each stream."""
    return torch.stack([torch.randn(shape, generator=stream) for stream in streams])
