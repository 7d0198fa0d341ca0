"""The job of whole fields: files in, SR fields and one table of all their cells out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_rls.errors import InputError, SettingsError, sentence_of
from napari_rls.files.outputs import check_outputs, write_or_keep
from napari_rls.files.whole_file import whole_file
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import Bundle
from napari_rls.search.settings import Settings
from napari_rls.version import __version__
from napari_rls.workflow.cells.channels import choose_channels
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.usable import check_channels
from napari_rls.workflow.cells.wells import listed
from napari_rls.workflow.fields.cluster import Workers, run_tasks
from napari_rls.workflow.fields.field_files import (
    FieldFile,
    FieldPaths,
    image_files,
    sr_bytes,
)
from napari_rls.workflow.fields.field_list import FieldList
from napari_rls.workflow.fields.field_page import field_page
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.field_task import (
    FieldsUpdate,
    FieldTask,
    Pace,
    above_no_light,
    read_field,
)
from napari_rls.workflow.fields.finished_fields import FinishedField, FinishedFields, PlateMeans
from napari_rls.workflow.fields.joined_table import earlier_record, joined_table
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.fields.shared import Shared, some_fields
from napari_rls.workflow.fields.sr_zarr import SrPlates
from napari_rls.workflow.measure.hr_cells import check_hr_cells, check_no_light, read_hr_cells
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.means_table import corrected_table, means_path
from napari_rls.workflow.measure.plate_columns import check_plate_map
from napari_rls.workflow.measure.table_files import table_paths, write_table
from napari_rls.workflow.super_resolve.resolver import SuperResolver

PAGE = "report.html"
"""Name of the page among the results."""


class RunFields:
    """The job of super-resolving and measuring the fields of a plate, or some images.

    Every field gets an SR image, where it is generated, its cells with their samples, and a
    record; all cells go into one table, ``OUT/cells.csv`` and ``OUT/cells.parquet``, and a page,
    ``OUT/report.html``, shows what came of it. What is there already of the same run stays as it
    is, what is there of another run is replaced only if asked for, and a field that cannot be
    used does not stop the others.

    Parameters
    ----------
    bundle
        The bundle.
    settings
        Those of the search.
    fields
        Those of the microscope, and how cells are found.
    measurement
        What is measured of the cells, and how.
    out
        Folder of the results.
    channels
        Channels of the files in the bundle's order; empty: by the bundle's names.
    plate_map
        What was done to the wells.
    overwrite
        Whether results that are there are made again.
    workers
        Where fields are worked on; None: one after the other in this process, with updates of
        their searches.
    hr_cells
        Files of HR crops of a few of the cells, by which means of wells and conditions are
        corrected, into ``OUT/cells_means.csv``. No SR image depends on them, so that a finished
        run can be given them later.

    Raises
    ------
    InputError
        If the plate map has a dose that is none, or a column that cannot be one of the table, or
        HR cells cannot be read or hold SR or LR images.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        fields: FieldSettings,
        measurement: MeasureSettings,
        out: Path,
        *,
        channels: Sequence[str] = (),
        plate_map: PlateMap | None = None,
        overwrite: bool = False,
        workers: Workers | None = None,
        hr_cells: Sequence[Path] = (),
    ) -> None:
        if plate_map is not None:
            # It is read into the table at the end, after searches that would be lost.
            check_plate_map(plate_map)
        self.resolver = FieldResolver(SuperResolver(bundle, settings), fields)
        self.measurement = measurement
        self.out = out
        self.channels = tuple(channels)
        self.plate_map = plate_map
        self.overwrite = overwrite
        self.workers = workers
        self.recorded = read_hr_cells(hr_cells)

    def updates(self, given: Sequence[Path]) -> Generator[FieldsUpdate, None, None]:
        """Go through files and folders.

        Raises
        ------
        InputError
            If there is no image, none can be used, there are results of another run or files
            of somebody else in their place, or too little space for SR images.
        """
        files, said = image_files(given, self.out)
        said += self.plate_map.said if self.plate_map else ()
        common = self.out / "fields" / "shared.json"
        means = self._means if self.recorded else ()
        check_outputs([*self._tables, *means, common, self._page])
        self._check_foreign(common)
        found = FieldList.of(files, self._chosen, self.plate_map)
        broken = [FieldsUpdate(str(error), name, error=error) for name, error in found.broken]
        yield from map(FieldsUpdate, (*said, *found.said))
        yield from broken
        if not found.fields:
            raise InputError("None of the images can be used.")
        self._check_hr_cells(found)
        told = found.told(self.plate_map)
        yield from map(FieldsUpdate, told)
        check_outputs([common], self._needed(found.fields))
        shared = self._shared(found.fields, common)
        self._check_light(shared)
        yield from map(FieldsUpdate, shared.words)
        finished: dict[int, FinishedField] = {}
        left_out = [(update.field, update.message) for update in broken]
        total = len(found.fields) + len(broken)
        tasks = list(self._tasks(found.fields, shared))
        for index, update in self._told(tasks, SrPlates(found.layouts)):
            if update.measured is not None and update.files is not None:
                field = found.fields[index]
                finished[index] = FinishedField(field, update.files, update.measured)
            if update.error is not None:
                left_out.append((update.field, sentence_of(update.error) or update.message))
            yield replace(update, done=update.done + len(broken), total=total)
        if not finished:
            raise InputError("No field came to an end, so that there is no table.")
        in_order = tuple(finished[index] for index in sorted(finished))
        for update in self._ended(in_order, shared, tuple(left_out), tuple(said)):
            # What holds for all fields was said before.
            if update.message not in told:
                yield replace(update, done=total, total=total)

    def _check_foreign(self, common: Path) -> None:
        """Refuse to replace files that no run has left here, unless asked to."""
        ours = (*self._tables, *(self._means if self.recorded else ()), self._page)
        there = [path.name for path in ours if path.exists()]
        if there and not self.overwrite and not common.exists():
            raise InputError(
                f"{self.out} holds {listed(there)} already, which this command would replace and "
                f"has not written, as there is no {common.relative_to(self.out)}; give another "
                "folder, or --overwrite."
            )

    def _check_hr_cells(self, found: FieldList) -> None:
        """Check, before anything is searched, that HR cells can be some of the fields' cells."""
        if not self.recorded:
            return
        manifest, (first, *_) = self.resolver.bundle.manifest, found.fields
        ratio = self.resolver.settings.optics.ratio_of(first.pixel_size_um, manifest.pixel_size_um)
        check_hr_cells(
            self.recorded,
            self.measurement,
            [file for file, _ in found.places],
            size=manifest.hr_size,
            pixel_size_um=first.pixel_size_um and first.pixel_size_um / ratio,
        )
        if not found.grouped(self.plate_map):
            raise InputError(
                "HR cells correct the means of wells and conditions, and no well of a field is "
                "known; give a plate map (--plate-map)."
            )

    def _check_light(self, shared: Shared) -> None:
        """Check that HR cells can have the offset that is subtracted from those of the fields."""
        names = self.resolver.bundle.manifest.channel_names
        like = ImageSet("SR", CellStack(np.zeros((1, len(names), 1, 1)), names))
        check_no_light(self.recorded, above_no_light(self.measurement, [like], shared.intensity))

    def _chosen(self, image: CellStack) -> CellStack:
        """Return an image with the bundle's channels."""
        manifest = self.resolver.bundle.manifest
        stack = choose_channels(image, self.channels, manifest.channel_names)
        check_channels(stack, manifest)
        return stack

    @property
    def _tables(self) -> tuple[Path, ...]:
        """The files of the table: the table itself, its record, and the same as parquet."""
        table = self.out / "cells.csv"
        return (*table_paths(table), table.with_suffix(".parquet"))

    @property
    def _means(self) -> tuple[Path, ...]:
        """The files of the means that HR cells correct, and their record."""
        return tuple(table_paths(means_path(self.out / "cells.csv")))

    @property
    def _page(self) -> Path:
        return self.out / PAGE

    def _ended(
        self,
        finished: tuple[FinishedField, ...],
        shared: Shared,
        left_out: tuple[tuple[str, str], ...],
        said: tuple[str, ...],
    ) -> Generator[FieldsUpdate, None, None]:
        """Write the table of all fields, and the page."""
        earlier = {} if self.overwrite else earlier_record(self._tables[1])
        finished, joined, record = joined_table(finished, self.plate_map, earlier)
        yield from map(FieldsUpdate, dict.fromkeys(record["warnings"]))
        table = self._tables[0]
        for path in (table, table.with_suffix(".parquet")):
            write_or_keep(path, lambda place: write_table(place, joined, record))
        cells = int((joined["Metadata_Image"] == "SR").sum())
        what = "tiles" if self.resolver.tiled else "cells"
        fields = f"{len(finished)} of {len(finished) + len(left_out)} fields"
        yield FieldsUpdate(f"{cells} {what} of {fields} are in {table}.", written=self._tables)
        made = FinishedFields(finished, joined, record, shared, left_out, said)
        made = yield from self._corrected(made)
        write_or_keep(self._page, lambda place: self._write_page(place, made))
        yield FieldsUpdate(f"{self._page} shows what came of it.", written=(self._page,))

    def _corrected(self, made: FinishedFields) -> Generator[FieldsUpdate, None, FinishedFields]:
        """Write the means that HR cells correct, and return what is finished with them."""
        place = self._means[0]
        earlier = f"{place.name} is of an earlier start, with HR cells, and stays as it is"
        if not self.recorded:
            if not place.exists():
                return made
            sentence = f"{earlier}; give --hr-cells again to make it anew."
            yield FieldsUpdate(sentence)
            return replace(made, said=(*made.said, sentence))
        try:
            means, record = corrected_table(made.table, made.record, self.recorded)
        except InputError as error:
            # What was measured, and its page, are there all the same.
            sentence = f"Means are not corrected: {error}"
            if place.exists():
                sentence += f" {earlier}."
            yield FieldsUpdate(sentence, error=error)
            return replace(made, said=(*made.said, sentence))
        yield from map(FieldsUpdate, record["warnings"])
        write_or_keep(place, lambda path: write_table(path, means, record))
        told = f"Means of wells and conditions that HR cells correct are in {place}."
        yield FieldsUpdate(told, written=self._means)
        return replace(made, means=PlateMeans(means, record))

    def _write_page(self, path: Path, made: FinishedFields) -> None:
        # Names of files need not be text that can be written.
        text = field_page(made, self.resolver, self.channels)
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8", errors="backslashreplace")

    def _told(
        self, tasks: Sequence[FieldTask], plates: SrPlates
    ) -> Generator[tuple[int, FieldsUpdate], None, None]:
        """Do tasks, and tell plates of every field that is whole."""
        with closing(self._run(tasks)) as updates:
            for index, update in updates:
                if update.files is not None and (place := tasks[index].field.place) is not None:
                    plates.add(place, update.files.image)
                yield index, update

    def _run(self, tasks: Sequence[FieldTask]) -> Generator[tuple[int, FieldsUpdate], None, None]:
        """Do tasks here one after the other, or where the workers are."""
        if self.workers is not None:
            yield from run_tasks(tasks, self.resolver, self.workers)
            return
        pace = Pace(len(tasks))
        for index, task in enumerate(tasks):
            for update in task.updates(self.resolver):
                last = update.measured is not None or update.error is not None
                yield index, pace.tell(update) if last else replace(update, done=index)

    def _needed(self, fields: Sequence[FieldFile]) -> int:
        """Return about how many bytes the SR images take that are not there yet."""
        manifest, needed = self.resolver.bundle.manifest, 0
        for field in fields:
            # A ratio that is not known is told when it is needed.
            with suppress(SettingsError):
                ratio = self.resolver.settings.optics.ratio_of(
                    field.pixel_size_um, manifest.pixel_size_um
                )
                if not FieldPaths.in_run(self.out, field, ratio).image.exists():
                    needed += sr_bytes(field, len(manifest.channels), ratio)
        return needed

    def _tasks(self, fields: Sequence[FieldFile], shared: Shared) -> Iterator[FieldTask]:
        digest = _digest(shared)
        for field in fields:
            yield FieldTask(
                field,
                self.out,
                digest,
                shared,
                self.measurement,
                self.channels,
                self.overwrite,
            )

    def _shared(self, fields: Sequence[FieldFile], path: Path) -> Shared:
        """Return what all fields share: as an earlier start has chosen it, or chosen now."""
        settings = self._settings()
        kept = None if self.overwrite else Shared.load(path, settings)
        if kept is not None:
            return kept

        def read(index: int) -> CellStack:
            return read_field(fields[index], self.channels, self.resolver)

        shared = Shared.choose(self.resolver, some_fields(len(fields), read), settings)
        shared.save(path)
        return shared

    def _settings(self) -> dict[str, Any]:
        """Return what SR images and measurements depend on, beside the images.

        The plate map is none of it: it is read into the table of all fields alone.
        """
        resolver, manifest = self.resolver, self.resolver.bundle.manifest
        return {
            "bundle": f"{manifest.name} ({manifest.content_hash[:16]})",
            # How many threads compute is no matter of the results; the bundle may lie elsewhere.
            **resolver.resolver.settings.model_dump(mode="json", exclude={"threads", "bundle"}),
            **resolver.settings.model_dump(mode="json"),
            "measurement": self.measurement.stored(),
            "channels": ", ".join(self.channels) or "by the bundle's names",
            "version": __version__,
        }


def _digest(shared: Shared) -> str:
    """Return the digest of all that the results of a field depend on, beside its image."""
    text = json.dumps(shared.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
