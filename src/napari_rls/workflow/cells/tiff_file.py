"""Open the TIFF files of others: what they promise is checked before memory is taken for it.

A header of some hundred bytes can promise any number of planes of any size, and a compressed
strip can hold a thousand times what it should; tifffile believes both, and fills with zeros
what is not there.
"""

from __future__ import annotations

import logging
import lzma
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import tifffile
from numpy.typing import NDArray

from napari_rls.errors import InputError, TiffError
from napari_rls.text import byte_count, for_terminal
from napari_rls.workflow.cells.ome_files import (
    check_beside,
    check_entities,
    check_ome,
    master_of,
    part_files,
    uuid_of,
)

MAX_PAGES = 500_000
"""Planes of a file: a whole plate, cell by cell, has fewer."""

MAX_RATIO = 1100
"""How many times larger than the file its pixels may be, from :data:`BIG` bytes on.

A compressed image of one value, as where next to nothing of a field is generated, is 1000 times.
"""

BIG = 2**30

_SLACK = 2**28
"""Bytes that a compressed strip may give in vain before it is looked into."""

_CHUNK = 2**20
_SEGMENT = 64 * 2**20

_INFLATING: dict[int, Callable[[], Any]] = {
    8: zlib.decompressobj,
    32946: zlib.decompressobj,
    34925: lzma.LZMADecompressor,
}
"""Compressions that Python decodes without a bound, by their number in TIFF."""

_MOST = {8: 1040, 32946: 1040, 34925: 8000}
"""How many bytes one byte of them gives at most."""


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file; whatever is wrong with it in the block is an InputError.

    Raises
    ------
    InputError
        If the file is missing, unreadable or damaged.
    """
    check_is_file(path)
    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    logger.addHandler(complaints)
    propagate, logger.propagate = logger.propagate, False
    try:
        with tifffile.TiffFile(path) as tiff:
            master = _check_pages(tiff)
            if master is None:
                yield tiff
        if master is not None:
            with open_tiff(master) as tiff:
                yield tiff
        if complaints.first:
            # tifffile goes on with what is left of a damaged file: fewer pages, zeros.
            raise _unreadable(path, ValueError(complaints.first))
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{path.name} does not fit into memory; crop it, or split it into several files."
        ) from None
    except Exception as error:  # noqa: BLE001  damaged files raise all sorts of errors
        if isinstance(error, OSError) and error.errno and error.strerror:
            raise InputError(f"{path.name} cannot be read: {error.strerror}.") from None
        raise _unreadable(path, error) from None
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagate


def check_is_file(path: Path) -> None:
    """Check that there is a file.

    Raises
    ------
    InputError
        If there is none, or a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the files in it.")
    if not path.is_file():
        raise InputError(f"There is no file {path}.")


def check_size(size: int, in_file: int | None) -> None:
    """Check that so many bytes of pixels can be in a file of so many, and fit into memory.

    Parameters
    ----------
    size
        Bytes of the pixels.
    in_file
        Bytes of the file; None if the pixels are in several.

    Raises
    ------
    TiffError
        If not; the message says why, as the end of a sentence.
    """
    if in_file is not None and size > max(BIG, MAX_RATIO * in_file):
        raise TiffError(f"it promises {byte_count(size)} of pixels in {byte_count(in_file)}")
    free = psutil.virtual_memory().available
    if size > free:
        raise TiffError(
            f"its {byte_count(size)} of pixels do not fit into the {byte_count(free)} free"
        )


def set_of(path: Path) -> frozenset[tuple[Path, str]]:
    """Return what tells the set of files that a file belongs to: the same for all of its files.

    A file that cannot be read is a set of its own: what is wrong is told when it is read.
    """
    alone = path.resolve()
    parts: dict[str, str] = {}
    with suppress(Exception):  # damaged files raise all sorts of errors
        with tifffile.TiffFile(path) as tiff:
            xml = tiff.ome_metadata if tiff.is_ome else None
        if xml and (master := master_of(xml)):
            check_beside(master, path)
            path = path.with_name(master)
            with tifffile.TiffFile(path) as tiff:
                xml = tiff.ome_metadata if tiff.is_ome else None
        parts = part_files(xml, path) if xml else {}
    return frozenset((alone.parent, uuid) for uuid in parts) or frozenset({(alone, "")})


