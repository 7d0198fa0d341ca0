"""An LR field of cells that a bundle draws, at known places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.search.noise import NoiseModel
from napari_rls.workflow.cells.lr_field import degrade_field
from napari_rls.workflow.cells.stack import CellStack

BUNDLE = "bbbc013-translocation-64"
OFFSET, COUNTS, GAIN, READ = 100.0, 10.0, 2.0, 4.0
"""Grey level without light, LR grey levels one of the bundle's, a photon and the read noise."""

NOISE = NoiseModel(offset=(OFFSET,) * 2, gain=(GAIN,) * 2, read_noise=(READ,) * 2)


@dataclass(frozen=True, eq=False)
class DrawnField:
    """A field, the HR image that it was made of (C, H, W), and its cells' centres in LR pixels."""

    lr: CellStack
    hr: NDArray[np.float32]
    places: NDArray[np.float64]


@cache
def bundle() -> Bundle:
    return load_bundle(BUNDLE)


@cache
def drawn_field(ratio: float = 8.0, rows: int = 2, columns: int = 3) -> DrawnField:
    """Return a field of cells side by side, each 64 HR pixels, in counts of a 16-bit camera."""
    made = bundle()
    with torch.no_grad():
        images = made.generator(made.draw_z(rows * columns, 3)).numpy()
    cells = ((images + 1) / 2 * 255).reshape(rows, columns, *images.shape[1:])
    hr = cells.transpose(2, 0, 3, 1, 4).reshape(images.shape[1], rows * 64, columns * 64)
    lr = degrade_field(hr * COUNTS, ratio, 0.45, offset=OFFSET, gain=GAIN, read_noise=READ, seed=1)
    centres = [(y * 64 + 31.5, x * 64 + 31.5) for y in range(rows) for x in range(columns)]
    places = (np.array(centres) + 0.5) / ratio - 0.5
    pixels = lr.round().clip(0, 65535).astype(np.uint16)[None]
    stack = CellStack(pixels, made.manifest.channel_names, leading=None, name="B03_field.tif")
    return DrawnField(stack, hr, places)
