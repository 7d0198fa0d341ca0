"""Several methods on the same cells: results in order, scores, what cannot run, the table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from compare_bench import FACTOR, hr_cells, lr_of

from napari_rls.errors import InputError
from napari_rls.evaluation.metrics import score
from napari_rls.models.intensity import IntensityMap
from napari_rls.search.settings import METHODS, Settings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.upsample import upsample
from napari_rls.workflow.compare.compare_methods import compare
from napari_rls.workflow.compare.method_results import (
    BICUBIC,
    MethodResult,
    best,
    comparison_record,
    comparison_table,
    meanings,
    settings_of,
)
from napari_rls.workflow.measure.table_files import read_table, write_table
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve

METRICS = ["KID", "FID", "perceptual distance", "PSNR", "MS-SSIM"]


def stack(hr: np.ndarray) -> CellStack:
    return CellStack(lr_of(hr), ("nucleus", "protein"))


def settings(*methods: str, steps: int = 2) -> list[Settings]:
    return settings_of(Settings(factor=FACTOR), methods, steps)


def results_of(*arguments) -> dict[str, MethodResult]:
    found = [update.result for update in compare(*arguments) if update.result is not None]
    return {result.method: result for result in found}


@pytest.fixture(scope="module")
def hr():
    return hr_cells()


@pytest.fixture(scope="module")
def results(hr, tiny_bundle):
    """Two methods that run and one for which the bundle lacks a network."""
    return results_of(stack(hr), tiny_bundle, settings("rls", "pix2pix", "pulse"), hr)


# -- settings ------------------------------------------------------------------------------


def test_every_method_has_its_own_defaults_and_what_is_shared():
    shared = Settings(factor=16, seed=7, batch_size=3, lambda_w=1e-4, samples=9)
    for own in settings_of(shared, METHODS):
        expected = Settings(method=own.method, factor=16, seed=7, batch_size=3, samples=0)
        assert own == expected


def test_steps_are_bounded_and_never_raised():
    for own in settings_of(Settings(), METHODS, 120):
        usual = Settings(method=own.method)
        assert own.steps == min(usual.steps, 120)
        assert own.refine_steps == usual.refine_steps


# -- results -------------------------------------------------------------------------------


def test_the_baseline_comes_first_then_the_methods_in_order(hr, tiny_bundle):
    updates = list(compare(stack(hr), tiny_bundle, settings("pulse", "rls"), hr))
    assert list(dict.fromkeys(u.method for u in updates)) == [BICUBIC, "pulse", "rls"]
    wholes = [u.whole for u in updates]
    assert wholes == sorted(wholes)
    assert wholes[-1] == 1
    last = {u.method: u for u in updates}
    assert all(u.result is not None and u.must_show for u in last.values())


def test_images_and_records_are_those_of_the_method_alone(hr, tiny_bundle, results):
    (own,) = settings("pulse")
    *_, last = super_resolve(stack(hr), tiny_bundle, own)
    pulse = results["pulse"]
    np.testing.assert_allclose(pulse.sr, last.sr, rtol=1e-5, atol=1e-3)
    assert pulse.lr_residual == pytest.approx(last.lr_residual.mean(), rel=1e-4)
    used = own.model_copy(
        update={"bundle": tiny_bundle.source, "reading": "scaled", "posterior": "bound"}
    )
    assert pulse.record["settings"] == used.model_dump()
    assert pulse.record["method"].startswith("PULSE")
    assert pulse.record["complete"]
    assert pulse.seconds_per_cell == pytest.approx(pulse.record["seconds"] / 3, abs=1e-3)


def test_scores_are_those_of_the_encoded_images(hr, results):
    expected = score(results["rls"].sr / 127.5 - 1, hr / 127.5 - 1)
    pd.testing.assert_frame_equal(results["rls"].scores, expected, rtol=1e-3)


def test_the_baseline_is_bicubic_and_scored_likewise(hr, results):
    lr = lr_of(hr)
    np.testing.assert_array_equal(results[BICUBIC].sr, upsample(lr, FACTOR))
    error = ((upsample(lr, FACTOR) - hr.astype(float)) / 127.5) ** 2
    psnr = (10 * np.log10(4 / error.mean((1, 2, 3)))).mean()
    scores = results[BICUBIC].scores.set_index("metric")["value"]
    assert scores["PSNR"] == pytest.approx(psnr, rel=1e-4)
    degraded = lr_of(upsample(lr, FACTOR))
    assert results[BICUBIC].lr_residual == pytest.approx(np.abs(degraded - lr).mean(), rel=1e-5)
    assert np.isnan(results[BICUBIC].seconds_per_cell)


def test_a_method_that_cannot_run_says_why_and_the_next_one_runs(results):
    assert not results["pix2pix"].ran
    assert results["pix2pix"].note.startswith("The bundle tiny has no Pix2Pix network for")
    assert results["pulse"].ran


def test_cells_that_fall_short_are_counted(results):
    # PULSE's authors demand a smaller error than two steps reach.
    assert results["pulse"].note.startswith("3 of 3 cells: the search never came as near")


def test_without_truth_there_are_no_metrics(hr, tiny_bundle):
    results = results_of(stack(hr), tiny_bundle, settings("rls"))
    table = comparison_table(list(results.values()))
    assert list(table) == ["method", "LR_residual", "seconds_per_cell", "cells", "note"]
    assert np.isfinite(table["LR_residual"]).all()


def test_a_cell_that_cannot_be_searched_is_left_out_of_everything(hr, tiny_bundle):
    lr = stack(hr)
    lr.data[1, 0, 0, 0] = np.nan
    results = results_of(lr, tiny_bundle, settings("rls"), hr)
    table = comparison_table(list(results.values())).set_index("method")
    assert table["cells"].tolist() == [2, 2]
    assert np.isfinite(table["PSNR"]).all()
    assert np.isfinite(table["LR_residual"]).all()
    assert table["note"]["rls"] == "1 of 3 cells: it holds NaN or infinite values."


def test_a_truth_in_another_unit_is_doubted(hr, tiny_bundle, results):
    assert results[BICUBIC].note == ""
    odd = results_of(stack(hr), tiny_bundle, settings("rls"), hr / 65535)
    assert "same cells in the same unit" in odd[BICUBIC].note


def test_wrong_input_is_refused(hr, tiny_bundle):
    lr = stack(hr)
    with pytest.raises(InputError, match="all with the same scale factor"):
        next(compare(lr, tiny_bundle, [Settings(factor=8), Settings(factor=4)]))
    with pytest.raises(InputError, match="must have \\(3, 2, 32, 32\\)"):
        next(compare(lr, tiny_bundle, settings("rls"), hr[:2]))


# -- table ---------------------------------------------------------------------------------


def test_the_table_has_a_row_per_method_and_survives_a_file(results, tmp_path):
    given = list(results.values())
    table = comparison_table(given)
    assert table["method"].tolist() == [BICUBIC, "rls", "pix2pix", "pulse"]
    assert [name for name in table if name in METRICS] == METRICS
    assert table.loc[2, METRICS].isna().all()
    # Three cells are too few for KID and FID.
    assert table[["KID", "FID"]].isna().all(axis=None)
    rows = table.drop(index=2)
    assert (rows["PSNR_low"] <= rows["PSNR"]).all()
    assert (rows["PSNR"] <= rows["PSNR_high"]).all()
    write_table(tmp_path / "comparison.csv", table, comparison_record(given))
    read, record = read_table(tmp_path / "comparison.csv")
    pd.testing.assert_frame_equal(read, table)
    assert record["columns"]["MS-SSIM"]["variant"].startswith("window")
    assert set(record["runs"]) == {"rls", "pulse"}
    assert record["runs"]["pulse"]["settings"]["steps"] == 2
    assert "content_hash" in record["bundle"]


def test_the_best_is_the_least_or_the_greatest_of_what_is_known(results):
    given = [
        replace(results["rls"], method="rls", lr_residual=2.0),
        replace(results["rls"], method="brgm", lr_residual=1.0),
        replace(results["pix2pix"], method="pix2pix"),
    ]
    table = comparison_table(given).assign(PSNR=[20.0, 10.0, np.nan])
    better = {name: meaning["better"] for name, meaning in meanings(given).items()}
    winners = best(table, better)
    assert winners["PSNR"] == "rls"
    assert winners["LR_residual"] == "brgm"
    assert "KID" not in winners


def test_bright_pixels_of_the_truth_do_not_change_the_unit_of_metrics(hr, tiny_bundle):
    bright = hr.astype(np.float32)
    bright[0, 0, 0, 0] = 10 * tiny_bundle.manifest.intensity.high
    one = results_of(stack(hr), tiny_bundle, settings("rls"), bright)["rls"]
    intensity = tiny_bundle.manifest.intensity
    unit = IntensityMap("bundle", (intensity.low,) * 2, (intensity.high,) * 2)
    expected = score(unit.encode(one.sr), unit.encode(bright))
    pd.testing.assert_frame_equal(one.scores, expected)
