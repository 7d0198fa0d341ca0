"""Fields in files: which of what was given are images, and what is written of each field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_rls.errors import InputError
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.tiff_file import one_of_each_set
from napari_rls.workflow.cells.write import stem, write_stack
from napari_rls.workflow.fields.resolve_field import FieldResult
from napari_rls.workflow.super_resolve.sr_files import (
    samples_path,
    write_generated,
    write_result,
    write_samples,
)

_ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class FieldFile:
    """An image of one field: the whole of a file, or one of its several."""

    path: Path
    index: int
    count: int

    @property
    def name(self) -> str:
        """What the files that are written of it are called."""
        return stem(self.path) + (f"_{self.index + 1}" if self.count > 1 else "")

    def read(self) -> CellStack:
        """Read the field, (1, C, h, w).

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        stack = read_stack(self.path)
        if len(stack) != self.count:
            raise InputError(f"{self.path} has changed since the run began; start it again.")
        crops = stack.crops[self.index : self.index + 1]
        data = stack.data[self.index : self.index + 1]
        return replace(stack, data=data, crops=crops, leading=None)


def image_files(given: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the image files among files and folders, in order, and sentences on what is left out.

    Folders are looked through with all that is in them; of an image in several files, one counts.

    Raises
    ------
    InputError
        If something is not there, there is no image, or two have the same name.
    """
    found: list[Path] = []
    foreign: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            images = [p for p in inside if _is_image(p)]
            found += images
            foreign += [p for p in inside if p not in images]
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"There is no {path}; give image files, or folders of them.")
    files, left = one_of_each_set(list(dict.fromkeys(found)))
    if not files:
        raise InputError("There is no TIFF image in what was given; give fields, or a folder.")
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


def field_files(path: Path, fields: int) -> list[FieldFile]:
    """Return the fields of a file that holds so many."""
    return [FieldFile(path, index, fields) for index in range(fields)]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS and not path.name.startswith(".")


@dataclass(frozen=True)
class FieldPaths:
    """The files that are written of a field.

    Attributes
    ----------
    image
        SR image of the field, an OME-TIFF, with the record of how it was made beside it.
    generated
        Where the image is generated, 1, and where it is the interpolated LR image, 0.
    cells
        SR crops of its cells, with their record; the samples are beside it.
    table
        What was measured of them.
    """

    image: Path
    generated: Path
    cells: Path
    table: Path

    @classmethod
    def of(cls, out: Path, name: str, ratio: float) -> FieldPaths:
        """Return them in a folder for a field of a name."""
        kind = f"SR{ratio:g}x"
        return cls(
            out / f"{name}_{kind}.ome.tif",
            out / f"{name}_{kind}_generated.ome.tif",
            out / f"{name}_cells_{kind}.ome.tif",
            out / f"{name}_cells_{kind}.parquet",
        )

    def every(self, *, samples: bool) -> Iterable[Path]:
        """Return all of them, without records."""
        return (
            self.image,
            self.generated,
            self.cells,
            *([samples_path(self.cells)] if samples else []),
        )


def write_field(paths: FieldPaths, result: FieldResult, record: dict[str, Any]) -> None:
    """Write the images of a field, each file whole or not at all.

    Parameters
    ----------
    paths
        Where.
    result
        What became of the field.
    record
        How, as it is to be kept beside the image.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    collector = result.collector
    image, generated = result.image.whole()
    stack = replace(result.stack, data=image[None], crops=(), leading=None)
    manifest = collector.run.manifest if collector.run else None
    colours = [channel.colour for channel in manifest.channels] if manifest else []
    named = replace(stack, name=f"{collector.lr.name} SR{result.microscope.ratio:g}x")
    write_result(paths.cells, collector)
    if collector.samples is not None:
        write_samples(samples_path(paths.cells), collector)
    mask = replace(named, data=generated[None, None].astype(np.uint8), channels=("generated",))
    write_stack(
        paths.generated,
        mask,
        description="1 where the SR image is generated, 0 where it is the interpolated LR image.",
    )
    write_generated(paths.image, named, record, colours)
