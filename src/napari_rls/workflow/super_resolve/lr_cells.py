"""What a caller gives as LR cells, read by the channels of a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.models.manifest import Manifest
from napari_rls.workflow.cells.channels import choose_channels
from napari_rls.workflow.cells.pixels import as_pixels
from napari_rls.workflow.cells.stack import CellStack, check_channel_axis, stack_from_array

Pixels: TypeAlias = Any
"""An array, or what :func:`~napari_rls.workflow.cells.pixels.as_pixels` makes one of."""


def cells_for(lr: CellStack | Pixels, manifest: Manifest) -> CellStack:
    """Return the cells with the bundle's channels in order, and what they are taken for."""
    if isinstance(lr, CellStack):
        stack = replace(lr, data=as_pixels(lr.data, lr.name))
    else:
        pixels = _with_channels(as_pixels(lr, "image"), manifest)
        stack = stack_from_array(pixels, name="image")
    # What was chosen by hand, or in a layer, stays as it is.
    chosen = bool(stack.reading.channels)
    return stack if chosen else choose_channels(stack, (), manifest.channel_names)


def _with_channels(pixels: NDArray[np.generic], manifest: Manifest) -> NDArray[np.generic]:
    """Return pixels whose axes can be read in one way alone, by the bundle's number of channels.

    Raises
    ------
    InputError
        If there is none; the message says what the axes seem to be and what to give.
    """
    shape, count = pixels.shape, len(manifest.channels)
    check_channel_axis(shape, "image")
    wanted = f"({count}, y, x) for one cell or (N, {count}, y, x) for N cells"
    needs = (
        f"image has the shape ({', '.join(map(str, shape))}) and the bundle {manifest.name} needs "
        f"{count} channel{'s' if count > 1 else ''} ({', '.join(manifest.channel_names)}): its "
    )
    if len(shape) == 3 and shape[0] != count:
        if count == 1:
            return pixels[:, None]
        raise InputError(
            f"{needs}first axis of {shape[0]} is not that of the channels, and seems to run over "
            f"cells, time points or planes of one channel; give {wanted}."
        )
    if len(shape) == 4 and shape[1] != count == shape[0]:
        raise InputError(
            f"{needs}first axis seems to be that of the channels and its second that of "
            f"{shape[1]} cells; swap them (numpy.swapaxes(image, 0, 1)) to give {wanted}."
        )
    return pixels
