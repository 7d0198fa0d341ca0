"""Which cells the rows of a measurement table are of: names, places, wells, conditions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_rls.errors import InputError
from napari_rls.measure.columns import (
    CELL,
    CONDITION,
    FIELD,
    FILE,
    PLANE,
    TIME,
    WELL,
    X_UM,
    Y_UM,
    X,
    Y,
)
from napari_rls.search.settings import METHODS
from napari_rls.workflow.cells.plate_map import PlateMap, guessed_wells_of
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.wells import WellGuess, told_wells, unsure_wells
from napari_rls.workflow.measure.plate_columns import plate_columns

_RATIO = r"\d+(?:\.\d+)?"

_KIND = re.compile(
    rf"(?:[ _-](?:LR|HR|GT|SR)(?:{_RATIO}x)?|[ _-]SR{_RATIO}x_(?:{'|'.join(METHODS)})"
    r"|[ _-]samples|\.ome|\.tiff?|\.zarr)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rows:
    """Columns that are the same for every kind of image of some cells, and complaints.

    ``wells`` are those that were taken from names of files.
    """

    columns: dict[str, list[Any]]
    warnings: tuple[str, ...]
    wells: Mapping[str, WellGuess]

    @property
    def names(self) -> list[str]:
        """The cells' names."""
        return self.columns[CELL]


def rows_of(stacks: Sequence[CellStack], plate_map: PlateMap | None = None) -> Rows:
    """Name cells and say where they come from and what was done to them.

    Parameters
    ----------
    stacks
        Images of the same cells, of any kinds. What one of them knows of the crops counts
        for all.
    plate_map
        What was done to the wells; without it, what the crops say.

    Raises
    ------
    InputError
        If two stacks hold different cells, or the plate map cannot be used.
    """
    known = [stack for stack in stacks if stack.crops]
    for other in known[1:]:
        _check_same(known[0], other)
    first = known[0] if known else stacks[0]
    crops = first.crops or (Crop(),) * len(first)
    files = [crop.file or first.name for crop in crops]
    guesses = guessed_wells_of(crops, first.name, plate_map)
    wells = [
        crop.well or (guesses[file].well if file in guesses else "")
        for crop, file in zip(crops, files, strict=True)
    ]
    columns: dict[str, list[Any]] = {
        CELL: _numbered(
            [
                "_".join([source_name(file), *map(str, crop.frame)])
                for crop, file in zip(crops, files, strict=True)
            ]
        ),
        FILE: files,
        WELL: wells,
        **_frames(crops),
        CONDITION: [crop.condition for crop in crops],
    }
    added, complaint = plate_columns(plate_map, files, wells) if plate_map else ({}, "")
    columns |= added
    columns |= _places(crops)
    return Rows(columns, tuple(filter(None, (unsure_wells(guesses), complaint))), guesses)


def wells_told(stacks: Sequence[CellStack], plate_map: PlateMap | None) -> list[str]:
    """Return sentences on what rows will have by the map's columns and by names of files."""
    guesses: dict[str, WellGuess] = {}
    for stack in stacks:
        guesses |= guessed_wells_of(stack.crops, stack.name, plate_map)
    return [*(plate_map.said if plate_map else ()), *told_wells(guesses)]


def source_name(name: str) -> str:
    """Return a file's name without type and endings such as ``_SR8x_pulse`` or ``_samples``.

    Files of one experiment that hold different kinds of image so get the same name.
    """
    while (shorter := _KIND.sub("", name)) and shorter != name:
        name = shorter
    return name


def _frames(crops: Sequence[Crop]) -> dict[str, list[Any]]:
    """Return the columns of which image of its file a crop is of, those that any crop tells."""
    told = {
        FIELD: [crop.field for crop in crops],
        TIME: [crop.time for crop in crops],
        PLANE: [crop.plane for crop in crops],
    }
    return {
        name: values if None not in values else [np.nan if v is None else v for v in values]
        for name, values in told.items()
        if any(value is not None for value in values)
    }


def _places(crops: Sequence[Crop]) -> dict[str, list[Any]]:
    """Return the columns of places in pixels, and in micrometres if any crop tells the size."""
    places = {
        X: [np.nan if crop.x is None else crop.x for crop in crops],
        Y: [np.nan if crop.y is None else crop.y for crop in crops],
    }
    sizes = [np.nan if crop.pixel_size_um is None else crop.pixel_size_um for crop in crops]
    um = {
        name: [size * value for size, value in zip(sizes, places[of], strict=True)]
        for name, of in ((X_UM, X), (Y_UM, Y))
    }
    return places | (um if np.isfinite([*um[X_UM], *um[Y_UM]]).any() else {})


def _numbered(sources: Sequence[str]) -> list[str]:
    counts: Counter[str] = Counter()
    names = []
    for source in sources:
        names.append(f"{source}#{counts[source]}")
        counts[source] += 1
    return names


def _check_same(first: CellStack, other: CellStack) -> None:
    for k, pair in enumerate(zip(first.crops, other.crops, strict=True)):
        mine, its = ((source_name(c.file), c.well, *c.frame, c.y, c.x) for c in pair)
        if mine != its:
            raise InputError(
                f"{first.name} and {other.name} hold different cells: number {k} is from "
                f"{_place(pair[0])} in the one and from {_place(pair[1])} in the other; give files "
                "of the same cells in the same order."
            )


def _place(crop: Crop) -> str:
    where = "" if crop.y is None or crop.x is None else f" at y {crop.y:g}, x {crop.x:g}"
    return f"{crop.file or crop.well or 'an unknown file'}{where}"
