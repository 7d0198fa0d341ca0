"""Read images of OME-Zarr: what they say of themselves first, then pixels of one field or all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import TiffError
from napari_rls.workflow.cells.lengths import in_micrometres, square_side
from napari_rls.workflow.cells.ome_zarr import is_ome_zarr, metadata_of, read_plate, told, zarr_name
from napari_rls.workflow.cells.stack import CellStack, Crop, find_axes, frame_axes, stack_from_array
from napari_rls.workflow.cells.tiff_file import check_size

if TYPE_CHECKING:
    import zarr


@dataclass(frozen=True, eq=False)
class ZarrImage:
    """An image of which no pixel has been read yet.

    Attributes
    ----------
    layout
        The stack that it is, with pixels of nothing that take no memory.
    axes
        Names of its axes, C for that of channels.
    array
        Its pixels at full resolution.
    """

    path: Path
    layout: CellStack
    axes: tuple[str, ...]
    array: zarr.Array[Any]

    @classmethod
    def open(cls, path: Path, *, frames: bool = False) -> Self:
        """Read what an image says of itself.

        With ``frames``, planes of several time points are fields of their own.

        Raises
        ------
        InputError
            If the extra ``zarr`` is not installed, or it cannot be read.
        """
        name = zarr_name(path)
        with told(path):
            import zarr

            models, ome = metadata_of(path)
            if "multiscales" not in ome:
                raise TiffError(
                    "it is no image but holds some",
                    "give one of them, or give the whole plate to the command fields",
                )
            # Display settings are the one part that writers leave incomplete.
            plain = {key: value for key, value in ome.items() if key != "omero"}
            scales = models.Image.model_validate(plain).multiscales[0]
            found = zarr.open_array(path / scales.datasets[0].path, mode="r")
            axes = tuple("C" if axis.type == "channel" else axis.name for axis in scales.axes)
            if len(axes) != found.ndim:
                raise TiffError(f"its metadata name {len(axes)} axes and it has {found.ndim}")
            layout = stack_from_array(
                np.broadcast_to(np.zeros((), found.dtype), found.shape),
                axes=axes,
                channels=_channels(ome),
                name=name,
                frames=frames,
            )
            layout = replace(layout, pixel_size_um=_pixel_size(scales))
        return cls(path, layout, axes, found)

    def __len__(self) -> int:
        return len(self.layout)

    def read(self, index: int | None = None) -> CellStack:
        """Read the pixels of one cell or field, or of all.

        Raises
        ------
        InputError
            If they cannot be read, or nothing was written of a channel.
        """
        frames = frame_axes(self.array.shape, self.axes)
        leading = frames or tuple(
            axis for axis in find_axes(self.array.shape, self.axes)[:1] if axis is not None
        )
        with told(self.path):
            where = [slice(None)] * self.array.ndim
            if index is not None and leading:
                at = np.unravel_index(index, [self.array.shape[axis] for axis in leading])
                for axis, k in zip(leading, at, strict=True):
                    where[axis] = slice(int(k), int(k) + 1)
            count = len(self) if index is None else 1
            shape = (count, *self.layout.data.shape[1:])
            check_size(math.prod(shape) * self.array.dtype.itemsize, None)
            pixels = np.asarray(self.array[tuple(where)])
            data = stack_from_array(pixels, axes=self.axes, frames=bool(frames)).data.reshape(shape)
            blank = self._blank(data)
        known = self.layout.crops or (Crop(self.layout.name),) * len(self)
        chosen = known if index is None else known[index : index + 1]
        well = self._well()
        return replace(
            self.layout,
            data=data,
            crops=tuple(replace(crop, well=well) for crop in chosen),
            reading=replace(self.layout.reading, blank=blank),
        )

    def _blank(self, data: NDArray[np.generic]) -> str:
        """Return in words how much may never have been written, "" for nothing.

        A part that is not there is read as the fill value, and one that holds nothing else need
        not be there.

        Raises
        ------
        TiffError
            If it is all of a channel.
        """
        missing = data == self.array.fill_value
        empty = missing.all(axis=(0, 2, 3))
        if empty.any():
            names = ", ".join(np.array(self.layout.channels)[empty])
            raise TiffError(
                f"all of {names} is {self.array.fill_value}", "it may not have been written to end"
            )
        height, width = self.array.chunks[-2:]
        tops, lefts = (
            range(0, n, k) for n, k in zip(data.shape[-2:], (height, width), strict=True)
        )
        parts = [missing[..., y : y + height, x : x + width] for y in tops for x in lefts]
        blank = sum(int(part.all(axis=(-2, -1)).sum()) for part in parts)
        total = len(parts) * math.prod(data.shape[:2])
        return f"{blank} of {total} parts" if blank else ""

    def _well(self) -> str:
        """Return the well, if the folders above are those of a plate that names it."""
        parents = self.path.absolute().parents
        if len(parents) < 3 or not is_ome_zarr(parents[2]):
            return ""
        plate = read_plate(parents[2])
        here = self.path.absolute()
        return (
            next((f.well for f in plate.fields if f.path.absolute() == here), "") if plate else ""
        )


def _channels(ome: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of channels, if each has one of its own."""
    omero = ome.get("omero")
    listed = omero.get("channels") if isinstance(omero, dict) else None
    names = [c.get("label") if isinstance(c, dict) else None for c in listed or []]
    return tuple(str(name) for name in names) if all(names) else ()


def _pixel_size(scales: Any) -> float | None:
    """Return the side of a pixel in micrometres, None where no unit tells what it is in."""
    transforms = [
        *scales.datasets[0].coordinateTransformations,
        *(scales.coordinateTransformations or ()),
    ]
    scale = np.prod([t.scale for t in transforms if t.type == "scale"], axis=0)
    y, x = (
        in_micrometres(float(side), axis.unit) if getattr(axis, "unit", None) else None
        for side, axis in zip(scale[-2:], scales.axes[-2:], strict=True)
    )
    return square_side(x, y)
