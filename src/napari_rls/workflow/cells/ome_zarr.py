"""Read OME-Zarr images and plates, 0.4 and 0.5, by zarr and the models of yaozarrs (an extra)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_rls.errors import InputError, TiffError
from napari_rls.files.json_file import first_fault, shown
from napari_rls.text import for_terminal, name_of
from napari_rls.workflow.cells.ome import PROVENANCE_KEY, in_micrometres, square_side
from napari_rls.workflow.cells.stack import CellStack, Crop, find_axes, stack_from_array
from napari_rls.workflow.cells.tiff_file import check_size
from napari_rls.workflow.cells.wells import normal_well

if TYPE_CHECKING:
    import zarr

ZARR_ENDING = ".zarr"
"""How names of folders of OME-Zarr end."""

_NODES = ("zarr.json", ".zgroup", ".zarray")
"""Files that make a folder a node of a Zarr hierarchy."""

_VERSIONS = ("0.4", "0.5")
_NEEDED = "needs the extra: pip install 'napari-rls[zarr]'."


def is_ome_zarr(path: Path) -> bool:
    """Whether a path is a folder of Zarr, by its name or by what lies in it."""
    return path.is_dir() and (
        path.suffix.lower() == ZARR_ENDING or any((path / node).is_file() for node in _NODES)
    )


def zarr_name(path: Path) -> str:
    """Return what an image is called: its folder, from the outermost folder of Zarr on.

    Examples
    --------
    >>> zarr_name(Path("data/plate.zarr/B/3/0")), zarr_name(Path("data/B03.ome.zarr"))
    ('plate.zarr/B/3/0', 'B03.ome.zarr')
    """
    above = [k for k, part in enumerate(path.parts) if part.lower().endswith(ZARR_ENDING)]
    return "/".join(name_of(Path(part)) for part in path.parts[above[0] if above else -1 :])


@dataclass(frozen=True)
class ZarrField:
    """A field of view of a plate: the folder of its image, and where it is on the plate."""

    path: Path
    row: str
    column: str
    name: str
    acquisition: int | None = None

    @property
    def well(self) -> str:
        """The well, as in B03."""
        return normal_well(f"{self.row}{self.column}")


@dataclass(frozen=True)
class ZarrPlate:
    """A plate.

    Attributes
    ----------
    rows, columns, acquisitions
        As its metadata say.
    fields
        Its fields of view, in their order.
    broken
        A sentence on each well that cannot be read.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    acquisitions: tuple[Mapping[str, Any], ...]
    fields: tuple[ZarrField, ...]
    broken: tuple[str, ...]


def read_plate(path: Path) -> ZarrPlate | None:
    """Read the metadata of a plate and its wells; None if it is no plate.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed, or the plate cannot be read.
    """
    with _told(path):
        models, ome = _metadata(path)
        if "plate" not in ome:
            return None
        plate = models.Plate.model_validate(ome).plate
    fields: list[ZarrField] = []
    broken: list[str] = []
    for well in plate.wells:
        row, column = plate.rows[well.rowIndex].name, plate.columns[well.columnIndex].name
        folder = path / well.path
        try:
            with _told(folder):
                models, ome = _metadata(folder)
                images = models.Well.model_validate(ome).well.images
        except InputError as error:
            broken.append(str(error))
            continue
        fields += [ZarrField(folder / i.path, row, column, i.path, i.acquisition) for i in images]
    return ZarrPlate(
        tuple(row.name for row in plate.rows),
        tuple(column.name for column in plate.columns),
        tuple(a.model_dump(mode="json", exclude_none=True) for a in plate.acquisitions or ()),
        tuple(fields),
        tuple(broken),
    )


def read_zarr_record(path: Path) -> Mapping[str, Any]:
    """Read the provenance that napari-rls wrote into an image or plate; empty if it wrote none.

    Raises
    ------
    InputError
        If the extra ``zarr`` is not installed, or it cannot be read.
    """
    with _told(path):
        record = _attributes(path).get(PROVENANCE_KEY)
    return record if isinstance(record, dict) else {}


def series_of(path: Path) -> list[Path]:
    """Return the images of a folder that is no plate: itself, or the series that it holds.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    with _told(path):
        _, ome = _metadata(path)
        if "multiscales" in ome or "bioformats2raw.layout" not in ome:
            return [path]
        inside = _attributes(path / "OME") if is_ome_zarr(path / "OME") else {}
        numbers = sorted((p.name for p in path.iterdir() if p.name.isdecimal()), key=int)
        named = inside.get("ome", inside).get("series") or numbers
        return [path / str(name) for name in named]


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
    def open(cls, path: Path) -> Self:
        """Read what an image says of itself.

        Raises
        ------
        InputError
            If the extra ``zarr`` is not installed, or it cannot be read.
        """
        name = zarr_name(path)
        with _told(path):
            import zarr

            models, ome = _metadata(path)
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
        leading, _ = find_axes(self.array.shape, self.axes)
        with _told(self.path):
            where = [slice(None)] * self.array.ndim
            if index is not None and leading is not None:
                where[leading] = slice(index, index + 1)
            count = len(self) if index is None else 1
            shape = (count, *self.layout.data.shape[1:])
            check_size(math.prod(shape) * self.array.dtype.itemsize, None)
            pixels = np.asarray(self.array[tuple(where)])
            data = stack_from_array(pixels, axes=self.axes).data.reshape(shape)
            blank = self._blank(data)
        crop = Crop(self.layout.name, well=self._well())
        return replace(
            self.layout,
            data=data,
            crops=(crop,) * count,
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


def _attributes(path: Path) -> dict[str, Any]:
    import zarr

    return dict(zarr.open_group(path, mode="r").attrs.asdict())


def _metadata(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the models of yaozarrs for a group, and its OME metadata.

    Raises
    ------
    TiffError
        If it has none, or of a version that is not known.
    """
    from yaozarrs import v04, v05

    attributes = _attributes(path)
    ome = attributes.get("ome")
    if isinstance(ome, dict):
        version = ome.get("version", _VERSIONS[1])
    else:
        ome = attributes
        first = ome.get("plate") or ome.get("well") or (ome.get("multiscales") or [{}])[0]
        version = first.get("version", _VERSIONS[0]) if isinstance(first, dict) else ""
        if not set(ome) & {"plate", "well", "multiscales", "bioformats2raw.layout"}:
            raise TiffError("it has no OME metadata", "give an OME-Zarr image or plate")
    if version not in _VERSIONS:
        raise TiffError(
            f"it is OME-Zarr {shown(str(version))}", "0.4 and 0.5 are read; convert it to one"
        )
    return (v04 if version == _VERSIONS[0] else v05), ome


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


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Make one sentence of whatever is wrong with a node."""
    name = zarr_name(path)
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"zarr", "yaozarrs"}:
            raise
        raise InputError(f"{name} is an OME-Zarr; to read it {_NEEDED}") from None
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into memory; crop it.") from None
    except TiffError as error:
        remedy = error.remedy or "it is damaged or was not written to its end; export it again"
        raise InputError(f"{name} cannot be read ({for_terminal(str(error))}): {remedy}.") from None
    except ValidationError as error:
        raise InputError(
            f"{name} cannot be read: its OME metadata are not as they should be "
            f"({first_fault(error)}); export it again."
        ) from None
    except Exception:  # noqa: BLE001  a damaged store raises all sorts of errors
        raise InputError(
            f"{name} cannot be read as OME-Zarr: it is damaged or was not written to its end; "
            "export it again."
        ) from None
