"""The table of many cells: which rows, which columns, and what they hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from synthetic_cells import disc
from torch.nn import functional as F

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings, column_names, measure_cell
from napari_rls.measure.columns import IDENTITY, QUALITY, SUMMARIES
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.simulated import SimulateSettings, Simulation, simulate
from napari_rls.workflow.cells.stack import CellStack, Crop, content_digest
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.measurements import Measurements, join, measure
from napari_rls.workflow.measure.rows import source_name

SETTINGS = MeasureSettings(assay="translocation")
AREA = "Nuclei_AreaShape_Area"
RATIO = "Math_Ratio_NucleusCytoplasm_GFP"
SIDE, CENTRE = 48, (23.5, 23.5)


def images(ratios: list[float]) -> NDArray[np.float32]:
    """Cells (N, 2, 48, 48) of known ratio; NaN stands for an image without a nucleus."""
    found = []
    for ratio in ratios:
        dna = np.where(disc((SIDE, SIDE), CENTRE, 7) & np.isfinite(ratio), 200.0, 10.0)
        bright = disc((SIDE, SIDE), CENTRE, 7.9)
        found.append([dna, np.where(bright, 20.0 * np.nan_to_num(ratio), 20.0)])
    return np.array(found, np.float32)


def stack(ratios: list[float], name: str = "cells_HR.ome.tif", **changes: Any) -> CellStack:
    return replace(CellStack(images(ratios), ("DNA", "GFP"), name=name), **changes)


def run(*sets: ImageSet, settings: MeasureSettings = SETTINGS, **options: Any) -> Measurements:
    *_, last = measure(sets, settings, **options)
    assert last.result is not None
    return last.result


def plate(folder: Path, text: str) -> PlateMap:
    (folder / "plate.csv").write_text(text, encoding="utf-8")
    return PlateMap(folder / "plate.csv")


@pytest.fixture(scope="module")
def golgi() -> Simulation:
    return simulate(SimulateSettings(assay="golgi", cells=16, seed=3))


def test_a_row_per_cell_and_kind_with_the_columns_of_the_dictionary() -> None:
    hr = stack([2.0, 4.0, np.nan], pixel_size_um=0.5)
    found = run(ImageSet("SR", hr), ImageSet("GT", hr))
    table = found.table
    assert list(table["Metadata_Image"]) == ["SR"] * 3 + ["GT"] * 3
    assert list(table["Metadata_Cell"]) == ["cells#0", "cells#1", "cells#2"] * 2
    np.testing.assert_allclose(table[RATIO], [2, 4, np.nan] * 2)
    settings = MeasureSettings(**found.record["settings"])
    measured = list(column_names(settings, micrometres=True))
    # What a plate map, several images in a file and places of known pixels bring.
    further = {"Metadata_Dose", "Metadata_Field", "Metadata_T", "Metadata_Z"}
    further |= {"Location_Center_X_um", "Location_Center_Y_um"}
    identity = [name for name in IDENTITY if name not in further]
    assert list(table) == [*identity, *measured, *QUALITY]
    assert list(found.record["columns"]) == list(table)
    assert table["Quality_NoNucleus"].tolist() == [False, False, True] * 2
    assert table["Quality_Flags"].tolist() == ["", "", "NoNucleus"] * 2
    assert set(table["Metadata_Interval"]) == {""}
    np.testing.assert_allclose(table[f"{AREA}_um2"], table[AREA] / 4)


def test_without_a_pixel_size_there_are_no_micrometres() -> None:
    known, unknown = stack([2.0], pixel_size_um=0.5), stack([2.0])
    assert not [name for name in run(ImageSet("HR", unknown)).table if name.endswith("_um2")]
    table = run(ImageSet("HR", known), ImageSet("GT", unknown)).table
    assert table[f"{AREA}_um2"].notna().tolist() == [True, False]
    assert table["Metadata_PixelSize_um"].notna().tolist() == [True, False]


def test_labels_number_the_cells() -> None:
    found = run(ImageSet("HR", stack([2.0, np.nan, 4.0])))
    assert list(found.labels) == ["HR"]
    for part in ("nucleus", "cytoplasm"):
        labels = found.labels["HR"][part]
        assert (labels.shape, labels.dtype) == ((3, SIDE, SIDE), np.int32)
        assert [np.unique(image).tolist() for image in labels] == [[0, 1], [0], [0, 3]]
    areas = (found.labels["HR"]["nucleus"] > 0).sum((1, 2))
    np.testing.assert_array_equal(areas[[0, 2]], found.table[AREA][[0, 2]])


def test_lr_images_are_measured_as_upsampled_bicubically() -> None:
    hr = stack([2.0, 4.0], pixel_size_um=0.5)
    lr = degrade_stack(hr, DegradeSettings(factor=4))
    found = run(ImageSet("LR", lr), ImageSet("HR", hr))
    table = found.table[found.table["Metadata_Image"] == "LR"]
    pixels = torch.from_numpy(lr.data)
    fine = F.interpolate(pixels, scale_factor=4, mode="bicubic", antialias=True).numpy()
    for k, image in enumerate(fine):
        expected = measure_cell(image, 0, 1, SETTINGS).values
        for ours, theirs in zip(column_names(SETTINGS, micrometres=False), expected, strict=True):
            column = ours.replace("Signal", "GFP")
            assert table[column].iloc[k] == pytest.approx(expected[theirs], rel=1e-4)
    assert table[RATIO].iloc[1] != pytest.approx(4, rel=0.01)
    np.testing.assert_allclose(table["Metadata_PixelSize_um"], 0.5)
    alone = run(ImageSet("LR", lr), factor=4).table
    np.testing.assert_array_equal(alone[RATIO], table[RATIO])
    assert found.labels["LR"]["nucleus"].shape == (2, SIDE, SIDE)


def test_intervals_end_at_what_a_measurement_can_be() -> None:
    samples = np.stack([images([0.1]), images([3.0])])
    table = run(ImageSet("SR", stack([1.5]), samples)).table
    low, high = table[f"{RATIO}_q05"].iloc[0], table[f"{RATIO}_q95"].iloc[0]
    assert low == 0  # Student's interval of 0.1 and 3 begins below -10
    assert high > 10
    log_ratio = RATIO.replace("Ratio", "Log2Ratio")
    assert table[f"{log_ratio}_q05"].iloc[0] < -10


def test_one_sample_makes_no_interval_and_no_words_on_one() -> None:
    table = run(ImageSet("SR", stack([1.5]), images([1.4])[None])).table
    assert table[f"{RATIO}_q05"].isna().all()
    assert table["Metadata_Interval"].tolist() == [""]


def test_intervals_are_those_of_the_values_on_the_samples() -> None:
    drawn = np.array([[2.0, 4.0], [2.5, 4.0], [1.5, 4.0], [2.2, np.nan]])
    samples = np.stack([images(list(ratios)) for ratios in drawn])
    sr = stack([2.1, 3.0], pixel_size_um=0.5)
    gt = ImageSet("GT", stack([2.0, 4.0]))
    measured = run(ImageSet("SR", sr, samples), gt)
    table = measured.table
    np.testing.assert_allclose(table[RATIO], [2.1, 3.0, 2.0, 4.0])
    mean, sd = drawn[:, 0].mean(), drawn[:, 0].std(ddof=1)
    half = stats.t.ppf(0.95, 3) * sd * np.sqrt(1 + 1 / 4)
    expected = {"sd": sd, "q05": mean - half, "q50": mean, "q95": mean + half}
    assert set(expected) == set(SUMMARIES)
    for ending, value in expected.items():
        column = table[f"{RATIO}_{ending}"]
        assert column[0] == pytest.approx(value)
        assert column[1] == pytest.approx(0 if ending == "sd" else 4)
        assert column[2:].isna().all()
        area = table[f"{AREA}_um2_{ending}"][:2]
        np.testing.assert_allclose(area, table[f"{AREA}_{ending}"][:2] / 4)
    # Samples of the second cell agree; chance puts a part of their spread into the means.
    within = drawn[:, 0].var(ddof=1) / 2
    between = np.var([mean, 4], ddof=1) - np.mean([drawn[:, 0].var(ddof=1) / 4, 0])
    of_sr, of_gt = measured.record["images"]
    assert of_sr["left_open"][RATIO] == pytest.approx(within / (within + between))
    assert "left_open" not in of_gt
    assert not any("_um" in name for name in of_sr["left_open"])
    assert table["Metadata_Interval"][0].startswith("4 samples, uncorrected")
    assert table["Metadata_Interval"].tolist()[2:] == ["", ""]
    after = list(table).index(RATIO)
    assert list(table)[after + 1 : after + 5] == [f"{RATIO}_{ending}" for ending in SUMMARIES]


def test_quality_of_sr_cells_is_what_their_record_says() -> None:
    cells = [
        {"lr_residual": [1.0, 2.0], "log_density": -3.5},
        {"lr_residual": [], "log_density": None},
    ]
    sr = ImageSet("SR", stack([2.0, 3.0]), record={"generated": True, "cells": cells})
    table = run(sr, ImageSet("GT", stack([2.0, 3.0]))).table
    nan = np.nan
    np.testing.assert_array_equal(table["Quality_LRResidual"], [1.5, nan, nan, nan])
    np.testing.assert_array_equal(table["Quality_LogDensity"], [-3.5, nan, nan, nan])
    message = "The record of the SR images is of 2 cells but there are 1 images; measure the file"
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        run(ImageSet("SR", stack([2.0]), record={"cells": cells}))


def test_cells_that_a_run_left_unfinished_are_flagged_and_counted() -> None:
    status = ["done", "searching", "sampling", "waiting", "failed", "skipped"]
    record = {"generated": True, "complete": False, "cells": [{"status": s} for s in status]}
    cells = stack([2.0] * 6, "cells_SR.ome.tif")
    found = run(ImageSet("SR", cells, record=record), ImageSet("GT", cells))
    sr = found.table[found.table["Metadata_Image"] == "SR"]
    unfinished, failed = "Unfinished", "SearchFailed"
    assert sr["Quality_Flags"].tolist() == ["", *[unfinished] * 3, failed, failed]
    assert not found.table.loc[found.table["Metadata_Image"] == "GT", "Quality_Unfinished"].any()
    (warning,) = found.record["warnings"]
    assert warning == (
        "The run that made the SR images of cells_SR.ome.tif was interrupted: 3 of 6 cells are not "
        "finished (flag Unfinished); finish it and measure again."
    )


def test_cells_of_unusual_intensities_are_flagged() -> None:
    record = {"generated": True, "intensity": {"unusual": {"1": "it has pixels far outside"}}}
    found = run(ImageSet("SR", stack([2.0, 3.0]), record=record))
    assert found.table["Quality_UnusualIntensity"].tolist() == [False, True]
    assert found.table["Quality_Flags"].tolist() == ["", "UnusualIntensity"]


def test_an_offset_that_brings_ratios_near_to_1_is_told_and_can_be_taken_away() -> None:
    camera = stack([2.0, 4.0], data=images([2.0, 4.0]) * 16 + 500)
    matched = {"mode": "match", "low": [490.0, 500.0], "high": [4580.0, 4580.0]}
    one = ImageSet("SR", camera, record={"generated": True, "intensity": matched})
    true = ImageSet("GT", camera)
    found = run(one, true)
    assert (found.table[RATIO] < 2.2).all()
    (said,) = found.record["warnings"]
    assert said == (
        "The images of cells_HR.ome.tif have an offset: GFP without any light is about 500, which "
        "brings ratios nearer to 1 than they are. Give the camera's offset, which is subtracted "
        "then, or a background."
    )
    dark = SETTINGS.model_copy(update={"camera_offset": 500.0})
    found = run(one, true, settings=dark)
    np.testing.assert_allclose(found.table[RATIO], [2, 4, 2, 4], rtol=1e-5)
    assert found.record["warnings"] == []
    assert found.record["settings"]["camera_offset"] == 500
    own = {"translocation": {"background_percentile": 1}}
    background = MeasureSettings(assay="translocation", **own)
    assert run(one, settings=background).record["warnings"] == []


@pytest.mark.parametrize(
    "intensity",
    [
        {"mode": "bundle", "low": [0.0, 0.0], "high": [255.0, 255.0]},
        {"mode": "match", "low": [0.0, 0.004], "high": [1.0, 1.0]},
        {"unusual": {}},
    ],
)
def test_images_without_an_offset_are_said_to_have_none(intensity: dict[str, Any]) -> None:
    record = {"generated": True, "intensity": intensity}
    assert run(ImageSet("SR", stack([2.0]), record=record)).record["warnings"] == []


@pytest.mark.parametrize(("complete", "expected"), [(False, True), (True, False)])
def test_a_record_without_single_cells_tells_whether_they_are_finished(
    complete: bool, expected: bool
) -> None:
    record = {"generated": True, "complete": complete}
    found = run(ImageSet("SR", stack([2.0, 3.0]), record=record))
    assert found.table["Quality_Unfinished"].tolist() == [expected] * 2
    assert bool(found.record["warnings"]) is expected


def test_all_raised_flags_are_named() -> None:
    data = images([2.0, 2.0, 2.0])
    data[1, 1, 23, 23] = 300
    data[2] = np.nan
    settings = SETTINGS.model_copy(update={"saturation": 250.0})
    table = run(ImageSet("HR", stack([2.0] * 3, data=data)), settings=settings).table
    assert table["Quality_Flags"].tolist() == ["", "Saturated", "NotFinite"]
    assert table["Quality_Saturated"].dtype == bool


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.ome.tif", "a"),
        ("a.tiff", "a"),
        ("a_HR.ome.tif", "a"),
        ("a_LR8x_SR8x.ome.tif", "a"),
        ("a_LR8x_SR8x_samples.ome.tif", "a"),
        ("a_lr.tif", "a"),
        ("a.ome.tif LR8x SR8x", "a"),
        ("a_LR8x_SR8x_rls-plus_samples.ome.tif", "a"),
        ("a.ome.tif LR8x SR8x_pulse", "a"),
        ("a_pulse.ome.tif", "a_pulse"),
        ("plate-1 B03_SR16x.ome.tif", "plate-1 B03"),
        ("color.tif", "color"),
        ("SR8x.tif", "SR8x"),
        ("_SR8x.tif", "_SR8x"),
    ],
)
def test_files_of_one_experiment_have_one_name(name: str, source: str) -> None:
    assert source_name(name) == source


def test_crops_tell_names_places_and_conditions_to_every_kind() -> None:
    crops = (
        Crop("B03.ome.tif", "B03", 10.0, 20.0, "control"),
        Crop("B04.tif", "", 1.5, 2.5, "treated"),
        Crop("B03.ome.tif", "B03", 30.0, 40.0, "control"),
    )
    sets = [
        ImageSet("SR", stack([2.0, 3.0, 4.0], name="x_SR8x.tif")),
        ImageSet("GT", stack([2.0, 3.0, 4.0], name="other.tif", crops=crops)),
    ]
    table = run(*sets).table
    assert table["Metadata_Cell"].tolist() == ["B03#0", "B04#0", "B03#1"] * 2
    assert table["Metadata_File"].tolist()[:3] == ["B03.ome.tif", "B04.tif", "B03.ome.tif"]
    assert table["Metadata_Well"].tolist()[:3] == ["B03", "B04", "B03"]
    assert table["Metadata_Condition"].tolist()[3:] == ["control", "treated", "control"]
    np.testing.assert_array_equal(table["Location_Center_Y"][:3], [10, 1.5, 30])
    np.testing.assert_array_equal(table["Location_Center_X"][:3], [20, 2.5, 40])
    assert not [name for name in table if name.endswith("_um") and name.startswith("Location")]
    assert not table.duplicated(["Metadata_Image", "Metadata_Cell"]).any()


def test_places_are_told_in_micrometres_of_the_file_that_crops_were_cut_from() -> None:
    crops = (Crop("a.tif", "B03", 10.0, 20.0, "", 1.3), Crop("b.tif"))
    # SR pixels are smaller than those of the file.
    table = run(ImageSet("SR", stack([2.0, 3.0], crops=crops, pixel_size_um=0.1625))).table
    np.testing.assert_allclose(table["Location_Center_X_um"], [26, np.nan])
    np.testing.assert_allclose(table["Location_Center_Y_um"], [13, np.nan])
    assert np.isnan(table["Location_Center_X"][1])


def test_images_of_one_file_are_told_apart() -> None:
    crops = (Crop("a.tif", time=1), Crop("a.tif", time=2), Crop("a.tif", time=2))
    table = run(ImageSet("SR", stack([2.0, 3.0, 4.0], crops=crops))).table
    assert table["Metadata_Cell"].tolist() == ["a_1#0", "a_2#0", "a_2#1"]
    assert table["Metadata_T"].tolist() == [1, 2, 2]
    assert "Metadata_Z" not in table


def test_a_joined_table_has_all_columns_in_their_order() -> None:
    parts = [
        run(ImageSet("SR", stack([2.0], crops=(Crop("a.tif", plane=1),), pixel_size_um=0.5))),
        run(ImageSet("SR", stack([2.0], crops=(Crop("b.tif", time=2),)))),
    ]
    table, record = join(parts)
    assert list(table)[3:7] == ["Metadata_Well", "Metadata_T", "Metadata_Z", "Metadata_Condition"]
    assert list(record["columns"]) == list(table)
    assert table[["Metadata_T", "Metadata_Z"]].notna().to_numpy().tolist() == [
        [False, True],
        [True, False],
    ]


def test_different_cells_are_refused() -> None:
    one = stack([2.0, 3.0], name="a.tif", crops=(Crop("f.tif", y=1.0, x=2.0),) * 2)
    other = replace(one, name="b.tif", crops=(one.crops[0], Crop("f.tif", y=1.0, x=9.5)))
    message = (
        "a.tif and b.tif hold different cells: number 1 is from f.tif at y 1, x 2 in the one and "
        "from f.tif at y 1, x 9.5 in the other; give files of the same cells in the same order."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run(ImageSet("SR", one), ImageSet("GT", other))


def test_channels_are_found_by_name_else_by_place() -> None:
    hr = stack([2.0])
    swapped = CellStack(hr.data[:, ::-1], ("GFP", "DNA"), name="swapped")
    unnamed = replace(hr, channels=("channel 0", "channel 1"))
    sets = [ImageSet("SR", hr), ImageSet("GT", swapped), ImageSet("HR", unnamed)]
    for settings in (
        SETTINGS,
        SETTINGS.model_copy(update={"dna": "DNA", "signal": "GFP"}),
        SETTINGS.model_copy(update={"dna": "0", "signal": "1"}),
    ):
        found = run(*sets, settings=settings)
        np.testing.assert_allclose(found.table[RATIO], 2)
        assert found.record["settings"]["dna"] == "DNA"
        assert found.record["settings"]["signal"] == "GFP"
    lr = ImageSet("LR", degrade_stack(unnamed, DegradeSettings(factor=2)))
    assert RATIO in run(lr, ImageSet("HR", hr)).table


@pytest.mark.parametrize(
    ("sets", "options", "message"),
    [
        ([], {}, "There are no images; give some to measure."),
        (
            [ImageSet("SR", stack([2.0])), ImageSet("SR", stack([2.0]))],
            {},
            "Two sets of images are SR; give one of each.",
        ),
        (
            [ImageSet("SR", stack([2.0], "a.tif")), ImageSet("GT", stack([2.0, 3.0], "b.tif"))],
            {},
            "b.tif holds 2 cells but a.tif 1; give files of the same cells in the same order.",
        ),
        (
            [
                ImageSet("SR", stack([2.0], "a.tif")),
                ImageSet("GT", stack([2.0], "b.tif", data=images([2.0])[..., :40, :40])),
            ],
            {},
            (
                "b.tif has images of 40 x 40 pixels but a.tif of 48 x 48; SR and HR images must "
                "be of one size."
            ),
        ),
        (
            [ImageSet("LR", stack([2.0], "a.tif"))],
            {},
            (
                "a.tif holds LR images, which are measured at the size of HR ones; give the "
                "factor, or SR or HR images too."
            ),
        ),
        (
            [
                ImageSet("LR", stack([2.0], "a.tif", data=images([2.0])[..., :7, :7])),
                ImageSet("GT", stack([2.0], "b.tif")),
            ],
            {},
            (
                "a.tif has images of 7 x 7 pixels, which 6 times upsampled are not of the size of "
                "those of b.tif (48 x 48); give images of the same cells, or another factor."
            ),
        ),
        (
            [ImageSet("HR", CellStack(images([2.0])[:, :1], ("DNA",), name="a.tif"))],
            {},
            "a.tif has no channel 1: its only channel is DNA, number 0.",
        ),
        (
            [ImageSet("HR", stack([2.0], "a.tif"))],
            {"settings": SETTINGS.model_copy(update={"signal": "RFP"})},
            "a.tif has no channel RFP: its 2 channels are DNA, GFP, counted from 0.",
        ),
    ],
)
def test_images_that_do_not_go_together(
    sets: list[ImageSet], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run(*sets, **options)


def test_progress_counts_images_and_ends_with_the_result() -> None:
    samples = np.stack([images([2.0, 3.0])] * 4)
    sets = [ImageSet("SR", stack([2.0, 3.0]), samples), ImageSet("GT", stack([2.0, 3.0]))]
    updates = list(measure(sets, SETTINGS))
    assert [update.done for update in updates] == [5, 10, 11, 12, 12]
    assert {update.total for update in updates} == {12}
    assert [update.result is None for update in updates] == [True] * 4 + [False]


def test_the_record_tells_how(tmp_path: Path) -> None:
    sr, gt = stack([2.0], "a.tif"), stack([2.0], "b.tif")
    plates = plate(tmp_path, "well,condition\nA1,x\n")
    bundle = {"name": "b", "content_hash": "abc"}
    run_record = {"generated": True, "bundle": bundle, "settings": {"factor": 8}}
    record = run(ImageSet("SR", sr, record=run_record), ImageSet("GT", gt), plate_map=plates).record
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["generated"] is True
    assert [(i["kind"], i["generated"]) for i in record["images"]] == [("SR", True), ("GT", False)]
    assert record["images"][1]["sha256"] == content_digest(gt.data)
    assert record["images"][0]["run"] == {"bundle": bundle, "settings": {"factor": 8}}
    assert record["plate_map"]["name"] == "plate.csv"
    assert MeasureSettings(**record["settings"]).translocation == SETTINGS.translocation
    assert record["columns"][RATIO]["unit"] == "none"
    assert run(ImageSet("GT", gt)).record["generated"] is False


def test_a_plate_map_gives_conditions_doses_and_other_columns(tmp_path: Path) -> None:
    crops = tuple(Crop(f, w) for f, w in (("x.tif", "a1"), ("B-3.tif", ""), ("y.tif", "A12")))
    plates = plate(
        tmp_path, "Well,Dose,Condition,drug name,row\nA01,0,control,none,A\nb3,0.5,hit,µ-X,B\n"
    )
    found = run(ImageSet("HR", stack([2.0, 3.0, 4.0], crops=crops)), plate_map=plates)
    table = found.table
    assert table["Metadata_Well"].tolist() == ["A01", "B03", "A12"]
    assert table["Metadata_Condition"].tolist() == ["control", "hit", ""]
    np.testing.assert_array_equal(table["Metadata_Dose"], [0, 0.5, np.nan])
    assert table["Metadata_Drug"].tolist() == ["none", "µ-X", ""]
    assert table["Metadata_Row"].tolist() == ["A", "B", ""]
    assert found.record["warnings"] == [
        "plate.csv does not tell the condition of A12; it is left empty."
    ]
    assert list(found.record["columns"]) == list(table)


def test_without_a_condition_it_is_made_of_the_other_columns(tmp_path: Path) -> None:
    plates = plate(tmp_path, "file,drug,dose\nf.tif,X,3\n")
    table = run(ImageSet("HR", stack([2.0], name="f.tif")), plate_map=plates).table
    assert table["Metadata_Condition"].tolist() == ["drug=X; dose=3"]
    assert table["Metadata_Dose"].tolist() == [3]
    assert table["Metadata_Drug"].tolist() == ["X"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "condition\nx\n",
            "plate.csv cannot be read as a plate map: none of its first lines has a column",
        ),
        ("well,condition\nA1,x\na01,x\n", "plate.csv has two rows of the well A01; keep one of"),
        ("file,condition\nf,x\nf,y\n", "plate.csv has two rows of the file f; keep one of them."),
        (
            "well,dose\nA1,3 uM\n",
            (
                "plate.csv has the dose '3 uM' in A01; doses are numbers of 0 or more in one unit, "
                "without the unit."
            ),
        ),
        ("well,dose\nA1,-1\n", "plate.csv has the dose '-1' in A01; doses are numbers of 0 or"),
        ("well,dose\nA1,inf\n", "plate.csv has the dose 'inf' in A01; doses are numbers of 0 or"),
        (
            "well,cell\nA1,HeLa\n",
            (
                "The column 'cell' of plate.csv cannot become Metadata_Cell in the table, which "
                "has such a column already; rename it."
            ),
        ),
        ("well,a b,a-b\nA1,1,2\n", "The column 'a-b' of plate.csv cannot become Metadata_A_b in"),
    ],
)
def test_wrong_plate_maps(tmp_path: Path, text: str, message: str) -> None:
    cells = ImageSet("HR", stack([2.0], crops=(Crop("f", "A01"),)))
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        run(cells, plate_map=plate(tmp_path, text))


def test_files_of_one_well_on_two_plates(tmp_path: Path) -> None:
    plates = plate(
        tmp_path, "file,well,condition\np1/A01.tif,A1,x\np2/A01.tif,A1,y\nB01.tif,B1,z\n"
    )
    assert plates.find("p1/A01.tif") == ("A01", "x")
    assert plates.find("p2/A01.tif") == ("A01", "y")
    assert plates.find("A01.tif") == ("A01", "")
    assert plates.entry("other.tif", "A01") is None
    assert plates.find("field_B1.tif") == ("B01", "z")


def test_tables_of_different_files_are_joined() -> None:
    one = run(ImageSet("HR", stack([2.0], name="a.tif")))
    two = run(ImageSet("HR", stack([4.0], name="b.tif", pixel_size_um=0.5)))
    table, record = join([one, two])
    assert table["Metadata_Cell"].tolist() == ["a#0", "b#0"]
    assert list(table) == list(two.table)
    assert table[f"{AREA}_um2"].notna().tolist() == [False, True]
    assert [entry["name"] for entry in record["images"]] == ["a.tif", "b.tif"]
    assert list(record["columns"]) == list(table)
    with pytest.raises(InputError, match=r"^Two files hold a cell named a#0; measure them into"):
        join([one, one])
    other = run(ImageSet("HR", stack([2.0], name="c.tif", channels=("DNA", "RFP"))))
    message = "The files name their channels differently (DNA, GFP and DNA, RFP); measure them"
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        join([one, other])


def test_simulated_ratios_are_found() -> None:
    doses = tuple(f"dose={dose}" for dose in (0, 0.3, 1, 3, 30))
    made = simulate(SimulateSettings(assay="translocation", cells=60, seed=2, conditions=doses))
    table = run(ImageSet("HR", made.hr)).table
    found, truth = table["Math_Ratio_NucleusCytoplasm_FKHRGFP"], made.table["ratio"]
    assert table["Metadata_Condition"].tolist() == made.table["condition"].tolist()
    assert found.isna().mean() < 0.05
    assert stats.spearmanr(found, truth, nan_policy="omit").statistic > 0.9
    area = table["Nuclei_AreaShape_Area_um2"] / made.table["nucleus_um2"]
    assert area.median() == pytest.approx(1, abs=0.15)


def test_simulated_spots_are_found(golgi: Simulation) -> None:
    settings = MeasureSettings(assay="spots")
    table = run(ImageSet("HR", golgi.hr), settings=settings).table
    truth = golgi.table
    found = table["Spots_AreaShape_Area_Total_um2"] / truth["spot_total_um2"]
    assert found.median() == pytest.approx(1, abs=0.35)
    count = table["Cells_Children_Spots_Count"]
    assert stats.spearmanr(count, truth["spots"]).statistic > 0.8
    means = table.groupby("Metadata_Condition")["Spots_AreaShape_Area_Mean_um2"].median()
    assert means["control"] > 3 * means["nocodazole"]


def test_real_controls_part(data_folder: Path) -> None:
    """BBBC013: the ratio parts single untreated and treated cells; the plate map tells which."""
    folder = data_folder / "bbbc013"
    plates = PlateMap(folder / "wells.csv")
    parts = []
    for well in ("A01", "B02", "A12", "B12"):
        crops = cut_crops(read_stack(folder / f"{well}.ome.tif"), 64).stack
        parts.append(run(ImageSet("HR", crops), plate_map=plates))
    table, record = join(parts)
    assert record["warnings"] == []
    column = "Math_Ratio_NucleusCytoplasm_FKHRGFP"
    by_control = dict(list(table.groupby("Metadata_Control")[column]))
    negative, positive = (by_control[c].dropna() for c in ("negative", "positive"))
    auc = stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
    assert auc > 0.97
    assert set(table["Metadata_Drug"]) == {"wortmannin"}
    assert set(table.loc[table["Metadata_Well"] == "B12", "Metadata_Dose_index"]) == {"10"}
