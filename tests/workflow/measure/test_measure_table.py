"""Several groups of images into one table, as a script does it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.measure_table import measure_table
from napari_rls.workflow.measure.measurements import join, measure

SETTINGS = MeasureSettings(assay="translocation", dna="DNA", signal="GFP")


def cells(name: str, count: int, seed: int) -> CellStack:
    drawn = simulate(SimulateSettings(assay="translocation", cells=count, seed=seed)).hr
    return replace(drawn, name=name, channels=("DNA", "GFP"), crops=())


def test_groups_are_counted_together_and_joined() -> None:
    groups = [[ImageSet("GT", cells("a", 2, 0))], [ImageSet("GT", cells("b", 3, 1))]]
    updates = list(measure_table(groups, SETTINGS))
    assert [(update.done, update.total) for update in updates] == [
        *((done, 5) for done in range(1, 6)),
        (5, 5),
    ]
    assert [update.table is None for update in updates] == [True] * 5 + [False]
    table, record = updates[-1].table, updates[-1].record
    assert table is not None
    parts = [result for g in groups for u in measure(g, SETTINGS) if (result := u.result)]
    expected, expected_record = join(parts)
    assert table.equals(expected)
    when = [datetime.fromisoformat(r.pop("measured")) for r in (expected_record, record)]
    assert abs(when[1] - when[0]) < timedelta(minutes=5)
    assert record == expected_record
    assert len(record["images"]) == 2


def test_the_same_cells_twice_are_refused() -> None:
    group = [ImageSet("GT", cells("a", 1, 0))]
    with pytest.raises(InputError, match="Two files hold a cell named"):
        list(measure_table([group, group], SETTINGS))
