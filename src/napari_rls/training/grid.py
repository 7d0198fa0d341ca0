"""A sheet of generated images as a PNG that says that they are generated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_rls.files.whole_file import whole_file

PALETTE = ("#2040ff", "#00ff40", "#ff3030", "#ffff00", "#ff00ff", "#00ffff", "#ffffff")
NOTE = "Generated images: samples of a generative model, not measurements."


def sheet(images: NDArray[np.floating], colours: Sequence[str] = PALETTE) -> NDArray[np.uint8]:
    """Return images (N, C, H, W), -1 to 1, side by side in colour, (rows H, columns W, 3).

    Channel k is shown in the k-th colour (#rrggbb), the channels added up.
    """
    count, channels, height, width = images.shape
    tints = np.array([_rgb(colours[k % len(colours)]) for k in range(channels)])
    light = np.clip((images + 1) / 2, 0, 1)
    rgb = np.clip(np.einsum("nchw,ck->nhwk", light, tints), 0, 1)
    columns = math.ceil(math.sqrt(2 * count))
    rows = math.ceil(count / columns)
    padded = np.zeros((rows * columns, height, width, 3))
    padded[:count] = rgb
    tiled = padded.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return (tiled.reshape(rows * height, columns * width, 3) * 255).round().astype(np.uint8)


def save_sheet(path: Path, images: NDArray[np.floating], zoom: int = 2) -> None:
    """Write a sheet of generated images, whole or not at all, with :data:`NOTE` in the file."""
    pixels = sheet(images).repeat(zoom, 0).repeat(zoom, 1)
    info = PngInfo()
    info.add_text("Description", NOTE)
    with whole_file(path) as draft:
        Image.fromarray(pixels).save(draft, format="PNG", pnginfo=info)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return red, green, blue
