"""Read what microscopes write, LIF, CZI and ND2 files, by the readers of bioio (an extra)."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError, TiffError
from napari_rls.text import for_terminal, name_of
from napari_rls.workflow.cells.lengths import square_side
from napari_rls.workflow.cells.ome import Header
from napari_rls.workflow.cells.stack import check_positions
from napari_rls.workflow.cells.tiff_file import check_is_file, check_size

_READERS = {".lif": "bioio_lif", ".czi": "bioio_czi", ".nd2": "bioio_nd2"}
ORIGINALS = tuple(_READERS)
"""How names of such files end, in lower case."""

_PLACEHOLDER = re.compile(r"Channel:\d+(:\d+)?")
"""What bioio calls a channel of which the file gives no name."""


def is_original(path: Path) -> bool:
    """Whether a file's name says that a microscope has written it."""
    return path.suffix.lower() in _READERS


def read_original(path: Path) -> tuple[NDArray[np.generic], list[str], Header]:
    """Read the images of a LIF, CZI or ND2 file.

    Several scenes, series or positions are fields along an axis P, as those of an OME-TIFF
    file. Tiles of a CZI file are put together where the file says that they lie; those of a
    LIF file, which does not tell by how much they overlap, stay apart along an axis M.

    Returns
    -------
    array, axes, header
        Pixels, the letters of their axes, first to last, and what the file says of them.

    Raises
    ------
    InputError
        If the extra ``microscope`` is not installed, or the file is missing, damaged, or its
        images differ.
    """
    check_is_file(path)
    try:
        image = _open(path)
        if not image.scenes:
            raise TiffError("it holds no image", "record it again")
        sized = _check_whole(path, len(image.scenes))
        scenes = [_scene(image, k, sized) for k in range(len(image.scenes))]
        if len(scenes) > 1:
            check_positions([kind for kind, _ in scenes], name_of(path))
        header = scenes[0][1]
        if any(other != header for _, other in scenes):
            raise TiffError(
                "its images differ in channels or pixel size", "save each in a file of its own"
            )
        _, axes, dtype = scenes[0][0]
        pixels = sum(math.prod(shape) for (shape, _, _), _ in scenes)
        check_size(pixels * dtype.itemsize, path.stat().st_size)
        arrays = []
        for k in range(len(scenes)):
            image.set_scene(k)
            arrays.append(image.get_image_data(axes))
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{path.name} does not fit into memory; export some of its images as OME-TIFF."
        ) from None
    except Exception as error:  # noqa: BLE001  the readers raise all sorts of errors
        raise _unreadable(path, error) from None
    if len(arrays) == 1:
        return arrays[0], list(axes), header
    return np.stack(arrays), ["P", *axes], header


def _open(path: Path) -> Any:
    """Open a file with the reader of its kind, whatever other readers are installed."""
    try:
        from bioio import BioImage

        reader = import_module(_READERS[path.suffix.lower()]).Reader
    except ImportError:
        raise InputError(
            f"{path.name} is the original of a microscope; to read it needs the extra: pip install "
            "'napari-rls[microscope]'."
        ) from None
    with _quiet():
        return BioImage(path, reader=reader, reconstruct_mosaic=path.suffix.lower() != ".lif")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep bioio from printing what it raises too."""
    logger = logging.getLogger("bioio")
    handler = logging.NullHandler()
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _check_whole(path: Path, scenes: int) -> bool:
    """Check that a file holds what it promises, and return whether it knows its pixel size.

    The readers would not tell: scenes of a CZI file that its header does not name are left
    out, planes of an ND2 file that were not recorded are zeros, and its pixel size is 1 where it
    has none.

    Raises
    ------
    TiffError
        If it does not.
    """
    kind = path.suffix.lower()
    if kind == ".czi":
        with path.open("rb") as stream:
            shapes = import_module("aicspylibczi").CziFile(stream).get_dims_shape()
        ranges = [shape.get("S", (0, 1)) for shape in shapes]
        held = sum(end - start for start, end in ranges)
        if held != scenes:
            raise TiffError(
                f"its header names {scenes} scenes and it holds {held}",
                "export each scene as a file of its own",
            )
    elif kind == ".nd2":
        with import_module("nd2").ND2File(path) as file:
            promised = math.prod(size for axis, size in file.sizes.items() if axis not in "CYXS")
            held = file.attributes.sequenceCount
            channels = file.metadata.channels or ()
        if held < promised:
            raise TiffError(
                f"its header promises {promised:,} planes and it holds {held:,}",
                "the recording was stopped; export what there is as OME-TIFF",
            )
        return all(all(channel.volume.axesCalibrated[:2]) for channel in channels)
    return True


def _scene(
    image: Any, index: int, sized: bool
) -> tuple[tuple[tuple[int, ...], str, np.dtype[np.generic]], Header]:
    """Return shape, axes and type of a scene, axes of length 1 left out, and what is said of it."""
    image.set_scene(index)
    sizes = dict(image.dims.items())
    axes = "".join(axis for axis, size in sizes.items() if size > 1 or axis in "CYX")
    names = ["" if _PLACEHOLDER.fullmatch(str(n)) else str(n) for n in image.channel_names or ()]
    size = image.physical_pixel_sizes
    sides = (_side(size.X), _side(size.Y)) if sized else (None, None)
    header = Header(channels=tuple(names) if all(names) else (), pixel_size_um=square_side(*sides))
    return (tuple(sizes[axis] for axis in axes), axes, np.dtype(image.dtype)), header


def _side(size: float | None) -> float | None:
    """Return the side of a pixel in micrometres, None for one that the file does not know."""
    return float(size) if size is not None and 0 < size < float("inf") else None


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, OSError) and error.errno and error.strerror:
        return InputError(f"{path.name} cannot be read: {error.strerror}.")
    # What libraries say of a damaged file names their own insides, or bytes of the file.
    reason = f" ({for_terminal(str(error))})" if isinstance(error, TiffError) else ""
    remedy = error.remedy if isinstance(error, TiffError) else ""
    remedy = remedy or (
        "it is damaged, cut short or of a kind that bioio does not know; export it as OME-TIFF"
    )
    kind = path.suffix[1:].upper()
    return InputError(f"{path.name} cannot be read as a {kind} file{reason}: {remedy}.")
