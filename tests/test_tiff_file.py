"""TIFF files that promise more than they hold: refused in one sentence, before memory is taken."""

from __future__ import annotations

import re
import resource
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_rls.workflow.ome import check_entities, parse_ome
from napari_rls.workflow.read import read_record, read_stack
from napari_rls.workflow.stack import InputError
from napari_rls.workflow.tiff_file import BIG

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


def test_a_set_of_files_must_be_whole(tmp_path: Path) -> None:
    parts = "".join(
        f'<TiffData FirstC="{k}" PlaneCount="1"><UUID FileName="{name}.ome.tif">urn:uuid:{name}'
        "</UUID></TiffData>"
        for k, name in enumerate("ab")
    )
    for k, name in enumerate("ab"):
        header = ome("SizeT=1", parts, f'UUID="urn:uuid:{name}"')
        write(tmp_path / f"{name}.ome.tif", header, PLANES[k : k + 1])
    stack = read_stack(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(stack.data[0], PLANES[:2])
    (tmp_path / "b.ome.tif").unlink()
    message = refused(tmp_path / "a.ome.tif")
    assert "(it belongs to the file b.ome.tif, which is not beside it)" in message


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
