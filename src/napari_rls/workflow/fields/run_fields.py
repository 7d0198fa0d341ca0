"""The job of whole fields: files in, SR fields and one table of all their cells out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from napari_rls.errors import InputError, sentence_of
from napari_rls.files.json_file import read_json
from napari_rls.files.outputs import check_outputs
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import Bundle
from napari_rls.search.settings import Settings
from napari_rls.version import __version__
from napari_rls.workflow.cells.channels import choose_channels
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack, content_digest
from napari_rls.workflow.cells.write import record_path
from napari_rls.workflow.fields.field_files import (
    FieldFile,
    FieldPaths,
    field_files,
    image_files,
    write_field,
)
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.resolve_field import FieldResolver, FieldResult, FieldUpdate
from napari_rls.workflow.fields.shared import Shared, spread
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.measurements import Measurements, join, measure
from napari_rls.workflow.measure.table_files import read_table, table_paths, write_table
from napari_rls.workflow.super_resolve.resolver import SuperResolver

JOB_KEY = "job"
"""Key of a field's record: what its files depend on."""


@dataclass(frozen=True, eq=False)
class FieldsUpdate:
    """What has just been done.

    Parameters
    ----------
    message
        A sentence for people, or "".
    field
        Name of the field that it is about, "" for all.
    step
        The update of the field, while it is worked on.
    done, total
        Fields that are finished or failed, and all.
    error
        Why a field has no result.
    written
        Files that are whole now.
    """

    message: str = ""
    field: str = ""
    step: FieldUpdate | None = None
    done: int = 0
    total: int = 0
    error: Exception | None = None
    written: tuple[Path, ...] = ()


