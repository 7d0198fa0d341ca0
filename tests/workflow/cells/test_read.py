"""Reading TIFF files of other programs, and what is said of those that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_rls.errors import InputError
from napari_rls.workflow.cells.channels import channel_index, choose_channels
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack

DTYPES = ["uint8", "uint16", "int16", "float32"]


def pixels(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 8, 8), (5, 2, 8, 8), (3, 4, 8, 8)])
def test_plain_tiff(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    data = pixels(*shape, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    stack = read_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(stack.data, data.reshape(-1, *shape[-3:]))
    assert stack.data.dtype == dtype
    assert stack.leading == (None if len(shape) == 3 else "N")
    assert stack.pixel_size_um is None
    assert stack.crops == ()
    assert stack.name == "a.tif"


def test_plain_tiff_of_another_library(tmp_path: Path) -> None:
    data = pixels(2, 8, 8)
    first, second = (Image.fromarray(plane) for plane in data)
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif").data[0], data)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_imagej_hyperstack(tmp_path: Path, dtype: str) -> None:
    data = pixels(4, 2, 8, 8, dtype=dtype)
    tifffile.imwrite(
        tmp_path / "a.tif",
        data,
        imagej=True,
        resolution=(4, 4),
        metadata={"axes": "TCYX", "unit": "um"},
    )
    stack = read_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(stack.data, data)
    assert stack.leading == "T"
    assert stack.pixel_size_um == 0.25


def test_imagej_pixels_are_no_unit_of_length(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(2, 8, 8), imagej=True, metadata={"axes": "CYX"})
    stack = read_stack(tmp_path / "a.tif")
    assert stack.pixel_size_um is None
    assert not stack.reading.unit


@pytest.mark.parametrize(
    "changed",
    [
        {"imagej": True, "resolution": (4, 4), "metadata": {"axes": "CYX", "unit": "furlong"}},
        {
            "ome": True,
            "metadata": {
                "axes": "CYX",
                **{f"PhysicalSize{axis}": 4 for axis in "XY"},
                **{f"PhysicalSize{axis}Unit": "furlong" for axis in "XY"},
            },
        },
    ],
)
def test_an_unknown_unit_of_the_pixel_size_is_told(tmp_path: Path, changed: dict) -> None:
    data = pixels(2, 8, 8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", **changed)
    stack = read_stack(tmp_path / "a.tif")
    assert stack.pixel_size_um is None
    assert not stack.reading.certain
    (told,) = stack.reading.warnings
    assert told.startswith(
        "The pixel size of the image is given in 'furlong', which is no unit of length known here, "
        "so that it counts for nothing: save the image with its pixel size in micrometres"
    )


@pytest.mark.parametrize(
    ("labels", "channels"),
    [
        (["GFP", "DAPI"] * 3, ("GFP", "DAPI")),
        (["GFP", "DAPI", "GFP", "DAPI", "GFP", "Cy5"], ("channel 0", "channel 1")),
        (["a"] * 6, ("channel 0", "channel 1")),
        (["c:1/2 - a", "c:2/2 - a"] * 3, ("channel 0", "channel 1")),
        (["", "DAPI"] * 3, ("channel 0", "channel 1")),
    ],
)
def test_labels_of_imagej_slices_are_names_of_channels_where_each_has_one(
    tmp_path: Path, labels: list[str], channels: tuple[str, ...]
) -> None:
    metadata = {"axes": "TCYX", "Labels": labels}
    tifffile.imwrite(tmp_path / "a.tif", pixels(3, 2, 8, 8), imagej=True, metadata=metadata)
    assert read_stack(tmp_path / "a.tif").channels == channels


def test_a_file_whose_0_is_white_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(2, 8, 8), photometric="miniswhite")
    with pytest.raises(InputError) as caught:
        read_stack(tmp_path / "a.tif")
    assert str(caught.value) == (
        "a.tif cannot be read as a TIFF file (its 0 is white, so that its pixels are the darker "
        "the larger they are): invert it, and save it with 0 as black."
    )


def test_a_file_of_true_and_false_is_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(2, 8, 8) > 100, photometric="minisblack")
    reading = read_stack(tmp_path / "a.tif").reading
    assert reading.warnings == [
        "a.tif holds only True and False, like a mask: the search needs intensities."
    ]
    assert not reading.certain


def test_ome_tiff(tmp_path: Path) -> None:
    data = pixels(4, 2, 8, 8, dtype="uint16")
    metadata = {
        "axes": "TCYX",
        "Channel": {"Name": ["DNA", "GFP"]},
        "PhysicalSizeX": 650.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.65,
        "PhysicalSizeYUnit": "µm",
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata=metadata, photometric="minisblack")
    stack = read_stack(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(stack.data, data)
    assert stack.channels == ("DNA", "GFP")
    assert stack.leading == "T"
    assert stack.pixel_size_um == pytest.approx(0.65)


def test_channel_axis_need_not_come_first(tmp_path: Path) -> None:
    data = pixels(2, 5, 8, 8)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", data, metadata={"axes": "CTYX"}, photometric="minisblack"
    )
    np.testing.assert_array_equal(read_stack(tmp_path / "a.ome.tif").data, data.swapaxes(0, 1))


def test_planes_stored_as_samples_are_channels(tmp_path: Path) -> None:
    data = pixels(3, 8, 8)
    tifffile.imwrite(tmp_path / "planar.tif", data, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(
        tmp_path / "last.tif",
        data.transpose(1, 2, 0),
        photometric="minisblack",
        planarconfig="contig",
    )
    for name in ("planar.tif", "last.tif"):
        np.testing.assert_array_equal(read_stack(tmp_path / name).data[0], data)


def assert_one_sentence(message: str) -> None:
    assert "\n" not in message
    assert message.endswith(".")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^There is no file .*nothing\.tif\.$"):
        read_stack(tmp_path / "nothing.tif")


@pytest.mark.parametrize("content", [b"", b"II", b"not a picture at all", b"\x89PNG\r\n\x1a\n" * 9])
def test_other_formats(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match=r"^a\.tif cannot be read as a TIFF file") as caught:
        read_stack(tmp_path / "a.tif")
    assert_one_sentence(str(caught.value))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.5, 0.9, 0.99, 0.9999])
def test_file_cut_short_is_never_read_in_part(
    tmp_path: Path, compression: str | None, share: float
) -> None:
    data = np.random.default_rng(0).random((20, 2, 16, 16)).astype("f4")
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        data,
        photometric="minisblack",
        metadata={"axes": "TCYX"},
        compression=compression,
    )
    whole = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="damaged, cut short") as caught:
        read_stack(tmp_path / "a.ome.tif")
    assert_one_sentence(str(caught.value))


def test_rgb_picture(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(8, 8, 3), photometric="rgb")
    with pytest.raises(InputError, match=r"^a\.tif is an RGB picture; .*channels"):
        read_stack(tmp_path / "a.tif")


def test_too_many_axes(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        pixels(3, 4, 2, 8, 8),
        photometric="minisblack",
        metadata={"axes": "TZCYX"},
    )
    with pytest.raises(InputError, match=re.escape("has the shape (3, 4, 2, 8, 8)")):
        read_stack(tmp_path / "a.ome.tif")


def test_images_of_several_shapes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(pixels(2, 8, 8), photometric="minisblack")
        tiff.write(pixels(2, 9, 9), photometric="minisblack")
    with pytest.raises(InputError, match="holds 2 images of different shapes"):
        read_stack(tmp_path / "a.tif")


def test_damaged_record_of_crops(tmp_path: Path) -> None:
    metadata = {
        "axes": "CYX",
        "MapAnnotation": {"Namespace": "napari-rls", "leading": "", "crops": '[{"y": "far"}]'},
    }
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels(2, 8, 8), metadata=metadata, photometric="minisblack"
    )
    with pytest.raises(InputError, match="record of crops is damaged") as caught:
        read_stack(tmp_path / "a.ome.tif")
    assert_one_sentence(str(caught.value))


THREE = CellStack(pixels(2, 3, 4, 4), ("GFP", "DNA", "actin"), name="lr.tif")


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        ((), (1, 0)),  # by the bundle's names
        (("0", "2"), (0, 2)),
        (("actin", "GFP"), (2, 0)),
        (("actin", "1"), (2, 1)),
    ],
)
def test_choose_channels(wanted: tuple[str, ...], order: tuple[int, ...]) -> None:
    chosen = choose_channels(THREE, wanted, ("DNA", "GFP"))
    np.testing.assert_array_equal(chosen.data, THREE.data[:, list(order)])
    assert chosen.channels == tuple(THREE.channels[i] for i in order)


def test_channels_stay_as_they_are_where_names_say_nothing() -> None:
    stack = CellStack(pixels(2, 2, 4, 4), ("channel 0", "channel 1"))
    chosen = choose_channels(stack, (), ("DNA", "GFP"))
    assert chosen.data is stack.data
    assert chosen.reading.assumed == ("DNA", "GFP")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("0",), "1 channel(s) were chosen but the bundle needs 2 (DNA, GFP), in this order."),
        (("0", "GFP"), "0, GFP names a channel twice; each can be used once."),
        (
            ("DNA", "Hoechst"),
            "lr.tif has no channel Hoechst: its 3 channels are GFP, DNA, actin, counted from 0.",
        ),
        (
            ("DNA", "3"),
            "lr.tif has no channel 3: its 3 channels are GFP, DNA, actin, counted from 0.",
        ),
    ],
)
def test_wrong_choice_of_channels(wanted: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        choose_channels(THREE, wanted, ("DNA", "GFP"))


@pytest.mark.parametrize(
    ("name", "index"), [("1", 1), ("0", 0), (" 0 ", 0), ("channel 1", 1), ("Channel 0", 0)]
)
def test_a_number_is_an_index_whatever_channels_are_called(name: str, index: int) -> None:
    assert channel_index(CellStack(pixels(1, 2, 4, 4), ("1", "0")), name) == index


def test_real_field(data_folder: Path) -> None:
    field = read_stack(data_folder / "bbbc013" / "B01.ome.tif")
    assert field.data.shape == (1, 2, 640, 640)
    assert field.data.dtype == np.uint8
    assert field.channels == ("DNA", "FKHR-GFP")
    assert field.leading is None
    assert field.pixel_size_um is None
