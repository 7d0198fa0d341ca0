"""Read single-cell stacks and fields: TIFF, OME-TIFF, OME-Zarr, and originals of microscopes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_rls.errors import InputError, TiffError
from napari_rls.text import name_of
from napari_rls.workflow.cells.lengths import in_micrometres, square_side, unknown_unit
from napari_rls.workflow.cells.ome import Header, parse_ome
from napari_rls.workflow.cells.ome_zarr import is_ome_zarr, read_zarr_record
from napari_rls.workflow.cells.original_file import is_original, read_original
from napari_rls.workflow.cells.reading import Reading, describe_axes
from napari_rls.workflow.cells.stack import CellStack, check_positions, stack_from_array
from napari_rls.workflow.cells.tiff_file import check_there, open_tiff, read_pixels
from napari_rls.workflow.cells.zarr_image import ZarrImage

FORMATS = "TIFF, OME-TIFF, OME-Zarr, LIF, CZI or ND2"
"""Files that can be read, in words."""

_UNNAMED_AXES = "QI"
"""tifffile's letters for an axis of which the file says nothing."""


def read_stack(path: Path | str, *, frames: bool = False) -> CellStack:
    """Read the images of a file with all that the file says of them.

    A TIFF or OME-TIFF file, or with the extra ``microscope`` a LIF, CZI or ND2 file, with
    the extra ``zarr`` the folder of an OME-Zarr image.

    Files of cells (N, C, y, x) or (C, y, x), and of whole fields, read alike; the
    leading axis may have any name. Channel names, pixel size and the crop records
    that napari-rls writes come along. With ``frames``, planes of several time points are
    fields of their own.

    Raises
    ------
    InputError
        If the file is missing, unreadable, cut short, an RGB picture, its axes are not those
        of cells, or it needs an extra.
    """
    path = Path(path)
    if is_ome_zarr(path):
        return ZarrImage.open(path, frames=frames).read()
    if is_original(path):
        array, axes, header = read_original(path)
        return replace(
            stack_from_array(
                array, axes=axes, channels=header.channels, name=name_of(path), frames=frames
            ),
            pixel_size_um=header.pixel_size_um,
        )
    with open_tiff(path) as tiff:
        array, axes, header = _read(tiff, name_of(path))
        stack = _own_stack(array, header, name_of(path))
    if stack is None:
        # After what the library says of a damaged file, which can have axes of any kind.
        stack = stack_from_array(
            array, axes=axes, channels=header.channels, name=name_of(path), frames=frames
        )
    crops = header.crops if len(header.crops) == len(stack) else stack.crops
    reading = replace(stack.reading, unit=header.unit)
    return replace(stack, pixel_size_um=header.pixel_size_um, crops=crops, reading=reading)


def read_record(path: Path | str) -> Mapping[str, Any]:
    """Read the provenance that napari-rls wrote into an image; empty if it wrote none.

    Raises
    ------
    InputError
        If the file is missing or unreadable.
    """
    path = Path(path)
    if is_ome_zarr(path):
        return read_zarr_record(path)
    return {} if is_original(path) else read_header(path).record


def read_header(path: Path | str) -> Header:
    """Read what a TIFF file says of its images.

    Raises
    ------
    InputError
        If the file is missing or unreadable.
    """
    with open_tiff(Path(path)) as tiff:
        return _header(tiff)


@dataclass(frozen=True)
class FirstImage:
    """What a TIFF file says of its first image: shape and letters of the axes, and the header.

    An axis of which it says nothing has the letter "".
    """

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    header: Header


def read_first_image(path: Path | str) -> FirstImage:
    """Read what a TIFF file says of its first image, of which all pixels must be there.

    Raises
    ------
    InputError
        If the file is missing, unreadable or incomplete.
    """
    with open_tiff(Path(path)) as tiff:
        series = tiff.series[0]
        check_there(series)
        return FirstImage(tuple(series.shape), tuple(_axes(series)), _header(tiff))


