"""Fields in files: which of what was given are images, and what is written of each field."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.files.json_file import read_json
from napari_rls.files.whole_file import whole_folder
from napari_rls.models.intensity import IntensityMap
from napari_rls.workflow.cells.ome_zarr import ZARR_ENDING, is_ome_zarr
from napari_rls.workflow.cells.read import read_record, read_stack
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.tiff_file import one_of_each_set
from napari_rls.workflow.cells.write import MadePixels, record_path, stem, write_stack
from napari_rls.workflow.cells.zarr_image import ZarrImage
from napari_rls.workflow.fields.field_result import FieldResult
from napari_rls.workflow.fields.sr_zarr import Place, write_sr_zarr
from napari_rls.workflow.measure.measurements import SATURATION_KEY
from napari_rls.workflow.measure.table_origin import RATIO_KEY
from napari_rls.workflow.super_resolve.sr_files import (
    samples_path,
    write_generated,
    write_result,
    write_samples,
)

_ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class FieldFile:
    """An image of one field: the whole of a file or OME-Zarr image, or one of its several.

    Attributes
    ----------
    path
        The file, or the folder of the OME-Zarr image.
    index, count
        Which of how many fields of it.
    name
        What the files that are written of it are called.
    place
        Where it is on the plate that is written; None if it is on none.
    shape, pixel_size_um, dtype
        Its rows and columns, the side of a pixel in micrometres if known, and the type of its
        pixels.
    """

    path: Path
    index: int
    count: int
    name: str
    place: Place | None = None
    shape: tuple[int, int] = (0, 0)
    pixel_size_um: float | None = None
    dtype: str = "uint16"

    @property
    def zarr(self) -> bool:
        """Whether it is an OME-Zarr, as what is written of it is then."""
        return is_ome_zarr(self.path)

    @classmethod
    def of(
        cls, path: Path, image: CellStack, index: int, name: str, place: Place | None = None
    ) -> FieldFile:
        """Return one of the fields of an image."""
        height, width = image.data.shape[-2:]
        return cls(
            path,
            index,
            len(image),
            name,
            place,
            (height, width),
            image.pixel_size_um,
            image.data.dtype.name,
        )

    def read(self) -> CellStack:
        """Read the field, (1, C, h, w).

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        if self.zarr:
            image = ZarrImage.open(self.path, frames=True)
            self._check(len(image))
            stack = image.read(self.index)
        else:
            stack = _whole(self.path) if self.count > 1 else read_stack(self.path)
            self._check(len(stack))
            crops = stack.crops[self.index : self.index + 1]
            data = stack.data[self.index : self.index + 1]
            stack = replace(stack, data=data, crops=crops)
        (crop,) = stack.crops or (Crop(stack.name),)
        if self.count == 1:
            return replace(stack, crops=(crop,), leading=None)
        if stack.leading is not None and not crop.frame:
            crop = crop.of_frame(stack.leading, self.index)
        return replace(stack, crops=(crop,), leading=None, name=self.name)

    def _check(self, count: int) -> None:
        if count != self.count:
            raise InputError(f"{self.path} has changed since the run began; start it again.")


def _whole(path: Path) -> CellStack:
    """Return a file of several fields, which is read once while its fields are worked on."""
    changed = path.stat() if path.exists() else None
    return _kept(path, changed and (changed.st_mtime_ns, changed.st_size))


@lru_cache(maxsize=1)
def _kept(path: Path, _changed: tuple[int, int] | None) -> CellStack:
    return read_stack(path, frames=True)


