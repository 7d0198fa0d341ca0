"""A picture of cells side by side, for eyes only: rows of images, a column a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from napari_rls.files.whole_file import whole_file

TILE = 128
GAP = 4
LABEL_WIDTH = 170
TITLE_HEIGHT = 32


def contact_sheet(
    rows: Mapping[str, NDArray[Any]], colours: Sequence[str], title: str, tile: int = TILE
) -> Image.Image:
    """Draw cells as a labelled sheet.

    Parameters
    ----------
    rows
        Label to images (N, C, h, w), all in one unit; sizes may differ between rows.
        Pixels are enlarged, not smoothed. Contrast is one per channel for the whole
        sheet, from its 1st to its 99.8th percentile. NaN is drawn black.
    colours
        A colour #rrggbb for each channel.
    title
        Line at the top.
    tile
        Side of an image in the sheet.
    """
    count = max(len(images) for images in rows.values())
    low, high = _contrast(list(rows.values()))
    width = LABEL_WIDTH + count * (tile + GAP)
    sheet = Image.new("RGB", (width, TITLE_HEIGHT + len(rows) * (tile + GAP)), "#202020")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    draw.text((GAP, TITLE_HEIGHT / 2), title, fill="white", font=font, anchor="lm")
    for r, (label, images) in enumerate(rows.items()):
        top = TITLE_HEIGHT + r * (tile + GAP)
        draw.multiline_text((GAP, top + tile / 2), label, fill="white", font=font, anchor="lm")
        for k, image in enumerate(images):
            coloured = _coloured((image - low) / (high - low), colours)
            enlarged = coloured.resize((tile, tile), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (LABEL_WIDTH + k * (tile + GAP), top))
    return sheet


def write_png(path: Path, sheet: Image.Image) -> None:
    """Write a sheet as PNG, whole or not at all."""
    with whole_file(path) as draft:
        sheet.save(draft, format="PNG")


def _contrast(
    rows: Sequence[NDArray[Any]],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the intensities (C, 1, 1) that are drawn black and bright."""
    limits = []
    for channel in range(rows[0].shape[1]):
        values = np.concatenate([images[:, channel].ravel() for images in rows])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, (1, 99.8)) if values.size else (0.0, 1.0)
        limits.append((low, max(high, low + 1e-12)))
    low, high = np.array(limits).T[:, :, None, None]
    return low, high


def _coloured(image: NDArray[Any], colours: Sequence[str]) -> Image.Image:
    tints = np.array([ImageColor.getrgb(colour) for colour in colours], float)
    bright = np.clip(np.nan_to_num(image), 0, 1)
    rgb = np.einsum("cyx,cr->yxr", bright, tints).clip(0, 255)
    return Image.fromarray(rgb.astype(np.uint8))
