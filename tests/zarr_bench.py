"""OME-Zarr images and plates as others write them: metadata by hand, pixels by zarr alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray

UNITS = {"z": "micrometer", "y": "micrometer", "x": "micrometer", "t": "second"}
KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def group(path: Path, version: str, ome: Mapping[str, Any]) -> None:
    if version == "0.5":
        attributes: dict[str, Any] = {"ome": {"version": version, **ome}}
        zarr.create_group(path, zarr_format=3, attributes=attributes)
    else:
        zarr.create_group(path, zarr_format=2, attributes=dict(ome))


def write_image(
    path: Path,
    pixels: NDArray[Any],
    *,
    axes: str = "cyx",
    version: str = "0.5",
    channels: tuple[str, ...] = ("DNA", "FKHR-GFP"),
    size: float | None = 5.2,
    window: bool = False,
) -> Path:
    """Write an image of two levels with a pixel size in micrometres."""
    named = [
        {"name": axis, "type": KINDS[axis]}
        | ({"unit": UNITS[axis]} if axis in UNITS and size else {})
        for axis in axes
    ]
    datasets = []
    for level in range(2):
        side = (size or 1.0) * 2**level
        scale = [side if axis in "yx" else 1.0 for axis in axes]
        transforms = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    old = {"version": version} if version == "0.4" else {}
    shown = {"color": "FF0000", "window": {"start": 0, "end": 9, "min": 0, "max": 9}}
    listed = [{"label": name} | (shown if window else {}) for name in channels]
    scales = [{"axes": named, "datasets": datasets} | old]
    group(path, version, {"multiscales": scales, "omero": {"channels": listed}})
    for level in range(2):
        data = pixels[..., :: 2**level, :: 2**level]
        array = zarr.create_array(
            path / str(level),
            shape=data.shape,
            dtype=data.dtype,
            chunks=(*[1] * (data.ndim - 2), 64, 64),
            zarr_format=3 if version == "0.5" else 2,
            **(
                {} if version == "0.5" else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
            ),
        )
        array[...] = data
    return path


def write_plate(
    path: Path, wells: Mapping[str, list[NDArray[Any]]], *, version: str = "0.5", **options: Any
) -> Path:
    """Write a plate of fields (C, y, x) by their wells, as in ``B/3``."""
    rows = sorted({well.split("/")[0] for well in wells})
    columns = sorted({well.split("/")[1] for well in wells})
    old = {"version": version} if version == "0.4" else {}
    places = [
        {
            "path": well,
            "rowIndex": rows.index(well.split("/")[0]),
            "columnIndex": columns.index(well.split("/")[1]),
        }
        for well in wells
    ]
    plate = {
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": places,
    }
    group(path, version, {"plate": plate | old})
    for row in rows:
        zarr.create_group(path / row, zarr_format=3 if version == "0.5" else 2)
    for well, fields in wells.items():
        images = [{"path": str(k)} for k in range(len(fields))]
        group(path / well, version, {"well": {"images": images} | old})
        for k, pixels in enumerate(fields):
            write_image(path / well / str(k), pixels, version=version, **options)
    return path
