"""HR images of a few cells of a table, found by the places that they were cut from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings, column_names
from napari_rls.measure.columns import FIELD, FILE, IMAGE, PIXEL_SIZE, PLANE, TIME, X_UM, Y_UM, X, Y
from napari_rls.workflow.cells.channels import same_name
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.stack import CellStack, Crop, content_digest
from napari_rls.workflow.cells.wells import listed
from napari_rls.workflow.measure.image_order import TOLERANCE
from napari_rls.workflow.measure.image_sets import ImageSet, describe_channels, find_channels
from napari_rls.workflow.measure.measurements import measure
from napari_rls.workflow.measure.offsets import LEAST
from napari_rls.workflow.measure.rows import source_name

NEAR = 8.0
"""Pixels of the HR images within which the place of a cell is that of another image of it."""

LEAST_FOUND = 0.5
"""Share of as many cells as a table and HR cells both have of their files, below which places do
not go together."""


@dataclass(frozen=True, eq=False)
class HrCells:
    """HR images of some cells of a table, measured as those of the table.

    Parameters
    ----------
    table
        A row per HR cell, its columns named as in the other table.
    origin
        What a record says of the files.
    said
        Which channels were taken where their names do not say so.
    """

    table: pd.DataFrame
    origin: tuple[dict[str, Any], ...]
    said: tuple[str, ...] = ()

    @property
    def names(self) -> str:
        """The names of the files."""
        return ", ".join(entry["name"] for entry in self.origin)


def read_hr_cells(files: Sequence[Path]) -> list[CellStack]:
    """Read HR cells.

    Raises
    ------
    InputError
        If a file is given twice, cannot be read, or holds SR or LR images.
    """
    for k, file in enumerate(files):
        if any(file.resolve() == before.resolve() for before in files[:k]):
            raise InputError(f"{file.name} is given twice as HR cells; give each file once.")
        record = read_record(file)
        if record.get("generated"):
            raise InputError(
                f"{file.name} holds SR images, which are generated: they cannot correct others; "
                "give HR images."
            )
        if "degrade" in record:
            raise InputError(
                f"{file.name} holds LR images, made by 'degrade', which cannot correct others; "
                "give HR images."
            )
    return [read_stack(file) for file in files]


def check_hr_channels(stacks: Sequence[CellStack], settings: MeasureSettings) -> None:
    """Check that HR cells have the channels that are measured.

    Raises
    ------
    InputError
        If one is missing, or nothing tells which is meant.
    """
    for stack in stacks:
        _channels(stack, settings)


def measure_hr_cells(stacks: Sequence[CellStack], settings: MeasureSettings) -> HrCells:
    """Measure HR cells as the cells of a table were.

    Parameters
    ----------
    stacks
        HR cells.
    settings
        Those of the table's record, which name its channels.

    Raises
    ------
    InputError
        If a channel is missing, files hold the same cells, or as for :func:`check_no_light`.
    """
    names = list(column_names(settings, micrometres=True))
    tables, said = [], list[str]()
    origin: list[dict[str, Any]] = []
    check_no_light(stacks, settings)
    for stack in stacks:
        one, asked, places = _channels(stack, settings)
        said += describe_channels(one, asked, [places])
        *_, last = measure(one, asked)
        assert last.result is not None
        own = MeasureSettings.model_validate(last.result.record["settings"])
        renamed = dict(zip(column_names(own, micrometres=True), names, strict=True))
        tables.append(last.result.table.rename(columns=renamed))
        digest = content_digest(stack.data)
        if same := [entry["name"] for entry in origin if entry["sha256"] == digest]:
            raise InputError(
                f"{stack.name} and {same[0]} hold the same HR cells; give one of both files."
            )
        origin.append({"name": stack.name, "sha256": digest, "cells": len(stack)})
    return HrCells(pd.concat(tables, ignore_index=True), tuple(origin), tuple(said))


def check_hr_cells(
    stacks: Sequence[CellStack],
    settings: MeasureSettings,
    files: Iterable[str],
    *,
    size: int,
    pixel_size_um: float | None = None,
) -> None:
    """Check, before a table is made, that HR cells can be some of its cells.

    Parameters
    ----------
    stacks
        HR cells.
    settings
        How the cells of the table will be measured.
    files
        Names of the files that these will be of.
    size, pixel_size_um
        Side of their SR crops in pixels, and of a pixel, if that is known.

    Raises
    ------
    InputError
        If a channel is missing, crops or pixels are of another size, or none of the cells was cut
        from images of these names.
    """
    known = {source_name(name) for name in files}
    cut: list[str] = []
    for stack in stacks:
        _channels(stack, settings)
        height, width = stack.data.shape[-2:]
        if (height, width) != (size, size):
            raise InputError(
                f"The HR cells of {stack.name} have {height} x {width} pixels and SR cells "
                f"{size} x {size}: what is measured cannot be compared; cut them with 'crops "
                f"--size {size}'."
            )
        if pixel_size_um is not None and stack.pixel_size_um is not None:
            _check_same_size(stack.name, stack.pixel_size_um, "SR", pixel_size_um)
        crops = stack.crops or (Crop(),) * len(stack)
        cut += [crop.file or stack.name for crop in crops]
    if not any(source_name(name) in known for name in cut):
        raise InputError(
            f"None of the {len(cut)} HR cells of {', '.join(s.name for s in stacks)} was cut from "
            f"an image with the name of a field, but from {listed(list(dict.fromkeys(cut)))}; give "
            "HR crops that 'crops' cut from images of the same fields, named as these but for "
            "endings such as _HR and _LR8x."
        )


def _channels(
    stack: CellStack, settings: MeasureSettings
) -> tuple[list[ImageSet], MeasureSettings, tuple[int, int]]:
    """Return HR cells to measure, how, and where the DNA and the signal channel are."""
    needed = settings.of.channels
    if len(stack.channels) < len(needed):
        raise InputError(
            f"{stack.name} has 1 channel ({stack.channels[0]}), and {len(needed)} are measured "
            "(DNA and signal): it cannot correct what is measured; give HR cells of all channels."
        )
    # Channels may be called otherwise in the HR file, and are looked for as in any other.
    here = {
        role: getattr(settings, role)
        if any(same_name(getattr(settings, role), name) for name in stack.channels)
        else ""
        for role in ("dna", "signal")
    }
    one, asked = [ImageSet("GT", stack)], settings.model_copy(update=here)
    return one, asked, find_channels(one, asked)[1][0]


def check_no_light(stacks: Sequence[CellStack], settings: MeasureSettings) -> None:
    """Refuse HR cells darker than what is subtracted from those of the table as no light.

    Raises
    ------
    InputError
        If there are any, or a channel is missing.
    """
    offset = settings.camera_offset
    if offset is None:
        return
    for stack in stacks:
        signal = _channels(stack, settings)[2][1]
        least, most = np.nanquantile(stack.data[:, signal].astype(np.float64), (0.01, 0.99))
        if least < offset - LEAST * (most - least):
            raise InputError(
                f"{stack.channels[signal]} of the HR cells of {stack.name} goes down to "
                f"{least:.4g}, and {offset:.4g} is subtracted from the table's images as no light: "
                "they have another offset or unit; give HR images in that of the LR images, or, if "
                "that is not the LR images' offset, the true camera offset."
            )


def matched(table: pd.DataFrame, hr: HrCells, ratio: float | None = None) -> NDArray[np.intp]:
    """Return for each row of a table which HR cell is the same cell, -1 where none is.

    They are of one file, whatever kind of image its name ends with, and of the same image in it;
    each is the other's nearest, within :data:`NEAR` pixels of the HR images. Places are compared
    in micrometres where both tell them, else in HR pixels. Without places, files of a single cell
    are.

    Parameters
    ----------
    table
        Rows of cells, any kinds of image: each kind is compared on its own.
    hr
        HR cells.
    ratio
        How many HR pixels lie along a pixel that the table's places are in, if its pixel sizes
        do not tell it: 1 without it.

    Raises
    ------
    InputError
        If none of the HR cells is of a file of the table, fewer than :data:`LEAST_FOUND` are found
        of those that are, or of the table's cells where these are fewer, or pixels have another
        size.
    """
    found = np.full(len(table), -1, np.intp)
    theirs = _frames(hr.table).groupby(_key(hr.table), sort=False).indices
    for kind, rows in table.reset_index(drop=True).groupby(IMAGE, sort=False):
        _check_sizes(rows, hr)
        positions = rows.index.to_numpy()
        # HR cells may be of a whole plate, or all of a field, and the table of a part of it.
        near = possible = 0
        for key, own in _frames(rows).groupby(_key(rows), sort=False).indices.items():
            if key in theirs:
                near += len(theirs[key])
                possible += min(len(theirs[key]), len(own))
                pairs = _pairs(rows.iloc[own], hr.table.iloc[theirs[key]], ratio)
                for one, other in pairs:
                    found[positions[own[one]]] = theirs[key][other]
        count = int((found[positions] >= 0).sum())
        if not near or count < LEAST_FOUND * possible:
            which = " that were cut from these files" if 0 < near < len(hr.table) else ""
            raise InputError(
                f"Only {count} of the {near or len(hr.table)} HR cells of {hr.names}{which} are "
                f"found among the {kind} cells: by the file that they were cut from and their "
                f"place in it (columns {FILE}, {X}, {Y}); cut crops of both from images of the "
                "same fields with the same names."
            )
    return found


def _frames(table: pd.DataFrame) -> pd.DataFrame:
    return table.reset_index(drop=True)


def _key(table: pd.DataFrame) -> pd.Series[Any]:
    """Return the image that each cell was cut from, as a text."""
    rows = _frames(table)
    key = rows[FILE].map(source_name)
    for name in (FIELD, TIME, PLANE):
        if name in rows.columns:
            told = rows[name].notna()
            numbers = rows[name].where(told, 0).astype(int).astype(str)
            key = key + (f"|{name}" + numbers).where(told, "")
    return key


def _pairs(own: pd.DataFrame, hr: pd.DataFrame, ratio: float | None) -> list[tuple[int, int]]:
    """Return which rows of one image are the same cells."""
    mine, scale = _places(own, hr, ratio)
    its, _ = _places(hr, own)
    if not (np.isfinite(mine).all() and np.isfinite(its).all()):
        alone = len(mine) == len(its) == 1
        return [(0, 0)] if alone and not (np.isfinite(mine).all() or np.isfinite(its).all()) else []
    distance, there = KDTree(its).query(mine)
    _, back = KDTree(mine).query(its)
    return [
        (k, int(other))
        for k, (far, other) in enumerate(zip(distance, there, strict=True))
        if far <= NEAR * scale and back[other] == k
    ]


def _places(
    rows: pd.DataFrame, others: pd.DataFrame, ratio: float | None = None
) -> tuple[NDArray[np.float64], float]:
    """Return places (N, 2) in what both tell, and how wide an HR pixel is in it.

    They are from the corner of the image: the first pixel's centre is not at the same place in
    images of other pixels. ``ratio`` are the HR pixels along a pixel that places are in.
    """
    size = float(np.nanmin([*rows[PIXEL_SIZE], *others[PIXEL_SIZE], np.inf]))
    own, other = _pixel(rows), _pixel(others)
    places = rows[[X, Y]].to_numpy(np.float64)
    if np.isfinite([own, other, size]).all():
        return (places + 0.5) * own, size
    # What pixel sizes tell counts for each file, as the ratio of a run may be of another one.
    told = own / float(np.nanmin([*rows[PIXEL_SIZE], np.inf]))
    return (places + 0.5) * (told if told > 0 else ratio or 1.0), 1.0


def _pixel(rows: pd.DataFrame) -> float:
    """Return the side in micrometres of the pixels that places are in, NaN if it is not known."""
    if X_UM not in rows.columns:
        return np.nan
    um, pixels = rows[[X_UM, Y_UM]].to_numpy(np.float64), rows[[X, Y]].to_numpy(np.float64)
    told = pixels > 0
    return float(np.median(um[told] / pixels[told])) if told.any() else np.nan


def _check_sizes(rows: pd.DataFrame, hr: HrCells) -> None:
    sizes = [t[PIXEL_SIZE].dropna() for t in (rows, hr.table)]
    if any(size.empty for size in sizes):
        return
    mine, its = (float(size.median()) for size in sizes)
    _check_same_size(hr.names, its, str(rows[IMAGE].iloc[0]), mine)


def _check_same_size(names: str, its: float, kind: str, mine: float) -> None:
    if abs(mine - its) > TOLERANCE * max(mine, its):
        raise InputError(
            f"The pixels of the HR cells of {names} are {its:.3g} µm wide and those of the "
            f"{kind} cells {mine:.3g} µm: what is measured cannot be compared; give "
            "HR images of the same pixel size."
        )