class RunFields:
    """The job of super-resolving and measuring the fields of a plate, or some images.

    Every field gets an SR image, where it is generated, its cells with their samples, and a
    record; all cells go into one table, ``OUT/cells.csv`` and ``OUT/cells.parquet``. What is
    there already of the same run stays as it is, and a field that cannot be used does not stop
    the others.

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
    ) -> None:
        self.resolver = FieldResolver(SuperResolver(bundle, settings), fields)
        self.measurement = measurement
        self.out = out
        self.channels = tuple(channels)
        self.plate_map = plate_map
        self.overwrite = overwrite

    def updates(self, given: Sequence[Path]) -> Generator[FieldsUpdate, None, None]:
        """Go through files and folders.

        Raises
        ------
        InputError
            If there is no image, or none can be used.
        """
        files, said = image_files(given)
        table = self.out / "cells.csv"
        check_outputs([*table_paths(table), table.with_suffix(".parquet")])
        for sentence in said:
            yield FieldsUpdate(sentence)
        fields, broken = _fields_of(files)
        yield from broken
        if not fields:
            raise InputError("None of the images can be used.")
        shared = self._shared(fields)
        for sentence in shared.words:
            yield FieldsUpdate(sentence)
        parts: list[Measurements] = []
        total = len(fields) + len(broken)
        for done, field in enumerate(fields, len(broken)):
            for update in self._told(field, shared):
                if isinstance(update, Measurements):
                    parts.append(update)
                else:
                    yield replace(update, done=done, total=total)
        if not parts:
            raise InputError("No field came to an end, so that there is no table.")
        joined, record = join(parts)
        for warning in dict.fromkeys(record["warnings"]):
            yield FieldsUpdate(warning)
        for path in (table, table.with_suffix(".parquet")):
            write_table(path, joined, record)
        written = (*table_paths(table), table.with_suffix(".parquet"))
        cells = int((joined["Metadata_Image"] == "SR").sum())
        yield FieldsUpdate(
            f"{cells} cells of {len(parts)} of {total} fields are in {table}.",
            done=total,
            total=total,
            written=written,
        )

    def _read(self, field: FieldFile) -> CellStack:
        names = self.resolver.bundle.manifest.channel_names
        return choose_channels(field.read(), self.channels, names)

    def _shared(self, fields: Sequence[FieldFile]) -> Shared:
        """Return what all fields share: as an earlier start has chosen it, or chosen now."""
        path, digest = self.out / "fields" / "shared.json", _digest(self._settings())
        kept = None if self.overwrite else Shared.load(path, digest)
        if kept is not None:
            return kept
        stacks, problem = [], ""
        for index in spread(len(fields)):
            try:
                stacks.append(self._read(fields[index]))
            except InputError as error:
                problem = str(error)
        if not stacks:
            raise InputError(problem)
        shared = Shared.choose(self.resolver, stacks, digest)
        shared.save(path)
        return shared

    def _told(self, field: FieldFile, shared: Shared) -> Iterator[FieldsUpdate | Measurements]:
        """Work on a field; what is wrong with it is told and does not stop the others."""
        try:
            yield from self._one(field, shared)
        except Exception as error:
            if (sentence := sentence_of(error)) is None:
                raise
            yield FieldsUpdate(sentence, field.name, error=error)

    def _one(self, field: FieldFile, shared: Shared) -> Iterator[FieldsUpdate | Measurements]:
        stack = self._read(field)
        if not stack.reading.certain:
            text = " ".join([stack.reading.text, *stack.reading.warnings])
            yield FieldsUpdate(f"{field.name}: {text}", field.name)
        resolver = self.resolver.with_noise(shared.noise)
        ratio = resolver.microscope(stack).ratio
        paths = FieldPaths.of(self.out / "fields", field.name, ratio)
        job = {"sha256": _digest(self._settings(), shared.model_dump(mode="json"))}
        job["input"] = content_digest(stack.data)
        if (kept := self._finished(paths, job)) is not None:
            yield FieldsUpdate(f"{field.name} is finished already.", field.name)
            yield kept
            return
        result: FieldResult | None = None
        for update in resolver.updates(stack, intensity=shared.intensity):
            result = update.result or result
            yield FieldsUpdate(update.message, field.name, update)
        assert result is not None
        record = result.record | {JOB_KEY: job}
        measured = self._measured(result)
        write_table(paths.table, measured.table, measured.record)
        write_field(paths, result, record)
        samples = result.collector.samples is not None
        yield FieldsUpdate(
            f"{field.name}: {len(result.cells)} cells.",
            field.name,
            written=tuple(paths.every(samples=samples)),
        )
        yield measured

    def _measured(self, result: FieldResult) -> Measurements:
        upsampled = replace(
            result.stack, data=result.cells.upsampled, name=f"{result.stack.name} upsampled"
        )
        sets = [
            ImageSet("LR", upsampled),
            ImageSet("SR", result.stack, result.collector.samples, result.record),
        ]
        for update in measure(sets, self.measurement, plate_map=self.plate_map, factor=1):
            if update.result is not None:
                return update.result
        raise AssertionError("a measurement ends with its result")

    def _settings(self) -> dict[str, Any]:
        """Return what the results depend on, beside the images."""
        resolver = self.resolver
        return {
            "settings": resolver.resolver.settings.model_dump(mode="json"),
            "fields": resolver.settings.model_dump(mode="json"),
            "measurement": self.measurement.model_dump(mode="json"),
            "channels": list(self.channels),
            "plate_map": self.plate_map.sha256 if self.plate_map else None,
            "bundle": resolver.bundle.manifest.content_hash,
            "version": __version__,
        }

    def _finished(self, paths: FieldPaths, job: dict[str, Any]) -> Measurements | None:
        """Return what was measured of a field whose files are there and of this very run."""
        if self.overwrite or not paths.image.exists() or not paths.table.exists():
            return None
        try:
            record = read_json(record_path(paths.image))
            if not isinstance(record, dict) or record.get(JOB_KEY) != job:
                return None
            table, measured = read_table(paths.table)
        except (OSError, ValueError):
            return None
        return Measurements(pd.DataFrame(table), {}, dict(measured))


def _digest(*parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _fields_of(files: Sequence[Path]) -> tuple[list[FieldFile], list[FieldsUpdate]]:
    """Return the fields of files, and what to say of files that cannot be used."""
    fields: list[FieldFile] = []
    broken: list[FieldsUpdate] = []
    for path in files:
        try:
            fields += field_files(path, len(read_stack(path)))
        except InputError as error:
            broken.append(FieldsUpdate(str(error), path.name, error=error))
    return fields, broken
