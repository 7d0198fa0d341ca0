"""Cut nucleus-centred crops out of whole fields, and keep where each came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from napari_rls.measure.nuclei import NucleusSettings, find_nuclei
from napari_rls.workflow.stack import CellStack, Crop, InputError

_WELL = re.compile(r"(?<![A-Za-z0-9])([A-Pa-p])[-_]?(\d{1,2})(?![0-9])")
_CONDITION = "condition"
_PLACE = frozenset(("well", "file", "row", "column"))


@dataclass(frozen=True)
class CropCut:
    """Crops of one or more fields, and how many nuclei have none.

    ``at_border`` counts nuclei that are nearer to the field's border than half a crop.
    """

    stack: CellStack
    at_border: int


class PlateMap:
    """Well and condition of every image file, from a CSV file.

    The table needs a column ``well`` or ``file``. The condition is the column
    ``condition`` if there is one, otherwise all other columns but ``row`` and
    ``column``, as in ``drug=wortmannin; dose=3``; empty entries are left out.

    Parameters
    ----------
    path
        The CSV file.

    Raises
    ------
    InputError
        If the file is missing, is no CSV table, or lacks both columns.
    """

    def __init__(self, path: Path) -> None:
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except FileNotFoundError:
            raise InputError(f"There is no plate map {path}.") from None
        except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
            reason = str(error).splitlines()[0].rstrip(".")
            raise InputError(f"{path.name} cannot be read as a plate map ({reason}).") from None
        columns = {str(column).strip().lower(): str(column) for column in table.columns}
        if not {"well", "file"} & set(columns):
            raise InputError(
                f"{path.name} has no column 'well' or 'file'; a plate map needs one of them."
            )
        self._wells: dict[str, tuple[str, str]] = {}
        self._files: dict[str, tuple[str, str]] = {}
        for _, row in table.iterrows():
            values = {name: str(row[column]).strip() for name, column in columns.items()}
            entry = (_normal_well(values.get("well", "")), _condition(values))
            if entry[0]:
                self._wells[entry[0]] = entry
            if values.get("file"):
                self._files[values["file"]] = entry

    def find(self, file: str) -> tuple[str, str]:
        """Return well and condition of an image file, "" where the map does not know it."""
        if file in self._files:
            return self._files[file]
        well = well_of(file)
        return self._wells.get(well, (well, ""))


def well_of(file: str) -> str:
    """Return the well that a file name gives, as in ``B03.ome.tif``, or ""."""
    found = _WELL.search(Path(file).name)
    return f"{found[1].upper()}{int(found[2]):02d}" if found else ""


def cut_crops(
    field: CellStack,
    size: int,
    *,
    dna_channel: int = 0,
    settings: NucleusSettings | None = None,
    plate_map: PlateMap | None = None,
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

    Returns
    -------
    CropCut
        Crops (M, C, size, size) of the field's type, M possibly 0.

    Raises
    ------
    InputError
        If the field is smaller than a crop.
    """
    height, width = field.data.shape[-2:]
    if size < 1 or size > min(height, width):
        raise InputError(
            f"{field.name} has {height} x {width} pixels, too few for crops of {size} x {size}."
        )
    well, condition = plate_map.find(field.name) if plate_map else (well_of(field.name), "")
    images, crops, at_border = [], [], 0
    for image in field.data:
        for y, x in find_nuclei(image[dna_channel], settings).centroids:
            top, left = round(y - (size - 1) / 2), round(x - (size - 1) / 2)
            if top < 0 or left < 0 or top + size > height or left + size > width:
                at_border += 1
                continue
            images.append(image[:, top : top + size, left : left + size])
            centre_y, centre_x = top + (size - 1) / 2, left + (size - 1) / 2
            crops.append(Crop(field.name, well, centre_y, centre_x, condition))
    data = np.empty((len(images), field.data.shape[1], size, size), field.data.dtype)
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
        raise InputError("No nucleus was found whose crop lies fully inside its field.")
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


def _normal_well(text: str) -> str:
    return well_of(text) or text


def _condition(values: dict[str, str]) -> str:
    if _CONDITION in values:
        return values[_CONDITION]
    rest = {name: value for name, value in values.items() if name not in _PLACE and value}
    return "; ".join(f"{name}={value}" for name, value in rest.items())
