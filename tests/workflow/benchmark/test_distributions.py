"""What methods tell beside a value: scores, intervals, and what tells them without any image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from benchmark_bench import finish, hr_cells, measuring_bundle, settings_of

from napari_rls.evaluation.distributions import crps_of_quantiles, crps_of_samples
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.cross_fit import FOLDS, folds_of
from napari_rls.measure.intervals import interval, moments
from napari_rls.models.bundle import Bundle
from napari_rls.models.direct import build_direct
from napari_rls.models.direct_spec import DirectColumn, DirectSpec
from napari_rls.models.manifest import Intensity
from napari_rls.workflow.benchmark.plan import plan
from napari_rls.workflow.benchmark.report import report
from napari_rls.workflow.benchmark.run_benchmark import Benchmark
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.groups import groups_of
from napari_rls.workflow.measure.trust_levels import measured

RATIO = "Math_Ratio_NucleusCytoplasm_protein"
MANY = tuple(f"{row}0{k}" for row in "BD" for k in range(1, 8))


def telling(bundle: Bundle, factors: tuple[int, ...] = (4, 8)) -> Bundle:
    """Return a bundle with an untrained network that tells the ratio."""
    settings = MeasureSettings.model_validate(bundle.manifest.measurement)
    spec = DirectSpec(
        factors=factors, width=2, measurement=settings.stored(),
        columns=(DirectColumn(column=RATIO, centre=1.5, scale=0.5, widening=(2.0, None)),),
        images=1, validation=1, files=1, steps=1, batch_size=1, seed=0, data="none",
    )  # fmt: skip
    manifest = bundle.manifest.model_copy(update={"direct": spec})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_direct(manifest)
    return replace(bundle, manifest=manifest, direct=network.requires_grad_(False).eval())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return measuring_bundle(tmp_path_factory.mktemp("bundle") / "tiny.rls.safetensors")


@pytest.fixture(scope="module")
def made(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    folder = tmp_path_factory.mktemp("benchmark")
    settings = settings_of(methods=("rls", "flow", "direct"), samples=3, lambda_w=(), cells=4)
    return finish(folder, telling(bundle), settings, hr_cells(MANY))[0]


def row(made: Benchmark, method: str, table: str = "distributions") -> pd.Series:
    rows = made.tables[table]
    return rows[(rows["measurement"] == RATIO) & (rows["method"] == method)].iloc[0]


def test_samples_are_drawn_of_all_cells_by_the_search_itself(bundle: Bundle) -> None:
    settings = settings_of(methods=("rls", "flow", "pulse", "direct"), factors=(4, 8), samples=2)
    jobs = plan(hr_cells(), bundle, settings)
    sampled = [job for job in jobs if job.part == "samples"]
    assert [(job.settings.method, job.settings.factor) for job in sampled] == [
        ("rls", 4), ("flow", 4), ("rls", 8), ("flow", 8),
    ]  # fmt: skip
    assert {len(job.cells) for job in sampled} == {len(hr_cells())}
    assert {job.settings.posterior for job in sampled} == {"bound", "flow"}
    assert "direct" not in {job.settings.method for job in jobs}
    assert {job.settings.method for job in jobs if job.part == "degraded"} == {
        "rls", "flow", "pulse",
    }  # fmt: skip
    assert not [j for j in plan(hr_cells(), bundle, settings_of(samples=0)) if j.part == "samples"]


def test_samples_are_scored(made: Benchmark) -> None:
    ((job, found),) = made.outcome.of("samples")
    assert (job.settings.method, job.settings.posterior) == ("rls", "bound")
    settings = MeasureSettings.model_validate(made.outcome.manifest.measurement)
    hr = made.outcome.cells.hr
    truth = measured(hr.data, hr, settings)[RATIO]
    draws = np.stack([measured(s, hr, settings)[RATIO] for s in found.samples])
    score = crps_of_samples(draws, truth)
    got = made.tables["distributions"].query("method == 'rls' and measurement == @RATIO")
    value, samples = (one for _, one in got.iterrows())
    assert (value["of"], samples["of"]) == ("1 value", "3 samples")
    assert samples["crps"] == pytest.approx(np.nanmean(score))
    assert samples["n"] == np.isfinite(score).sum()
    low, high = interval(draws, 0.9)
    known = np.isfinite(low + truth)
    inside = ((low <= truth) & (truth <= high))[known]
    assert samples["coverage"] == pytest.approx(inside.mean())
    assert samples["width"] == pytest.approx((high - low)[known].mean())
    assert np.isfinite(samples["fitted_coverage"])
    error = np.abs(moments(draws)[0] - truth)
    assert samples["error"] == pytest.approx(np.nanmedian(error))
    # A value alone has the score of its error, and no interval.
    wide = made.tables["cells"].pivot_table(
        index="Metadata_Cell", columns="Metadata_Image", values=RATIO
    )
    assert value["crps"] == pytest.approx((wide["rls"] - wide["GT"]).abs().mean())
    assert np.isnan(value["coverage"])


def test_what_is_told_without_an_image_is_compared(made: Benchmark, bundle: Bundle) -> None:
    hr = made.outcome.cells.hr
    lr = torch.from_numpy(degrade(hr.data, 4) / 127.5 - 1)
    told = 1.5 + 0.5 * telling(bundle).direct.turned(lr, 4)[:, 0].double().numpy().T
    own = made.tables["cells"].query("Metadata_Image == 'direct'")
    np.testing.assert_allclose(own[RATIO], told[5], rtol=1e-5)
    assert own.drop(columns=RATIO).filter(regex="^(Nuclei|Cyto|Math|Quality)").isna().all(axis=None)
    truth = made.tables["cells"].query("Metadata_Image == 'GT'")[RATIO].to_numpy()
    got = row(made, "direct")
    tenths = [k for k in range(11) if k != 5]
    middles = (np.arange(10) + 0.5) / 10
    score = crps_of_quantiles(told[tenths], middles, truth)
    assert got["crps"] == pytest.approx(np.nanmean(score), rel=1e-5)
    known = np.isfinite(truth)
    assert got["width"] == pytest.approx((told[-1] - told[0] + 4)[known].mean(), rel=1e-5)
    # Untrained, but with a width that is fitted on other wells.
    assert got["fitted_coverage"] == pytest.approx(0.9, abs=0.1)
    assert row(made, "direct", "features")["n"] == known.sum()
    assert "direct" in set(made.tables["conditions"]["method"])


def test_the_report_says_that_there_is_no_image_and_why_flow_is_left_out(made: Benchmark) -> None:
    page = report(made)
    assert "no image: it tells measurements alone" in page
    assert "What methods know of what they do not know" in page
    runs = made.tables["runs"].set_index(["part", "method"])["problem"]
    assert runs["main", "direct"] == ""
    assert "drawn by flow matching, of which the bundle tiny has none" in runs["main", "flow"]
    assert any("of which the bundle tiny has none" in text for text in made.outcome.sentences)


@pytest.mark.parametrize(
    ("change", "settings", "sentence"),
    [
        ("none", {}, "has no network that tells measurements directly; add one by 'napari-rls"),
        ("factor", {}, "knows 8x, 16x, not 4x."),
        ("", {"operator": "optics"}, "knows LR images of the operator bicubic, not of optics."),
        ("measurement", {}, "tells a measurement of other settings"),
        ("intensity", {}, "knows images in the unit of the bundle tiny alone"),
    ],
)
def test_why_nothing_is_told_is_told(
    bundle: Bundle, tmp_path: Path, change: str, settings: dict[str, object], sentence: str
) -> None:
    able = telling(bundle, (8, 16) if change == "factor" else (4, 8))
    if change == "none":
        able = bundle
    if change == "measurement":
        other = bundle.manifest.measurement | {"saturation": 255.0}
        manifest = able.manifest.model_copy(update={"measurement": other})
        able = replace(able, manifest=manifest)
    if change == "intensity":
        other_unit = Intensity(low=0, high=65535)
        manifest = able.manifest.model_copy(update={"intensity": other_unit})
        able = replace(able, manifest=manifest)
    given = settings_of(methods=("unregularised", "direct"), samples=0, **settings)
    made, _ = finish(tmp_path, able, given)
    runs = made.tables["runs"].query("part == 'main'").set_index("method")
    assert sentence in runs.loc["direct", "problem"]
    assert sentence in " ".join(made.outcome.sentences)
    assert "direct" not in set(made.tables["cells"]["Metadata_Image"])
    assert sentence.replace("'", "&#39;") in report(made)


def test_intervals_are_fitted_on_other_wells(made: Benchmark) -> None:
    hr = made.outcome.cells.hr
    folds = folds_of(groups_of(hr)[0], 0)
    wells = {crop.well for crop in hr.crops}
    assert len(wells) == len(MANY)
    assert len(set(folds)) == FOLDS
    for well in wells:
        own = [crop.well == well for crop in hr.crops]
        assert len(set(folds[own])) == 1
