"""One field of a run: read, super-resolved, measured and written, in this process or another."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from napari_rls.errors import sentence_of
from napari_rls.files.outputs import write_or_keep
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.intensity import IntensityMap
from napari_rls.text import duration
from napari_rls.workflow.cells.channels import choose_channels
from napari_rls.workflow.cells.stack import CellStack, content_digest
from napari_rls.workflow.cells.usable import check_channels
from napari_rls.workflow.fields.field_files import FieldFile, FieldPaths, write_field
from napari_rls.workflow.fields.field_result import FieldResult, FieldUpdate
from napari_rls.workflow.fields.resolve_field import FieldResolver, check_field
from napari_rls.workflow.fields.shared import Shared
from napari_rls.workflow.fields.tiles import told_tiles
from napari_rls.workflow.measure.image_sets import ImageSet, find_channels
from napari_rls.workflow.measure.measurements import SATURATION_KEY, Measurements, measure
from napari_rls.workflow.measure.table_files import read_table, write_table

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
    measured, files
        What was measured of the field, and its files, in its last update.
    """

    message: str = ""
    field: str = ""
    step: FieldUpdate | None = None
    done: int = 0
    total: int = 0
    error: Exception | None = None
    written: tuple[Path, ...] = ()
    measured: Measurements | None = None
    files: FieldPaths | None = None


class Pace:
    """How many fields are done, and how long the others take.

    Parameters
    ----------
    total
        How many there are.
    """

    def __init__(self, total: int) -> None:
        self.total, self.done, self._kept = total, 0, 0
        self._began = time.monotonic()

    def tell(self, update: FieldsUpdate) -> FieldsUpdate:
        """Return the last update of a field with how far the run is."""
        self.done += 1
        # What an earlier start has finished takes no time.
        self._kept += update.error is None and not update.written
        words = f"{self.done} of {self.total} fields"
        if (waiting := self.total - self.done) and self.done > self._kept:
            spent = time.monotonic() - self._began
            words += f", about {duration(spent / (self.done - self._kept) * waiting)} left"
        message = f"{update.message} ({words})" if self.total > 1 else update.message
        return replace(update, message=message, done=self.done)


@dataclass(frozen=True, eq=False)
class FieldTask:
    """What is to be done of one field; it can be sent to another process.

    Parameters
    ----------
    field
        The field.
    out
        Folder of the results of all fields.
    digest
        Of all that the results depend on, beside the image.
    shared
        What all fields of the run share.
    measurement
        What is measured of the cells, and how.
    channels
        Channels of the file in the bundle's order; empty: by the bundle's names.
    overwrite
        Whether results that are there are made again.
    """

    field: FieldFile
    out: Path
    digest: str
    shared: Shared
    measurement: MeasureSettings
    channels: tuple[str, ...] = ()
    overwrite: bool = False

    def updates(self, resolver: FieldResolver) -> Generator[FieldsUpdate, None, None]:
        """Do it; what is wrong with the field is told in the last update, and not raised."""
        try:
            yield from self._updates(self.shared.tell(resolver))
        except Exception as error:
            if (sentence := sentence_of(error)) is None:
                raise
            yield FieldsUpdate(sentence, self.field.name, error=error)

    def _updates(self, resolver: FieldResolver) -> Generator[FieldsUpdate, None, None]:
        name = self.field.name
        stack = read_field(self.field, self.channels, resolver)
        # How files are read was said before of all; this shows only once pixels are read.
        if blank := stack.reading.blank_words:
            yield FieldsUpdate(f"{name}: {blank}", name)
        ratio = resolver.microscope(stack).ratio
        paths = FieldPaths.in_run(self.out, self.field, ratio)
        job = {"sha256": self.digest, "input": content_digest(stack.data)}
        if (kept := self._finished(paths, job)) is not None:
            yield FieldsUpdate(f"{name} is finished already.", name, measured=kept, files=paths)
            return
        result: FieldResult | None = None
        for update in resolver.updates(stack, intensity=self.shared.intensity):
            result = update.result or result
            # What holds for all fields has been said.
            told = "" if update.message in self.shared.words else update.message
            yield FieldsUpdate(told, name, update)
        assert result is not None
        finished = result
        saturation = result.saturation(self.measurement.saturation)
        record = result.record | {SATURATION_KEY: saturation.record(), JOB_KEY: job}
        measured = self._measured(result, record)

        def write(image: Path) -> None:
            places = paths
            if image != paths.image:
                beside = FieldPaths.of(image.parent, name, ratio, zarr=self.field.zarr)
                places = replace(beside, image=image)
            write_table(places.table, measured.table, measured.record)
            labels = measured.labels.get("SR", {})
            write_field(places, finished, record, labels, self.shared.intensity)

        write_or_keep(paths.image, write)
        samples = result.collector.samples is not None
        if words := saturation.words(stack.channels):
            yield FieldsUpdate(f"{name}: {words}", name)
        yield FieldsUpdate(
            f"{name}: {len(result.cells)} {result.microscope.crops}.",
            name,
            written=tuple(paths.every(samples=samples)),
            # Label images of a whole plate are not to stay in memory.
            measured=replace(measured, labels={}),
            files=paths,
        )

    def _measured(self, result: FieldResult, record: dict[str, Any]) -> Measurements:
        upsampled = replace(
            result.stack, data=result.cells.upsampled, name=f"{result.stack.name} upsampled"
        )
        sets = [
            ImageSet("LR", upsampled, record={SATURATION_KEY: record[SATURATION_KEY]}),
            ImageSet("SR", result.stack, result.collector.samples, record),
        ]
        settings = above_no_light(self.measurement, sets, self.shared.intensity)
        for update in measure(sets, settings, factor=1):
            if (measured := update.result) is not None:
                told = told_tiles(record)
                measured.record["warnings"] += [told] if told else []
                return measured
        raise AssertionError("a measurement ends with its result")

    def _finished(self, paths: FieldPaths, job: dict[str, str]) -> Measurements | None:
        """Return what was measured of a field whose files are there and of this very run."""
        if self.overwrite or not paths.image.exists() or not paths.table.exists():
            return None
        if paths.record().get(JOB_KEY) != job:
            return None
        try:
            table, measured = read_table(paths.table)
        except (OSError, ValueError):
            return None
        return Measurements(pd.DataFrame(table), {}, dict(measured))


def above_no_light(
    settings: MeasureSettings, sets: Sequence[ImageSet], intensity: IntensityMap
) -> MeasureSettings:
    """Return how cells are measured: above what stands for no light, if that is not told.

    Parameters
    ----------
    settings
        What is measured, and how.
    sets
        The images that are measured.
    intensity
        Which of their intensities are which of the bundle's.
    """
    if settings.camera_offset is not None or intensity.mode == "bundle":
        return settings
    _, channels = find_channels(sets, settings)
    low = intensity.low[channels[-1][1]]
    return settings.model_copy(update={"camera_offset": float(f"{low:.6g}")})


def read_field(field: FieldFile, channels: tuple[str, ...], resolver: FieldResolver) -> CellStack:
    """Return a field with its channels in the bundle's order, and by the bundle's names.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    manifest = resolver.bundle.manifest
    names = manifest.channel_names
    stack = choose_channels(field.read(), channels, names)
    check_channels(stack, manifest)
    check_field(stack)
    return replace(stack, channels=names)
