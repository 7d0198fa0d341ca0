"""``napari-rls measure``: files in, a table out, and sentences."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_job import full_disk
from typer.testing import CliRunner, Result

from napari_rls.cli import measure as command
from napari_rls.cli.main import app
from napari_rls.errors import InputError, SettingsError
from napari_rls.measure.cells import MeasureSettings, measure_cell
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.measure.spots import SpotSettings
from napari_rls.measure.translocation import TranslocationSettings
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.image_files import read_images
from napari_rls.workflow.measure.measure_settings import measure_settings
from napari_rls.workflow.measure.table_files import read_table

RATIO = "Math_Ratio_NucleusCytoplasm_FKHRGFP"


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["measure", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def cells() -> CellStack:
    return simulate(SimulateSettings(assay="translocation", cells=4, seed=1)).hr


@pytest.fixture
def hr(tmp_path: Path, cells: CellStack) -> Path:
    write_stack(tmp_path / "cells_HR.ome.tif", cells, description="HR")
    return tmp_path / "cells_HR.ome.tif"


@pytest.fixture
def lr(tmp_path: Path, cells: CellStack) -> Path:
    path = tmp_path / "cells_LR8x.ome.tif"
    small = degrade_stack(cells, DegradeSettings(factor=8))
    write_stack(path, small, description="LR", record={"degrade": {"factor": 8}})
    return path


@pytest.fixture
def sr(tmp_path: Path, cells: CellStack) -> Path:
    path = tmp_path / "cells_LR8x_SR8x.ome.tif"
    write_stack(path, cells, description="SR", record={"generated": True})
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet", "h5ad"])
def test_a_table_of_three_kinds(
    tmp_path: Path, cells: CellStack, hr: Path, lr: Path, sr: Path, ending: str
) -> None:
    out = tmp_path / f"table.{ending}"
    result = run(sr, lr, "--gt", hr, "--assay", "translocation", "--out", out)
    written = [out, out.with_suffix(".json")] if ending == "csv" else [out]
    assert result.stdout.split() == [str(path) for path in written]
    table, record = read_table(out)
    assert table["Metadata_Image"].tolist() == ["LR"] * 4 + ["SR"] * 4 + ["GT"] * 4
    expected = [
        measure_cell(image, 0, 1, MeasureSettings(assay="translocation")).values
        for image in cells.data
    ]
    ratios = [values["Math_Ratio_NucleusCytoplasm_Signal"] for values in expected]
    for kind in ("SR", "GT"):
        np.testing.assert_allclose(table.loc[table["Metadata_Image"] == kind, RATIO], ratios)
    assert [entry["kind"] for entry in record["images"]] == ["LR", "SR", "GT"]
    assert record["generated"] is True


def test_super_resolved_files_come_with_their_samples(
    tmp_path: Path, tiny_bundle_file: Path
) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 250, (2, 2, 8, 8), dtype=np.uint8)
    write_stack(tmp_path / "lr.ome.tif", CellStack(data, ("nucleus", "protein")), description="LR")
    search = ("--bundle", tiny_bundle_file, "--steps", "3", "--samples", "3")
    args = ["super-resolve", tmp_path / "lr.ome.tif", "--out", tmp_path / "sr", *search]
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "sr").glob("*.ome.tif"))
    assert len(files) == 2  # SR and samples: the latter go with the former
    out = tmp_path / "table.csv"
    run(*files, "--assay", "translocation", "--nucleus-min-area", 1, "--reach", 50, "--out", out)
    table, record = read_table(out)
    assert table["Metadata_Image"].tolist() == ["SR", "SR"]
    assert all(text.startswith("3 samples") for text in table["Metadata_Interval"])
    assert np.isfinite(table["Nuclei_AreaShape_Area_sd"]).any()
    assert np.isfinite(table[["Quality_LRResidual", "Quality_LogDensity"]]).all(axis=None)
    assert record["images"][0]["samples"] == 3
    assert record["images"][0]["run"]["settings"]["steps"] == 3


def test_an_interrupted_run_is_measured_flagged_and_said(tmp_path: Path, cells: CellStack) -> None:
    status = ["done", "done", "searching", "waiting"]
    record = {"generated": True, "complete": False, "cells": [{"status": s} for s in status]}
    sr, out = tmp_path / "a_SR8x.ome.tif", tmp_path / "table.csv"
    write_stack(sr, cells, description="SR", record=record)
    result = run(sr, "--assay", "translocation", "--out", out)
    sentence = (
        "The run that made the SR images of a_SR8x.ome.tif was interrupted: 2 of 4 cells are not "
        "finished (flag Unfinished); finish it and measure again."
    )
    assert sentence in result.stderr.splitlines()
    table, written = read_table(out)
    assert table["Quality_Flags"].tolist() == ["", "", "Unfinished", "Unfinished"]
    assert written["warnings"] == [sentence]


def test_kinds_are_seen_or_said(hr: Path, lr: Path, sr: Path, tmp_path: Path) -> None:
    def kinds(*files: Path, **options: Any) -> list[list[str]]:
        return [[s.kind for s in group] for group in read_images(files, **options)]

    assert kinds(hr, sr, lr) == [["LR", "SR", "HR"]]
    assert kinds(sr, gt=[hr], lr=[lr]) == [["LR", "SR", "GT"]]
    assert kinds(lr) == [["LR"]]
    assert kinds(hr) == [["HR"]]
    assert kinds(sr, kind="GT") == [["GT"]]
    write_stack(tmp_path / "unsaid.ome.tif", read_stack(lr), description="")
    assert kinds(tmp_path / "unsaid.ome.tif", hr) == [["LR", "HR"]]
    assert kinds(hr, sr, hr, sr) == [["SR", "HR"], ["SR", "HR"]]
    message = (
        "The files are 1 SR, 2 HR; give as many of each kind, in the same order, or say with "
        "--kind what they are."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        kinds(hr, sr, hr)
    with pytest.raises(InputError, match=r"^There are no images to measure; give SR, HR or LR"):
        kinds()


def test_several_files_make_one_table(tmp_path: Path, cells: CellStack) -> None:
    bare = CellStack(cells.data, cells.channels)
    for name in ("B03", "B04"):
        write_stack(tmp_path / f"{name}_HR.ome.tif", bare, description="")
    (tmp_path / "map.csv").write_text("well,condition,dose\nB3,control,0\nB5,x,1\n")
    files = [tmp_path / f"{name}_HR.ome.tif" for name in ("B03", "B04")]
    out = tmp_path / "table.csv"
    plate = ("--plate-map", tmp_path / "map.csv")
    result = run(*files, "--assay", "translocation", "--out", out, *plate)
    assert "map.csv does not tell the condition of B04; it is left empty." in result.stderr
    table, record = read_table(out)
    assert table["Metadata_Cell"].tolist() == [f"B0{w}#{k}" for w in (3, 4) for k in range(4)]
    assert table["Metadata_Condition"].tolist() == ["control"] * 4 + [""] * 4
    np.testing.assert_array_equal(table["Metadata_Dose"], [0] * 4 + [np.nan] * 4)
    assert len(record["images"]) == 2


def test_a_bundle_that_suggests_nothing_is_not_named(tmp_path: Path, cells: CellStack) -> None:
    path = tmp_path / "cells_SR8x.ome.tif"
    record = {"generated": True, "bundle": {"name": "mine", "measurement": {}}}
    write_stack(path, cells, description="SR", record=record)
    result = run(path, "--out", tmp_path / "table.csv", code=2)
    assert result.stderr == "Say what to measure: --assay translocation or --assay spots.\n"


def test_a_table_never_replaces_its_plate_map(tmp_path: Path, hr: Path) -> None:
    plate = tmp_path / "plate.csv"
    plate.write_text("well,condition\nB3,control\n")
    options = ("--assay", "translocation", "--plate-map", plate, "--overwrite")
    result = run(hr, *options, "--out", plate, code=2)
    assert "plate.csv is what the output is made of, and would be lost" in result.stderr
    assert plate.read_text() == "well,condition\nB3,control\n"


@pytest.mark.parametrize("option", ["--lr", "--gt"])
def test_generated_images_are_no_truth(tmp_path: Path, hr: Path, sr: Path, option: str) -> None:
    options = ("--assay", "translocation", "--out", tmp_path / "table.csv")
    result = run(hr, option, sr, *options, code=1)
    assert result.stderr == (
        f"{sr.name} holds SR images, which are generated: neither LR nor the truth; give it "
        "without --lr or --gt.\n"
    )


def test_images_of_full_size_are_lr_only_if_told_so(tmp_path: Path, hr: Path, sr: Path) -> None:
    options = (sr, "--lr", hr, "--assay", "translocation", "--out", tmp_path / "table.csv")
    result = run(*options, code=1)
    assert result.stderr == (
        f"{hr.name} holds images as large as those of {sr.name}, 64 x 64 pixels, and cannot be "
        "their LR images; give those, or the factor 1 if they are upsampled already.\n"
    )
    run(*options, "--factor", 1)
    table, _ = read_table(tmp_path / "table.csv")
    assert table["Metadata_Image"].tolist() == ["LR"] * 4 + ["SR"] * 4


def test_lr_alone_with_a_factor(tmp_path: Path, lr: Path) -> None:
    out = tmp_path / "table.csv"
    result = run(lr, "--assay", "translocation", "--out", out, code=1)
    assert "give the factor, or SR or HR images too." in result.stderr
    run(lr, "--assay", "translocation", "--out", out, "--factor", 8)
    assert read_table(out)[0]["Metadata_PixelSize_um"].unique() == [1.0]


def test_options_and_a_file_set_what_is_measured(tmp_path: Path, hr: Path) -> None:
    out = tmp_path / "one.csv"
    run(hr, "--assay", "translocation", "--out", out, "--width", 5, "--nucleus-classes", 3)
    record = read_table(out)[1]
    expected = TranslocationSettings(width=5, nucleus=NucleusSettings(classes=3))
    assert MeasureSettings(**record["settings"]).translocation == expected
    (tmp_path / "settings.json").write_text(json.dumps(record["settings"]))
    again = ("--settings", tmp_path / "settings.json", "--out", tmp_path / "two.csv")
    run(hr, *again, "--gap", 2, "--dna", "FKHR-GFP", "--signal", "DNA", "--saturation", 200)
    settings = MeasureSettings(**read_table(tmp_path / "two.csv")[1]["settings"])
    assert settings.translocation == expected.model_copy(update={"gap": 2.0})
    assert (settings.dna, settings.signal, settings.saturation) == ("FKHR-GFP", "DNA", 200)


def test_settings_of_nuclei_are_those_of_the_assay_where_not_given() -> None:
    settings = measure_settings("spots", None, {"nucleus_min_area": 99, "min_area": 7})
    nucleus = SpotSettings().nucleus.model_copy(update={"min_area": 99})
    assert settings.spots == SpotSettings(nucleus=nucleus, min_area=7)
    assert settings.translocation == TranslocationSettings()


def test_every_setting_has_an_option() -> None:
    text = CliRunner().invoke(app, ["measure", "--help"], env={"COLUMNS": "300"}).output
    names = {"dna", "signal", "saturation", "camera-offset"}
    names |= {f"nucleus-{name}" for name in NucleusSettings.model_fields}
    names |= (TranslocationSettings.model_fields.keys() | SpotSettings.model_fields) - {"nucleus"}
    for name in names:
        assert f"--{name.replace('_', '-')} " in text
    assert "default 1.0 for translocation, 2.0 for spots" in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Say what to measure: --assay translocation or --assay spots."),
        (["--assay", "spots", "--gap", "1"], "--gap is no setting of the assay spots; leave it"),
        (
            ["--assay", "translocation", "--width", "-1"],
            "Wrong setting: translocation.width must be above 0.0.",
        ),
        (
            ["--assay", "spots", "--settings", "none.json"],
            "Cannot read the settings file none.json",
        ),
        (["--assay", "spots", "--plate-map", "none.csv"], "There is no plate map none.csv."),
        (["--assay", "spots", "--out", "table.txt"], "The table table.txt must be a file that"),
    ],
)
def test_wrong_usage(tmp_path: Path, hr: Path, args: list[str], message: str) -> None:
    result = run(hr, "--out", tmp_path / "table.csv", *args, code=2)
    assert message in result.stderr
    assert not (tmp_path / "table.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "is not a settings file (no JSON object)."),
        ("{", "is not a settings file: it is not valid JSON"),
        ('{"spots": {"gap": 1}}', "Wrong setting: spots.gap is not known; leave it out."),
        ('{"spots": 3}', "Wrong setting: spots must be names with values"),
        ('{"width": 3}', "Wrong setting: width is not known; leave it out."),
    ],
)
def test_wrong_settings_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(message)):
        measure_settings("spots", path, {"min_area": 3})


def test_tables_are_not_overwritten_unasked(tmp_path: Path, hr: Path) -> None:
    out = tmp_path / "table.csv"
    (tmp_path / "table.json").write_text("mine")
    args = (hr, "--assay", "translocation", "--out", out)
    result = run(*args, code=2)
    assert "table.json exists already; give --overwrite to replace it." in result.stderr
    assert (tmp_path / "table.json").read_text() == "mine"
    run(*args, "--overwrite")
    assert len(read_table(out)[0]) == 4


@pytest.mark.parametrize("ending", ["csv", "parquet", "h5ad"])
def test_a_full_disk_is_told(tmp_path: Path, hr: Path, ending: str) -> None:
    out = tmp_path / f"table.{ending}"
    with full_disk(100):
        result = run(hr, "--assay", "translocation", "--out", out, code=1)
    assert "table" in result.stderr
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("*table*"))


@pytest.mark.parametrize("name", ["none.tif", "broken.tif"])
def test_images_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.tif").write_bytes(b"II*\x00nonsense")
    out = tmp_path / "table.csv"
    result = run(tmp_path / name, "--assay", "spots", "--out", out, code=1)
    assert name in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_a_kill_write_nothing(
    tmp_path: Path, hr: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    whole = command.measure_table

    def interrupted(*args: Any, **options: Any) -> Iterator[Any]:
        for update in whole(*args, **options):
            yield update
            if update.done == 2:
                signal.raise_signal(number)

    monkeypatch.setattr(command, "measure_table", interrupted)
    out = tmp_path / "table.csv"
    before = sorted(tmp_path.iterdir())
    result = run(hr, "--assay", "translocation", "--out", out, code=code)
    assert result.stderr.splitlines()[-1] == "Stopped."
    assert sorted(tmp_path.iterdir()) == before


def test_the_csv_opens_anywhere(tmp_path: Path, hr: Path) -> None:
    run(hr, "--assay", "translocation", "--out", tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    assert len(table) == 4
    assert table[RATIO].dtype == np.float64


@pytest.fixture
def plate_of_five(tmp_path: Path) -> tuple[Path, Path, CellStack]:
    """Return SR cells of five wells, and a file of HR images of three cells of each."""
    hr = simulate(SimulateSettings(assay="translocation", cells=30, seed=2)).hr
    crops = tuple(Crop(f"A{k % 5 + 1:02d}.tif", y=9.0 * k, x=7.0 * k) for k in range(30))
    write_stack(
        tmp_path / "a_SR8x.ome.tif",
        replace(hr, crops=crops),
        description="SR",
        record={"generated": True},
    )
    few = replace(hr, data=hr.data[:15][::-1], crops=crops[:15][::-1], channels=("DNA", "GFP"))
    write_stack(tmp_path / "few_HR.ome.tif", few, description="HR")
    return tmp_path / "a_SR8x.ome.tif", tmp_path / "few_HR.ome.tif", hr


def test_hr_images_of_a_few_cells_correct_means(
    tmp_path: Path, plate_of_five: tuple[Path, Path, CellStack]
) -> None:
    sr, few, _ = plate_of_five
    out = tmp_path / "a.csv"
    result = run(sr, "--assay", "translocation", "--hr-cells", few, "--out", out)
    names = ["a.csv", "a.json", "a_means.csv", "a_means.json"]
    assert [Path(line).name for line in result.stdout.split()] == names
    means, record = read_table(tmp_path / "a_means.csv")
    ratio = means[means["Measurement"] == RATIO]
    assert ratio["Metadata_Well"].tolist() == ["A01", "A02", "A03", "A04", "A05"]
    assert ratio["Count_HRCells"].tolist() == [3] * 5
    # These SR images are the HR ones: there is nothing to correct.
    np.testing.assert_allclose(ratio["Mean_Corrected"], ratio["Mean_Measured"])
    assert record["means"]["hr_cells"][0]["name"] == "few_HR.ome.tif"
    again = tmp_path / "again.csv"
    later = CliRunner().invoke(app, [*map(str, ("means", out, "--hr-cells", few, "--out", again))])
    assert later.exit_code == 0, later.output
    assert again.read_text() == (tmp_path / "a_means.csv").read_text()


def test_hr_cells_that_are_of_other_cells_or_exposures_are_doubted(
    tmp_path: Path, plate_of_five: tuple[Path, Path, CellStack]
) -> None:
    sr, few, _ = plate_of_five
    args = (sr, "--assay", "translocation", "--out", tmp_path / "a.csv", "--overwrite")
    right = run(*args, "--hr-cells", few).stderr
    stack = read_stack(few)
    for name, data, sentence in (
        ("other", np.roll(stack.data, 5, 0), "hardly goes with what was on the cells at their"),
        ("double", stack.data * 2.0, "Intensities are 2 times as high in HR cells"),
    ):
        path = tmp_path / f"{name}_HR.ome.tif"
        write_stack(path, replace(stack, data=data.astype(np.float32)), description="HR")
        assert sentence not in right
        assert sentence in run(*args, "--hr-cells", path).stderr


def test_copies_of_hr_cells_are_refused(
    tmp_path: Path, plate_of_five: tuple[Path, Path, CellStack]
) -> None:
    sr, few, _ = plate_of_five
    copy = tmp_path / "copy_HR.ome.tif"
    copy.write_bytes(few.read_bytes())
    args = (sr, "--assay", "translocation", "--out", tmp_path / "a.csv")
    told = run(*args, "--hr-cells", few, "--hr-cells", copy, code=1).stderr
    assert "hold the same HR cells; give one of both files." in told


def test_hr_cells_that_cannot_correct_are_told(
    tmp_path: Path, plate_of_five: tuple[Path, Path, CellStack]
) -> None:
    sr, few, hr = plate_of_five
    out = tmp_path / "a.csv"
    args = (sr, "--assay", "translocation", "--out", out)
    assert "which are generated" in run(*args, "--hr-cells", sr, code=1).output
    degrade = ("degrade", few, "--factor", 8, "--out", tmp_path / "lr.ome.tif")
    assert CliRunner().invoke(app, [*map(str, degrade)]).exit_code == 0
    lr = run(*args, "--hr-cells", tmp_path / "lr.ome.tif", code=1).output
    assert "lr.ome.tif holds LR images, made by 'degrade', which cannot correct others" in lr
    assert not out.exists()
    write_stack(tmp_path / "other.ome.tif", hr, description="HR")
    output = run(*args, "--hr-cells", tmp_path / "other.ome.tif", code=1).output
    assert "Only 0 of the 30 HR cells of other.ome.tif are found among the SR cells" in output
    assert out.exists()  # what was measured stays
    (tmp_path / "a.json").unlink()
    later = CliRunner().invoke(app, [*map(str, ("means", out, "--hr-cells", few))])
    assert later.exit_code == 1
    assert "does not tell how its cells were measured" in later.output
