"""What a comparison of methods gives: results, their table and its record; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.search.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.workflow.super_resolve.updates import Update

BICUBIC = "bicubic"
"""Name of the LR image, upsampled, among the methods."""

METRICS = ("KID", "FID", "perceptual distance", "PSNR", "MS-SSIM")
"""Those of the embedded features, in the order of the table's columns."""

LR_RESIDUAL, SECONDS = "LR_residual", "seconds_per_cell"

LOW, HIGH = "_low", "_high"
"""Endings of the columns that hold the ends of a metric's 95 % interval."""

SHARED = (
    "bundle", "factor", "operator", "seed", "intensity", "batch_size", "device", "precision",
    "threads",
)  # fmt: skip
"""Settings that all methods of a comparison have in common."""


def _no_scores() -> pd.DataFrame:
    import pandas as pd  # slow to import, and the window's docks need this module

    return pd.DataFrame()


@dataclass(frozen=True, eq=False)
class MethodResult:
    """What one method gave.

    Parameters
    ----------
    method
        Its name, or :data:`BICUBIC`.
    sr
        SR images (N, C, H, W), float32, in the LR image's unit, NaN where a cell has none;
        None if the method could not run.
    scores
        A row per metric, see :func:`~napari_rls.evaluation.metrics.score`; empty without GT.
    lr_residual
        Mean absolute difference between the degraded SR image and the LR image over cells,
        channels and pixels, in the LR image's unit.
    seconds_per_cell
        Wall time of the search over the cells searched; NaN where nothing is searched.
    note
        What is to be known, in sentences: why the method could not run, or which cells failed.
    record
        Provenance of the run; empty where nothing was searched.
    """

    method: str
    sr: NDArray[np.float32] | None = None
    scores: pd.DataFrame = field(default_factory=_no_scores)
    lr_residual: float = math.nan
    seconds_per_cell: float = math.nan
    note: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ran(self) -> bool:
        """Whether there are images."""
        return self.sr is not None


@dataclass(frozen=True, eq=False)
class CompareUpdate:
    """How far a comparison is.

    Parameters
    ----------
    method
        Whose turn it is.
    share, whole
        Shares of the work of this method and of all methods that are done, 0 to 1.
    search
        The state of its search, see :class:`~napari_rls.workflow.super_resolve.updates.Update`.
    result
        What it gave, in its last update.
    """

    method: str
    share: float
    whole: float
    search: Update | None = None
    result: MethodResult | None = None

    @property
    def must_show(self) -> bool:
        """Whether a view that leaves out updates must not leave out this one."""
        return self.result is not None or (self.search is not None and self.search.must_show)


def settings_of(shared: Settings, methods: Iterable[str], max_steps: int = 0) -> list[Settings]:
    """Return settings for each method: its own defaults, without samples.

    Parameters
    ----------
    shared
        Bundle, factor, operator, seed, intensity, batch size, device, precision and threads of all.
    methods
        Names of methods.
    max_steps
        Upper bound of every stage's steps; 0 keeps each method's own.
    """
    made = []
    for method in methods:
        values = {**shared.model_dump(include=set(SHARED)), "method": method, "samples": 0}
        settings = Settings.parse(values)
        if max_steps:
            bounded = {n: min(getattr(settings, n), max_steps) for n in ("steps", "refine_steps")}
            settings = Settings.parse(values | bounded)
        made.append(settings)
    return made


def comparison_table(results: Sequence[MethodResult]) -> pd.DataFrame:
    """Return a row per method.

    Columns are ``method``; for every metric that is known its value, with the ends of its
    interval in ``NAME_low`` and ``NAME_high``; ``LR_residual``; ``seconds_per_cell``;
    ``cells`` (those that the metrics are of, or that have an image) and ``note``. What is
    not known is NaN.
    """
    import pandas as pd

    rows = []
    for result in results:
        row: dict[str, Any] = {"method": result.method}
        for score in result.scores.to_dict("records"):
            name = score["metric"]
            row |= {name: score["value"], name + LOW: score["low"], name + HIGH: score["high"]}
        row[LR_RESIDUAL] = result.lr_residual
        row[SECONDS] = result.seconds_per_cell
        row["cells"] = _cells(result)
        row["note"] = result.note
        rows.append(row)
    known = [name for metric in METRICS for name in (metric, metric + LOW, metric + HIGH)]
    first = ["method", *(name for name in known if any(name in row for row in rows))]
    return pd.DataFrame(rows, columns=[*first, LR_RESIDUAL, SECONDS, "cells", "note"])


def meanings(results: Iterable[MethodResult]) -> dict[str, dict[str, str]]:
    """Return for every column of values what it is of (``variant``) and what is ``better``."""
    found = {
        str(row["metric"]): {"variant": str(row["variant"]), "better": str(row["better"])}
        for result in results
        for row in result.scores.to_dict("records")
    }
    return found | {
        LR_RESIDUAL: {
            "variant": "mean absolute difference between the degraded SR image and the LR image, "
            "in the LR image's unit",
            "better": "lower",
        },
        SECONDS: {
            "variant": "wall time of the search over the cells searched",
            "better": "lower",
        },
    }


def best(table: pd.DataFrame, better: Mapping[str, str]) -> dict[str, str]:
    """Return for columns of values, ``lower`` or ``higher`` being better, the best method."""
    found = {}
    for name, direction in better.items():
        values = table.set_index("method")[name].dropna()
        if len(values) > 1:
            found[name] = str(values.idxmax() if direction == "higher" else values.idxmin())
    return found


def comparison_record(results: Sequence[MethodResult]) -> dict[str, Any]:
    """Return how a comparison's table was made: plain numbers, strings, lists and dicts."""
    runs = {result.method: dict(result.record) for result in results if result.record}
    return {
        "columns": meanings(results),
        "intervals": "NAME_low and NAME_high: 95 %, bootstrap over cells",
        "baseline": f"{BICUBIC}: the LR image, upsampled bicubically, without any model",
        "bundle": next((run["bundle"] for run in runs.values()), None),
        "runs": runs,
    }


def _cells(result: MethodResult) -> int:
    if len(result.scores):
        return int(result.scores["n"].iloc[0])
    return 0 if result.sr is None else int(np.isfinite(result.sr).all((1, 2, 3)).sum())