def image_files(given: Sequence[Path], out: Path | None = None) -> tuple[list[Path], list[str]]:
    """Return the images among files and folders, in order, and sentences on what is left out.

    Folders are looked through with all that is in them, but for those of OME-Zarr, each of
    which is an image or a plate, and for ``out``, the folder of the results; of an image in
    several files, one counts.

    Raises
    ------
    InputError
        If something is not there, there is no image, or two have the same name.
    """
    found: list[Path] = []
    foreign: list[Path] = []
    for path in given:
        if path.is_dir() and not is_ome_zarr(path):
            images, others = _look_through(path, out)
            found += images
            foreign += others
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"There is no {path}; give image files, or folders of them.")
    files, left = one_of_each_set(list(dict.fromkeys(found)))
    if not files:
        raise InputError(
            "There is no TIFF image and no OME-Zarr in what was given; give fields, or a folder."
        )
    names = [stem(path) for path in files]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(
            f"Two images are named {twice}, and what is made of them would be one; rename one."
        )
    said = [left] if left else []
    if foreign:
        shown = ", ".join(p.name for p in foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        said.append(f"{len(foreign)} files are no images and are left out: {shown}.")
    return files, said


def _look_through(folder: Path, out: Path | None) -> tuple[list[Path], list[Path]]:
    """Return images and other files of a folder, in order; what is in OME-Zarr is not listed."""
    images: list[Path] = []
    foreign: list[Path] = []
    results = out.resolve() if out else None
    for above, folders, names in os.walk(folder):
        here = Path(above)
        stores = [name for name in folders if is_ome_zarr(here / name)]
        folders[:] = [
            name for name in folders if name not in stores and (here / name).resolve() != results
        ]
        images += [here / name for name in stores if not name.startswith(".")]
        for path in map(here.joinpath, names):
            (images if _is_image(path) else foreign).append(path)
    return sorted(images), sorted(foreign)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS and not path.name.startswith(".")


@dataclass(frozen=True)
class FieldPaths:
    """The files that are written of a field.

    Attributes
    ----------
    image
        SR image of the field: an OME-TIFF, with the record of how it was made beside it, or the
        folder of an OME-Zarr that holds it.
    generated
        Where the image is generated, 1, and where it is the interpolated LR image, 0; None for
        an OME-Zarr, which has it among its labels.
    cells
        SR crops of its cells, with their record; the samples are beside it.
    table
        What was measured of them.
    """

    image: Path
    generated: Path | None
    cells: Path
    table: Path

    @classmethod
    def of(cls, folder: Path, name: str, ratio: float, *, zarr: bool = False) -> FieldPaths:
        """Return them in one folder for a field of a name."""
        kind = f"SR{ratio:g}x"
        return cls(
            folder / f"{name}_{kind}.ome{ZARR_ENDING if zarr else '.tif'}",
            None if zarr else folder / f"{name}_{kind}_generated.ome.tif",
            folder / f"{name}_cells_{kind}.ome.tif",
            folder / f"{name}_cells_{kind}.parquet",
        )

    @classmethod
    def in_run(cls, out: Path, field: FieldFile, ratio: float) -> FieldPaths:
        """Return those of a field in the folder of the results of all."""
        paths = cls.of(out / "fields", field.name, ratio, zarr=field.zarr)
        if (at := field.place) is None:
            return paths
        plate = out / f"{at.plate}_SR{ratio:g}x.ome{ZARR_ENDING}"
        return replace(paths, image=plate / at.row / at.column / at.field)

    def record(self) -> Mapping[str, Any]:
        """Return the record of how the image was made; empty if there is none that is whole."""
        try:
            zarr = self.generated is None
            record = read_record(self.image) if zarr else read_json(record_path(self.image))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def every(self, *, samples: bool) -> Iterable[Path]:
        """Return all of them, without records."""
        return (
            self.image,
            *([self.generated] if self.generated else []),
            self.cells,
            *([samples_path(self.cells)] if samples else []),
        )


def sr_bytes(field: FieldFile, channels: int, ratio: float) -> int:
    """Return about how many bytes the SR image of a field takes, without what is compressed.

    Examples
    --------
    >>> sr_bytes(FieldFile(Path("B03.tif"), 0, 1, "B03", shape=(1000, 1000)), 2, 8)
    512000000
    """
    height, width = (round(side * ratio) for side in field.shape)
    # An OME-Zarr has its image in levels of half the size too, which are a third of it.
    return channels * height * width * 4 * (4 if field.zarr else 3) // 3


def write_field(
    paths: FieldPaths,
    result: FieldResult,
    record: dict[str, Any],
    labels: Mapping[str, NDArray[np.int32]],
    intensity: IntensityMap,
) -> None:
    """Write the images of a field, each whole or not at all, that of the field last.

    Parameters
    ----------
    paths
        Where.
    result
        What became of the field.
    record
        How, as it is to be kept with the image.
    labels, intensity
        What an OME-Zarr is given too: label images of the cells, and what is shown.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    collector = result.collector
    kept = {key: record[key] for key in (SATURATION_KEY,) if key in record}
    kept[RATIO_KEY] = result.microscope.ratio
    write_result(paths.cells, collector, kept)
    if collector.samples is not None:
        write_samples(samples_path(paths.cells), collector)
    if paths.generated is None:
        paths.image.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(paths.image) as draft:
            write_sr_zarr(draft, result, labels, record, intensity)
        return
    field = result.image
    shape, blank = field.shape, np.zeros((), np.float32)
    stack = replace(result.stack, data=np.broadcast_to(blank, (1, *shape)), crops=(), leading=None)
    manifest = collector.run.manifest if collector.run else None
    colours = [channel.colour for channel in manifest.channels] if manifest else []
    named = replace(stack, name=f"{collector.lr.name} SR{result.microscope.ratio:g}x")
    write_stack(
        paths.generated,
        replace(named, data=named.data[:, :1], channels=("generated",)),
        description="1 where the SR image is generated, 0 where it is the interpolated LR image.",
        pixels=MadePixels(
            (1, *shape[1:]),
            np.dtype(np.uint8),
            lambda _, rows, columns: field.generated(rows, columns),
            compress=True,
        ),
    )
    pixels = MadePixels(
        shape,
        np.dtype(np.float32),
        lambda c, rows, columns: field.region(rows, columns, slice(c, c + 1))[0][0],
    )
    write_generated(paths.image, named, record, colours, pixels)
