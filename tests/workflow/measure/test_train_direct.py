"""``napari-rls train-direct``: HR images and a bundle in, the bundle with a network out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark_bench import WELLS, hr_cells, measuring_bundle
from network_line import out, run
from safetensors.torch import load_file

from napari_rls.measure.intervals import fit_widening
from napari_rls.models.bundle import load_bundle
from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.direct_spec import LEVELS
from napari_rls.training.fit_direct import told_of
from napari_rls.workflow.benchmark.measures import measurement_of
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.trust_levels import measured

LINE = (
    "--factor-low 4 --factor-high 8 --width 4 --steps 4 --batch-size 4 --report-steps 2 "
    "--threads 1 --device cpu"
)
RATIO = "Math_Log2Ratio_NucleusCytoplasm_protein"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    measuring_bundle(out(tmp_path, "known"))
    write_stack(tmp_path / "own.ome.tif", hr_cells(), description="HR")
    write_stack(tmp_path / "apart.ome.tif", hr_cells(WELLS * 2, seed=3), description="HR")
    return out(tmp_path, "known")


def direct(folder: Path, *args: object, code: int = 0) -> str:
    given = (folder / "own.ome.tif", "--validation", folder / "apart.ome.tif", *LINE.split())
    done = run(*given, *args, name="train-direct", code=code)
    return " ".join(done.stderr.split())


def test_from_crops_to_a_bundle_with_a_network(tmp_path: Path, known: Path) -> None:
    told = direct(tmp_path, "--bundle", known, "--out", out(tmp_path), "--data", "few cells")
    assert "Measuring 48 crops." in told
    assert "Mean absolute error on 32 held-out crops, in standard deviations" in told
    before, after = load_file(known), load_file(out(tmp_path))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name.split(".")[0] for name in after.keys() - before.keys()} == {"direct"}
    manifests = [read_manifest(path).model_dump() for path in (known, out(tmp_path))]
    changed = {k for k in manifests[0] if manifests[0][k] != manifests[1][k]}
    assert changed == {"format_version", "direct", "content_hash"}
    told = " ".join(run(out(tmp_path), name="bundles info").stdout.split())
    assert "Direct measurements 4x, 8x: " in told
    assert "4 steps on 16 crops of few cells, intervals widened on 32 held-out crops of 1" in told


def test_intervals_hold_on_the_held_out_crops(tmp_path: Path, known: Path) -> None:
    direct(tmp_path, "--bundle", known, "--out", out(tmp_path))
    bundle = load_bundle(out(tmp_path))
    spec = bundle.manifest.direct
    both = (hr_cells(WELLS * 2, seed=3), hr_cells())
    held_out, own = (replace(s, channels=bundle.manifest.channel_names) for s in both)
    settings = measurement_of(bundle.manifest)
    truth, seen = (measured(s.data, s, settings)[RATIO] for s in (held_out, own))
    k = [column.column for column in spec.columns].index(RATIO)
    column = spec.columns[k]
    assert column.centre == pytest.approx(np.nanmean(seen))
    assert column.scale == pytest.approx(np.nanstd(seen))
    images = torch.from_numpy(held_out.data.astype(np.float32)) / 127.5 - 1
    for factor, widening in zip(spec.factors, column.widening, strict=True):
        told = told_of(bundle.direct, images, factor)[:, k].double().numpy().T
        low, high = (column.centre + column.scale * told[[0, -1]]).astype(float)
        assert fit_widening(low, high, truth, 0.9) == pytest.approx(widening, abs=2e-3)


def test_the_bundle_knows_how_what_is_told_follows_the_truth(tmp_path: Path) -> None:
    measuring_bundle(out(tmp_path, "known"))
    write_stack(tmp_path / "own.ome.tif", hr_cells(), description="HR")
    write_stack(tmp_path / "apart.ome.tif", hr_cells(WELLS * 4, seed=3), description="HR")
    direct(tmp_path, "--bundle", out(tmp_path, "known"), "--out", out(tmp_path))
    bundle = load_bundle(out(tmp_path))
    spec, settings = bundle.manifest.direct, measurement_of(bundle.manifest)
    held_out = replace(hr_cells(WELLS * 4, seed=3), channels=bundle.manifest.channel_names)
    truth = measured(held_out.data, held_out, settings)[RATIO]
    k = [column.column for column in spec.columns].index(RATIO)
    images = torch.from_numpy(held_out.data.astype(np.float32)) / 127.5 - 1
    for factor, line in zip(spec.factors, spec.columns[k].shrinkage, strict=True):
        median = told_of(bundle.direct, images, factor)[:, k, LEVELS.index(0.5)].numpy()
        told = spec.columns[k].centre + spec.columns[k].scale * median
        known = np.isfinite(truth)
        assert line.slope == pytest.approx(
            np.cov(truth[known], told[known])[0, 1] / truth[known].var(ddof=1), abs=2e-3
        )
        assert told[known].mean() == pytest.approx(
            line.offset + line.slope * truth[known].mean(), abs=2e-3
        )


def test_trust_in_searches_that_were_held_to_the_old_network_is_left_out(
    tmp_path: Path, known: Path
) -> None:
    trusted = load_bundle("bbbc013-translocation-64").manifest.trust
    held, free = (
        one.model_copy(update={"factor": factor, "settings": {**one.settings, "lambda_m": weight}})
        for one, factor, weight in zip(trusted, (4, 8), (0.05, 0.0), strict=True)
    )
    bundle = load_bundle(known)
    manifest = bundle.manifest.model_copy(update={"trust": (held, free)})
    replace(bundle, manifest=manifest).save(out(tmp_path, "trusted"))
    told = direct(tmp_path, "--bundle", out(tmp_path, "trusted"), "--out", out(tmp_path))
    assert "What the bundle knew of held-out cells at 4x was of its old network" in told
    assert [trust.factor for trust in read_manifest(out(tmp_path)).trust] == [8]


def test_few_crops_do_not_say_how_it_follows(tmp_path: Path, known: Path) -> None:
    direct(tmp_path, "--bundle", known, "--out", out(tmp_path))
    spec = read_manifest(out(tmp_path)).direct
    assert all(column.shrinkage == (None, None) for column in spec.columns)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--factor-low", 64, "--factor-high", 64),
            "No factor from 64 to 64 divides the 32 pixels",
        ),
        (("--factor-low", 16), "factor_low must not be greater than factor_high"),
    ],
)
def test_what_cannot_be_trained_is_told(
    tmp_path: Path, known: Path, options: tuple[object, ...], sentence: str
) -> None:
    done = run(
        tmp_path / "own.ome.tif", *LINE.split(), *options, "--bundle", known, "--out",
        out(tmp_path), name="train-direct", code=2,
    )  # fmt: skip
    assert sentence in " ".join(done.stderr.split())


def test_a_bundle_without_a_measurement_is_told(tmp_path: Path, tiny_bundle_file: Path) -> None:
    write_stack(tmp_path / "own.ome.tif", hr_cells(), description="HR")
    write_stack(tmp_path / "apart.ome.tif", hr_cells(seed=3), description="HR")
    told = direct(tmp_path, "--bundle", tiny_bundle_file, "--out", out(tmp_path), code=2)
    assert "The bundle tiny suggests no measurement that can be made; calibrate it" in told
