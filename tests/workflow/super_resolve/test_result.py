"""The result of a run, finished or not, and its record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.stack import CellStack, Crop, content_digest
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.trace import Trace

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

SETTINGS = Settings(factor=4, steps=5, batch_size=2, seed=3, samples=0)


@pytest.fixture
def lr() -> CellStack:
    data = np.random.default_rng(1).uniform(0, 255, (4, 2, 8, 8)).astype(np.float32)
    data[1] = np.nan
    crops = tuple(Crop("f.tif", "A01", float(k), 2.0, "dose=1") for k in range(4))
    return CellStack(data, ("a", "b"), crops=crops, name="lr.tif")


def collect(lr: CellStack, bundle: Bundle, updates: int | None = None) -> Collector:
    result = Collector(lr, bundle.manifest.hr_size)
    for count, update in enumerate(super_resolve(lr, bundle, SETTINGS), 1):
        result.add(update)
        if count == updates:
            break
    return result


def test_finished_run(lr: CellStack, tiny_bundle: Bundle) -> None:
    result = collect(lr, tiny_bundle)
    assert result.complete
    assert [cell.status for cell in result.cells] == ["done", "skipped", "done", "done"]
    assert result.cells[1].reason == "it holds NaN or infinite values"
    assert np.isnan(result.sr[1]).all()
    assert np.isfinite(result.sr[[0, 2, 3]]).all()
    assert all(cell.steps == 5 for cell in result.cells if cell.status == "done")


def test_residual_is_that_of_the_images(lr: CellStack, tiny_bundle: Bundle) -> None:
    from napari_rls.workflow.cells.degrade import degrade

    result = collect(lr, tiny_bundle)
    for cell in (0, 2, 3):
        expected = np.abs(degrade(result.sr[cell], 4) - lr.data[cell]).mean((1, 2))
        np.testing.assert_allclose(result.cells[cell].lr_residual, expected, rtol=1e-3)


def test_stopped_run_keeps_what_it_reached(lr: CellStack, tiny_bundle: Bundle) -> None:
    result = collect(lr, tiny_bundle, updates=7)  # 5 steps of cells 0 and 2, 2 steps of cell 3
    assert not result.complete
    assert [cell.status for cell in result.cells] == ["done", "skipped", "done", "searching"]
    assert np.isfinite(result.sr[[0, 2, 3]]).all()
    assert result.provenance()["complete"] is False


def test_record(lr: CellStack, tiny_bundle: Bundle) -> None:
    record = collect(lr, tiny_bundle).provenance()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["generated"] is True
    assert record["complete"] is True
    used = SETTINGS.model_copy(
        update={
            "bundle": tiny_bundle.source,
            "reading": "scaled",
            "posterior": "bound",
            "lambda_m": 0.0,
        }
    )
    assert Settings.parse(record["settings"]) == used
    assert record["held"] == ""
    assert record["input"]["sha256"] == content_digest(lr.data)
    assert record["bundle"]["content_hash"] == tiny_bundle.manifest.content_hash
    assert [Crop(**crop) for crop in record["crops"]] == list(lr.crops)
    assert len(record["cells"]) == 4


def test_nothing_yet(lr: CellStack, tiny_bundle: Bundle) -> None:
    result = Collector(lr, tiny_bundle.manifest.hr_size)
    assert not result.complete
    assert result.provenance()["complete"] is False


@pytest.mark.parametrize(("every", "steps"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_trace(lr: CellStack, tiny_bundle: Bundle, every: int, steps: list[int]) -> None:
    result = Collector(lr, tiny_bundle.manifest.hr_size)
    trace = Trace(result, every)
    seen = {}
    for update in super_resolve(lr, tiny_bundle, SETTINGS):
        result.add(update)
        trace.add(update)
        for k, cell in enumerate(update.cells):
            seen[update.step, cell] = update.sr[k]
    assert trace.steps == steps
    assert trace.frames.shape == (len(steps), *result.sr.shape)
    for frame, step in zip(trace.frames, steps, strict=True):
        for cell in (0, 2, 3):
            np.testing.assert_array_equal(frame[cell], seen[step, cell])
    np.testing.assert_array_equal(trace.frames[-1], result.sr)


def test_trace_of_a_stopped_run_ends_where_it_stopped(lr: CellStack, tiny_bundle: Bundle) -> None:
    result = Collector(lr, tiny_bundle.manifest.hr_size)
    trace = Trace(result, 2)
    for count, update in enumerate(super_resolve(lr, tiny_bundle, SETTINGS), 1):
        result.add(update)
        trace.add(update)
        if count == 7:
            break
    finite = np.isfinite(trace.frames).all((2, 3, 4))
    assert finite[:, [0, 2]].all()
    assert finite[:, 3].tolist() == [True, False, False]


def test_samples_are_gathered_beside_the_best(lr: CellStack, tiny_bundle: Bundle) -> None:
    settings = SETTINGS.model_copy(update={"samples": 3, "sample_steps": 4})
    result = Collector(lr, tiny_bundle.manifest.hr_size)
    trace = Trace(result, 2)
    statuses = []
    for update in super_resolve(lr, tiny_bundle, settings):
        result.add(update)
        trace.add(update)
        statuses.append(result.cells[0].status)
    assert statuses == ["searching"] * 4 + ["sampling"] * 4 + ["done"] * 10
    assert result.complete
    assert result.samples is not None
    assert result.samples.shape == (3, *result.sr.shape)
    assert np.isfinite(result.samples[:, [0, 2, 3]]).all()
    assert np.isnan(result.samples[:, 1]).all()
    np.testing.assert_array_equal(result.sr, collect(lr, tiny_bundle).sr)
    assert all(cell.steps == 5 for cell in result.cells if cell.status == "done")
    assert trace.steps == [2, 4, 5]
    np.testing.assert_array_equal(trace.frames[-1], result.sr)


def test_a_run_stopped_while_sampling_keeps_the_search(lr: CellStack, tiny_bundle: Bundle) -> None:
    settings = SETTINGS.model_copy(update={"samples": 3, "sample_steps": 4})
    result = Collector(lr, tiny_bundle.manifest.hr_size)
    for update in super_resolve(lr, tiny_bundle, settings):
        result.add(update)
        if update.step == 7:
            break
    assert result.samples is None
    assert result.cells[0].status == "sampling"
    assert result.provenance()["complete"] is False
    np.testing.assert_array_equal(result.sr[[0, 2]], collect(lr, tiny_bundle).sr[[0, 2]])
