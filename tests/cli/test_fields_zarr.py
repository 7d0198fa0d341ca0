"""``napari-rls fields`` with OME-Zarr: plates in and out, going on, what cannot be used."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaozarrs
import zarr
from cli_bench import run
from field_bench import drawn_field
from zarr_bench import write_image, write_plate

from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.fields.field_files import FieldFile

OPTIONS = (
    "--ratio", "8", "--psf", "0.45", "--noise", "100,2,4", "--steps", "2", "--samples", "0",
    "--threads", "1",
)  # fmt: skip
SIZE = 5.2


def pixels(shift: int = 0):
    return np.roll(drawn_field(8.0, 1, 1).lr.data[0], shift, axis=-1)


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a plate of two wells with two fields each, and other files."""
    folder = tmp_path_factory.mktemp("in")
    wells = {"B/3": [pixels(), pixels(1)], "C/04": [pixels(2), pixels(3)]}
    write_plate(folder / "P1.zarr", wells, version="0.4", size=SIZE)
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "notes.csv").write_text("well\n")
    return folder


@pytest.fixture(scope="module")
def finished(plate: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("out")
    return out, run("fields", plate, "--out", out, *OPTIONS)


def test_a_plate_becomes_a_plate_with_the_same_wells_and_fields(finished) -> None:
    out, result = finished
    assert "2 files are no images and are left out: .DS_Store, notes.csv." in result.stderr
    root = out / "P1_SR8x.ome.zarr"
    yaozarrs.validate_zarr_store(root)
    plate = zarr.open_group(root, mode="r").attrs["ome"]["plate"]
    assert [well["path"] for well in plate["wells"]] == ["B/3", "C/04"]
    assert plate["field_count"] == 2
    table = pd.read_parquet(out / "cells.parquet")
    sr = table[table.Metadata_Image == "SR"]
    assert set(sr.Metadata_Well) == {"B03", "C04"}
    assert set(sr.Metadata_File) == {
        f"P1.zarr/{well}/{k}" for well in ("B/3", "C/04") for k in range(2)
    }
    for well in ("B/3", "C/04"):
        for k in range(2):
            image = zarr.open_group(root / well / str(k), mode="r")
            ome = image.attrs["ome"]
            (scales,) = ome["multiscales"]
            assert [axis.get("unit") for axis in scales["axes"]] == [None, *["micrometer"] * 2]
            scale, moved = scales["datasets"][0]["coordinateTransformations"]
            assert scale["scale"] == pytest.approx([1, SIZE / 8, SIZE / 8])
            # Where an LR pixel's first HR pixel is, of which 8 are one.
            assert moved["translation"] == pytest.approx([0, *[-3.5 * SIZE / 8] * 2])
            assert [c["label"] for c in ome["omero"]["channels"]] == ["DNA", "FKHR-GFP"]
            assert {c["color"] for c in ome["omero"]["channels"]} == {"3060FF", "30FF60"}
            assert image["0"].shape == (2, 64, 64)
            generated = image["labels/generated/0"][...]
            assert set(np.unique(generated)) == {0, 1}
            name = f"P1.zarr/{well}/{k}"
            cells = int((sr.Metadata_File == name).sum())
            nuclei = image["labels/nucleus/0"][...]
            assert set(np.unique(nuclei)) <= set(range(cells + 1))
            assert nuclei.max() > 0
            assert not (nuclei > 0)[generated == 0].any()
            record = image.attrs["napari-rls"]
            assert record["generated"] is True
            assert len(record["places"]) == cells


def test_pixels_are_those_of_a_tiff_of_the_same_field(finished, tmp_path: Path) -> None:
    out, _ = finished
    lr = replace(drawn_field(8.0, 1, 1).lr, pixel_size_um=SIZE)
    write_stack(tmp_path / "B03.ome.tif", lr, description="a field")
    shutil.copytree(out / "fields", tmp_path / "out" / "fields")  # the same intensities
    run("fields", tmp_path / "B03.ome.tif", "--out", tmp_path / "out", *OPTIONS)
    tiff = read_stack(tmp_path / "out" / "fields" / "B03_SR8x.ome.tif")
    image = read_stack(out / "P1_SR8x.ome.zarr" / "B" / "3" / "0")
    np.testing.assert_allclose(image.data, tiff.data, rtol=1e-4)
    assert image.pixel_size_um == pytest.approx(tiff.pixel_size_um)
    assert image.channels == tiff.channels


def test_going_on_makes_what_is_missing_and_keeps_the_rest(
    finished, plate: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    root = out / "P1_SR8x.ome.zarr"
    shutil.rmtree(root / "C" / "04")
    (root / "zarr.json").unlink()  # as where a run was killed before the plate was told
    kept = (root / "B" / "3" / "1" / "zarr.json").stat().st_mtime_ns
    result = run("fields", plate, "--out", out, *OPTIONS)
    assert result.stderr.count("is finished already.") == 2
    assert (root / "B" / "3" / "1" / "zarr.json").stat().st_mtime_ns == kept
    yaozarrs.validate_zarr_store(root)
    old = finished[0] / root.name
    for well in ("B/3", "C/04", ""):
        attributes = [zarr.open_group(r / well, mode="r").attrs.asdict() for r in (root, old)]
        assert attributes[0] == attributes[1]
    old_image, new_image = (zarr.open_array(r / "C/04/1/0", mode="r")[...] for r in (old, root))
    np.testing.assert_allclose(new_image, old_image, rtol=1e-4)
    assert not list(root.rglob("*.tmp"))


def test_broken_wells_fields_and_images_do_not_stop_the_others(plate: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(plate, folder)
    store = folder / "P1.zarr"
    (store / "B" / "3" / "0" / "0" / ".zarray").write_text("{")
    (store / "C" / "04" / ".zattrs").write_text('{"well": {}}')
    (folder / "cut.zarr").mkdir()
    result = run("fields", folder, "--out", tmp_path / "out", *OPTIONS, code=1)
    assert "P1.zarr/B/3/0 cannot be read as OME-Zarr: it is damaged" in result.stderr
    assert "P1.zarr/C/04 cannot be read: its OME metadata are not as they" in result.stderr
    assert "cut.zarr cannot be read as OME-Zarr" in result.stderr
    assert "Traceback" not in result.stderr
    root = tmp_path / "out" / "P1_SR8x.ome.zarr"
    yaozarrs.validate_zarr_store(root)
    images = zarr.open_group(root / "B" / "3", mode="r").attrs["ome"]["well"]["images"]
    assert [image["path"] for image in images] == ["1"]


def test_single_images_of_known_wells_become_a_plate(tmp_path: Path) -> None:
    planes = np.stack([pixels(), pixels(1)], axis=1)
    write_image(tmp_path / "in" / "exp_D07.ome.zarr", planes, axes="czyx", size=None, window=True)
    write_image(tmp_path / "in" / "exp_D08.ome.zarr", pixels(), size=None)
    result = run("fields", tmp_path / "in", "--out", tmp_path / "in" / "out", *OPTIONS)
    assert "Each of its 2 planes is taken for a cell or field of its own" in result.stderr
    root = tmp_path / "in" / "out" / "plate_SR8x.ome.zarr"
    yaozarrs.validate_zarr_store(root)
    wells = {
        well["path"]: zarr.open_group(root / well["path"], mode="r").attrs["ome"]["well"]["images"]
        for well in zarr.open_group(root, mode="r").attrs["ome"]["plate"]["wells"]
    }
    assert {well: len(images) for well, images in wells.items()} == {"D/07": 2, "D/08": 1}
    table = pd.read_parquet(tmp_path / "in" / "out" / "cells.parquet")
    found = table[["Metadata_File", "Metadata_Well", "Metadata_Z"]].drop_duplicates()
    assert found.fillna(0).values.tolist() == [
        ["exp_D07.ome.zarr", "D07", 1],
        ["exp_D07.ome.zarr", "D07", 2],
        ["exp_D08.ome.zarr", "D08", 0],
    ]
    # What was made lies among what is given now, and is not taken for fields.
    again = run("fields", tmp_path / "in", "--out", tmp_path / "in" / "out", *OPTIONS)
    assert again.stderr.count("is finished already.") == 3
    assert "of 3 of 3 fields are in" in again.stderr
    alone = run("fields", root, "--out", tmp_path / "out", *OPTIONS, code=1)
    assert "plate_SR8x.ome.zarr is left out: its pixels are generated" in alone.stderr


def test_planes_of_time_points_are_named_after_both(tmp_path: Path) -> None:
    frames = np.stack([np.stack([pixels(t + z) for z in (0, 1)]) for t in (0, 2)])
    stored = frames.swapaxes(1, 2)
    path = write_image(tmp_path / "time.ome.zarr", stored, axes="tczyx", size=None, window=True)
    result = run("fields", path, "--out", tmp_path / "out", *OPTIONS)
    assert result.stderr.count("4 planes (2 time points of 2 planes) is taken for") == 1
    made = sorted(p.name for p in (tmp_path / "out" / "fields").glob("*.ome.zarr"))
    assert made == [f"time_t{t}z{z}_SR8x.ome.zarr" for t in (1, 2) for z in (1, 2)]
    table = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    found = table[["Metadata_T", "Metadata_Z"]].drop_duplicates().values.tolist()
    assert found == [[1, 1], [1, 2], [2, 1], [2, 2]]
    for index, expected in enumerate(frames.reshape(4, *frames.shape[2:])):
        read = FieldFile(path, index, 4, "time").read()
        np.testing.assert_array_equal(read.data[0], expected)


def test_single_images_of_unknown_wells_are_written_one_by_one(tmp_path: Path) -> None:
    write_image(tmp_path / "one.zarr", pixels())
    result = run("fields", tmp_path / "one.zarr", "--out", tmp_path / "out", *OPTIONS)
    image = tmp_path / "out" / "fields" / "one_SR8x.ome.zarr"
    yaozarrs.validate_zarr_store(image)
    assert read_record(image)["generated"] is True
    assert str(image) in result.stdout.split()


@pytest.mark.parametrize("library", ["zarr", "yaozarrs"])
def test_the_missing_library_is_one_sentence(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    result = run("fields", plate, "--out", tmp_path / "out", *OPTIONS, code=1)
    assert "P1.zarr is an OME-Zarr; to read it needs the extra" in result.stderr
    assert "pip install 'napari-rls[zarr]'" in result.stderr
    assert "Traceback" not in result.stderr
