"""What the network that draws no image tells of a benchmark's cells: quantiles of measurements."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import Bundle
from napari_rls.models.direct_spec import LEVELS
from napari_rls.search.operators import DEFAULT_OPERATOR
from napari_rls.workflow.benchmark.benchmark_settings import DIRECT

if TYPE_CHECKING:
    from napari_rls.workflow.benchmark.compared_images import Outcome

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Told:
    """What was told at one factor.

    Parameters
    ----------
    quantiles
        By column: quantiles (L, N) at
        :data:`~napari_rls.models.direct_spec.LEVELS`, in the column's unit.
    widening
        By column: by how much the interval of the outermost ones must grow at either end, None
        where that is not known.
    seconds
        Wall time.
    """

    quantiles: Mapping[str, Floats]
    widening: Mapping[str, float | None]
    seconds: float

    def median(self, column: str) -> Floats:
        """Return the medians (N,) of a column."""
        middle: Floats = self.quantiles[column][LEVELS.index(0.5)]
        return middle

    def interval(self, column: str, widening: float | None) -> tuple[Floats, Floats]:
        """Return the ends (N,) of the intervals of 90 %, grown; NaN if it is not known by what."""
        more = np.nan if widening is None else widening
        return self.quantiles[column][0] - more, self.quantiles[column][-1] + more


def tell(
    outcome: Outcome, bundle: Bundle, settings: MeasureSettings | None
) -> dict[int, Told | str]:
    """Return by factor what is told of the cells, or in a sentence why there is nothing."""
    if DIRECT not in outcome.settings.methods:
        return {}
    return {factor: _tell(outcome, bundle, settings, factor) for factor in outcome.settings.factors}


def _tell(
    outcome: Outcome, bundle: Bundle, settings: MeasureSettings | None, factor: int
) -> Told | str:
    spec, name = bundle.manifest.direct, bundle.manifest.name
    if spec is None or bundle.direct is None:
        return (
            f"The bundle {name} has no network that tells measurements directly; add one by "
            "'napari-rls train-direct'."
        )
    if factor not in spec.factors:
        known: Sequence[str] = [f"{known}x" for known in spec.factors]
        return f"The direct network of the bundle {name} knows {', '.join(known)}, not {factor}x."
    if outcome.settings.operator != DEFAULT_OPERATOR:
        return (
            f"The direct network of the bundle {name} knows LR images of the operator "
            f"{DEFAULT_OPERATOR}, not of {outcome.settings.operator}."
        )
    if settings is None or settings.stored() != dict(spec.measurement):
        return (
            f"The direct network of the bundle {name} tells a measurement of other settings than "
            "those of the bundle; train it anew."
        )
    if outcome.intensity.mode != "bundle":
        return (
            f"The direct network knows images in the unit of the bundle {name} alone, and these "
            "are in another one."
        )
    start = time.perf_counter()
    lr = torch.from_numpy(outcome.intensity.encode(outcome.lr(factor)))
    parts = [bundle.direct.turned(part, factor) for part in lr.split(256)]
    found = torch.cat(parts).double().numpy()
    seconds = time.perf_counter() - start
    place = spec.factors.index(factor)
    return Told(
        {c.column: c.centre + c.scale * found[:, k].T for k, c in enumerate(spec.columns)},
        {c.column: c.widening[place] for c in spec.columns},
        seconds,
    )
