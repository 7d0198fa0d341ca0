"""What is measured on the images of every method: cells, wells, conditions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_rls.errors import InputError
from napari_rls.evaluation.agreement import agreement
from napari_rls.evaluation.statistics import compare_conditions
from napari_rls.evaluation.tables import CELL, IMAGE
from napari_rls.files.json_file import first_fault
from napari_rls.measure.cells import MeasureSettings, column_names
from napari_rls.measure.columns import QUALITY
from napari_rls.models.manifest import Manifest
from napari_rls.workflow.benchmark.benchmark_settings import DIRECT
from napari_rls.workflow.benchmark.compared_images import FACTOR, LR, METHOD, Outcome
from napari_rls.workflow.benchmark.directly import Told
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.image_sets import ImageSet, find_channels
from napari_rls.workflow.measure.measurements import measure

GT = "GT"

COLUMN = "measurement"


def measurement_of(manifest: Manifest) -> MeasureSettings | None:
    """Return the measurement that a bundle suggests, or None.

    Raises
    ------
    InputError
        If the bundle's settings of it are none.
    """
    given = manifest.measurement
    try:
        return MeasureSettings.model_validate(given) if given else None
    except ValidationError as error:
        raise InputError(
            f"The bundle {manifest.name} suggests no measurement that can be made "
            f"({first_fault(error)}); fetch or make the bundle again."
        ) from None


def measured_columns(settings: MeasureSettings, hr: CellStack) -> list[str]:
    """Return the measured columns in pixels, the one that matters first."""
    named, _ = find_channels([ImageSet("HR", hr)], settings)
    names = column_names(named, micrometres=False)
    main = settings.of.headline[0]
    return sorted(names, key=lambda name: names[name].key != main)


def measured(outcome: Outcome, settings: MeasureSettings) -> Iterator[pd.DataFrame]:
    """Yield tables of cells, one of every kind of image of every factor.

    The kind (``Metadata_Image``) is GT, LR (upsampled) or the method's name; ``factor``
    stands first. GT comes with every factor. What is told without any image are medians.
    """
    truth = _measure(outcome, outcome.cells.hr.data.astype(np.float32), settings)
    for factor in outcome.settings.factors:
        yield _named(truth, GT, factor)
        first = next(j for j in outcome.jobs if j.part == "main" and j.settings.factor == factor)
        yield _named(_measure(outcome, outcome.upsampled(first), settings), LR, factor)
        for job, result in outcome.of("main", factor=factor):
            yield _named(_measure(outcome, result.sr, settings), job.settings.method, factor)
        told = outcome.told.get(factor)
        if isinstance(told, Told):
            yield _named(_told(truth, told, settings, outcome.cells.hr), DIRECT, factor)


def feature_errors(
    table: pd.DataFrame, columns: list[str], *, bootstrap: int, seed: int
) -> pd.DataFrame:
    """Return how far every measurement is from that on the true image, per cell and well.

    See :func:`~napari_rls.evaluation.agreement.agreement`; beside it, ``error_low`` and
    ``error_high``, the 95 % bootstrap interval of the median absolute error per cell.
    """
    parts = []
    for factor, own in table.groupby(FACTOR, sort=False):
        for column in columns:
            found = agreement(own, column, GT).rename(columns={IMAGE: METHOD})
            wide = own.pivot_table(index=CELL, columns=IMAGE, values=column)
            ends = {
                name: _median_interval((wide[name] - wide[GT]).abs(), bootstrap, seed)
                for name in wide.columns
            }
            cells = found["per"] == "cell"
            for k, name in enumerate(("error_low", "error_high")):
                found[name] = [ends.get(m, (np.nan,) * 2)[k] for m in found[METHOD]]
                found.loc[~cells, name] = np.nan
            found.insert(0, COLUMN, column)
            found.insert(0, FACTOR, factor)
            parts.append(found)
    return pd.concat(parts, ignore_index=True)


def condition_differences(
    table: pd.DataFrame, columns: list[str], pair: tuple[str, str]
) -> pd.DataFrame:
    """Return how well every measurement tells the two conditions apart, for every method.

    See :func:`~napari_rls.evaluation.statistics.compare_conditions`.
    """
    parts = []
    for factor, own in table.groupby(FACTOR, sort=False):
        for column in columns:
            found = compare_conditions(own, column, *pair).rename(columns={IMAGE: METHOD})
            found.insert(0, COLUMN, column)
            found.insert(0, FACTOR, factor)
            parts.append(found)
    return pd.concat(parts, ignore_index=True)


def _median_interval(errors: pd.Series[float], bootstrap: int, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of a median over cells drawn again; NaN for one."""
    known = errors.dropna().to_numpy(np.float64)
    if len(known) < 2:
        return np.nan, np.nan
    draws = np.random.default_rng(seed).integers(len(known), size=(bootstrap, len(known)))
    low, high = np.percentile(np.median(known[draws], axis=1), (2.5, 97.5))
    return float(low), float(high)


def _measure(
    outcome: Outcome, images: NDArray[np.float32], settings: MeasureSettings
) -> pd.DataFrame:
    stack = replace(outcome.cells.hr, data=images)
    *_, last = measure([ImageSet("HR", stack)], settings)
    assert last.result is not None
    return last.result.table


def _told(
    truth: pd.DataFrame, told: Told, settings: MeasureSettings, hr: CellStack
) -> pd.DataFrame:
    """Return the table of what was told: cells as in that of the truth, no flags of an image."""
    named, _ = find_channels([ImageSet("HR", hr)], settings)
    untold = column_names(named, micrometres=True).keys() & set(truth)
    own = truth.drop(columns=[*untold, *QUALITY.keys() & set(truth)])
    return own.assign(**{name: told.median(name) for name in told.quantiles})


def _named(table: pd.DataFrame, kind: str, factor: int) -> pd.DataFrame:
    named = table.assign(**{IMAGE: kind})
    named.insert(0, FACTOR, factor)
    return named
