"""Crops: where they are cut, what they remember, what is dropped."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from synthetic_cells import field
from typer.testing import CliRunner

from napari_rls.cli.main import app
from napari_rls.errors import InputError
from napari_rls.workflow.cells.crops import cut_crops, join
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.wells import guess_well, well_of

INSIDE = [(30.0, 40.0), (60.0, 25.0), (64.0, 64.0)]
BORDER = [(10.0, 80.0)]


def stack(name: str = "B03.ome.tif", **kwargs: object) -> CellStack:
    data = field(INSIDE + BORDER)[None]
    return CellStack(data, ("DNA", "GFP"), leading=None, pixel_size_um=0.5, name=name, **kwargs)


@pytest.mark.parametrize("size", [31, 32])
def test_crops_are_centred_on_nuclei(size: int) -> None:
    cut = cut_crops(stack(), size)
    assert cut.stack.data.shape == (3, 2, size, size)
    assert cut.stack.data.dtype == np.uint8
    assert cut.at_border == 1
    centres = sorted((crop.y, crop.x) for crop in cut.stack.crops)
    np.testing.assert_allclose(centres, INSIDE, atol=0.8)


def test_crops_of_a_file_of_several_images_tell_which_they_are_of() -> None:
    one = stack()
    planes = replace(one, data=np.repeat(one.data, 2, axis=0), leading="Z")
    assert [crop.plane for crop in cut_crops(planes, 32).stack.crops] == [1] * 3 + [2] * 3
    known = replace(planes, crops=(Crop("a", field=4), Crop("a", field=7)))
    assert [crop.frame for crop in cut_crops(known, 32).stack.crops] == [(4,)] * 3 + [(7,)] * 3
    assert {crop.frame for crop in cut_crops(one, 32).stack.crops} == {()}


@pytest.mark.parametrize("size", [31, 32])
def test_crop_is_what_the_field_holds_at_its_centre(size: int) -> None:
    source = stack()
    cut = cut_crops(source, size)
    for image, crop in zip(cut.stack.data, cut.stack.crops, strict=True):
        top, left = crop.y - (size - 1) / 2, crop.x - (size - 1) / 2
        assert (top, left) == (int(top), int(left))
        rows, columns = (slice(int(k), int(k) + size) for k in (top, left))
        np.testing.assert_array_equal(image, source.data[0, :, rows, columns])


def test_crop_with_its_surroundings_mirrored_beyond_the_field() -> None:
    source, size, margin = stack(), 32, 20
    known, wide = (cut_crops(source, size, margin=pixels) for pixels in (0, margin))
    assert wide.at_border == known.at_border
    assert wide.stack.crops == known.stack.crops
    inner = slice(margin, margin + size)
    np.testing.assert_array_equal(wide.stack.data[:, :, inner, inner], known.stack.data)
    far = ((0, 0), (margin, margin), (margin, margin))
    whole = np.pad(source.data[0], far, mode="reflect")
    for image, crop in zip(wide.stack.data, wide.stack.crops, strict=True):
        rows, columns = (
            slice(int(k - (size - 1) / 2), int(k - (size - 1) / 2) + size + 2 * margin)
            for k in (crop.y, crop.x)
        )
        np.testing.assert_array_equal(image, whole[:, rows, columns])


def test_crops_keep_what_is_known() -> None:
    cut = cut_crops(stack(), 32).stack
    assert {(crop.file, crop.well, crop.condition) for crop in cut.crops} == {
        ("B03.ome.tif", "B03", "")
    }
    assert (cut.channels, cut.pixel_size_um, cut.leading) == (("DNA", "GFP"), 0.5, "N")


def test_another_channel_may_show_the_nuclei() -> None:
    source = stack()
    swapped = source.select([1, 0])
    np.testing.assert_array_equal(
        cut_crops(swapped, 32, dna_channel=1).stack.data[:, ::-1], cut_crops(source, 32).stack.data
    )


def test_every_field_of_a_file_is_cut() -> None:
    one = stack()
    two = CellStack(np.concatenate([one.data] * 2), one.channels, name=one.name)
    cut = cut_crops(two, 32)
    assert len(cut.stack) == 6
    assert cut.at_border == 2


def test_field_without_nuclei_has_no_crops() -> None:
    empty = CellStack(np.zeros((1, 2, 64, 64), np.uint16), ("a", "b"))
    cut = cut_crops(empty, 32)
    assert cut.stack.data.shape == (0, 2, 32, 32)
    assert cut.stack.crops == ()
    with pytest.raises(InputError, match=r"^No nucleus was found whose crop lies fully inside"):
        join([cut.stack], "crops")


def test_field_smaller_than_a_crop() -> None:
    with pytest.raises(InputError, match=r"^B03\.ome\.tif has 96 x 96 pixels, too few for crops"):
        cut_crops(stack(), 97)


@pytest.mark.parametrize(
    ("file", "well"),
    [
        ("B03.ome.tif", "B03"),
        ("b3.tif", "B03"),
        ("plate7_H-12_s1.tif", "H12"),
        ("P24.tif", "P24"),
        ("cells.tif", ""),
        ("B100.tif", ""),
        ("AB03.tif", "AB03"),
        ("XB03.tif", ""),
        ("C1-B03.tif", "B03"),
        ("MAX_C2-B03.tif", "B03"),
        ("C1-image.tif", ""),
        ("H2B-GFP_B03.tif", "B03"),
        ("C2C12_B03.tif", "B03"),
        ("p53_B03.tif", "B03"),
        ("exp_P1_B03.tif", "B03"),
        ("B03_C1.tif", "B03"),
        ("A01_B3.tif", "B03"),
        ("scan_c1.tif", ""),
        ("B25.tif", ""),
        ("B00.tif", ""),
        ("AF48.tif", "AF48"),
        ("AG01.tif", ""),
        ("Channel1-01-A-01.BMP", "A01"),
        ("MFGTMP_140206180002_A01f00d0.TIF", "A01"),
        ("C:\\B02\\B03.tif", "B03"),
        ("2026-B2024.tif", ""),
        ("B - 03(fld 1 wv DAPI - DAPI).tif", "B03"),
        ("P - 1(fld 12 wv FITC - FITC z 1).tif", "P01"),
        ("B - 03.tif", ""),
        ("WellB03_Point001_ChannelDAPI_Seq0001.tif", "B03"),
        ("exp2_WellC1_Point001.tif", "C01"),
        ("Well-h12.tif", "H12"),
        ("Wellington.tif", ""),
        ("r02c03f01p01-ch1sk1fk1fl1.tiff", "B03"),
        ("r16c24f1p01-ch2.tiff", "P24"),
        ("r27c48f01p01-ch1.tiff", "AA48"),
        ("r33c01f01.tiff", ""),
        ("r02c03.tiff", ""),
    ],
)
def test_well_from_file_name(file: str, well: str) -> None:
    assert well_of(file) == well


@pytest.mark.parametrize(
    ("file", "known", "well", "others"),
    [
        ("A01_B03.tif", {"A01"}, "A01", ("B03",)),
        ("exp_P1_B03.tif", {"B03", "P01"}, "B03", ("P01",)),
        ("exp_P1_B03.tif", {"B04"}, "B03", ("P01",)),
        # A map of a whole plate knows C01 too: control cells would be those of the poison.
        ("C1-B03.tif", {"B03", "C01"}, "B03", ()),
        ("C1-B03.tif", {"C01"}, "B03", ()),
        ("B03_C1.tif", {"B03", "C01"}, "B03", ("C01",)),
        ("B25.tif", {"B25"}, "B25", ()),
        ("Z48.tif", {"Z48"}, "Z48", ()),
        ("A001.tif", {"A01"}, "A01", ()),
        ("r02c03f01p01-ch1.tiff", {"B03", "C01"}, "B03", ()),
    ],
)
def test_the_well_that_the_plate_map_knows_goes_first(
    file: str, known: set[str], well: str, others: tuple[str, ...]
) -> None:
    guess = guess_well(file, known)
    assert (guess.well, guess.others) == (well, others)


def plate_map(folder: Path, text: str) -> PlateMap:
    (folder / "map.csv").write_text(text, encoding="utf-8")
    return PlateMap(folder / "map.csv")


def test_plate_map_by_well(tmp_path: Path) -> None:
    plate = plate_map(
        tmp_path,
        "Well,row,column,drug,dose,control\nB3,B,3,wortmannin,2,\nB04,B,4,LY294002,,positive\n",
    )
    assert plate.find("B03.ome.tif") == ("B03", "drug=wortmannin; dose=2")
    assert plate.find("x_B4.tif") == ("B04", "drug=LY294002; control=positive")
    assert plate.find("C01.tif") == ("C01", "")
    assert plate.find("field.tif") == ("", "")


def test_plate_map_by_file_with_condition(tmp_path: Path) -> None:
    plate = plate_map(tmp_path, "file,well,condition,note\nfield.tif,D07,treated,x\nA01.tif,,,\n")
    assert plate.find("field.tif") == ("D07", "treated")
    assert plate.find("other.tif") == ("", "")
    cut = cut_crops(stack("field.tif"), 32, plate_map=plate)
    assert {(crop.well, crop.condition) for crop in cut.stack.crops} == {("D07", "treated")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drug,dose\na,1\n", "none of its first lines has a column 'well' or 'file'"),
        ("", "it is empty"),
        ("\n \n", "it is empty"),
        ("well\nA1\nA2,x,y\n", "its line 3 has 3 entries for 1 columns; entries with a"),
        ("well,drug\n1,A1,a\n2,A2,b\n", "its line 2 has 3 entries for 2 columns"),
        ("well,Well\nA1,A2\n", "two of its columns are named well; capitals do not matter"),
        ("well,Drug,drug\nA1,a,b\n", "two of its columns are named drug; capitals do not"),
        (",well,drug\n7,A1,a\n", "its column 1 has no name; give it one, or remove it"),
        ("Unnamed: 0,well,drug\n7,A1,a\n", "its column 1 has no name; give it one, or"),
        ('well,drug\nA1,"a\n', "it is no CSV table: unexpected end of data"),
        ("well\0", "it is no text"),
        ("well" + ",a" * 100_000, "it has 100,001 columns, more than 200"),
        ("well,drug\n" + "A1,a\n" * 200_000, "it has more than 50,000 rows"),
    ],
)
def test_plate_map_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    message = f"map.csv cannot be read as a plate map: {message}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}") as caught:
        plate_map(tmp_path, text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_plate_maps_of_other_programs(tmp_path: Path, separator: str, encoding: str) -> None:
    rows = [["Well", "drug", '"comment"'], ["B3", "µ", "a,b;c\td"], ["B4", ""], ["", "", "", ""]]
    text = "\r\n".join(
        separator.join(f'"{entry}"' if entry.startswith("a,") else entry for entry in row)
        for row in rows
    )
    (tmp_path / "map.csv").write_bytes(text.encode(encoding))
    plate = PlateMap(tmp_path / "map.csv")
    assert plate.find("B03.tif") == ("B03", "drug=µ; comment=a,b;c\td")
    assert plate.find("B04.tif") == ("B04", "")


def test_a_text_of_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_bytes("well,dose µM\nA1,1\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"it is no UTF-8 text, .*; save it as 'CSV UTF-8'\.$"):
        PlateMap(tmp_path / "map.csv")


def test_a_line_of_separators_alone_is_read_at_once(tmp_path: Path) -> None:
    # What a reader that guesses the separator thinks about for minutes.
    with pytest.raises(InputError, match="none of its first lines has a column"):
        plate_map(tmp_path, "\n".join('"a" ' * 40 for _ in range(2000)))


def test_separators_after_the_last_entry_do_no_harm(tmp_path: Path) -> None:
    plate = plate_map(tmp_path, "well,drug,,\nA1,x,,,,\nA2,y\n")
    assert plate.find("A01.tif") == ("A01", "drug=x")
    assert plate.others == ("drug",)


@pytest.mark.parametrize(
    "text",
    [
        "My plate of Monday\n\nwell,drug\nA1,x\nA2,y\n",
        '"Plate 3, repeat 2"\nExported 2026;;\nwell;drug\nA1;x\nA2;y\n',
        ",well,drug\n0,A1,x\n1,A2,y\n",
        '"","well","drug"\n"1","A1","x"\n"2","A2","y"\n',
        "Unnamed: 0,well,drug\n0,A1,x\n1,A2,y\n",
        "well,drug\nA001,x\na-02,y\n",
        "file,drug\nplate/A01.tif,x\nC:\\plate\\A02.tif,y\n",
    ],
)
def test_plate_maps_as_people_have_them(tmp_path: Path, text: str) -> None:
    plate = plate_map(tmp_path, text)
    assert plate.find("A01.tif") == ("A01", "drug=x")
    assert plate.find("some/where/A02.tif") == ("A02", "drug=y")
    assert plate.others == ("drug",)


@pytest.mark.parametrize(
    ("header", "entries", "taken"),
    [
        ("Well,Compound,Dose_uM", "B3,x,3", "'dose_um' for the dose (in µM), 'compound' for the"),
        ("well,treatment,Concentration (nM)", "B3,x,3", "'concentration (nm)' for the dose (in nM"),
        ("Metadata_Well,Metadata_Drug,Metadata_Dose", "B03,x,3", "'metadata_well' for the well, "),
        ("well;drug;conc", "B3;x;3", "'conc' for the dose."),
        ("Well ID\tDrug Name\tfinal conc. [µg/mL]", "B3\tx\t3", "for the dose (in µg/ml)"),
        ("filename,drug,dosage", "B03.tif,x,3", "'filename' for the file, 'dosage' for the dose"),
    ],
)
def test_columns_of_other_names_are_taken_for_what_they_mean(
    tmp_path: Path, header: str, entries: str, taken: str
) -> None:
    plate = plate_map(tmp_path, f"{header}\n{entries}\n")
    assert plate.find("B03.tif") == ("B03", "drug=x; dose=3") or not plate.others
    entry = plate.entry("B03.tif")
    assert entry is not None
    assert (entry["drug"], plate.dose(entry)) == ("x", 3.0)
    (said,) = plate.said
    assert said.startswith("Columns of map.csv are taken: ")
    assert taken in said


@pytest.mark.parametrize(
    ("text", "said", "doses"),
    [
        (
            "well,Dose_uM,Dose_nM\nA1,1,1000\n",
            (
                "map.csv has 2 columns that may be the dose, 'dose_um' and 'dose_nm', of which "
                "none is taken for it; call the one that is meant 'dose'."
            ),
            False,
        ),
        (
            "well,concentration\nA1,150 nM\n",
            (
                "The column 'concentration' of map.csv is not taken for the dose, as '150 nM' "
                "is no number of 0 or more without a unit."
            ),
            False,
        ),
        (
            "well;conc [uM]\nA1;0,5\n",
            (
                "The column 'conc [um]' of map.csv is not taken for the dose, as '0,5' is no "
                "number of 0 or more without a unit; decimals stand behind a point, as in 0.5."
            ),
            False,
        ),
        ("well,dose,concentration\nA1,1,high\n", "", True),
        ("well,drug,note\nA1,x,y\n", "", False),
    ],
)
def test_columns_that_may_mean_several_things_are_not_taken(
    tmp_path: Path, text: str, said: str, doses: bool
) -> None:
    plate = plate_map(tmp_path, text)
    assert plate.said == ((said,) if said else ())
    assert plate.has_doses is doses
    assert not plate.taken


@pytest.mark.parametrize(
    "header", ["WellID", "Well Name", "well_position", "Metadata_WellID", "FileName", "Image File"]
)
def test_a_table_is_a_plate_map_by_any_name_of_its_wells_or_files(
    tmp_path: Path, header: str
) -> None:
    plate = plate_map(tmp_path, f"{header},drug\n{'B03.tif' if 'ile' in header else 'B3'},x\n")
    entry = plate.entry("B03.tif")
    assert entry is not None
    assert entry["drug"] == "x"


def test_a_plate_map_that_matches_nothing_says_so(tmp_path: Path) -> None:
    plate = plate_map(tmp_path, "well,drug\nA1,x\nA2,y\n")
    assert plate.complaint([("A01.tif", ""), ("A02.tif", "")]) == ""
    assert plate.complaint([("A01.tif", ""), ("B03.tif", "")]) == (
        "map.csv does not tell the condition of B03; it is left empty."
    )
    assert plate.complaint([("B03.tif", ""), ("field.tif", ""), ("x.tif", "C07")]) == (
        "map.csv does not tell the condition of B03, C07, field.tif; it is left empty. The map "
        "tells of A01, A02, and of none of these images."
    )
    # Of a whole plate, fields are asked for one by one: the map may tell of others.
    assert plate.complaint([("B03.tif", "")]).endswith("of A01, A02, and not of this image.")


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    plate = plate_map(tmp_path, "file,condition\none/B03.tif,a\nC:\\two\\B03.tif,b\nB04.tif,c\n")
    assert plate.find("one/B03.tif") == ("B03", "a")
    assert plate.find("/data/one/B03.tif") == ("B03", "a")
    assert plate.find("two/B03.tif") == ("B03", "b")
    assert plate.find("B03.tif") == ("B03", "")
    assert plate.find("two/B04.tif") == ("B04", "c")


def test_plates_with_files_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    files = [tmp_path / plate / "B03.tif" for plate in ("one", "two")]
    for file in files:
        file.parent.mkdir()
        tifffile.imwrite(file, stack("B03.tif").data[0], photometric="minisblack")
    plate_map(tmp_path, "file,condition\none/B03.tif,a\ntwo/B03.tif,b\n")
    out = tmp_path / "cells.ome.tif"
    args = ["crops", *map(str, files), "--size", "32", "--out", str(out)]
    result = CliRunner().invoke(app, [*args, "--plate-map", str(tmp_path / "map.csv")])
    assert result.exit_code == 0, result.output
    crops = read_stack(out).crops
    assert {(crop.file, crop.condition) for crop in crops} == {
        ("one/B03.tif", "a"),
        ("two/B03.tif", "b"),
    }


def test_wells_that_a_plate_map_lists_without_a_condition_are_told(tmp_path: Path) -> None:
    plate = plate_map(tmp_path, "well,drug\nA1,x\nA2,\n")
    assert plate.complaint([("A01.tif", ""), ("A02.tif", "")]) == (
        "map.csv does not tell the condition of A02; it is left empty."
    )
    plate = plate_map(tmp_path, "well,condition,drug\nA1,,x\n")
    assert "the condition of A01; it is left empty." in plate.complaint([("A01.tif", "")])
    # A map that says nothing but where the files are lacks nothing.
    plate = plate_map(tmp_path, "file,well\na.tif,A1\n")
    assert plate.complaint([("a.tif", "")]) == ""


def test_missing_plate_map(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^There is no plate map .*map\.csv\.$"):
        PlateMap(tmp_path / "map.csv")


def test_join_keeps_order_and_records() -> None:
    parts = [cut_crops(stack(name), 32).stack for name in ("B03.tif", "B04.tif")]
    whole = join(parts, "crops")
    np.testing.assert_array_equal(whole.data, np.concatenate([part.data for part in parts]))
    assert [crop.well for crop in whole.crops] == ["B03"] * 3 + ["B04"] * 3


def test_fields_that_do_not_match_are_not_joined() -> None:
    crop = (Crop(),)
    a = CellStack(np.zeros((1, 1, 4, 4), np.uint8), ("DNA",), crops=crop, name="a.tif")
    b = CellStack(np.zeros((1, 1, 4, 4), np.uint8), ("GFP",), crops=crop, name="b.tif")
    with pytest.raises(InputError, match=r"^b\.tif and a\.tif differ in channels"):
        join([a, b], "crops")


def test_real_field(data_folder: Path) -> None:
    source = read_stack(data_folder / "bbbc013" / "B01.ome.tif")
    cut = cut_crops(source, 64, plate_map=PlateMap(data_folder / "bbbc013" / "wells.csv"))
    assert 100 < len(cut.stack) < 160
    assert cut.at_border > 10
    assert {crop.condition for crop in cut.stack.crops} == {
        "drug=wortmannin; dose_index=0; control=negative"
    }
    # The middle of a crop is nucleus: bright in DNA.
    middle = cut.stack.data[:, 0, 30:34, 30:34].mean((1, 2))
    corner = cut.stack.data[:, 0, :4, :4].mean((1, 2))
    assert np.median(middle) > 4 * np.median(corner)


@pytest.mark.parametrize("character", ["(", " ", "_"])
def test_a_column_of_a_plate_map_with_an_endless_name_is_none(
    tmp_path: Path, character: str
) -> None:
    # By the expression that finds units, this one would take minutes.
    endless = f"a{character * 50_000}b"
    started = time.process_time()
    plate = plate_map(tmp_path, f"{endless},well,dose\n1,A01,2\n")
    assert plate.find("A01.tif")[0] == "A01"
    assert time.process_time() - started < 5
