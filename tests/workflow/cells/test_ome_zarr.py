"""OME-Zarr that others wrote: pixels, names, sizes and wells, and what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr_bench import group, write_image, write_plate

from napari_rls.errors import InputError
from napari_rls.workflow.cells.ome_zarr import read_plate, series_of
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.zarr_image import ZarrImage
from napari_rls.workflow.fields.field_files import image_files

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(1, 1000, (2, 90, 70), np.uint16)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_is_read_with_all_that_it_says(tmp_path: Path, version: str) -> None:
    stack = read_stack(write_image(tmp_path / "B03.zarr", IMAGE, version=version, size=0.65))
    np.testing.assert_array_equal(stack.data, IMAGE[None])
    assert stack.channels == ("DNA", "FKHR-GFP")
    assert stack.pixel_size_um == pytest.approx(0.65)
    assert stack.name == "B03.zarr"
    without = write_image(tmp_path / "other.zarr", IMAGE, version=version, size=None)
    assert read_stack(without).pixel_size_um is None


def test_units_and_scales_of_all_levels_count(tmp_path: Path) -> None:
    path = write_image(tmp_path / "B03.zarr", IMAGE, size=650.0)
    file = path / "zarr.json"
    metadata = json.loads(file.read_text())
    scales = metadata["attributes"]["ome"]["multiscales"][0]
    for axis in scales["axes"][1:]:
        axis["unit"] = "nanometer"
    scales["coordinateTransformations"] = [{"type": "scale", "scale": [1, 2, 2]}]
    file.write_text(json.dumps(metadata))
    assert read_stack(path).pixel_size_um == pytest.approx(1.3)


def test_one_plane_is_read_without_the_others(tmp_path: Path) -> None:
    planes = RNG.integers(1, 1000, (1, 2, 3, 30, 40), np.uint16)
    path = write_image(tmp_path / "B03.zarr", planes, axes="tczyx")
    # A plane that cannot be read does not matter to the others.
    (path / "0" / "c" / "0" / "1" / "2" / "0" / "0").write_bytes(b"no chunk")
    image = ZarrImage.open(path)
    assert (len(image), image.layout.leading) == (3, "z")
    np.testing.assert_array_equal(image.read(1).data, planes[:, :, 1])
    assert image.layout.reading.apart == "3 planes"
    with pytest.raises(InputError, match=r"B03\.zarr cannot be read as OME-Zarr: it is damaged"):
        image.read(2)


def test_fields_of_a_plate_know_their_wells(tmp_path: Path) -> None:
    path = write_plate(tmp_path / "P.zarr", {"B/3": [IMAGE, IMAGE], "AA/04": [IMAGE]})
    plate = read_plate(path)
    assert plate is not None
    assert [(f.well, f.name) for f in plate.fields] == [("B03", "0"), ("B03", "1"), ("AA04", "0")]
    stack = read_stack(path / "AA" / "04" / "0")
    assert (stack.name, stack.crops[0].well) == ("P.zarr/AA/04/0", "AA04")
    with pytest.raises(InputError, match=r"it is no image but holds some.*the command fields"):
        read_stack(path)


def test_a_field_with_a_usual_name_is_read_and_one_that_leads_away_is_not(tmp_path: Path) -> None:
    path = write_plate(tmp_path / "P.zarr", {"B/3": [IMAGE], "B/4": [IMAGE]})
    (path / "B" / "3" / "0").rename(path / "B" / "3" / "Pos_0")
    for well, name in (("3", "Pos_0"), ("4", "..")):
        zarr.open_group(path / "B" / well).attrs.put(
            {"ome": {"version": "0.5", "well": {"images": [{"path": name}]}}}
        )
    plate = read_plate(path)
    assert plate is not None
    assert [field.name for field in plate.fields] == ["Pos_0"]
    assert "P.zarr/B/4 cannot be read (a field of it leads to another folder)" in plate.broken[0]


def test_series_of_one_folder_are_images(tmp_path: Path) -> None:
    path = tmp_path / "two.zarr"
    group(path, "0.5", {"bioformats2raw.layout": 3})
    for name in ("0", "1"):
        write_image(path / name, IMAGE)
    assert series_of(path) == [path / "0", path / "1"]
    group(path / "OME", "0.5", {"series": ["1"]})
    assert series_of(path) == [path / "1"]


def test_what_may_not_be_written_is_told_or_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "B03.zarr", IMAGE)  # in parts of 64 x 64, 4 a channel
    (path / "0" / "c" / "1" / "1" / "1").unlink()
    stack = read_stack(path)
    assert not stack.reading.certain
    assert (
        "1 of 8 parts of the image hold nothing: see that it was written to its end."
        in stack.reading.warnings
    )
    for part in (path / "0" / "c" / "1").rglob("*"):
        part.unlink() if part.is_file() else None
    with pytest.raises(InputError, match=r"all of FKHR-GFP is 0\): it may not have been written"):
        read_stack(path)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda p: (p / "zarr.json").unlink(), "it is damaged or was not"),
        (
            lambda p: (p / "zarr.json").write_text("{"),
            "it is damaged or was not written to its end",
        ),
        (lambda p: zarr.open_group(p).attrs.put({}), "it has no OME metadata"),
        (
            lambda p: zarr.open_group(p).attrs.put({"ome": {"version": "0.6"}}),
            "it is OME-Zarr 0.6): 0.4 and 0.5 are read",
        ),
        (
            lambda p: zarr.open_group(p).attrs.put({"ome": {"version": "0.5", "multiscales": []}}),
            "its OME metadata are not as they should be",
        ),
    ],
)
def test_a_broken_image_is_one_sentence(tmp_path: Path, spoil, sentence: str) -> None:
    path = write_image(tmp_path / "B03.zarr", IMAGE)
    spoil(path)
    with pytest.raises(InputError) as error:
        read_stack(path)
    assert str(error.value).startswith("B03.zarr cannot be read")
    assert sentence in str(error.value)


def test_planes_and_time_points_at_once_are_refused_as_of_tiff(tmp_path: Path) -> None:
    pixels = np.ones((2, 2, 3, 30, 40), np.uint16)
    path = write_image(tmp_path / "B03.zarr", pixels, axes="tczyx")
    with pytest.raises(InputError, match=r"B03\.zarr has the shape \(2, 2, 3, 30, 40\)"):
        read_stack(path)


def test_what_is_in_a_store_is_not_looked_through(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "B03.zarr", IMAGE)
    write_image(tmp_path / "a" / "without_ending", IMAGE)
    (tmp_path / "a" / "B03.zarr" / "picture.tif").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.zarr").mkdir()
    files, said = image_files([tmp_path])
    assert files == [tmp_path / "a" / "B03.zarr", tmp_path / "a" / "without_ending"]
    assert said == ["1 files are no images and are left out: notes.txt."]