def one_of_each_set(paths: Sequence[Path]) -> tuple[list[Path], str]:
    """Return the first file of each set, and the sentence that says which were left out, or "".

    An image may lie in several files, as one for each channel; any of them gives all of it.
    """
    kept: dict[frozenset[tuple[Path, str]], Path] = {}
    left = [path for path in paths if kept.setdefault(set_of(path), path) is not path]
    if not left or len(paths) < 2:
        return list(paths), ""
    named = f"{left[0].name} and {len(left) - 1} more" if len(left) > 1 else left[0].name
    what = "are part of images" if len(left) > 1 else "is part of an image"
    return list(kept.values()), f"{named} {what} that another file has given; each counts once."


def read_pixels(series: tifffile.TiffPageSeries) -> NDArray[Any]:
    """Read an image of an open file, if all of it is there and there is memory for it.

    Raises
    ------
    TiffError
        If not; the message says why, as the end of a sentence.
    """
    size = math.prod(series.shape) * (series.dtype.itemsize)
    in_file = series.parent.filehandle.size if series.parent else 0
    check_there(series)
    check_size(size, None if series.is_multifile else in_file)
    return series.asarray()


class _Complaints(logging.Handler):
    """Keep the first error that tifffile logs instead of raising it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or record.getMessage()


def _check_pages(tiff: tifffile.TiffFile) -> Path | None:
    """Check what a file promises; return the file that has the header instead, if one does."""
    pages, first = len(tiff.pages), tiff.pages.first
    path = Path(tiff.filehandle.path)
    if pages > MAX_PAGES:
        raise TiffError(f"it holds {pages:,} planes, more than {MAX_PAGES:,}")
    xml = tiff.ome_metadata if tiff.is_ome else None
    if not xml:
        check_entities(first.description)
        _check_imagej(tiff, pages)
        return None
    check_ome(xml, path, pages, first.size)
    if master := master_of(xml):
        return _checked_master(master, path)
    for uuid, name in part_files(xml, path).items():
        if name.lower() != path.name.lower():
            _check_part(path.with_name(name), uuid)
    return None


def _check_imagej(tiff: tifffile.TiffFile, pages: int) -> None:
    """Check that a file of ImageJ holds the planes that it promises: large ones have one page."""
    promised = (tiff.imagej_metadata or {}).get("images", 1) if tiff.is_imagej else 1
    if not isinstance(promised, int) or promised <= pages:
        return
    first = tiff.pages.first
    end = first.dataoffsets[0] + promised * first.nbytes if first.dataoffsets else 0
    if pages > 1 or first.compression != tifffile.COMPRESSION.NONE or end > tiff.filehandle.size:
        raise TiffError(
            f"its header promises {promised:,} planes and it holds {pages:,}",
            "it is cut short or was not recorded to its end; export what there is again",
        )


def _checked_master(name: str, path: Path) -> Path:
    check_beside(name, path)
    master = path.with_name(name)
    if master.suffix.lower() not in (".tif", ".tiff"):
        raise TiffError(
            f"it is one part of the images that {name} describes, which cannot be read",
            "export them as one OME-TIFF",
        )
    with tifffile.TiffFile(master) as tiff:
        if not tiff.is_ome or master_of(tiff.ome_metadata or "<OME/>"):
            raise TiffError(f"{name}, which it belongs to, does not describe it")
    return master


def _check_part(path: Path, uuid: str) -> None:
    """Check that a file of a set is the one that was meant."""
    again = f"put the file {path.name} of this set there, or export the images as one file"
    try:
        with tifffile.TiffFile(path) as tiff:
            found = uuid_of(tiff.ome_metadata) if tiff.is_ome and tiff.ome_metadata else ""
    except Exception:  # noqa: BLE001  damaged files raise all sorts of errors
        raise TiffError(
            f"the file {path.name}, which it belongs to, cannot be read", again
        ) from None
    if found and found != uuid:
        raise TiffError(f"the file {path.name} beside it is not the one that it belongs to", again)


def check_there(series: tifffile.TiffPageSeries) -> None:
    """Check that every plane of an image is in the file, at its full size.

    Raises
    ------
    TiffError
        If not; the message says why, as the end of a sentence.
    """
    in_file = series.parent.filehandle.size if series.parent else 0
    key, itemsize = series.keyframe, series.dtype.itemsize
    if series.dataoffset is not None:
        if series.dataoffset + series.size * itemsize > in_file:
            raise TiffError("it is cut short")
        return
    segment = math.prod(key.chunks) * itemsize
    if segment > max(_SEGMENT, 4 * key.nbytes):
        raise TiffError(f"its tiles of {byte_count(segment)} are larger than its images")
    for k, page in enumerate(series.pages):
        if page is None:
            raise TiffError(
                f"it lacks the plane {k + 1} of {len(series.pages)} that it promises"
                f"{_place(series, k)}",
                "the file that holds it was removed or the recording stopped; export what there is "
                "again",
            )
        if not _is_whole(page, key):
            raise TiffError(f"its plane {k + 1} is cut short")
        if key.compression in _INFLATING and not series.is_multifile:
            _check_inflated(page, int(key.compression), segment)


def _place(series: tifffile.TiffPageSeries, plane: int) -> str:
    """Return where a plane stands along the axes, as in ", C 2 of 2, T 4 of 5"."""
    sizes = list(zip(series.get_axes(False), series.get_shape(False), strict=True))
    front = [(axis, size) for axis, size in sizes if axis not in "YXS"]
    if math.prod(size for _, size in front) != len(series.pages):
        return ""
    words = []
    for axis, size in reversed(front):
        plane, k = divmod(plane, size)
        words.append(f"{axis} {k + 1} of {size}" if size > 1 else "")
    return "".join(f", {word}" for word in words if word)


def _is_whole(page: tifffile.TiffPage | tifffile.TiffFrame, key: tifffile.TiffPage) -> bool:
    """Whether all parts of a plane are in the file, and hold all of it if not compressed."""
    offsets, counts = page.dataoffsets, page.databytecounts
    ends = map(sum, zip(offsets, counts, strict=False))
    if len(offsets) < math.prod(key.chunked) or not all(counts):
        return False
    if max(ends, default=0) > page.parent.filehandle.size:
        return False
    bits = math.prod(key.shaped) * key.bitspersample
    return key.compression != tifffile.COMPRESSION.NONE or sum(counts) >= bits // 8


def _check_inflated(
    page: tifffile.TiffPage | tifffile.TiffFrame, compression: int, segment: int
) -> None:
    """Check that compressed strips hold no more than they should, where they might."""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count * _MOST[compression] <= segment + _SLACK:
            continue
        file = page.parent.filehandle
        file.seek(offset)
        packed, found, decoder = file.read(count), 0, _INFLATING[compression]()
        more = True
        while more and found <= segment:
            found += len(decoder.decompress(packed, _CHUNK))
            # zlib gives back what it has not looked at yet, lzma keeps it.
            packed = getattr(decoder, "unconsumed_tail", b"")
            more = not decoder.eof and (bool(packed) or not getattr(decoder, "needs_input", True))
        if found > segment:
            raise TiffError("a compressed part of it is larger than its image")


def _unreadable(path: Path, error: Exception) -> InputError:
    if "imagecodecs" in str(error):
        return InputError(
            f"{path.name} is compressed in a way that needs the package imagecodecs; install it "
            "(pip install imagecodecs) or save the file without compression."
        )
    # What libraries say of a damaged file names their own insides, or bytes of the file.
    reason = f" ({for_terminal(str(error))})" if isinstance(error, TiffError) else ""
    remedy = error.remedy if isinstance(error, TiffError) else ""
    remedy = remedy or "it is damaged, cut short or of another format; export it again"
    return InputError(f"{path.name} cannot be read as a TIFF file{reason}: {for_terminal(remedy)}.")
