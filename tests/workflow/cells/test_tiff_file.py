"""TIFF files that promise more than they hold: refused in one sentence, before memory is taken."""

from __future__ import annotations

import re
import resource
import struct
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_rls.errors import InputError
from napari_rls.workflow.cells.ome import parse_ome
from napari_rls.workflow.cells.ome_files import check_entities
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.tiff_file import BIG, one_of_each_set
from napari_rls.workflow.measure.image_files import read_images
from napari_rls.workflow.train.fields import find_fields

PLANES = np.random.default_rng(0).integers(1, 250, (4, 8, 8)).astype(np.uint8)
MEMORY = 2**28


def ome(sizes: str = "", inside: str = "<TiffData/>", root: str = "", after: str = "") -> str:
    given = {"SizeX": "8", "SizeY": "8", "SizeC": "2", "SizeZ": "1", "SizeT": "2"}
    given |= dict(part.split("=") for part in sizes.split())
    attributes = " ".join(f'{name}="{value}"' for name, value in given.items())
    return (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'{root}><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f"{attributes}>{inside}</Pixels></Image>{after}</OME>"
    )


def write(path: Path, description: str = "", data: np.ndarray = PLANES, **options: object) -> Path:
    tifffile.imwrite(
        path,
        data,
        description=description.encode(),
        metadata=None,
        photometric="minisblack",
        **options,
    )
    return path


