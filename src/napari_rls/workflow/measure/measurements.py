"""Measure the same cells in LR, SR and HR images alike, into one tidy table with its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.evaluation.tables import CELL, IMAGE
from napari_rls.measure.assay import Measurement
from napari_rls.measure.cells import (
    MeasuredCell,
    MeasureSettings,
    check_columns,
    column_names,
    measure_cell,
)
from napari_rls.measure.columns import (
    DENSITY_PERCENTILE,
    FLAGS,
    IDENTITY,
    INTERVAL,
    LOG_DENSITY,
    LOOK_PERCENTILE,
    LR_RESIDUAL,
    OUT_OF_DOMAIN,
    PIXEL_SIZE,
    POOR_FIT,
    QUALITY,
    RESIDUAL_PERCENTILE,
    SATURATED,
    SEARCH_FAILED,
    UNFINISHED,
    UNUSUAL_INTENSITY,
    summary_columns,
)
from napari_rls.measure.cross_fit import RELIABILITY_KEY
from napari_rls.measure.dictionary import COLUMNS_KEY, stored_columns
from napari_rls.measure.intervals import shares_left_open, summarise
from napari_rls.models.trust import Correction, Domain
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.reading import WELLS_KEY
from napari_rls.workflow.cells.wells import wells_record
from napari_rls.workflow.measure.image_order import doubts
from napari_rls.workflow.measure.image_sets import ImageSet, at_one_size, find_channels
from napari_rls.workflow.measure.offsets import untold_offsets
from napari_rls.workflow.measure.outside_samples import outside_samples
from napari_rls.workflow.measure.rows import Rows, rows_of
from napari_rls.workflow.measure.table_origin import LEFT_OPEN_KEY, table_record
from napari_rls.workflow.measure.trust_levels import (
    interval_text,
    judge_cells,
    known_of,
    told_reliability,
)
from napari_rls.workflow.super_resolve.result import FAILED_STATUS, UNFINISHED_STATUS

SATURATION_KEY = "saturation"
"""Key of records of fields' cells: those of which LR pixels are saturated."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured.

    Parameters
    ----------
    table
        A row per cell and kind of image;
        :func:`~napari_rls.measure.dictionary.columns_of` tells the columns.
    labels
        For every kind, label images (N, H, W), int32, of the assay's overlays, as of
        ``nucleus`` and ``cytoplasm`` or ``spots``: cell k has the value k + 1 in all of them.
    record
        How: plain numbers, strings, lists and dicts.
    """

    table: pd.DataFrame
    labels: dict[str, dict[str, NDArray[np.int32]]]
    record: dict[str, Any]


@dataclass(frozen=True, eq=False)
class MeasureUpdate:
    """How many of the images have been measured; the last update has the result."""

    done: int
    total: int
    result: Measurements | None = None


def measure(
    sets: Sequence[ImageSet],
    settings: MeasureSettings,
    *,
    plate_map: PlateMap | None = None,
    factor: int | None = None,
) -> Iterator[MeasureUpdate]:
    """Measure cells in every kind of image, and SR images on each of their samples.

    What the bundle of SR images knows of results like them, from their record, corrects
    intervals and flags cells; see :mod:`napari_rls.workflow.measure.trust_levels`.

    Parameters
    ----------
    sets
        Images of the same cells in the same order, each kind once.
    settings
        What is measured, and how, in pixels of the SR and HR images. Which channel is which,
        :func:`~napari_rls.workflow.measure.image_sets.find_channels` tells.
    plate_map
        Conditions of the wells; without it, what the crops say.
    factor
        How much LR images are upsampled; without it, to the size of the other images.

    Yields
    ------
    MeasureUpdate
        One per cell of a set; the last one holds the result.

    Raises
    ------
    InputError
        If the sets do not hold the same cells, or lack a channel.
    """
    images = at_one_size(sets, factor)
    settings, channels = find_channels(images, settings)
    check_columns(settings)
    rows = rows_of([s.stack for s in images], plate_map)
    micrometres = any(s.stack.pixel_size_um is not None for s in images)
    columns = column_names(settings, micrometres=micrometres)
    sampled = any(s.samples is not None for s in images)
    each = [1 + (0 if s.samples is None else len(s.samples)) for s in images]
    total = sum(n * len(s.stack) for n, s in zip(each, images, strict=True))
    labels: dict[str, dict[str, NDArray[np.int32]]] = {}
    frames: list[pd.DataFrame] = []
    told: list[dict[str, dict[str, Any]]] = []
    done = 0
    for one, (dna, signal), count in zip(images, channels, each, strict=True):
        cells: list[MeasuredCell] = []
        draws: list[list[dict[str, float]]] = []
        for k, image in enumerate(one.stack.data):
            cells.append(measure_cell(image, dna, signal, settings, one.stack.pixel_size_um))
            samples = () if one.samples is None else one.samples[:, k]
            draws.append([measure_cell(x, dna, signal, settings).values for x in samples])
            done += count
            yield MeasureUpdate(done, total)
        labels[one.kind] = _labels(cells)
        known = known_of(one.record, settings)
        values = _values(cells, columns)
        if sampled:
            values = _with_intervals(
                values, draws, columns, known.corrections, one.stack.pixel_size_um
            )
        applied = known.corrections if count > 1 else {}
        held = told_reliability(applied, columns, one.stack.pixel_size_um)
        opened = shares_left_open(_drawn(draws, columns))
        told.append({LEFT_OPEN_KEY: opened, RELIABILITY_KEY: held})
        interval = interval_text(count - 1, known, columns)
        frames.append(_frame(one, rows, cells, values, interval, known.domain))
    table = pd.concat(frames, ignore_index=True)
    record = table_record(sets, settings, channels, plate_map, factor)
    for entry, more in zip(record["images"], told, strict=True):
        entry.update((key, values) for key, values in more.items() if values)
    record["warnings"] = [
        *rows.warnings,
        *doubts(images, channels),
        *untold_offsets(images, channels, settings),
        *_interrupted(table, sets),
        *outside_samples(table, settings),
    ]
    record[WELLS_KEY] = wells_record(rows.wells)
    record[COLUMNS_KEY] = stored_columns(settings, table.columns)
    yield MeasureUpdate(done, total, Measurements(table, labels, record))


def join(parts: Sequence[Measurements]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return one table and record of measurements of different cells with the same settings.

    Raises
    ------
    InputError
        If channels differ, or two cells have the same name.
    """
    first = parts[0].record
    for part in parts[1:]:
        if part.record["settings"] != first["settings"]:
            raise InputError(
                f"The files name their channels differently ({_channels(first)} and "
                f"{_channels(part.record)}); measure them into separate tables."
            )
    table = pd.concat([part.table for part in parts], ignore_index=True)
    table = table[_in_order([part.table for part in parts])]
    twice = table.loc[table.duplicated([IMAGE, CELL]), CELL]
    if len(twice):
        raise InputError(
            f"Two files hold a cell named {twice.iloc[0]}; measure them into separate tables."
        )
    record = dict(first)
    for name in ("images", "warnings"):
        record[name] = [entry for part in parts for entry in part.record[name]]
    record[WELLS_KEY] = {f: guess for part in parts for f, guess in part.record[WELLS_KEY].items()}
    # Not every part has what the others have, as intervals.
    record[COLUMNS_KEY] = stored_columns(
        MeasureSettings.model_validate(first["settings"]), table.columns
    )
    return table, record


