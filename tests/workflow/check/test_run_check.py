"""A whole check on simulated cells with a bundle of random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmark_bench import hr_cells, measuring_bundle
from page_bench import Page

from napari_rls.errors import InputError, SettingsError
from napari_rls.models.bundle import Bundle
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.check.check_page import summary, write_check
from napari_rls.workflow.check.check_settings import CheckSettings
from napari_rls.workflow.check.found import compare
from napari_rls.workflow.check.run_check import (
    Checked,
    CheckUpdate,
    check,
    check_measurement,
    factors_of,
    read_check_cells,
)
from napari_rls.workflow.check.verdict import RULES

QUICK = CheckSettings(factors=(4,), max_steps=2, batch_size=8, threads=1, device="cpu")
RATIO = "Math_Ratio_NucleusCytoplasm_protein"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return measuring_bundle(tmp_path_factory.mktemp("bundle") / "tiny.rls.safetensors")


@pytest.fixture(scope="module")
def hr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hr") / "mine.ome.tif"
    write_stack(path, hr_cells(("B01", "B02")), description="HR")
    return path


def run(
    hr: Path, bundle: Bundle, out: Path, settings: CheckSettings = QUICK, **more: bool
) -> tuple[Checked, list[CheckUpdate]]:
    cells = read_check_cells([hr], bundle.manifest, settings)
    updates = list(check(cells, bundle, settings, out, **more))
    assert updates[-1].result is not None
    return updates[-1].result, updates


@pytest.fixture(scope="module")
def made(hr: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("check")
    return out, run(hr, bundle, out)[0]


def searched(updates: list[CheckUpdate]) -> int:
    return sum(
        update.search is not None and update.search.stage == "searching" for update in updates
    )


def test_images_are_kept_and_not_made_again(made, hr: Path, bundle: Bundle) -> None:
    out, first = made
    assert {path.name for path in out.iterdir() if path.is_file()} >= {
        "HR.ome.tif", "LR4x.ome.tif", "LR4x_SR4x.ome.tif", "LR4x_SR4x_samples.ome.tif",
    }  # fmt: skip
    again, updates = run(hr, bundle, out)
    assert searched(updates) == 0
    pd.testing.assert_frame_equal(again.cells, first.cells)
    # The steps are bounded, all else is as by default.
    record = read_record(out / "LR4x_SR4x.ome.tif")
    assert (record["settings"]["steps"], record["settings"]["samples"]) == (2, 5)


def test_cells_are_drawn_by_lot_and_as_many_of_each_well(hr: Path, bundle: Bundle) -> None:
    few = read_check_cells([hr], bundle.manifest, QUICK.model_copy(update={"cells": 5}))
    wells = [crop.well for crop in few.hr.crops]
    assert (len(few.hr), few.pool) == (5, 8)
    assert sorted(wells.count(well) for well in ("B01", "B02")) == [2, 3]
    other = QUICK.model_copy(update={"cells": 5, "seed": 1})
    assert read_check_cells([hr], bundle.manifest, other).hr.crops != few.hr.crops


def test_a_check_of_other_cells_is_not_replaced_unasked(
    made, hr: Path, bundle: Bundle, tmp_path: Path
) -> None:
    out, _ = made
    fewer = QUICK.model_copy(update={"cells": 3})
    before = (out / "HR.ome.tif").read_bytes()
    with pytest.raises(InputError, match=r"HR\.ome\.tif is of a check of other images or settings"):
        run(hr, bundle, out, fewer)
    assert (out / "HR.ome.tif").read_bytes() == before
    run(hr, bundle, tmp_path)
    again, updates = run(hr, bundle, tmp_path, fewer, overwrite=True)
    assert searched(updates)
    assert len(read_stack(again.files[4])) == 3


def test_numbers_are_those_of_the_table(made) -> None:
    _, result = made
    found, verdict = result.found[0]
    assert found.column == RATIO
    assert verdict.level == "too few"
    table = result.of(4)
    sr, gt = (
        table[table["Metadata_Image"] == kind].set_index("Metadata_Cell") for kind in ("SR", "GT")
    )
    truth = gt[RATIO].reindex(sr.index)
    usable = np.isfinite(sr[RATIO]) & np.isfinite(sr[f"{RATIO}_q50"]) & np.isfinite(truth)
    sr, truth = sr[usable], truth[usable]
    assert (found.cells, found.of) == (len(sr), 8)
    if len(sr) > 2:
        assert found.r_sr == pytest.approx(np.corrcoef(sr[RATIO], truth)[0, 1])
        assert found.r == pytest.approx(np.corrcoef(sr[f"{RATIO}_q50"], truth)[0, 1])
        inside = (sr[f"{RATIO}_q05"] <= truth) & (truth <= sr[f"{RATIO}_q95"])
        assert found.held == pytest.approx(inside.mean())
        assert found.bias == pytest.approx((sr[f"{RATIO}_q50"] - truth).mean())


def test_perfect_measurements_are_told_as_such() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(2, 1, 60)
    rows = [
        {
            "Metadata_Image": kind, "Metadata_Cell": f"c{k}", "Metadata_Well": "AB"[k % 2],
            "Metadata_Condition": "", "Value": value,
            "Value_q05": value - 0.5, "Value_q50": value + 0.1, "Value_q95": value + 0.5,
            "Metadata_Interval": "5 samples", "Quality_PoorFit": k < 6,
            "Quality_OutOfDomain": False,
        }
        for kind in ("LR", "SR", "GT")
        for k, value in enumerate(truth if kind != "LR" else np.full(60, 2.0))
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    found = compare(table, 8, "Value", judged=True)
    assert (found.cells, found.held, found.poor_fit) == (60, 1.0, 0.1)
    assert found.r == pytest.approx(1)
    assert found.r_sr == pytest.approx(1)
    assert found.r_within == pytest.approx(1)
    # Where no well is known, conditions count.
    named = table.assign(Metadata_Condition=table["Metadata_Well"], Metadata_Well="")
    assert compare(named, 8, "Value", judged=True).r_within == pytest.approx(1)
    assert np.isnan(compare(table.assign(Metadata_Well="A"), 8, "Value", judged=True).r_within)
    apart = table.assign(Value_q50=np.where(table["Metadata_Well"] == "A", 5.0, 1.0))
    assert np.isnan(compare(apart, 8, "Value", judged=True).r_within)
    assert np.isnan(found.r_lr)
    assert found.bias == pytest.approx(0.1)
    assert found.bias_reach == pytest.approx(0)
    assert found.width == pytest.approx(1)
    assert np.isnan(compare(table, 8, "Value", judged=False).poor_fit)
    none = compare(table.assign(Value_q05=np.nan), 8, "Value", judged=True)
    assert (none.cells, none.of) == (0, 60)


def test_the_page_holds_all_of_it(made, tmp_path: Path) -> None:
    _, result = made
    paths = write_check(tmp_path, result)
    assert [path.name for path in paths] == ["check.csv", "cells.csv", "check.html"]
    text = (tmp_path / "check.html").read_text("utf-8")
    page = Page(text)
    assert len(page.images()) == len(result.found) + 1
    assert all(image.startswith("data:image/png;base64,") for image in page.images())
    said = "".join(page.text)
    for words in (
        "Too few cells to say",
        *RULES.values(),
        "A trial run",
        "napari-rls bundles calibrate",
        str(result.files[4]),
        RATIO,
    ):
        assert words in said
    table = pd.read_csv(tmp_path / "check.csv")
    assert list(table["verdict"]) == ["too few cells to say"] * len(table)
    assert list(table.columns) == list(summary(result).columns)
    assert set(pd.read_csv(tmp_path / "cells.csv")["Metadata_Image"]) == {"LR", "SR", "GT"}


def test_what_cannot_be_checked_is_told(hr: Path, bundle: Bundle, tmp_path: Path) -> None:
    manifest = bundle.manifest
    with pytest.raises(InputError, match=r"mine.ome.tif is given twice"):
        read_check_cells([hr, hr], manifest, QUICK)
    with pytest.raises(InputError, match=r"The factor 5 does not bring LR crops to the 32 pixels"):
        factors_of(bundle, QUICK.model_copy(update={"factors": (5,)}))
    with pytest.raises(SettingsError, match="Say what to measure: --assay"):
        check_measurement(manifest.model_copy(update={"measurement": {}}), "")
    with pytest.raises(SettingsError, match="There is no assay 'golgy'"):
        check_measurement(manifest, "golgy")
    assert check_measurement(manifest, "spots").assay == "spots"
    small = tmp_path / "small.ome.tif"
    write_stack(small, CellStack(np.ones((2, 2, 8, 8), np.uint8), ("a", "b")), description="")
    with pytest.raises(InputError, match="HR cells of the bundle tiny have 32 x 32"):
        read_check_cells([small], manifest, QUICK)


def test_pixels_of_another_size_are_told(hr: Path, bundle: Bundle, tmp_path: Path) -> None:
    def told(size: float | None, own: float | None = 0.5) -> str:
        own_file = tmp_path / "own.ome.tif"
        write_stack(own_file, replace(read_stack(hr), pixel_size_um=size), description="")
        manifest = bundle.manifest.model_copy(update={"pixel_size_um": own})
        return " ".join(read_check_cells([own_file], manifest, QUICK).told)

    assert "pixels are 0.9 µm wide, and those of the bundle tiny at 1x 0.5 µm" in told(0.9)
    assert "µm" not in told(0.5)
    assert "compared" not in told(0.5)
    assert "the images do not tell the size of a pixel" in told(None)
    assert "the bundle tiny does not tell the size of a pixel" in told(0.5, None)


def test_factors_are_those_of_the_bundle(bundle: Bundle) -> None:
    every = CheckSettings()
    own = tuple(sorted(bundle.encoders))
    assert factors_of(bundle, every) == (own or (2, 4, 8))
    assert factors_of(replace(bundle, encoders={}), every) == (2, 4, 8)
