"""``napari-rls fields``: files in, SR fields and a table out, going on, what cannot be used."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from cli_bench import run
from field_bench import COUNTS, OFFSET, drawn_field
from page_bench import Page

from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.fields import psf_of_cells
from napari_rls.workflow.measure.plate_columns import dose_unit
from napari_rls.workflow.measure.table_files import read_table

QUICK = ("--steps", "3", "--samples", "2", "--threads", "1", "--noise", "100,2,4")
OPTICS = ("--ratio", "8", "--psf", "0.45")


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plate")
    for well in ("B03", "C04"):
        write_stack(folder / f"{well}.ome.tif", drawn_field(8.0, 1, 2).lr, description="a field")
    (folder / "notes.txt").write_text("no image")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "D05.tif").write_bytes(b"no TIFF")
    (folder / "map.csv").write_text("well,condition\nB03,control\nC04,drug\n")
    return folder


@pytest.fixture(scope="module")
def finished(plate: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("out")
    result = run(
        "fields", plate, "--out", out, "--plate-map", plate / "map.csv", *OPTICS, *QUICK, code=1
    )
    return out, result


def test_every_field_has_its_images_and_all_cells_are_in_the_table(finished) -> None:
    out, result = finished
    # One file is broken; the others do not suffer.
    assert "D05.tif" in result.stderr
    assert "files are no images and are left out: .DS_Store, map.csv, notes.txt" in result.stderr
    table = pd.read_csv(out / "cells.csv")
    sr = table[table.Metadata_Image == "SR"]
    assert set(sr.Metadata_Well) == {"B03", "C04"}
    assert dict(zip(sr.Metadata_Well, sr.Metadata_Condition, strict=True)) == {
        "B03": "control",
        "C04": "drug",
    }
    assert len(table) == 2 * len(sr)
    # Ratios are of light, not of light and the camera's offset of 100.
    settings = read_table(out / "cells.parquet")[1]["settings"]
    assert 60 < settings["camera_offset"] < 140
    # Places are in LR pixels.
    assert sr.Location_Center_X.between(-0.5, 15.5).all()
    assert sr.Location_Center_Y.between(-0.5, 7.5).all()
    for well in ("B03", "C04"):
        image = read_stack(out / "fields" / f"{well}_SR8x.ome.tif")
        assert image.data.shape == (1, 2, 64, 128)
        generated = tifffile.imread(out / "fields" / f"{well}_SR8x_generated.ome.tif")
        assert set(np.unique(generated)) <= {0, 1}
        cells = read_stack(out / "fields" / f"{well}_cells_SR8x.ome.tif")
        assert len(cells) == (sr.Metadata_Well == well).sum()
        record = read_record(out / "fields" / f"{well}_SR8x.ome.tif")
        assert record["generated"] is True
        assert record["microscope"]["psf_sigma"] == 0.45
    printed = result.stdout.split()
    assert str(out / "cells.csv") in printed
    assert str(out / "report.html") in printed
    assert all(Path(path).exists() for path in printed)


def test_the_same_command_goes_on_with_what_is_missing(finished, plate: Path, tmp_path: Path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    before = (out / "cells.csv").read_bytes()
    for path in (out / "fields").glob("C04_*"):
        path.unlink()
    result = run(
        "fields", plate, "--out", out, "--plate-map", plate / "map.csv", *OPTICS, *QUICK, code=1
    )
    assert "B03 is finished already." in result.stderr
    assert "C04 is finished already." not in result.stderr
    assert (out / "cells.csv").read_bytes() == before
    # The page is made again, with what is left out again, and is the same but for its time.
    pages = [(folder / "report.html").read_text("utf-8") for folder in (finished[0], out)]
    one, other = (re.sub(r"\d\d:\d\d UTC", "", page) for page in pages)
    assert "D05.tif" in one
    assert len(Page(one).images()) == 4
    assert one == other


def test_more_images_leave_those_that_are_finished(finished, plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    write_stack(tmp_path / "E06.ome.tif", drawn_field(8.0, 1, 2).lr, description="a field")
    files = [plate / "B03.ome.tif", plate / "C04.ome.tif", tmp_path / "E06.ome.tif"]
    plates = ("--plate-map", plate / "map.csv")
    result = run("fields", *files, "--out", out, *plates, *OPTICS, *QUICK)
    assert result.stderr.count("is finished already.") == 2
    assert set(pd.read_csv(out / "cells.csv").Metadata_Well) == {"B03", "C04", "E06"}


def test_results_of_other_settings_are_replaced_only_if_asked(
    finished, plate: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other = ("fields", plate / "B03.ome.tif", "--out", out, *OPTICS, *QUICK, "--lambda-c", "0.02")
    refused = run(*other, code=1).stderr
    assert "holds results that were made otherwise (lambda_c: 0.01, now 0.02)" in refused
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    result = run(*other, "--overwrite")
    assert "finished already" not in result.stderr
    # What was begun with it goes on without.
    assert "B03 is finished already." in run(*other).stderr


def test_a_corrected_plate_map_is_joined_anew_and_nothing_is_searched(
    finished, plate: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    before, old = read_table(out / "cells.parquet")
    made = {path: path.read_bytes() for path in (out / "fields").iterdir()}
    files = (plate / "B03.ome.tif", plate / "C04.ome.tif", "--out", out)
    # A column that is called otherwise, too.
    text = "well,drug,Dose_uM,Batch no\nB03,none,0,7\nC04,wortmannin,3,\n"
    (tmp_path / "map.csv").write_text(text)
    corrected = (*files, "--plate-map", tmp_path / "map.csv", *OPTICS, *QUICK)
    told = run("fields", *corrected).stderr
    assert told.count("is finished already.") == 2
    sentence = (
        "Wells, conditions and doses were joined to the rows anew by map.csv, which has changed; "
        "SR images and measurements stay as they were made."
    )
    assert sentence in told
    assert "Columns of map.csv are taken: 'dose_um' for the dose (in µM)." in told
    assert {path: path.read_bytes() for path in (out / "fields").iterdir()} == made
    table, record = read_table(out / "cells.parquet")
    assert dose_unit(record) == "µM"
    of = {"B03": ("drug=none; dose=0; batch no=7", 0.0, "7")}
    of["C04"] = ("drug=wortmannin; dose=3", 3.0, "")
    for row in table.itertuples():
        told_of = (row.Metadata_Condition, row.Metadata_Dose, row.Metadata_Batch_no)
        assert told_of == of[row.Metadata_Well]
    pd.testing.assert_frame_equal(
        table.drop(columns=["Metadata_Condition", *set(table) - set(before)]),
        before.drop(columns="Metadata_Condition"),
    )
    assert record["plate_maps_before"] == [old["plate_map"]]
    assert sentence in " ".join(Page((out / "report.html").read_text("utf-8")).text)
    assert record["columns"]["Metadata_Dose"]["kind"] == "condition"
    # It is the same for a run that was started with this map, and for one without any.
    fresh = run("fields", *files[:2], "--out", tmp_path / "new", *corrected[4:])
    assert "joined to the rows anew" not in fresh.stderr
    again, _ = read_table(tmp_path / "new" / "cells.parquet")
    pd.testing.assert_frame_equal(again, table)
    none = run("fields", *files, *OPTICS, *QUICK).stderr
    assert "anew by no plate map, before by map.csv" in none
    assert not read_table(out / "cells.parquet")[0].Metadata_Condition.any()


def test_a_part_finished_run_goes_on_with_a_corrected_plate_map(
    finished, plate: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    for path in (*(out / "fields").glob("C04_*"), *out.glob("cells.*"), out / "report.html"):
        path.unlink()
    (tmp_path / "map.csv").write_text("well,condition\nB03,solvent\nC04,drug\n")
    files = (plate / "B03.ome.tif", plate / "C04.ome.tif")
    maps = ("--plate-map", tmp_path / "map.csv")
    told = run("fields", *files, "--out", out, *maps, *OPTICS, *QUICK).stderr
    assert "B03 is finished already." in told
    assert "C04 is finished already." not in told
    table = pd.read_csv(out / "cells.csv")
    assert set(zip(table.Metadata_Well, table.Metadata_Condition, strict=True)) == {
        ("B03", "solvent"),
        ("C04", "drug"),
    }


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--ratio", "4"], "optics.ratio: 8.0, now 4.0"),
        (["--assay", "spots"], "measurement.assay: translocation, now spots"),
        (["--channels", "1,0"], "channels: by the bundle's names, now 1, 0"),
        (["--noise", "90,2,4"], "noise.offset: [100.0, 100.0], now [90.0, 90.0]"),
        (["--steps", "4", "--seed", "9"], "steps: 3, now 4; seed: 0, now 9"),
    ],
)
def test_a_refused_start_names_the_settings_that_differ(
    finished, plate: Path, args: list[str], sentence: str
) -> None:
    start = ("fields", plate / "B03.ome.tif", "--out", finished[0], *OPTICS, *QUICK, *args)
    refused = run(*start, code=1).stderr
    assert sentence in refused
    assert "give another folder, or --overwrite to make them again." in refused


def test_results_of_which_nothing_tells_the_settings_are_not_replaced(
    finished, plate: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    (out / "fields" / "shared.json").write_text('{"digest": "an older version"}')
    start = ("fields", plate / "B03.ome.tif", "--out", out, *OPTICS, *QUICK)
    assert "made otherwise (shared.json cannot be read)" in run(*start, code=1).stderr


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["--psf", "0.45"], 1, "not; give the ratio, --ratio, which is HR"),
        (
            ["--ratio", "8", "--na", "0.3", "--wavelength", "0.5", "--noise", "100,0.5,2"],
            1,
            "give the width in LR pixels, --psf, instead",
        ),
        ([*OPTICS, "--na", "0.3"], 2, "--psf cannot be used with --na and --wavelength"),
        (["--psf", "wide"], 2, "--psf is 'wide'; give a width in LR pixels, as 0.45, or 'estim"),
        (["--psf", "9"], 2, "--psf must be 5.0 or less"),
        (
            ["--na", "0.3", "--wavelength", "510"],
            2,
            "--wavelength (in micrometres) must be 2.0 or less",
        ),
        (
            ["--psf", "estimate", "--na", "0.3", "--wavelength", "0.5"],
            2,
            "the PSF width cannot be estimated, as --na and --wavelength (in micrometres) are",
        ),
        ([*OPTICS, "--noise", "100,2"], 2, "--noise is '100,2'; give auto, or three numbers"),
    ],
)
def test_what_is_missing_or_at_odds_is_one_sentence(
    plate: Path, tmp_path: Path, args: list[str], code: int, sentence: str
) -> None:
    result = run("fields", plate / "B03.ome.tif", "--out", tmp_path / "out", *args, code=code)
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_the_width_of_the_psf_is_estimated_by_all_fields(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psf_of_cells, "_DRAWN", 200)  # no more than it takes
    files = [plate / "B03.ome.tif", plate / "C04.ome.tif"]
    options = ("--ratio", "8", "--psf", "estimate", *QUICK)
    result = run("fields", *files, "--out", tmp_path, *options)
    kept = json.loads((tmp_path / "fields" / "shared.json").read_text())
    assert f"PSF width by {kept['psf']['cells']} cells: {kept['psf']['sigma']:.2f}" in result.stderr
    low, high = kept["psf"]["interval"]
    assert low < kept["psf"]["sigma"] < high
    for well in ("B03", "C04"):
        record = read_record(tmp_path / "fields" / f"{well}_SR8x.ome.tif")
        assert record["microscope"]["psf_sigma"] == kept["psf"]["sigma"]
        assert record["operator"]["sigma"] == kept["psf"]["sigma"]


def test_cells_with_saturated_pixels_are_flagged_and_told(plate: Path, tmp_path: Path) -> None:
    lr = drawn_field(8.0, 1, 2).lr
    pixels = lr.data.copy()
    # Two pixels of the left cell, as a camera of 12 bits ends; nothing else comes near.
    assert pixels.max() < 4000
    pixels[0, 1, 3, 3:5] = 4095
    write_stack(tmp_path / "B03.ome.tif", replace(lr, data=pixels), description="a field")
    files = (tmp_path / "B03.ome.tif", plate / "C04.ome.tif")
    out = tmp_path / "out"
    told = run("fields", *files, "--out", out, *OPTICS, *QUICK).stderr
    table = pd.read_csv(out / "cells.csv", keep_default_na=False)
    left = (table.Metadata_Well == "B03") & (table.Location_Center_X < 8)
    assert 0 < left.sum() < len(table)
    assert (table.Quality_Saturated == left).all()
    assert set(table.Metadata_Image[left]) == {"LR", "SR"}
    assert table.Quality_Flags.str.contains("Saturated").eq(left).all()
    flagged, cells = left.sum() // 2, (table.Metadata_Well == "B03").sum() // 2
    assert (
        f"B03: {flagged} of {cells} cells have saturated LR pixels in their windows (flag "
        "Saturated; FKHR-GFP from 4095 on)"
    ) in told
    sentence = f"{flagged} of {len(table) // 2} cells have saturated LR pixels in their windows"
    assert sentence in told
    assert sentence in " ".join(Page((out / "report.html").read_text("utf-8")).text)
    # Measuring the cells again tells it too.
    again = tmp_path / "again.csv"
    run("measure", out / "fields" / "B03_cells_SR8x.ome.tif", "--out", again)
    assert pd.read_csv(again).Quality_Saturated.sum() == flagged
    # A level of one's own.
    brightest = str(drawn_field(8.0, 1, 2).lr.data.max())
    own = ("--out", tmp_path / "own", "--saturation", brightest)
    run("fields", plate / "C04.ome.tif", *own, *OPTICS, *QUICK)
    assert pd.read_csv(tmp_path / "own" / "cells.csv").Quality_Saturated.any()


def test_a_plate_map_that_does_not_know_a_well_is_told(finished, plate: Path, tmp_path: Path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    (tmp_path / "map.csv").write_text("well,condition\nB03,control\n")
    more = ("--plate-map", tmp_path / "map.csv", "--overwrite", *OPTICS, *QUICK)
    result = run("fields", plate / "C04.ome.tif", "--out", out, *more)
    assert "map.csv does not tell the condition of C04" in result.stderr


def test_a_dose_that_is_none_is_told_before_the_search(plate: Path, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("well,dose\nB03,150 nM\n")
    more = ("--plate-map", tmp_path / "map.csv", *OPTICS, *QUICK)
    result = run("fields", plate / "B03.ome.tif", "--out", tmp_path / "out", *more, code=2)
    assert "map.csv has the dose '150 nM' in B03; doses are numbers" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_field_that_cannot_be_written_is_kept_elsewhere(plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "fields" / "B03_SR8x.ome.tif").mkdir(parents=True)
    result = run("fields", plate / "B03.ome.tif", "--out", out, *OPTICS, *QUICK, code=1)
    kept = Path(result.stderr.split("the result is kept in ")[1].split(";")[0].split(".ome.tif")[0])
    assert read_stack(kept.with_name("B03_SR8x.ome.tif")).data.shape == (1, 2, 64, 128)
    assert kept.with_name("B03_cells_SR8x.parquet").exists()


def test_fields_that_cannot_be_used_do_not_stop_the_others(tmp_path: Path) -> None:
    lr = drawn_field(8.0, 1, 2).lr
    pixels = lr.data.astype(np.float32)
    write_stack(tmp_path / "B03.ome.tif", replace(lr, data=pixels), description="a field")
    pixels[..., :2] = np.nan
    write_stack(tmp_path / "F07.ome.tif", replace(lr, data=pixels), description="a field")
    tifffile.imwrite(tmp_path / "A01.tif", lr.data[0, 0])
    tifffile.imwrite(tmp_path / "A02.tif", lr.data[0, [0, 1, 0]], photometric="minisblack")
    files = sorted(tmp_path.glob("*.tif"))
    result = run("fields", *files, "--out", tmp_path / "out", *OPTICS, *QUICK, code=1)
    assert "F07.ome.tif holds NaN or infinite values" in result.stderr
    told, begun = result.stderr, result.stderr.index("nuclei found in")
    for name, count, advice in (
        ("A01.tif", "1 channel", "give all of them together, in one file"),
        ("A02.tif", "3 channels", "choose which channel is which"),
    ):
        sentence = (
            f"{name} has {count}, and the bundle bbbc013-translocation-64 needs 2 (DNA, FKHR-GFP)"
        )
        # It is told before any search, once, and nothing else is said of how the file was read.
        assert f"{sentence}; {advice}" in told[:begun]
        assert told.count(name) == 1
    assert "Traceback" not in result.stderr
    assert set(pd.read_csv(tmp_path / "out" / "cells.csv").Metadata_Well) == {"B03"}


def test_what_holds_for_many_files_is_said_once(tmp_path: Path) -> None:
    image = drawn_field(8.0, 1, 1).lr.data[0]
    for well in ("B03", "B04", "C05_D06"):
        tifffile.imwrite(tmp_path / f"{well}.tif", image, photometric="minisblack")
    (tmp_path / "map.csv").write_text("well,condition\nB03,control\n")
    out = tmp_path / "out"
    more = ("--plate-map", tmp_path / "map.csv", *OPTICS, *QUICK)
    told = run("fields", *sorted(tmp_path.glob("*.tif")), "--out", out, *more).stderr
    assert told.count("3 files like B03.tif: Read as one image") == told.count("Read as") == 1
    for sentence in (
        "Wells, from the names of files: B03 (B03.tif), B04 (B04.tif), D06 (C05_D06.tif).",
        "Names with more than one well are taken so: C05_D06.tif as D06, not C05;",
        "map.csv does not tell the condition of B04, D06; it is left empty.",
    ):
        assert told.count(sentence) == 1
        assert told.index(sentence) < told.index("nuclei found")
    record = read_table(out / "cells.parquet")[1]
    assert sum("does not tell the condition" in text for text in record["warnings"]) == 1
    assert sum("more than one well" in text for text in record["warnings"]) == 1


def test_planes_are_fields_of_their_own_in_one_table(tmp_path: Path) -> None:
    lr = drawn_field(8.0, 1, 1).lr
    planes = replace(lr, data=np.concatenate([lr.data, np.roll(lr.data, 1)]), leading="Z")
    write_stack(tmp_path / "B03.ome.tif", planes, description="two planes")
    result = run("fields", tmp_path / "B03.ome.tif", "--out", tmp_path / "out", *OPTICS, *QUICK)
    assert "B03_2: " in result.stderr
    table = pd.read_csv(tmp_path / "out" / "cells.csv")
    assert set(table.Metadata_File) == {"B03.ome.tif"}
    assert set(table.Metadata_Z) == {1, 2}
    assert set(table.Metadata_Well) == {"B03"}


def test_fields_of_one_name_are_told_before_the_search(tmp_path: Path) -> None:
    lr = drawn_field(8.0, 1, 1).lr
    planes = replace(lr, data=np.concatenate([lr.data, lr.data]), leading="Z")
    write_stack(tmp_path / "in" / "B03.ome.tif", planes, description="two planes")
    write_stack(tmp_path / "in" / "B03_1.ome.tif", lr, description="one")
    result = run("fields", tmp_path / "in", "--out", tmp_path / "out", *OPTICS, *QUICK, code=1)
    assert "B03.ome.tif and B03_1.ome.tif both have a field named B03_1" in result.stderr
    assert "nuclei found" not in result.stderr


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    result = run("fields", tmp_path / "in", "--out", tmp_path / "out", *OPTICS, code=1)
    assert "There is no TIFF image and no OME-Zarr in what was given" in result.stderr


HR_RATIO = 6.4
HR_RUN = ("--ratio", HR_RATIO, "--psf", "0.45", *QUICK)


@pytest.fixture(scope="module")
def with_hr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with LR fields of two wells, and HR images of all of their cells."""
    folder = tmp_path_factory.mktemp("hr")
    drawn = drawn_field(HR_RATIO, 1, 4)
    crops, pixels = [], []
    for well in ("B03", "C04"):
        name = f"{well}_LR6.4x.ome.tif"
        lr = replace(drawn.lr, name=name)
        write_stack(folder / "lr" / name, lr, description="a field")
        # What rows of a table say of wells comes from the table.
        crops += [Crop(f"{well}_HR.tif", "", 31.5, 64 * k + 31.5) for k in range(4)]
        pixels += np.split(drawn.hr, 4, axis=-1)
    data = (np.stack(pixels) * COUNTS + OFFSET).round().astype(np.uint16)
    hr = CellStack(data, ("Hoechst", "GFP"), crops=tuple(crops), name="few.ome.tif")
    write_stack(folder / "few.ome.tif", hr, description="HR")
    return folder


