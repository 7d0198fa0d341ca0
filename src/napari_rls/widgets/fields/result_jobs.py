"""What threads compute of results: the table and its labels, statistics of samples, the PSF."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Labels

    from napari_rls.search.psf import PsfEstimate
    from napari_rls.search.settings import Settings
    from napari_rls.widgets.cells.hr_means import CorrectedTable
    from napari_rls.widgets.cells.label_layers import LabelledPart
    from napari_rls.widgets.cells.sources import Source
    from napari_rls.widgets.common.plot_canvas import Screen
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.fields.field_result import FieldResult
    from napari_rls.workflow.fields.field_settings import FieldSettings
    from napari_rls.workflow.measure.measurements import Measurements

_ROWS = 128
"""Rows of a field whose statistics are computed at once."""


@dataclass(frozen=True, eq=False)
class TableNews:
    """How many images are measured of all; in the last one the result, its labels and means."""

    done: int
    total: int
    result: Measurements | None = None
    labels: Mapping[LabelledPart, Labels] | None = None
    means: CorrectedTable | None = None

    @property
    def must_show(self) -> bool:
        """Whether it must not be left out."""
        return self.result is not None


@dataclass(frozen=True, eq=False)
class TableJob:
    """Measures the cells of fields as the bundle suggests, into one table.

    Parameters
    ----------
    results
        What became of each field, by its plane.
    measurement
        What the bundle suggests.
    source
        The LR layer, and the planes that labels are drawn of.
    hr_cells
        File of HR images of a few of the cells, by which means are corrected.
    """

    results: Mapping[int, FieldResult]
    measurement: Mapping[str, Any]
    source: Source
    hr_cells: Path | None = None

    def updates(self) -> Generator[TableNews]:
        """Measure cell by cell."""
        from napari_rls.widgets.cells.hr_means import correct_means
        from napari_rls.widgets.fields.field_labels import draw_field_labels
        from napari_rls.workflow.measure.measurements import Measurements, join

        parts: list[Measurements] = []
        total = done = 0
        for result in self.results.values():
            samples = result.collector.samples
            total += len(result.cells) * (1 + (0 if samples is None else len(samples)))
        for result in self.results.values():
            for update in self._measured(result):
                if update.result is None:
                    yield TableNews(done + update.done, total)
                else:
                    parts.append(update.result)
            done += update.done
        whole = parts[0]
        if len(parts) > 1:
            table, record = join(parts)
            whole = Measurements(table, {}, record)
        labels = [part.labels["SR"] for part in parts]
        drawn = draw_field_labels(whole, labels, self.results, self.source)
        means = correct_means(whole.table, whole.record, self.hr_cells)
        yield TableNews(total, total, whole, drawn, means)

    def _measured(self, result: FieldResult) -> Generator[Any]:
        from napari_rls.workflow.fields.field_task import above_no_light
        from napari_rls.workflow.fields.tiles import told_tiles
        from napari_rls.workflow.measure.image_sets import ImageSet
        from napari_rls.workflow.measure.measure_settings import measure_settings
        from napari_rls.workflow.measure.measurements import measure

        collector = result.collector
        sr = ImageSet("SR", result.stack, collector.samples, result.record)
        settings = measure_settings(None, None, {}, self.measurement)
        if collector.run is not None:
            settings = above_no_light(settings, [sr], collector.run.intensity)
        for update in measure([sr], settings, factor=1):
            if update.result is not None and (told := told_tiles(result.record)):
                update.result.record["warnings"].append(told)
            yield update


@dataclass(frozen=True, eq=False)
class StatisticsNews:
    """Mean and standard deviation of each channel's samples; () as long as they are computed."""

    done: float
    statistics: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...] = ()

    @property
    def must_show(self) -> bool:
        """Whether it must not be left out."""
        return bool(self.statistics)


@dataclass(frozen=True, eq=False)
class StatisticsJob:
    """Computes mean and standard deviation of the samples (S, ...) of each channel."""

    samples: tuple[NDArray[np.float32], ...]

    def updates(self) -> Generator[StatisticsNews]:
        """Compute them in parts of some rows, as memory for all is not there twice."""
        found = []
        for number, samples in enumerate(self.samples):
            mean, deviation = (np.empty(samples.shape[1:], np.float32) for _ in range(2))
            height = samples.shape[-2]
            for top in range(0, height, _ROWS):
                rows = (..., slice(top, top + _ROWS), slice(None))
                mean[rows] = samples[rows].mean(0)
                deviation[rows] = samples[rows].std(0, ddof=1)
                yield StatisticsNews((number + top / height) / len(self.samples))
            found.append((mean, deviation))
        yield StatisticsNews(1.0, tuple(found))


@dataclass(frozen=True, eq=False)
class PsfNews:
    """The width of the PSF, and its curve as pixels (H, W, 4)."""

    estimate: PsfEstimate
    pixels: NDArray[np.uint8]

    @property
    def must_show(self) -> bool:
        """Whether it must not be left out."""
        return True


@dataclass(frozen=True, eq=False)
class PsfJob:
    """Estimates the width of the PSF by the cells of a field, and draws its curve."""

    field: CellStack
    settings: Settings
    fields: FieldSettings
    screen: Screen

    def updates(self) -> Generator[PsfNews]:
        """Estimate it, in one step."""
        from napari_rls.evaluation.psf_plot import psf_plot
        from napari_rls.workflow.fields.resolve_field import FieldResolver
        from napari_rls.workflow.super_resolve.kept_resolver import kept_resolver

        resolver = FieldResolver(kept_resolver(self.settings.bundle, self.settings), self.fields)
        estimate = replace(resolver.estimate_psf([self.field]), of=self.field.name)
        yield PsfNews(estimate, self.screen.pixels(psf_plot(estimate, self.screen.look)))