def _in_order(tables: Sequence[pd.DataFrame]) -> list[str]:
    """Return the columns of all tables, in the order that one with all of them would have."""
    # Not every file may have a pixel size, samples or time points.
    each = [list(map(str, table.columns)) for table in tables]
    fullest, fixed = max(each, key=len), list(IDENTITY)
    names = [*fullest]
    for name in dict.fromkeys(name for columns in each for name in columns):
        if name in names:
            continue
        known = fixed[: fixed.index(name)] if name in fixed else []
        before = [other for other in known if other in names]
        names.insert(names.index(before[-1]) + 1 if before else len(names), name)
    return names


def quality_columns(
    record: Mapping[str, Any], images: NDArray[np.generic], domain: Domain | None = None
) -> dict[str, NDArray[Any]]:
    """Return what the record of SR images says of the quality of their cells.

    Parameters
    ----------
    record
        Provenance of the images; empty for images that are not SR.
    images
        The images (N, C, H, W).
    domain
        What is ordinary for their bundle, if it is known.

    Returns
    -------
    dict
        Columns (N,): numbers, NaN where nothing is known, and booleans, which are flags.

    Raises
    ------
    InputError
        If the record is of another number of cells.
    """
    cells = len(images)
    found = record.get("cells", [{}] * cells)
    if len(found) != cells:
        raise InputError(
            f"The record of the SR images is of {len(found)} cells but there are {cells} images; "
            "measure the file as super-resolve wrote it."
        )
    # A record that does not tell of single cells tells whether the run came to its end.
    otherwise = "done" if record.get("complete", True) else "waiting"
    status = np.array([cell.get("status", otherwise) for cell in found], np.str_)
    residuals = [cell.get("lr_residual") or [np.nan] for cell in found]
    densities = [cell.get("log_density") for cell in found]
    saturated = record.get(SATURATION_KEY, {}).get("cells", ())
    verdict = judge_cells(images, record, domain)
    return {
        SATURATED: np.isin(np.arange(cells), saturated),
        UNFINISHED: np.isin(status, UNFINISHED_STATUS),
        SEARCH_FAILED: np.isin(status, FAILED_STATUS),
        UNUSUAL_INTENSITY: np.isin(np.arange(cells), _unusual(record)),
        LR_RESIDUAL: np.array([np.mean(residual) for residual in residuals], np.float64),
        RESIDUAL_PERCENTILE: verdict.residual_percentile,
        LOG_DENSITY: np.array(densities, np.float64),
        DENSITY_PERCENTILE: verdict.density_percentile,
        LOOK_PERCENTILE: verdict.look_percentile,
        POOR_FIT: verdict.poor_fit,
        OUT_OF_DOMAIN: verdict.out_of_domain,
    }