def test_a_finished_run_gets_means_corrected_by_hr_cells(with_hr: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    start = ("fields", with_hr / "lr", "--out", out, *HR_RUN)
    run(*start)
    assert not (out / "cells_means.csv").exists()
    made = {path: path.read_bytes() for path in (out / "fields").iterdir()}
    before = (out / "cells.csv").read_bytes()
    result = run(*start, "--hr-cells", with_hr / "few.ome.tif")
    assert result.stderr.count("is finished already.") == 2
    assert {path: path.read_bytes() for path in (out / "fields").iterdir()} == made
    assert (out / "cells.csv").read_bytes() == before
    assert str(out / "cells_means.csv") in result.stdout.split()
    means, record = read_table(out / "cells_means.csv")
    ratio = means[means.Measurement == "Math_Ratio_NucleusCytoplasm_FKHRGFP"]
    assert ratio.Metadata_Well.tolist() == ["B03", "C04"] * 2
    assert ratio.Count_HRCells.tolist() == [4] * 4
    table = pd.read_csv(out / "cells.csv")
    for row in ratio.itertuples():
        own = table[(table.Metadata_Image == row.Metadata_Image)]
        own = own[own.Metadata_Well == row.Metadata_Well]
        across = (own.Location_Center_X + 0.5) * HR_RATIO - 0.5
        down = (own.Location_Center_Y + 0.5) * HR_RATIO - 0.5
        known = [np.hypot(across - 64 * k - 31.5, down - 31.5).argmin() for k in range(4)]
        values = own[row.Measurement].to_numpy()
        # The mean of all cells, and what those with an HR image are off.
        off = row.Mean_HRCells - row.Slope * values[known].mean()
        assert row.Mean_Corrected == pytest.approx(row.Slope * values.mean() + off)
        assert abs(row.Mean_Corrected - row.Mean_Measured) > 1e-3
    found = {"cells": 8, "wells": 2}
    assert record["means"]["hr_cells_found"] == {"SR": found, "LR": found}
    text = " ".join(Page((out / "report.html").read_text("utf-8")).text)
    assert "corrected by the HR images of 8 of the cells, from 2 wells (few.ome.tif)" in text
    # The same by a later command, and by a run that is started with them.
    run("means", out / "cells.csv", "--hr-cells", with_hr / "few.ome.tif", "--out", out / "a.csv")
    assert (out / "a.csv").read_bytes() == (out / "cells_means.csv").read_bytes()
    cells = out / "fields" / "B03_LR6.4x_cells_SR6.4x.ome.tif"
    again = ("--out", tmp_path / "b.csv", "--hr-cells", with_hr / "few.ome.tif")
    told = run("measure", cells, *again).stderr
    assert "4 of the 8 HR cells of few.ome.tif are not among the SR cells" in told
    # Without them, or with others that are of no use, those of before are told to be left.
    assert "cells_means.csv is of an earlier start" in run(*start).stderr
    hr = read_stack(with_hr / "few.ome.tif")
    moved = tuple(replace(crop, x=crop.x + 1000) for crop in hr.crops if crop.x is not None)
    write_stack(tmp_path / "moved.ome.tif", replace(hr, crops=moved), description="HR")
    told = run(*start, "--hr-cells", tmp_path / "moved.ome.tif", code=1).stderr
    assert "are found among the" in told
    assert "cells_means.csv is of an earlier start, with HR cells, and stays as it is." in told
    twice = ("--hr-cells", with_hr / "few.ome.tif") * 2
    told = run("measure", cells, "--out", tmp_path / "c.csv", *twice, code=1).stderr
    assert "few.ome.tif is given twice as HR cells; give each file once." in told


def test_hr_cells_that_cannot_be_of_the_fields_are_told_before_the_search(
    with_hr: Path, tmp_path: Path
) -> None:
    hr = read_stack(with_hr / "few.ome.tif")
    dark = (hr.data.astype(np.float32) - OFFSET) / COUNTS
    other = tuple(replace(crop, file="X07.tif") for crop in hr.crops)
    files = {
        "dark": replace(hr, data=dark),
        "small": replace(hr, data=hr.data[..., :48, :48]),
        "other": replace(hr, crops=other),
        "three": replace(hr, data=hr.data[:, [0, 1, 1]], channels=("a", "b", "c")),
        "plain": replace(hr, crops=()),
    }
    for name, stack in files.items():
        write_stack(tmp_path / f"{name}.ome.tif", stack, description="HR")
    out = tmp_path / "out"
    for name, code, sentence in (
        ("nothing", 2, "There is no file"),
        ("dark", 1, "is subtracted from the table's images as no light: they have another"),
        ("small", 1, "have 48 x 48 pixels and SR cells 64 x 64"),
        ("other", 1, "None of the 8 HR cells of other.ome.tif was cut from an image with the name"),
        ("plain", 1, "but from plain.ome.tif; give HR crops"),
    ):
        path = tmp_path / f"{name}.ome.tif"
        told = run("fields", with_hr / "lr", "--out", out, *HR_RUN, "--hr-cells", path, code=code)
        assert sentence in told.stderr, (name, told.stderr)
        assert "nuclei found" not in told.stderr
        assert "Traceback" not in told.stderr
    lr = read_stack(with_hr / "lr" / "B03_LR6.4x.ome.tif")
    write_stack(tmp_path / "image.ome.tif", lr, description="a field of no well")
    crops = tuple(replace(crop, file="image_HR.tif") for crop in hr.crops)
    write_stack(tmp_path / "of.ome.tif", replace(hr, crops=crops), description="HR")
    args = (
        tmp_path / "image.ome.tif",
        "--out",
        out,
        *HR_RUN,
        "--hr-cells",
        tmp_path / "of.ome.tif",
    )
    assert "no well of a field is known; give a plate map" in run("fields", *args, code=1).stderr


def test_hr_cells_at_other_places_leave_table_and_page(with_hr: Path, tmp_path: Path) -> None:
    hr = read_stack(with_hr / "few.ome.tif")
    moved = tuple(replace(crop, x=crop.x + 1000) for crop in hr.crops if crop.x is not None)
    write_stack(tmp_path / "moved.ome.tif", replace(hr, crops=moved), description="HR")
    out = tmp_path / "out"
    more = ("--hr-cells", tmp_path / "moved.ome.tif")
    told = run("fields", with_hr / "lr", "--out", out, *HR_RUN, *more, code=1)
    sentence = "Means are not corrected: Only 0 of the 8 HR cells of moved.ome.tif are found"
    assert sentence in told.stderr
    assert not (out / "cells_means.csv").exists()
    assert (out / "cells.csv").exists()
    assert sentence in " ".join(Page((out / "report.html").read_text("utf-8")).text)
