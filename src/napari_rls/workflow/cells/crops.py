"""Cut nucleus-centred crops out of whole fields, and keep where each came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_rls.errors import InputError
from napari_rls.measure.nuclei import NucleusSettings, find_nuclei
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.wells import well_of


@dataclass(frozen=True)
class CropCut:
    """Crops of one or more fields, and how many nuclei have none.

    ``at_border`` counts nuclei that are nearer to the field's border than half a crop.
    """

    stack: CellStack
    at_border: int


def cut_crops(
    field: CellStack,
    size: int,
    *,
    dna_channel: int = 0,
    settings: NucleusSettings | None = None,
    plate_map: PlateMap | None = None,
    margin: int = 0,
) -> CropCut:
    """Cut a crop around every nucleus whose crop lies fully inside the field.

    Parameters
    ----------
    field
        One or more fields of one file (N, C, H, W).
    size
        Side of the crops in pixels.
    dna_channel
        Channel in which nuclei are found.
    settings
        How nuclei are found.
    plate_map
        Well and condition of the files; without it the well is taken from the file name.
    margin
        Pixels around each crop that are cut too; beyond the field's border its mirror image.

    Returns
    -------
    CropCut
        Crops (M, C, K, K) of the field's type, K = size + 2 margin, M possibly 0.

    Raises
    ------
    InputError
        If the field is smaller than a crop.
    """
    height, width = field.data.shape[-2:]
    if size < 1 or size > min(height, width):
        raise InputError(
            f"{field.name} has {height} x {width} pixels, too few for crops of {size} x {size}; "
            "give a smaller size, or whole fields."
        )
    known = field.crops[0].well if field.crops else ""
    well, condition = known or well_of(field.name), ""
    if plate_map:
        well, condition = plate_map.find(field.name, known)
    images, crops, at_border = [], [], 0
    side = size + 2 * margin
    for k, image in enumerate(field.data):
        # Which of a file's images it is, is told as rows of a table of fields tell it.
        origin = replace(
            field.origin(k),
            file=field.name,
            well=well,
            condition=condition,
            pixel_size_um=field.pixel_size_um,
        )
        wide = np.pad(image, ((0, 0), *[(margin, margin)] * 2), mode="reflect") if margin else image
        for y, x in find_nuclei(image[dna_channel], settings).centroids:
            top, left = round(y - (size - 1) / 2), round(x - (size - 1) / 2)
            if top < 0 or left < 0 or top + size > height or left + size > width:
                at_border += 1
                continue
            images.append(wide[:, top : top + side, left : left + side])
            centre_y, centre_x = top + (size - 1) / 2, left + (size - 1) / 2
            crops.append(replace(origin, y=centre_y, x=centre_x))
    data = np.empty((len(images), field.data.shape[1], side, side), field.data.dtype)
    if images:
        np.stack(images, out=data)
    stack = replace(field, data=data, leading="N", crops=tuple(crops))
    return CropCut(stack, at_border)


def join(stacks: Sequence[CellStack], name: str) -> CellStack:
    """Join stacks of the same channels, type and pixel size to one.

    Raises
    ------
    InputError
        If there is no cell, or the stacks do not match.
    """
    if not any(len(stack) for stack in stacks):
        raise InputError(
            "No nucleus was found whose crop lies fully inside its field; look at the channel of "
            "nuclei and at how they are found, or give a smaller size."
        )
    first = stacks[0]
    for other in stacks[1:]:
        for what, mine, its in (
            ("channels", first.channels, other.channels),
            ("pixel type", first.data.dtype, other.data.dtype),
            ("pixel size", first.pixel_size_um, other.pixel_size_um),
        ):
            if mine != its:
                raise InputError(
                    f"{other.name} and {first.name} differ in {what} ({its} and {mine}); "
                    "cut their crops into separate files."
                )
    return replace(
        first,
        data=np.concatenate([stack.data for stack in stacks]),
        crops=tuple(crop for stack in stacks for crop in stack.crops),
        name=name,
    )
