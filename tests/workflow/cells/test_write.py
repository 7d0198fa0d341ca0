"""Files of cells: what is written is what any OME reader finds, and comes back equal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import record_path, whole_file, write_stack
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.sr_files import write_result

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

CROPS = (
    Crop("B03.ome.tif", "B03", 31.5, 40.5, 'dose <1 µM> & "more"'),
    Crop("B04.ome.tif", "B04", None, None, ""),
    Crop(),
)


def cells(dtype: str = "uint8", count: int = 3, channels: int = 2) -> CellStack:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 200, (count, channels, 6, 8)).astype(dtype)
    names = ("DNA", "FKHR-GFP & <more> µ")[:channels]
    return CellStack(data, names, pixel_size_um=0.65, crops=CROPS[:count], name="cells")


def ome(path: Path) -> ElementTree.Element:
    with tifffile.TiffFile(path) as tiff:
        assert tiff.ome_metadata is not None
        return ElementTree.fromstring(tiff.ome_metadata)


def assert_equal(a: CellStack, b: CellStack) -> None:
    np.testing.assert_array_equal(a.data, b.data)
    assert a.data.dtype == b.data.dtype
    assert (a.channels, a.leading, a.crops) == (b.channels, b.leading, b.crops)
    assert a.pixel_size_um == b.pixel_size_um


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("leading", ["N", "T", "Z", "cell"])
def test_round_trip(tmp_path: Path, dtype: str, leading: str) -> None:
    stack = replace(cells(dtype), leading=leading)
    write_stack(tmp_path / "a.ome.tif", stack, description="cells")
    assert_equal(read_stack(tmp_path / "a.ome.tif"), stack)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("leading", ["N", None])
def test_round_trip_of_axes_of_length_one(
    tmp_path: Path, channels: int, leading: str | None
) -> None:
    stack = replace(cells(count=1, channels=channels), leading=leading)
    write_stack(tmp_path / "a.ome.tif", stack, description="one cell")
    assert_equal(read_stack(tmp_path / "a.ome.tif"), stack)


def test_unknown_pixel_size_stays_unknown(tmp_path: Path) -> None:
    stack = replace(cells(), pixel_size_um=None)
    write_stack(tmp_path / "a.ome.tif", stack, description="cells")
    assert "PhysicalSizeX" not in ome(tmp_path / "a.ome.tif").find("{*}Image/{*}Pixels").attrib
    assert read_stack(tmp_path / "a.ome.tif").pixel_size_um is None


def test_types_that_ome_does_not_know_keep_their_values(tmp_path: Path) -> None:
    for dtype in ("int64", "float16", "bool"):
        write_stack(tmp_path / "a.ome.tif", cells(dtype), description="cells")
        back = read_stack(tmp_path / "a.ome.tif")
        assert back.data.dtype.kind == "f"
        np.testing.assert_array_equal(back.data, cells(dtype).data)


@pytest.fixture
def finished(tiny_bundle: Bundle) -> Collector:
    lr = np.random.default_rng(1).uniform(0, 255, (3, 2, 8, 8)).astype(np.float32)
    stack = CellStack(lr, ("a", "b"), leading="cell", pixel_size_um=2.0, crops=CROPS, name="lr.tif")
    result = Collector(stack, tiny_bundle.manifest.hr_size)
    for update in super_resolve(stack, tiny_bundle, Settings(factor=4, steps=3, batch_size=2)):
        result.add(update)
    return result


def test_result_file_says_what_it_is(tmp_path: Path, finished: Collector) -> None:
    path = tmp_path / "lr_SR4x.ome.tif"
    write_result(path, finished)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "TCYX"
        np.testing.assert_array_equal(tiff.series[0].asarray(), finished.sr)
    root = ome(path)
    image, pixels = root.find("{*}Image"), root.find("{*}Image/{*}Pixels")
    assert "generated" in image.get("Name")
    assert "generated" in image.findtext("{*}Description")
    assert pixels.get("Type") == "float"
    assert [c.get("Name") for c in pixels.findall("{*}Channel")] == ["nucleus", "protein"]
    # OME stores RGBA as one signed number: opaque blue and green.
    assert [c.get("Color") for c in pixels.findall("{*}Channel")] == ["65535", "16711935"]
    for axis in "XY":
        assert float(pixels.get(f"PhysicalSize{axis}")) == 0.5
        assert pixels.get(f"PhysicalSize{axis}Unit") == "µm"
    annotation = root.find("{*}StructuredAnnotations/{*}MapAnnotation")
    assert annotation.get("Namespace") == "napari-rls"
    values = {m.get("K"): m.text for m in annotation.iterfind("{*}Value/{*}M")}
    assert json.loads(values["record"]) == finished.provenance()
    assert json.loads((tmp_path / "lr_SR4x.json").read_text()) == finished.provenance()
    assert read_stack(path).leading == "cell"
    assert read_stack(path).crops == CROPS


def test_pixel_size_falls_back_on_the_bundle(tmp_path: Path, finished: Collector) -> None:
    finished.lr = replace(finished.lr, pixel_size_um=None)
    write_result(tmp_path / "sr.ome.tif", finished)
    assert read_stack(tmp_path / "sr.ome.tif").pixel_size_um == 0.5  # tiny_bundle's


def test_stopped_run_is_marked_incomplete(tmp_path: Path, tiny_bundle: Bundle) -> None:
    lr = CellStack(np.random.default_rng(1).uniform(0, 255, (2, 2, 8, 8)), ("a", "b"))
    result = Collector(lr, 32)
    result.add(next(super_resolve(lr, tiny_bundle, Settings(factor=4, steps=9, batch_size=1))))
    write_result(tmp_path / "sr.ome.tif", result)
    assert "Incomplete" in ome(tmp_path / "sr.ome.tif").findtext("{*}Image/{*}Description")
    record = json.loads(record_path(tmp_path / "sr.ome.tif").read_text())
    assert record["complete"] is False
    assert [cell["status"] for cell in record["cells"]] == ["searching", "waiting"]
    back = read_stack(tmp_path / "sr.ome.tif").data
    assert np.isfinite(back[0]).all()
    assert np.isnan(back[1]).all()


def test_failure_leaves_neither_file_nor_draft(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")

    def fail() -> None:
        with whole_file(tmp_path / "a.json") as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"