def _unusual(record: Mapping[str, Any]) -> list[int]:
    """Return the cells whose intensities no cell should have, by a record."""
    intensity = record.get("intensity")
    unusual = intensity.get("unusual") if isinstance(intensity, Mapping) else None
    return [int(cell) for cell in unusual or () if str(cell).isdecimal()]


def _interrupted(table: pd.DataFrame, sets: Sequence[ImageSet]) -> list[str]:
    """Return what is to be said of SR images that a run had not finished."""
    count = int(table[UNFINISHED].sum())
    if not count:
        return []
    name = next(s.stack.name for s in sets if s.kind == "SR")
    cells = int((table[IMAGE] == "SR").sum())
    what = "cell is not" if count == 1 else "cells are not"
    flag = QUALITY[UNFINISHED].flag
    sentence = (
        f"The run that made the SR images of {name} was interrupted: {count} of {cells} {what} "
        f"finished (flag {flag}); finish it and measure again."
    )
    return [sentence]


def _channels(record: Mapping[str, Any]) -> str:
    return f"{record['settings']['dna']}, {record['settings']['signal']}"


def _labels(cells: Sequence[MeasuredCell]) -> dict[str, NDArray[np.int32]]:
    number = np.arange(1, len(cells) + 1, dtype=np.int32)[:, None, None]
    return {
        part: number * (np.stack([cell.labels[part] for cell in cells]) > 0)
        for part in cells[0].labels
    }


def _values(
    cells: Sequence[MeasuredCell], columns: Iterable[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the measured columns (N,)."""
    return {n: np.array([c.values.get(n, np.nan) for c in cells], np.float64) for n in columns}


def _drawn(
    draws: Sequence[Sequence[Mapping[str, float]]], columns: Mapping[str, Measurement]
) -> dict[str, NDArray[np.float64]]:
    """Return columns of samples (S, N); of those in micrometres, that in pixels tells all."""
    return {
        name: np.array([[draw[name] for draw in cell] for cell in draws], np.float64)
        .reshape(len(draws), -1)
        .T
        for name, column in columns.items()
        if not column.micrometres
    }


def _with_intervals(
    values: Mapping[str, NDArray[np.float64]],
    draws: Sequence[Sequence[Mapping[str, float]]],
    columns: Mapping[str, Measurement],
    corrections: Mapping[str, Correction],
    pixel_size_um: float | None,
) -> dict[str, NDArray[np.float64]]:
    """Return measured columns (N,), each followed by those of its interval.

    Intervals end at what a measurement can be: cut there, they hold the truth as often.
    Corrections are in pixels. A column in micrometres follows that in pixels, and has its
    interval times the pixel's size.
    """
    wider, drawn = {}, _drawn(draws, columns)
    for name, column in columns.items():
        scale = 1.0
        if column.micrometres:
            scale = np.nan if pixel_size_um is None else pixel_size_um**column.power
        else:
            summary = summarise(drawn[name], corrections.get(name))
        wider[name] = values[name]
        for ending, interval_name in summary_columns(name).items():
            found = getattr(summary, ending)
            within = found if ending == "sd" else found.clip(column.least, column.most)
            wider[interval_name] = scale * within
    return wider


def _frame(
    images: ImageSet,
    rows: Rows,
    cells: Sequence[MeasuredCell],
    values: Mapping[str, NDArray[np.float64]],
    interval: str,
    domain: Domain | None,
) -> pd.DataFrame:
    """Return the rows of one kind of image."""
    count = len(cells)
    size = images.stack.pixel_size_um
    flags = [cell.flags for cell in cells]
    quality: dict[str, NDArray[Any]] = {n: np.array([f[n] for f in flags]) for n in flags[0]}
    told = quality_columns(images.record, images.stack.data, domain)
    quality |= told | {SATURATED: quality[SATURATED] | told[SATURATED]}
    raised = [name for name, column in quality.items() if column.dtype == np.bool_]
    named = [
        ";".join(QUALITY[name].flag for name in raised if quality[name][k]) for k in range(count)
    ]
    return pd.DataFrame(
        {
            IMAGE: [images.kind] * count,
            **rows.columns,
            PIXEL_SIZE: np.full(count, np.nan if size is None else size),
            INTERVAL: [interval] * count,
            **values,
            **quality,
            FLAGS: named,
        }
    )