def refused(path: Path) -> str:
    """Return the sentence with which a file is refused, at little cost in memory and time."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(InputError) as caught:
        read_stack(path)
    kilo = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * kilo < MEMORY
    assert time.perf_counter() - start < 20
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    assert message.endswith(".")
    return message


def test_a_header_that_is_right_is_believed(tmp_path: Path) -> None:
    stack = read_stack(write(tmp_path / "a.ome.tif", ome()))
    assert stack.data.shape == (2, 2, 8, 8)
    np.testing.assert_array_equal(stack.data.reshape(4, 8, 8), PLANES)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (ome("SizeC=1000000"), "its header promises 2,000,000 planes and it holds 4"),
        (ome("SizeX=1000000000"), "its header promises 500,000,000 planes and it holds 4"),
        (ome("SizeT=1000000000"), "its header promises 2,000,000,000 planes and it holds 4"),
        (ome("SizeT=5"), "its header promises 10 planes and it holds 4"),
        (ome("SizeT=0"), "its header gives no size that an image can have"),
        (ome("SizeT=-2"), "its header gives no size that an image can have"),
        (ome("SizeT=x"), "its header has no whole number in SizeT"),
        (ome("SizeT=" + "9" * 5000), "its header has no whole number in SizeT"),
        (
            ome(inside='<TiffData PlaneCount="1000000000"/>'),
            "its header places 1,000,000,000 planes among 4",
        ),
        (ome(inside="<TiffData/>" * 10_000), "its header gives each plane many times"),
        (
            ome(
                after='<StructuredAnnotations><XMLAnnotation ID="A" Namespace="modulo"><Value>'
                '<Modulo><ModuloAlongT Type="lifetime" Start="0" End="1e13"/></Modulo>'
                "</Value></XMLAnnotation></StructuredAnnotations>"
            ),
            "its header has an axis without end",
        ),
        (
            '<!DOCTYPE OME [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>' + ome("SizeT=&b;"),
            "its header defines entities, which no microscope's does",
        ),
        (ome(inside='<TiffData IFD="3" PlaneCount="1"/>'), "it lacks the plane 2 of 4 that"),
        (ome().replace("</Pixels>", ""), "its OME-XML header is damaged: mismatched tag"),
    ],
)
def test_headers_that_promise_too_much(tmp_path: Path, header: str, sentence: str) -> None:
    message = refused(write(tmp_path / "a.ome.tif", header))
    assert message.startswith(f"a.ome.tif cannot be read as a TIFF file ({sentence}")


@pytest.mark.parametrize(
    "name", ["../a.ome.tif", "/etc/passwd", "\\\\host\\share\\a.tif", "..", ""]
)
def test_a_set_of_files_lies_in_one_folder(tmp_path: Path, name: str) -> None:
    uuid = f'<TiffData><UUID FileName="{name}">urn:uuid:other</UUID></TiffData>'
    (tmp_path / "sub").mkdir()
    write(tmp_path / "a.ome.tif")
    path = write(tmp_path / "sub" / "b.ome.tif", ome(inside=uuid, root='UUID="urn:uuid:own"'))
    assert "which is not beside it" in refused(path)


def a_set(folder: Path, names: str = "ab", sizes: str = "SizeT=1") -> list[Path]:
    """Write a set of files with a channel, or else a time point, in each."""
    axis = "FirstC" if sizes == "SizeT=1" else "FirstT"
    parts = "".join(
        f'<TiffData {axis}="{k}" PlaneCount="1"><UUID FileName="{name}.ome.tif">urn:uuid:{name}'
        "</UUID></TiffData>"
        for k, name in enumerate(names)
    )
    folder.mkdir(exist_ok=True)
    for k, name in enumerate(names):
        header = ome(sizes, parts, f'UUID="urn:uuid:{name}"')
        write(folder / f"{name}.ome.tif", header, PLANES[k : k + 1])
    return [folder / f"{name}.ome.tif" for name in names]


def test_a_set_of_files_must_be_whole(tmp_path: Path) -> None:
    a, b = a_set(tmp_path)
    for path in (a, b):
        np.testing.assert_array_equal(read_stack(path).data[0], PLANES[:2])
    b.rename(tmp_path / "c.ome.tif")
    assert refused(a) == (
        "a.ome.tif cannot be read as a TIFF file (it belongs to the file b.ome.tif, which is not "
        "beside it): put b.ome.tif there by this name, or export the images as one file."
    )
    # The file itself has another name; all that it needs is there.
    np.testing.assert_array_equal(read_stack(tmp_path / "c.ome.tif").data[0], PLANES[:2])
    b.write_bytes(b"")
    assert "(the file b.ome.tif, which it belongs to, cannot be read)" in refused(a)
    write(b, ome("SizeC=1 SizeT=1", root='UUID="urn:uuid:other"'), PLANES[3:])
    assert "(the file b.ome.tif beside it is not the one that it belongs to)" in refused(a)


def test_planes_that_were_not_recorded_are_named(tmp_path: Path) -> None:
    a, *_ = a_set(tmp_path, "abc", "SizeC=1 SizeT=5")
    assert "(it lacks the plane 4 of 5 that it promises, T 4 of 5)" in refused(a)
    last = "".join(
        f'<TiffData FirstC="{k % 2}" FirstT="{k // 2}" IFD="{k}" PlaneCount="1"/>' for k in range(3)
    )
    path = write(tmp_path / "last.ome.tif", ome(inside=last))
    assert "(it lacks the plane 4 of 4 that it promises, C 2 of 2, T 2 of 2)" in refused(path)
    header = "ImageJ=1.53c\nimages=5\nframes=5\nhyperstack=true\n"
    path = write(tmp_path / "stopped.tif", header, PLANES[:3])
    assert "(its header promises 5 planes and it holds 3)" in refused(path)


def test_a_file_whose_header_is_elsewhere(tmp_path: Path) -> None:
    only = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:b">'
        '<BinaryOnly MetadataFile="{}" UUID="urn:uuid:a"/></OME>'
    )
    a, b = a_set(tmp_path)
    write(b, only.format("a.ome.tif"), PLANES[1:2])
    np.testing.assert_array_equal(read_stack(b).data[0], PLANES[:2])
    assert one_of_each_set([b, a])[0] == [b]
    (tmp_path / "x.companion.ome").touch()
    write(b, only.format("x.companion.ome"), PLANES[1:2])
    assert "(it is one part of the images that x.companion.ome describes" in refused(b)
    write(b, only.format("b.ome.tif"), PLANES[1:2])
    assert "(b.ome.tif, which it belongs to, does not describe it)" in refused(b)


def test_a_set_counts_once(tmp_path: Path) -> None:
    a, b = a_set(tmp_path / "one")
    other, more = a_set(tmp_path / "two")
    single = write(tmp_path / "s.ome.tif", ome())
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II")
    paths = [b, a, other, single, broken, more]
    assert one_of_each_set(paths) == (
        [b, other, single, broken],
        "a.ome.tif and 1 more are part of images that another file has given; each counts once.",
    )
    assert one_of_each_set([a, tmp_path / "one" / ".." / "one" / "a.ome.tif"])[0] == [a]
    assert one_of_each_set([a, other]) == ([a, other], "")
    assert [field.name for field in find_fields([str(tmp_path / "one")], ("x", "y"))] == [str(a)]
    groups = read_images([a, b], kind="HR")
    assert [len(group) for group in groups] == [1]


def several(folder: Path, sizes: Sequence[int], names: Sequence[str] = ("", "", "")) -> Path:
    """Write a file of three images of two channels."""
    images = "".join(
        f'<Image ID="Image:{k}"><Pixels ID="Pixels:{k}" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="8" SizeY="8" SizeC="{size}" SizeZ="1" SizeT="1"><Channel Name="{name}"/>'
        f'<TiffData IFD="{sum(sizes[:k])}" PlaneCount="{size}"/></Pixels></Image>'
        for k, (size, name) in enumerate(zip(sizes, names, strict=True))
    )
    xml = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">' + images + "</OME>"
    return write(folder / "positions.ome.tif", xml, PLANES.repeat(2, 0)[: sum(sizes)])


def test_positions_of_a_file_are_several_fields(tmp_path: Path) -> None:
    stack = read_stack(several(tmp_path, (2, 2, 2)))
    np.testing.assert_array_equal(stack.data.reshape(6, 8, 8), PLANES.repeat(2, 0)[:6])
    assert stack.leading == "P"
    assert "positions.ome.tif holds 3 images of different shapes; save" in refused(
        several(tmp_path, (2, 2, 1))
    )
    message = refused(several(tmp_path, (1, 1, 1), ("DNA", "DNA", "GFP")))
    assert message == (
        "positions.ome.tif cannot be read as a TIFF file (its images differ in channels or pixel "
        "size): save each in a file of its own."
    )


@pytest.mark.parametrize(
    ("unit", "size"),
    [("cm", 1e4), ("inch", 25400.0), ("micrometer", 1.0), ("Micrometers", 1.0), ("µm", 1.0),
     ("μm", 1.0), ("microns", 1.0), ("nm", 1e-3), ("Å", 1e-4), ("mm", 1e3), ("m", 1e6),
     ("centimetre", 1e4), ("pixel", None), ("parsec", None)],
)  # fmt: skip
def test_units_of_pixel_sizes(tmp_path: Path, unit: str, size: float | None) -> None:
    sizes = f"PhysicalSizeX=2 PhysicalSizeY=2 PhysicalSizeXUnit={unit} PhysicalSizeYUnit={unit}"
    found = parse_ome(ome(sizes)).pixel_size_um
    assert found == (None if size is None else pytest.approx(2 * size))
    path = tmp_path / "imagej.tif"
    unit = "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in unit)  # as ImageJ writes it
    tifffile.imwrite(path, PLANES[:1], imagej=True, resolution=(0.5, 0.5), metadata={"unit": unit})
    found = read_stack(path).pixel_size_um
    assert found == (None if size is None else pytest.approx(2 * size))


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    words = "(its pixels are not square, 2 µm in x and 1 µm in y): resample it to square pixels, or"
    path = write(tmp_path / "a.ome.tif", ome("PhysicalSizeX=2 PhysicalSizeY=1"))
    assert words in refused(path)
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(path, PLANES[:1], imagej=True, resolution=(0.5, 1), metadata={"unit": "um"})
    assert words in refused(path)


def test_compressed_parts_hold_no_more_than_their_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", data=PLANES[:1], compression="zlib")
    squeeze = zlib.compressobj(1)
    bomb = b"".join(squeeze.compress(bytes(2**24)) for _ in range(20)) + squeeze.flush()
    _append_strip(path, bomb)
    assert "(a compressed part of it is larger than its image)" in refused(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_parts_that_reach_beyond_the_end_of_the_file(
    tmp_path: Path, compression: str | None
) -> None:
    path = write(tmp_path / "a.tif", data=PLANES[:1], compression=compression, tile=(16, 16))
    _set_tag(path, 325, 2**32 - 1)
    assert "(its plane 1 is cut short)" in refused(path)


def test_pixels_of_gigabytes_in_a_small_file_are_not_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", data=PLANES[:1], compression="zlib")
    for tag in (256, 257, 278):
        _set_tag(path, tag, 40_000)
    message = refused(path)
    assert f"(it promises 1.6 GB of pixels in {path.stat().st_size} bytes)" in message
    assert BIG < 1.6e9


def test_what_does_not_fit_into_memory_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.tif", data=PLANES.repeat(9, 0))
    free = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert "(its 2.3 kB of pixels do not fit into the 1 kB free)" in refused(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib", "lzma"])
def test_a_page_that_is_cut_short(tmp_path: Path, compression: str | None) -> None:
    path = write(tmp_path / "a.tif", ome(), compression=compression)
    if compression:
        _set_tag(path, 279, 5)
    else:
        _set_tag(path, 273, path.stat().st_size - 5)
    assert re.match(r"a\.tif cannot be read as a TIFF file.*: it is damaged, cut", refused(path))


@pytest.mark.parametrize("compression", [None, "zlib", "lzma"])
def test_large_plain_images_are_read(tmp_path: Path, compression: str | None) -> None:
    data = np.zeros((2, 3000, 3000), np.uint16)
    data[0, 5, 5] = 7
    write(tmp_path / "a.tif", data=data, compression=compression)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif").data[0], data)


def test_records_are_as_safe_as_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.tif", ome("SizeC=1000000"))
    with pytest.raises(InputError, match="its header promises 2,000,000 planes"):
        read_record(path)


def test_what_the_library_says_of_a_damaged_file_is_not_passed_on(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"\x1b[31mred")
    assert refused(tmp_path / "a.tif") == (
        "a.tif cannot be read as a TIFF file: it is damaged, cut short or of another format; "
        "export it again."
    )


@pytest.mark.parametrize("record", ["[" * 100_000, "[]", "9" * 5000, "null", '{"a": NaN}'])
def test_our_own_record_is_checked(record: str) -> None:
    after = (
        '<StructuredAnnotations><MapAnnotation Namespace="napari-rls"><Value>'
        f'<M K="record">{record}</M></Value></MapAnnotation></StructuredAnnotations>'
    ).replace('"a"', "&quot;a&quot;")
    with pytest.raises(ValueError, match="its provenance is damaged"):
        parse_ome(ome(after=after))


def test_texts_may_speak_of_entities() -> None:
    check_entities("&lt;!DOCTYPE")


def _set_tag(path: Path, tag: int, value: int) -> None:
    """Set a tag of one value in the first page, in place."""
    with tifffile.TiffFile(path, mode="r+") as file:
        entry = file.pages.first.tags[tag]
        offset, dtype = entry.offset, "<HHII"
    content = bytearray(path.read_bytes())
    struct.pack_into(dtype, content, offset, tag, 4, 1, value)
    path.write_bytes(bytes(content))


def _append_strip(path: Path, data: bytes) -> None:
    """Put other bytes in the place of the only strip."""
    end = path.stat().st_size
    with path.open("ab") as file:
        file.write(data)
    _set_tag(path, 273, end)
    _set_tag(path, 279, len(data))
