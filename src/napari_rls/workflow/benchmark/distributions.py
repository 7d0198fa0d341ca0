"""How well methods know what they do not know: scores and intervals of measurements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.evaluation.agreement import compare, count_inside
from napari_rls.evaluation.distributions import crps_of_quantiles, crps_of_samples
from napari_rls.evaluation.tables import IMAGE
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.cross_fit import Ends, crossed, folds_of
from napari_rls.measure.intervals import (
    TABLE_LEVEL,
    Floats,
    fit_correction,
    fit_widening,
    interval,
    moments,
)
from napari_rls.models.direct_spec import LEVELS
from napari_rls.workflow.benchmark.benchmark_settings import DIRECT
from napari_rls.workflow.benchmark.compared_images import FACTOR, METHOD, Outcome
from napari_rls.workflow.benchmark.directly import Told
from napari_rls.workflow.benchmark.measures import COLUMN, GT
from napari_rls.workflow.cells.groups import groups_of
from napari_rls.workflow.measure.trust_levels import known_of, measured


def distributions(
    outcome: Outcome,
    cells: pd.DataFrame,
    columns: list[str],
    settings: MeasureSettings,
) -> Iterator[pd.DataFrame]:
    """Yield rows of what methods tell of a measurement beside a value, those of a search at a time.

    A row per factor, measurement and method: ``n`` cells; ``of``, what was told of each (a value,
    samples, quantiles); ``error`` (median absolute) and ``pearson`` of its middle: the value, the
    mean of the samples, the median; ``crps``, the mean continuous ranked probability score, with
    its 95 % bootstrap interval; that of a method which tells a value alone is its mean absolute
    error.
    ``coverage`` and ``width`` (mean) of the intervals of 90 % as they are told: corrected where
    the bundle knows how; and, ``fitted_coverage`` and ``fitted_width``, of those whose correction
    was fitted on the benchmark's own cells of other wells. ``coverage_low`` and so on are 95 %
    Wilson intervals, which take cells for independent.
    """
    folds = folds_of(groups_of(outcome.cells.hr)[0], outcome.settings.seed)
    for factor, own in cells.groupby(FACTOR, sort=False):
        truth = own[own[IMAGE] == GT]
        judge = _Judge(outcome, int(str(factor)), truth, folds)
        for kind in own[IMAGE].unique():
            if kind in (GT, DIRECT):
                continue
            values = own[own[IMAGE] == kind]  # in the order of the cells
            yield pd.DataFrame([judge.value(kind, c, values[c].to_numpy(float)) for c in columns])
        for job, result in outcome.of("samples", factor=factor):
            if result.samples is None:
                continue
            draws = [measured(s, outcome.cells.hr, settings) for s in result.samples]
            known = known_of(result.record, settings).corrections
            rows = []
            for column in columns:
                drawn = np.stack([values[column] for values in draws])
                correction = known.get(column)
                ends = interval(drawn, TABLE_LEVEL, correction)
                rows.append(judge.samples(job.settings.method, column, drawn, ends))
            yield pd.DataFrame(rows)
        direct = outcome.told.get(int(str(factor)))
        if isinstance(direct, Told):
            known_columns = [c for c in columns if c in direct.quantiles]
            yield pd.DataFrame([judge.direct(direct, c) for c in known_columns])


class _Judge:
    """Rows of the table of one factor."""

    def __init__(
        self, outcome: Outcome, factor: int, truth: pd.DataFrame, folds: NDArray[np.intp]
    ) -> None:
        self.settings, self.factor, self.folds = outcome.settings, factor, folds
        self._truth = truth

    def value(self, method: str, column: str, values: Floats) -> dict[str, Any]:
        truth = self._of(column)
        row = self._row(method, column, "1 value", np.abs(values - truth), values)
        nothing = (np.full(len(truth), np.nan),) * 2
        return self._both(row, nothing, nothing, truth)

    def samples(self, method: str, column: str, draws: Floats, ends: Ends) -> dict[str, Any]:
        truth = self._of(column)
        kind = f"{len(draws)} sample{'' if len(draws) == 1 else 's'}"
        row = self._row(method, column, kind, crps_of_samples(draws, truth), moments(draws)[0])

        def fitted(others: NDArray[np.bool_], own: NDArray[np.bool_]) -> Ends | None:
            correction = fit_correction(column, draws[:, others], truth[others], (TABLE_LEVEL,))
            return None if correction is None else interval(draws[:, own], TABLE_LEVEL, correction)

        return self._both(row, ends, crossed(self.folds, fitted), truth)

    def direct(self, told: Told, column: str) -> dict[str, Any]:
        truth = self._of(column)
        tenths = [k for k, level in enumerate(LEVELS) if level != 0.5]
        levels = np.array(LEVELS)[tenths]
        score = crps_of_quantiles(told.quantiles[column][tenths], levels, truth)
        row = self._row(DIRECT, column, f"{len(LEVELS)} quantiles", score, told.median(column))
        raw = told.interval(column, 0.0)

        def fitted(others: NDArray[np.bool_], own: NDArray[np.bool_]) -> Ends | None:
            low, high = raw
            more = fit_widening(low[others], high[others], truth[others], TABLE_LEVEL)
            return None if more is None else (low[own] - more, high[own] + more)

        ends = told.interval(column, told.widening[column])
        return self._both(row, ends, crossed(self.folds, fitted), truth)

    def _of(self, column: str) -> Floats:
        return self._truth[column].to_numpy(float)

    def _row(
        self, method: str, column: str, kind: str, score: Floats, middle: Floats
    ) -> dict[str, Any]:
        known = score[np.isfinite(score)]
        low, high = np.nan, np.nan
        if len(known) > 1:
            rng = np.random.default_rng(self.settings.seed)
            drawn = rng.integers(len(known), size=(self.settings.bootstrap, len(known)))
            low, high = np.percentile(known[drawn].mean(1), (2.5, 97.5))
        truth = self._of(column)
        both = np.isfinite(middle) & np.isfinite(truth)
        fit = compare(middle[both], truth[both])
        return {
            FACTOR: self.factor,
            COLUMN: column,
            METHOD: method,
            "of": kind,
            "n": len(known),
            "error": fit["median_absolute_error"],
            "pearson": fit["pearson"],
            "crps": float(known.mean()) if len(known) else np.nan,
            "crps_low": float(low),
            "crps_high": float(high),
        }

    def _both(self, row: dict[str, Any], ends: Ends, fitted: Ends, truth: Floats) -> dict[str, Any]:
        """Add coverage and width as told, and cross-fitted by wells."""
        return row | self._ends("", ends, truth) | self._ends("fitted_", fitted, truth)

    def _ends(self, name: str, ends: Ends, truth: Floats) -> dict[str, float]:
        low, high = ends
        known = np.isfinite(low) & np.isfinite(high) & np.isfinite(truth)
        count = count_inside(truth, low, high)
        return {
            f"{name}coverage": count["observed"],
            f"{name}coverage_low": count["observed_low"],
            f"{name}coverage_high": count["observed_high"],
            f"{name}width": float((high - low)[known].mean()) if known.any() else np.nan,
        }