def read_frames(path: Path | str) -> tuple[NDArray[np.float32], Header]:
    """Read the samples or steps of a run, (F, N, C, H, W), float32, and the file's header.

    Parameters
    ----------
    path
        A file that :func:`~napari_rls.workflow.super_resolve.sr_files.write_frames` wrote.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    with open_tiff(Path(path)) as tiff:
        header, array = _header(tiff), read_pixels(_only_series(tiff, Path(path).name))
        # tifffile drops axes of length 1.
        each = (len(_cells(header.record)), len(header.channels), *array.shape[-2:])
        if 0 in each or array.size % math.prod(each):
            raise TiffError("its pixels are not those that its record tells of")
        return array.reshape(-1, *each).astype(np.float32, copy=False), header


def read_samples(path: Path, like: CellStack, record: Mapping[str, Any]) -> NDArray[np.float32]:
    """Read the samples (S, N, C, H, W) that belong to SR cells.

    Parameters
    ----------
    path
        A file that :func:`~napari_rls.workflow.super_resolve.sr_files.write_samples` wrote.
    like, record
        The SR cells and their provenance.

    Raises
    ------
    InputError
        If the file cannot be read or is of another run.
    """
    frames, header = read_frames(path)
    same = header.record.get("started") == record.get("started")
    if not same or frames.shape[1:] != like.data.shape:
        raise InputError(
            f"{path.name} holds samples of another run than {like.name}; super-resolve again, or "
            "move it away."
        )
    return frames


def _only_series(tiff: tifffile.TiffFile, name: str) -> tifffile.TiffPageSeries:
    if len(tiff.series) != 1:
        raise InputError(
            f"{name} holds {len(tiff.series)} images of different shapes; save the one to use in a "
            "file of its own."
        )
    return tiff.series[0]


def _read(tiff: tifffile.TiffFile, name: str) -> tuple[NDArray[np.generic], list[str], Header]:
    header = _header(tiff)
    if len(tiff.series) < header.images:
        raise TiffError(
            f"its header promises {header.images} images and it holds {len(tiff.series)}"
        )
    if header.images > 1:
        array, axes = _positions(tiff, name)
    else:
        series = _only_series(tiff, name)
        array, axes = read_pixels(series), _axes(series)
    if axes[-1] == "C":
        array = np.moveaxis(array, -1, -3)
        axes.insert(-2, axes.pop())
    return array, axes, header


def _axes(series: tifffile.TiffPageSeries) -> list[str]:
    if int(series.keyframe.photometric) == tifffile.PHOTOMETRIC.MINISWHITE:
        raise TiffError(
            "its 0 is white, so that its pixels are the darker the larger they are",
            "invert it, and save it with 0 as black",
        )
    axes = ["" if axis in _UNNAMED_AXES else axis for axis in series.axes]
    if "S" in axes and not _is_rgb(series.keyframe):
        axes[axes.index("S")] = "C"
    return axes


def _positions(tiff: tifffile.TiffFile, name: str) -> tuple[NDArray[np.generic], list[str]]:
    """Return several images of one shape, such as the positions of a stage, as one (P, ...)."""
    first = tiff.series[0]
    check_positions([(series.shape, series.axes, series.dtype) for series in tiff.series], name)
    return np.stack([read_pixels(series) for series in tiff.series]), ["P", *_axes(first)]


def _cells(record: Mapping[str, Any]) -> list[Any]:
    cells = record.get("cells")
    if not isinstance(cells, list):
        raise TiffError("it has no record of its cells")
    return cells


def _own_stack(array: NDArray[np.generic], header: Header, name: str) -> CellStack | None:
    """Return the images of a file that napari-rls wrote; None for another one."""
    if header.leading is None or not header.channels or array.ndim > 4:
        return None
    # tifffile drops axes of length 1, which such a file has for a reason.
    array = array.reshape(-1, len(header.channels), *array.shape[-2:])
    leading = header.leading or (None if len(array) == 1 else "N")
    axes = describe_axes(array.shape, None, 0 if len(array) > 1 else None)
    return CellStack(array, header.channels, leading=leading, name=name, reading=Reading(axes))


def _is_rgb(page: tifffile.TiffPage) -> bool:
    """Whether the samples of a pixel are colours, rather than channels in separate planes."""
    colours = {int(tifffile.PHOTOMETRIC.RGB), int(tifffile.PHOTOMETRIC.YCBCR)}
    interleaved = page.planarconfig == tifffile.PLANARCONFIG.CONTIG
    return int(page.photometric) in colours and interleaved


def _header(tiff: tifffile.TiffFile) -> Header:
    if tiff.is_ome and tiff.ome_metadata:
        return parse_ome(tiff.ome_metadata)
    if not (tiff.is_imagej and tiff.imagej_metadata):
        return Header()
    unit = str(tiff.imagej_metadata.get("unit", "pixel"))
    sides = [_imagej_side(tiff, f"{axis}Resolution", unit) for axis in "XY"]
    names = _imagej_channels(tiff.imagej_metadata)
    return Header(channels=names, pixel_size_um=square_side(*sides), unit=unknown_unit(unit))


def _imagej_channels(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of slices as names of channels, if there is one for each channel.

    Other labels tell of single slices, as "c:1/2 z:1/5 - name" does.
    """
    count, labels = metadata.get("channels", 1), metadata.get("Labels")
    if not isinstance(labels, list) or count < 2 or len(labels) % count:
        return ()
    names = [set(map(str, labels[k::count])) for k in range(count)]
    known = tuple(next(iter(found)).strip() for found in names if len(found) == 1)
    fit = len(set(known)) == count and all(known) and not any("/" in name for name in known)
    return known if fit else ()


def _imagej_side(tiff: tifffile.TiffFile, name: str, unit: str) -> float | None:
    tag = tiff.pages.first.tags.get(name)
    numerator, denominator = tag.value if tag is not None else (0, 1)
    return in_micrometres(denominator / numerator, unit) if numerator else None
