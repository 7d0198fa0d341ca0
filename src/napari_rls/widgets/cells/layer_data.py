"""Cells as napari layers: one per channel, coloured, placed, with what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from napari_rls.widgets.cells.sr_layers import channel_look
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.cells.stack import CellStack

LayerData = tuple[Any, dict[str, Any], str]


def layer_data(
    stack: CellStack,
    name: str,
    *,
    colours: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
    factor: int = 1,
    **options: Any,
) -> list[LayerData]:
    """Return one image layer (N, y, x), or (y, x) without a leading axis, per channel.

    Parameters
    ----------
    stack
        The cells.
    name
        Name of the layers, which the channel's name follows if there are several.
    colours
        Display colours of the channels, #rrggbb; grey if not given.
    record
        What else is known of the cells, for ``layer.metadata["napari-rls"]``.
    factor
        How many pixels of the finest image that is shown beside it a pixel is wide; used
        where the pixel size is not known.
    options
        Further options of every layer.
    """
    size = stack.pixel_size_um or factor
    unit = "pixel" if stack.pixel_size_um is None else "um"
    # The centre of the first HR pixel stays at 0.
    corner = (factor - 1) / 2 * size / factor
    scale, translate = [size, size], [corner, corner]
    axes, units = ["y", "x"], [unit, unit]
    if stack.leading is not None:
        scale, translate = [1, *scale], [0, *translate]
        axes, units = [stack.leading, *axes], ["pixel", *units]
    known = {**(record or {}), "crops": [asdict(crop) for crop in stack.crops]}
    layers: list[LayerData] = []
    for c, channel in enumerate(stack.channels):
        pixels = np.ascontiguousarray(stack.data[:, c])
        look = channel_look(colours[c] if colours else "#ffffff", bottom=c == 0)
        kwargs = {
            "name": f"{name} {channel}" if len(stack.channels) > 1 else name,
            "scale": scale,
            "translate": translate,
            "axis_labels": axes,
            "units": units,
            "metadata": {PROVENANCE_KEY: known | {"channels": [channel]}},
        }
        layers.append((pixels if stack.leading else pixels[0], kwargs | look | options, "image"))
    return layers
