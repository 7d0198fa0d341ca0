"""One table of the cells of several groups of images: each measured, then joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.measurements import Measurements, join, measure


@dataclass(frozen=True, eq=False)
class TableUpdate:
    """How many images of all groups have been measured; the last update has table and record."""

    done: int
    total: int
    table: pd.DataFrame | None = None
    record: dict[str, Any] = field(default_factory=dict)


def measure_table(
    groups: Sequence[Sequence[ImageSet]],
    settings: MeasureSettings,
    *,
    plate_map: PlateMap | None = None,
    factor: int | None = None,
) -> Iterator[TableUpdate]:
    """Measure groups of images, as :func:`read_images` returns them, into one table.

    Parameters
    ----------
    groups
        Images of the same cells in the same order, each kind once, per group.
    settings, plate_map, factor
        As for :func:`~napari_rls.workflow.measure.measurements.measure`.

    Raises
    ------
    InputError
        If the sets of a group do not hold the same cells, lack a channel, or groups do not
        go into one table.
    """
    total = sum(
        len(one.stack) * (1 + (0 if one.samples is None else len(one.samples)))
        for group in groups
        for one in group
    )
    parts: list[Measurements] = []
    before = 0
    for group in groups:
        for update in measure(group, settings, plate_map=plate_map, factor=factor):
            if update.result is not None:
                parts.append(update.result)
            else:
                yield TableUpdate(before + update.done, total)
        before += update.total
    table, record = join(parts)
    yield TableUpdate(total, total, table, record)
