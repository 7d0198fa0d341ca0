"""HR images of a few cells of a table, found by the places that they were cut from."""

from __future__ import annotations

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
from napari_rls.workflow.cells.stack import CellStack, content_digest
from napari_rls.workflow.measure.image_order import TOLERANCE
from napari_rls.workflow.measure.image_sets import ImageSet, describe_channels, find_channels
from napari_rls.workflow.measure.measurements import measure
from napari_rls.workflow.measure.rows import source_name

NEAR = 8.0
"""Pixels of the HR images within which the place of a cell is that of another image of it."""

LEAST_FOUND = 0.5
"""Share of HR cells that are found in the table, below which their places do not go together."""


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


def read_hr_cells(files: list[Path]) -> list[CellStack]:
    """Read HR cells.

    Raises
    ------
    InputError
        If a file cannot be read or holds SR or LR images.
    """
    for file in files:
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


def check_hr_channels(stacks: list[CellStack], settings: MeasureSettings) -> None:
    """Check that HR cells have the channels that are measured.

    Raises
    ------
    InputError
        If one is missing, or nothing tells which is meant.
    """
    needed = settings.of.channels
    for stack in stacks:
        if len(stack.channels) < len(needed):
            names = ", ".join(stack.channels)
            raise InputError(
                f"{stack.name} has {len(stack.channels)} channel ({names}), and {len(needed)} are "
                f"measured (DNA and signal): it cannot correct what is measured; give HR cells of "
                "all channels."
            )
        find_channels([ImageSet("GT", stack)], _asked(stack, settings))


def _asked(stack: CellStack, settings: MeasureSettings) -> MeasureSettings:
    """Return settings that ask for channels of a stack by the names that it has.

    They may be called otherwise in an HR file, and are looked for there as in any other.
    """
    here = {
        role: getattr(settings, role)
        if any(same_name(getattr(settings, role), name) for name in stack.channels)
        else ""
        for role in ("dna", "signal")
    }
    return settings.model_copy(update=here)


def measure_hr_cells(stacks: list[CellStack], settings: MeasureSettings) -> HrCells:
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
        If a channel is missing.
    """
    names = list(column_names(settings, micrometres=True))
    check_hr_channels(stacks, settings)
    tables, origin, said = [], [], list[str]()
    for stack in stacks:
        one, asked = [ImageSet("GT", stack)], _asked(stack, settings)
        said += describe_channels(one, asked, find_channels(one, asked)[1])
        *_, last = measure(one, asked)
        assert last.result is not None
        own = MeasureSettings.model_validate(last.result.record["settings"])
        renamed = dict(zip(column_names(own, micrometres=True), names, strict=True))
        tables.append(last.result.table.rename(columns=renamed))
        digest = content_digest(stack.data)
        origin.append({"name": stack.name, "sha256": digest, "cells": len(stack)})
    return HrCells(pd.concat(tables, ignore_index=True), tuple(origin), tuple(said))


def matched(table: pd.DataFrame, hr: HrCells) -> NDArray[np.intp]:
    """Return for each row of a table which HR cell is the same cell, -1 where none is.

    They are of one file, whatever kind of image its name ends with, and of the same image in it;
    each is the other's nearest, within :data:`NEAR` pixels of the HR images. Places are compared
    in micrometres where both tell them. Without places, files of a single cell are.

    Parameters
    ----------
    table
        Rows of cells, any kinds of image: each kind is compared on its own.
    hr
        HR cells.

    Raises
    ------
    InputError
        If fewer than :data:`LEAST_FOUND` of the HR cells are found for a kind, or pixels have
        another size.
    """
    found = np.full(len(table), -1, np.intp)
    theirs = _frames(hr.table).groupby(_key(hr.table), sort=False).indices
    for kind, rows in table.reset_index(drop=True).groupby(IMAGE, sort=False):
        _check_sizes(rows, hr)
        positions = rows.index.to_numpy()
        for key, own in _frames(rows).groupby(_key(rows), sort=False).indices.items():
            if key in theirs:
                pairs = _pairs(rows.iloc[own], hr.table.iloc[theirs[key]])
                for one, other in pairs:
                    found[positions[own[one]]] = theirs[key][other]
        count = int((found[positions] >= 0).sum())
        if count < LEAST_FOUND * len(hr.table):
            raise InputError(
                f"Only {count} of the {len(hr.table)} HR cells of {hr.names} are found among the "
                f"{kind} cells: by the file that they were cut from and their place in it "
                f"(columns {FILE}, {X}, {Y}); cut crops of both from images of the same fields "
                "with the same names and known pixel sizes."
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


def _pairs(own: pd.DataFrame, hr: pd.DataFrame) -> list[tuple[int, int]]:
    """Return which rows of one image are the same cells."""
    mine, scale = _places(own, hr)
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


def _places(rows: pd.DataFrame, others: pd.DataFrame) -> tuple[NDArray[np.float64], float]:
    """Return places (N, 2) in what both tell, and how wide an HR pixel is in it.

    In micrometres they are from the corner of the image: the first pixel's centre is not at the
    same place in images of other pixels.
    """
    size = float(np.nanmin([*rows[PIXEL_SIZE], *others[PIXEL_SIZE], np.inf]))
    own, other = _pixel(rows), _pixel(others)
    places = rows[[X, Y]].to_numpy(np.float64)
    if np.isfinite([own, other, size]).all():
        return (places + 0.5) * own, size
    return places, 1.0


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
    if abs(mine - its) > TOLERANCE * max(mine, its):
        raise InputError(
            f"The pixels of the HR cells of {hr.names} are {its:.3g} µm wide and those of the "
            f"{rows[IMAGE].iloc[0]} cells {mine:.3g} µm: what is measured cannot be compared; give "
            "HR images of the same pixel size."
        )
