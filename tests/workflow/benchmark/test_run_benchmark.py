"""A whole benchmark on a tiny bundle: searches that resume, tables, what is missing and why."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from benchmark_bench import WELLS, cells_of, finish, hr_cells, measuring_bundle, settings_of

from napari_rls.errors import InputError
from napari_rls.evaluation.metrics import score
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.camera import CameraNoise
from napari_rls.models.pix2pix import UNet
from napari_rls.search.settings import Settings
from napari_rls.workflow.benchmark.compared_images import Compared, metrics_of
from napari_rls.workflow.benchmark.plan import Job, plan, shown_cells, subset_of
from napari_rls.workflow.benchmark.report import report
from napari_rls.workflow.benchmark.run_benchmark import RUNS, Benchmark, BenchmarkUpdate, benchmark
from napari_rls.workflow.benchmark.searches import RunResult, load
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.upsample import upsample
from napari_rls.workflow.super_resolve.search_run import Search

SHAPE = (2, 32, 32)

Made = tuple[Benchmark, list[BenchmarkUpdate], Path]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return measuring_bundle(tmp_path_factory.mktemp("bundle") / "tiny.rls.safetensors")


@pytest.fixture(scope="module")
def made(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("benchmark")
    return (*finish(folder, bundle, settings_of()), folder)


def same(first: Benchmark, second: Benchmark) -> bool:
    """Whether all tables are equal; times too, since they are stored with the searches."""
    assert first.tables.keys() == second.tables.keys()
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])
    return True


def test_every_table_is_made_of_the_methods_and_the_upsampled_lr_image(made: Made) -> None:
    result, _, _ = made
    assert not result.missing
    assert not result.outcome.problems
    table = result.tables["table1"]
    assert list(table["method"].unique()) == ["LR", "rls", "unregularised"]
    assert {"KID", "FID", "PSNR", "MS-SSIM"} <= set(table["metric"])
    assert (table["n"] == 3 * len(WELLS)).all()
    assert list(result.tables["ablation"]["method"].unique()) == ["rls", "unregularised"]
    assert list(result.tables["degradations"]["degradation"].unique()) == [
        "none",
        "Gaussian noise",
        "salt and pepper",
        "Gaussian blur",
    ]
    assert list(result.tables["sensitivity"]["lambda_w"].unique()) == [5e-5, 1e-4]


def test_metrics_are_those_of_the_images_that_were_searched(made: Made) -> None:
    result, _, _ = made
    outcome = result.outcome
    encode = outcome.intensity.encode
    truth = encode(outcome.cells.hr.data)
    ((_, found),) = outcome.of("main", method="rls")
    settings = {"bootstrap": 3, "seed": 0}
    images = {"rls": found.sr, "LR": upsample(degrade(outcome.cells.hr.data, 4), 4)}
    for method, sr in images.items():
        expected = score(encode(sr), truth, **settings)
        table = result.tables["table1"]
        own = table[table["method"] == method].reset_index(drop=True)
        pd.testing.assert_frame_equal(own[list(expected)], expected)


def test_variants_have_the_main_search_of_the_same_cells_as_their_reference(made: Made) -> None:
    result, _, _ = made
    outcome = result.outcome
    cells = list(subset_of(len(outcome.cells.hr), outcome.settings))
    assert len(cells) == 10
    ((_, found),) = outcome.of("main", method="rls")
    squares = ((found.sr[cells] - outcome.truth(cells)) / outcome.intensity.unit_span[0]) ** 2
    psnr = (10 * np.log10(4 / squares.mean((1, 2, 3)))).mean()
    for name, query in (("degradations", "degradation == 'none'"), ("sensitivity", "index < 5")):
        own = result.tables[name].query(query + " and metric == 'PSNR'")
        assert own["value"].item() == pytest.approx(psnr, rel=1e-4)


def test_the_trace_ends_at_the_mean_over_all_cells_of_all_batches(made: Made) -> None:
    result, _, _ = made
    ((_, found),) = result.outcome.of("main", method="rls")
    last = found.trace.iloc[-1]
    objectives = [cell["objective"] for cell in found.record["cells"]]
    assert len(objectives) == 12  # three batches of at most five
    assert last["objective"] == pytest.approx(np.mean(objectives), rel=1e-5)
    residuals = [np.mean(cell["lr_residual"]) for cell in found.record["cells"]]
    assert last["lr_error"] == pytest.approx(np.mean(residuals), rel=0.05)
    assert found.trace["seconds_per_cell"].is_monotonic_increasing
    assert last["seconds_per_cell"] <= found.seconds_per_cell


def test_a_second_run_reads_every_search_and_gives_the_same_tables(
    made: Made, bundle: Bundle
) -> None:
    result, _, folder = made
    before = {path: path.stat().st_mtime_ns for path in (folder / RUNS).iterdir()}
    again, updates = finish(folder, bundle, settings_of(threads=1))
    assert {path: path.stat().st_mtime_ns for path in (folder / RUNS).iterdir()} == before
    assert again.reused == len(again.outcome.jobs)
    assert not any(update.stage == "Searching" for update in updates)
    again.tables["runs"]["threads"] = result.tables["runs"]["threads"]
    assert same(result, again)


def test_a_stopped_run_goes_on_where_it_was_and_ends_alike(bundle: Bundle, tmp_path: Path) -> None:
    settings = settings_of(methods=("unregularised", "rls-without-pw"))
    cells = cells_of(tmp_path, bundle, settings)
    stopped = benchmark(cells, bundle, settings, tmp_path / "stopped")
    for update in stopped:
        if update.label.startswith("rls-without-pw"):
            break
    stopped.close()
    kept = list((tmp_path / "stopped" / RUNS).glob("*.json"))
    assert len(kept) == 1
    *_, last = benchmark(cells, bundle, settings, tmp_path / "stopped")
    assert last.result is not None
    assert last.result.reused == 1
    whole, _ = finish(tmp_path, bundle, settings)
    pd.testing.assert_frame_equal(last.result.tables["table1"], whole.tables["table1"])


@pytest.fixture(scope="module")
def one_search(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Path]:
    """Give a search and the folder that holds its result."""
    folder = tmp_path_factory.mktemp("one")
    result, _ = finish(folder, bundle, settings_of(methods=("unregularised",)))
    (job,) = result.outcome.jobs
    assert load(job, folder / RUNS, SHAPE) is not None
    return job, folder / RUNS


@pytest.mark.parametrize(
    "record",
    [
        b"null",
        b"[]",
        b"{}",
        b'{"cells": [], "device": "cpu"}',
        b'{"cells": 3, "device": "cpu"}',
        b'{"cells": [null], "device": "cpu"}',
        b"[" * 100_000,
        b"9" * 5000,
        b"\xff\xfe",
        None,
    ],
)
def test_a_search_without_its_record_is_not_there(
    one_search: tuple[Job, Path], tmp_path: Path, record: bytes | None
) -> None:
    job, runs = one_search
    shutil.copytree(runs, tmp_path / "runs")
    path = tmp_path / "runs" / f"{job.key}.json"
    path.unlink() if record is None else path.write_bytes(record)
    assert load(job, tmp_path / "runs", SHAPE) is None


def test_no_damage_to_the_images_of_a_search_raises_or_is_read(
    one_search: tuple[Job, Path], tmp_path: Path
) -> None:
    job, runs = one_search
    shutil.copytree(runs, tmp_path / "runs")
    path = tmp_path / "runs" / f"{job.key}.npz"
    whole = path.read_bytes()
    right = load(job, runs, SHAPE)
    assert right is not None
    rng = np.random.default_rng(0)
    for k in rng.integers(0, 8 * len(whole), 200):
        changed = bytearray(whole)
        changed[k // 8] ^= 1 << k % 8
        path.write_bytes(changed)
        found = load(job, tmp_path / "runs", SHAPE)
        assert found is None or np.array_equal(found.sr, right.sr, equal_nan=True)
    for size in rng.integers(0, len(whole), 20):
        path.write_bytes(whole[:size])
        assert load(job, tmp_path / "runs", SHAPE) is None


@pytest.mark.parametrize(
    "change",
    [
        {"sr": np.zeros((12, 2, 4, 4), np.float32)},
        {"sr": np.zeros((12, 2, 32, 32), np.float64)},
        {"sr": np.array([None])},
        {"samples": np.zeros((3, 12, 2, 32, 32), np.float32)},
        {"seconds": np.array(np.nan)},
        {"seconds": np.zeros(2)},
        {"trace_step": np.array(["a", "b"])},
        {"trace_more": np.zeros(2)},
        {"bomb": np.zeros(2**25)},
    ],
)
def test_a_search_of_other_sizes_and_types_is_not_there(
    one_search: tuple[Job, Path], tmp_path: Path, change: dict[str, np.ndarray]
) -> None:
    job, runs = one_search
    shutil.copytree(runs, tmp_path / "runs")
    path = tmp_path / "runs" / f"{job.key}.npz"
    with np.load(path) as arrays:
        changed = {name: arrays[name] for name in arrays.files} | change
    np.savez_compressed(path, **changed)
    assert load(job, tmp_path / "runs", SHAPE) is None


def test_a_damaged_or_half_written_search_is_made_again(bundle: Bundle, tmp_path: Path) -> None:
    settings = settings_of(methods=("unregularised",))
    first, _ = finish(tmp_path, bundle, settings)
    (job,) = first.outcome.jobs
    images = tmp_path / RUNS / f"{job.key}.npz"
    images.write_bytes(images.read_bytes()[:200])
    again, _ = finish(tmp_path, bundle, settings)
    assert again.reused == 0
    pd.testing.assert_frame_equal(first.tables["table1"], again.tables["table1"])


def test_keys_change_with_what_changes_the_result_and_nothing_else(bundle: Bundle) -> None:
    hr = hr_cells()

    def keys(stack: CellStack = hr, **changes: object) -> list[str]:
        return [job.key for job in plan(stack, bundle, settings_of(**changes))]

    usual = keys()
    assert keys(threads=3, bootstrap=7, features=("x",)) == usual
    main = slice(0, 2)
    assert not set(keys(max_steps=1)[main]) & set(usual)
    assert not set(keys(seed=1)[main]) & set(usual)
    other = replace(hr, data=hr.data + 1)
    assert not set(keys(other)) & set(usual)
    altered = replace(bundle, generator=copy.deepcopy(bundle.generator))
    next(altered.generator.parameters()).data.add_(1e-3)
    assert not {job.key for job in plan(hr, altered, settings_of())} & set(usual)
    camera = CameraNoise(slope=(0.1, 0.1), floor=(0.0, 0.0))
    noisy = replace(bundle, manifest=bundle.manifest.model_copy(update={"camera": camera}))
    assert not {job.key for job in plan(hr, noisy, settings_of())} & set(usual)
    assert set(usual) < set(keys(methods=("rls", "pulse", "unregularised")))


def test_a_new_pix2pix_network_leaves_searches_as_they_are(bundle: Bundle) -> None:
    def keys(of: Bundle) -> dict[str, str]:
        jobs = plan(hr_cells(), of, settings_of(methods=("rls", "pix2pix")))
        return {job.settings.method: job.key for job in jobs if job.part == "main"}

    without = keys(bundle)
    added = replace(bundle, pix2pix={4: UNet(2, 32, 4, 4, 8)})
    again = replace(bundle, pix2pix={4: UNet(2, 32, 4, 4, 8)})
    assert keys(added)["rls"] == keys(again)["rls"] == without["rls"]
    assert len({of["pix2pix"] for of in (without, keys(added), keys(again))}) == 3


def test_what_lr_images_tell_counts_for_the_searches_that_are_held_to_it() -> None:
    bundle = load_bundle("bbbc013-translocation-64")
    hr = replace(hr_cells(), channels=bundle.manifest.channel_names)
    methods = ("rls", "rls-without-told", "pulse")

    def keys(of: Bundle) -> dict[str, str]:
        jobs = plan(hr, of, settings_of(methods=methods, factors=(8,)))
        return {job.settings.method: job.key for job in jobs if job.part == "main"}

    usual, spec = keys(bundle), bundle.manifest.direct
    network = copy.deepcopy(bundle.direct)
    next(network.parameters()).data.add_(1e-3)
    columns = tuple(c.model_copy(update={"shrinkage": ()}) for c in spec.columns)
    manifest = bundle.manifest.model_copy(
        update={"direct": spec.model_copy(update={"columns": columns})}
    )
    again, none = keys(replace(bundle, direct=network)), keys(replace(bundle, manifest=manifest))
    assert [method for method in methods if again[method] != usual[method]] == ["rls"]
    assert none["rls"] != usual["rls"]
    # Where nothing is told, the ablation would be the method itself.
    assert none.keys() == {"rls", "pulse"}


def test_the_usual_lambdas_are_not_searched_twice(bundle: Bundle) -> None:
    usual = Settings.model_validate({"method": "rls"})
    jobs = plan(hr_cells(), bundle, settings_of(lambda_w=(1e-6, usual.lambda_w)))
    assert [job.settings.lambda_w for job in jobs if job.part == "lambda"] == [1e-6]
    assert len({job.key for job in jobs}) == len(jobs)


def test_methods_keep_their_own_steps_up_to_the_bound(bundle: Bundle) -> None:
    methods = ("rls-paper", "pulse")
    jobs = plan(hr_cells(), bundle, settings_of(methods=methods, max_steps=150))
    steps = {job.settings.method: job.settings.steps for job in jobs if job.part == "main"}
    assert steps == {"rls-paper": 150, "pulse": Settings.model_validate({"method": "pulse"}).steps}


def test_a_method_that_cannot_run_is_reported_and_the_others_go_on(
    bundle: Bundle, tmp_path: Path
) -> None:
    result, _ = finish(tmp_path, bundle, settings_of(methods=("pix2pix", "unregularised")))
    runs = result.tables["runs"].query("part == 'main'").set_index("method")
    assert runs.loc["pix2pix", "problem"].startswith("not run: ")
    assert runs.loc["unregularised", "problem"] == ""
    assert list(result.tables["table1"]["method"].unique()) == ["LR", "unregularised"]
    assert "ablation" in result.missing
    with pytest.raises(InputError, match=r"No method could run: .*pix2pix"):
        finish(tmp_path, bundle, settings_of(methods=("pix2pix",)))


def test_methods_of_two_stages_and_of_one_step_are_compared_alike(
    bundle: Bundle, tmp_path: Path
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(2, 32, 4, 4, 8).requires_grad_(False).eval()
    able = replace(bundle, pix2pix={4: network})
    settings = settings_of(methods=("pix2pix", "rls-plus", "pulse"), subset=2)
    result, _ = finish(tmp_path, able, settings)
    assert not result.outcome.problems
    assert result.tables["table1"]["method"].nunique() == 4
    traces = result.tables["traces"].groupby("method")
    drawn, refined = traces.get_group("pix2pix"), traces.get_group("rls-plus")
    assert len(drawn) == 1
    assert list(refined["step"]) == [1, 2, 3, 4]  # two of the search, two of the refinement
    assert np.isfinite(result.tables["traces"]["lr_error"]).all()
    assert "data:image/png" in report(result)


def test_cells_without_an_image_are_left_out_and_counted(made: Made) -> None:
    outcome = made[0].outcome
    ((job, found),) = outcome.of("main", method="rls")
    images = found.sr.copy()
    images[3, 0, 0, 0] = np.nan
    rows, problem = metrics_of(Compared("main", {"method": "x"}, images, job.cells), outcome)
    assert problem == ""
    assert set(rows["n"]) == {11}
    images[:] = np.nan
    rows, problem = metrics_of(Compared("main", {"method": "x"}, images, job.cells), outcome)
    assert not len(rows)
    assert problem.startswith("No metrics of x: ")


def test_one_condition_leaves_out_what_needs_two_and_says_why(
    bundle: Bundle, tmp_path: Path
) -> None:
    stack = hr_cells()
    crops = tuple(replace(crop, condition="") for crop in stack.crops)
    settings = settings_of(methods=("unregularised",))
    result, _ = finish(tmp_path, bundle, settings, replace(stack, crops=crops))
    assert {"conditions", "table2"} <= result.missing.keys()
    assert "no known conditions; two are needed" in result.missing["conditions"]
    assert {"table1", "features", "cells"} <= result.tables.keys()


def test_a_measurement_that_is_none_is_told_before_the_searches(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    manifest = tiny_bundle.manifest.model_copy(update={"measurement": {"assay": "nope"}})
    bundle = replace(tiny_bundle, manifest=manifest)
    with pytest.raises(InputError, match="The bundle tiny suggests no measurement that can be"):
        finish(tmp_path, bundle, settings_of(methods=("unregularised",)))
    assert not (tmp_path / "runs").exists()


def test_a_bundle_without_a_measurement_is_compared_all_the_same(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    result, _ = finish(tmp_path, tiny_bundle, settings_of(methods=("unregularised",)))
    assert result.missing["cells"] == "The bundle tiny suggests no measurement of its cells."
    assert {"table1", "table2"} <= result.tables.keys()


def test_measured_features_are_held_against_the_same_cells(made: Made) -> None:
    result, _, _ = made
    cells, features = result.tables["cells"], result.tables["features"]
    column = features["measurement"].iloc[0]
    assert column == "Math_Ratio_NucleusCytoplasm_protein"
    wide = cells.pivot_table(index="Metadata_Cell", columns="Metadata_Image", values=column)
    both = wide[["rls", "GT"]].dropna()
    row = features.query("measurement == @column and method == 'rls' and per == 'cell'").iloc[0]
    assert row["n"] == len(both)
    expected = (both["rls"] - both["GT"]).abs().median()
    assert row["median_absolute_error"] == pytest.approx(expected)
    assert row["error_low"] <= expected <= row["error_high"]
    wells = features.query("per == 'well'")
    assert wells[["error_low", "error_high"]].isna().all(axis=None)


def test_pictures_show_cells_of_many_conditions() -> None:
    crops = tuple(Crop(condition=f"c{k // 10}") for k in range(40))
    stack = CellStack(np.zeros((40, 1, 8, 8), np.uint8), ("a",), crops=crops)
    shown = shown_cells(stack)
    assert shown == (0, 1, 10, 11, 20, 30)
    few = CellStack(np.zeros((2, 1, 8, 8), np.uint8), ("a",), crops=crops[:2])
    assert shown_cells(few) == (0, 1)


def test_unknown_features_are_refused_before_any_search(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no features 'x'"):
        finish(tmp_path, bundle, settings_of(features=("x",)))
    assert not (tmp_path / RUNS).exists()


def test_results_count_failures(made: Made) -> None:
    ((_, found),) = made[0].outcome.of("main", method="rls")
    assert found.failed == 0
    record = found.record | {"cells": [{"status": "failed"}, {"status": "done"}]}
    assert RunResult(found.sr, None, 1.0, found.trace, record).failed == 1


def test_a_search_that_was_broken_off_goes_on_with_its_next_batch(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(methods=("rls",), lambda_w=(), samples=0, batch_size=1)
    cells = cells_of(tmp_path, bundle, settings)
    (tmp_path / "through").mkdir()
    *_, through = benchmark(cells, bundle, settings, tmp_path / "through")
    # As a kill would: with 2 of 3 batches of the main search done, and in the middle of the third.
    work = benchmark(cells, bundle, settings, tmp_path / "stopped")
    assert 2 < next(u.done for u in work if u.done / 2 > 2) / 2 < 3
    work.close()
    (kept,) = (tmp_path / "stopped" / "runs").glob("*.unfinished")
    assert len(list(kept.glob("*.batch"))) == 2
    searched = []
    updates = Search.updates
    monkeypatch.setattr(
        Search, "updates", lambda self, kept: searched.append(kept) or updates(self, kept)
    )
    *_, stopped = benchmark(cells, bundle, settings, tmp_path / "stopped")
    assert searched[0] == {0, 1}
    assert not list((tmp_path / "stopped" / "runs").glob("*.unfinished"))
    for one, two in zip(
        through.result.outcome.of("main"), stopped.result.outcome.of("main"), strict=True
    ):
        np.testing.assert_array_equal(one[1].sr, two[1].sr)
        same = [name for name in one[1].trace if "seconds" not in name]
        pd.testing.assert_frame_equal(one[1].trace[same], two[1].trace[same])
        assert two[1].trace["seconds_per_cell"].notna().all()


def test_two_benchmarks_do_not_search_in_one_folder(tmp_path: Path, bundle: Bundle) -> None:
    settings = settings_of(methods=("rls",), lambda_w=(), samples=0)
    cells = cells_of(tmp_path, bundle, settings)
    work = benchmark(cells, bundle, settings, tmp_path / "out")
    next(u for u in work if u.done)
    with pytest.raises(InputError, match=r"Another process is making .*runs/rls-4x-\w+\.npz"):
        list(benchmark(cells, bundle, settings, tmp_path / "out"))
    work.close()
