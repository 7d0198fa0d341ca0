"""Which fields the images hold that were given, and which plates are written of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_rls.errors import InputError
from napari_rls.workflow.cells.ome_zarr import (
    ZarrPlate,
    is_ome_zarr,
    read_plate,
    read_zarr_record,
    series_of,
    zarr_name,
)
from napari_rls.workflow.cells.plate_map import PlateMap, guessed_wells
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.reading import Reading, told_readings
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.wells import told_wells, well_of
from napari_rls.workflow.cells.write import stem
from napari_rls.workflow.cells.zarr_image import ZarrImage
from napari_rls.workflow.fields.field_files import FieldFile
from napari_rls.workflow.fields.sr_zarr import Place, PlateLayout
from napari_rls.workflow.fields.units import of_one_kind

_LOOSE = "plate"
"""What the plate is called that OME-Zarr images of known wells are written into."""


@dataclass
class FieldList:
    """The fields of a run.

    Attributes
    ----------
    fields
        Those that can be read, in their order.
    layouts
        Plates that are written of them, by name.
    broken
        What cannot be read: its name, and why.
    said
        Sentences on what is left out.
    readings
        What files, or images of plates, were taken for, by their names.
    places
        File and well of each field, the well "" where only the file's name can tell it.
    """

    fields: list[FieldFile] = field(default_factory=list)
    layouts: dict[str, PlateLayout] = field(default_factory=dict)
    broken: list[tuple[str, InputError]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    readings: list[tuple[str, Reading]] = field(default_factory=list)
    places: dict[tuple[str, str], None] = field(default_factory=dict)
    _chosen: Callable[[CellStack], CellStack] = field(default=lambda stack: stack)

    @classmethod
    def of(
        cls,
        files: Sequence[Path],
        chosen: Callable[[CellStack], CellStack],
        plate_map: PlateMap | None = None,
    ) -> FieldList:
        """Look into files and OME-Zarr folders; no pixel of these is read.

        Parameters
        ----------
        files
            The files.
        chosen
            Returns an image with the channels that are used, and raises an InputError if it has
            not those.
        plate_map
            What was done to the wells.

        Raises
        ------
        InputError
            If two fields have the same name.
        """
        found = cls(_chosen=chosen)
        for path in files:
            try:
                if not is_ome_zarr(path):
                    found._add(path, stem(path), read_stack(path, frames=True))
                elif read_zarr_record(path).get("generated"):
                    found.said.append(
                        f"{path.name} is left out: its pixels are generated, not measured."
                    )
                elif (plate := read_plate(path)) is not None:
                    found._add_plate(stem(path), plate)
                else:
                    found._add_series(path)
            except InputError as error:
                found.broken.append((path.name, error))
        found.fields, others = of_one_kind(found.fields)
        found.broken += others
        found._place_loose(plate_map)
        found._check_names()
        return found

    def told(self, plate_map: PlateMap | None) -> list[str]:
        """Return what to say before a run: how files were read, which wells, what no map tells."""
        guesses = guessed_wells([file for file, well in self.places if not well], plate_map)
        complaint = plate_map.complaint(self.places) if plate_map else ""
        words = [*told_readings(self.readings), *told_wells(guesses)]
        return [*words, *([complaint] if complaint else [])]

    def grouped(self, plate_map: PlateMap | None) -> bool:
        """Return whether the well or the condition of any field is known."""
        if plate_map is not None:
            return any(any(plate_map.find(file, well)) for file, well in self.places)
        return any(well or well_of(file) for file, well in self.places)

    def _note(self, name: str, image: CellStack, crop: Crop) -> None:
        """Keep what an image was taken for, and its place.

        Raises
        ------
        InputError
            If it has not the channels that are used.
        """
        self.readings.append((name, self._chosen(image).reading))
        self.places[crop.file or image.name, crop.well] = None

    def _check_names(self) -> None:
        paths: dict[str, Path] = {}
        for each in self.fields:
            other = paths.setdefault(each.name, each.path)
            if other != each.path:
                raise InputError(
                    f"{other.name} and {each.path.name} both have a field named {each.name}, and "
                    "what is made of them would be one; rename one."
                )

    def _add(self, path: Path, name: str, stack: CellStack) -> None:
        self._note(path.name, stack, stack.crops[0] if stack.crops else Crop())
        several = len(stack) > 1
        numbers = _frames(stack) or [f"{k + 1}" if several else "" for k in range(len(stack))]
        self.fields += [
            FieldFile.of(path, stack, k, _called(name, number)) for k, number in enumerate(numbers)
        ]

    def _add_plate(self, name: str, plate: ZarrPlate) -> None:
        self.layouts[name] = PlateLayout(plate.rows, plate.columns, plate.acquisitions)
        self.broken += [(name, InputError(sentence)) for sentence in plate.broken]
        for each in plate.fields:
            called = f"{name}_{each.well}_{each.name}"
            try:
                image = ZarrImage.open(each.path, frames=True)
                self._note(called, image.layout, Crop(well=each.well))
            except InputError as error:
                self.broken.append((called, error))
                continue
            for k, plane in enumerate(_planes(image)):
                place = Place(name, each.row, each.column, each.name + plane, each.acquisition)
                named = _called(called, plane)
                self.fields.append(FieldFile.of(each.path, image.layout, k, named, place))

    def _add_series(self, path: Path) -> None:
        series = series_of(path)
        for each in series:
            name = stem(path) + (f"_{each.name}" if len(series) > 1 else "")
            try:
                image = ZarrImage.open(each, frames=True)
                self._note(name, image.layout, Crop())
            except InputError as error:
                self.broken.append((name, error))
                continue
            for k, plane in enumerate(_planes(image)):
                self.fields.append(FieldFile.of(each, image.layout, k, _called(name, plane)))

    def _place_loose(self, plate_map: PlateMap | None) -> None:
        """Give OME-Zarr images that are on no plate a place, if the well of each is known."""
        loose = [k for k, each in enumerate(self.fields) if each.zarr and each.place is None]
        wells = {k: _well_of(self.fields[k], plate_map) for k in loose}
        if not all(wells.values()) or _LOOSE in self.layouts:
            return
        counts: Counter[str] = Counter()
        places = []
        for k, well in wells.items():
            row = well.rstrip("0123456789")
            place = Place(_LOOSE, row, well.removeprefix(row), str(counts[well]))
            counts[well] += 1
            self.fields[k] = replace(self.fields[k], place=place)
            places.append(place)
        if places:
            self.layouts[_LOOSE] = PlateLayout(
                tuple(sorted({p.row for p in places}, key=lambda row: (len(row), row))),
                tuple(sorted({p.column for p in places}, key=int)),
            )


def _planes(image: ZarrImage) -> list[str]:
    """Return what the fields of an image are called behind its name, as z1, z2; "" for one."""
    if len(image) == 1:
        return [""]
    if both := _frames(image.layout):
        return both
    letter = (image.layout.leading or "n")[0].lower()
    return [f"{letter}{k + 1}" for k in range(len(image))]


def _frames(stack: CellStack) -> list[str]:
    """Return what planes of several time points are called, as t1z2; empty if there are none."""
    crops = [crop for crop in stack.crops if crop.time is not None and crop.plane is not None]
    return [f"t{crop.time}z{crop.plane}" for crop in crops] if len(crops) == len(stack) else []


def _called(name: str, part: str) -> str:
    return f"{name}_{part}" if part else name


def _well_of(each: FieldFile, plate_map: PlateMap | None) -> str:
    """Return the one well that an image can be of, else ""."""
    name = zarr_name(each.path)
    guess = guessed_wells([name], plate_map).get(name)
    if guess is None:
        assert plate_map is not None
        return plate_map.find(name)[0]
    well = "" if guess.others else guess.well
    return well if well[-1:].isdecimal() else ""
