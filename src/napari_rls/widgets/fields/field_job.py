"""The job of a field: what the thread computes, and what it tells of it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_rls.search.settings import Settings
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.fields.field_settings import FieldSettings
    from napari_rls.workflow.fields.resolve_field import FieldResult, FieldUpdate
    from napari_rls.workflow.fields.sr_field import SrField
    from napari_rls.workflow.measure.measurements import Measurements


@dataclass(frozen=True, eq=False)
class Patch:
    """A part of an SR field: its image (C, y, x), and where it is generated (y, x)."""

    rows: slice
    columns: slice
    image: NDArray[np.float32]
    generated: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FieldNews:
    """What has just been done for a field, and what of it is to be drawn.

    Parameters
    ----------
    update
        What was done.
    blank
        The field (C, H, W) before any cell is drawn, with the first step of the search.
    patches
        Where cells have been finished.
    cells
        Which these are.
    last
        Whether this is all.
    """

    update: FieldUpdate
    blank: NDArray[np.float32] | None = None
    patches: tuple[Patch, ...] = ()
    cells: tuple[int, ...] = ()
    last: bool = False

    @property
    def must_show(self) -> bool:
        """Whether it is more than a step on the way."""
        return self.update.step is None or self.blank is not None or bool(self.cells) or self.last


@dataclass(frozen=True, eq=False)
class FieldJob:
    """What one run computes.

    Parameters
    ----------
    field
        The field (1, C, h, w).
    settings, fields
        Those of the search, and of the field.
    near
        A place (2,) in LR pixels near which the search begins.
    places
        Where its cells are (N, 2), None to find them.
    find_only
        Whether to stop when its cells are found.
    """

    field: CellStack
    settings: Settings
    fields: FieldSettings
    near: NDArray[np.float64]
    places: NDArray[np.float64] | None = None
    find_only: bool = False

    def updates(self) -> Generator[FieldNews]:
        """Find cells, search, and make the parts of the SR field that change."""
        from napari_rls.workflow.fields.resolve_field import FieldResolver
        from napari_rls.workflow.super_resolve.resolver import kept_resolver

        resolver = FieldResolver(kept_resolver(self.settings.bundle, self.settings), self.fields)
        found = "looked" if self.fields.scout_steps else "found"
        begun = False
        for update in resolver.updates(self.field, places=self.places, near=self.near):
            if self.find_only and update.stage == found and len(update.places):
                yield FieldNews(update, last=True)
                return
            result, step = update.result, update.step
            if result is not None and not begun:
                begun = True
                yield FieldNews(replace(update, step=None), blank_field(result.image))
            if result is not None and step is not None and step.finished:
                cells = tuple(map(int, step.cells))
                yield FieldNews(update, None, tuple(patches_of(result, cells)), cells)
            else:
                yield FieldNews(update, last=update.stage == "done")


@dataclass(frozen=True, eq=False)
class TableNews:
    """How many images are measured of all and, in the last one, the result."""

    done: int
    total: int
    result: Measurements | None = None

    @property
    def must_show(self) -> bool:
        """Whether it must not be left out."""
        return self.result is not None


@dataclass(frozen=True, eq=False)
class TableJob:
    """Measures the cells of a field, as the bundle suggests."""

    result: FieldResult
    measurement: Mapping[str, Any]

    def updates(self) -> Generator[TableNews]:
        """Measure cell by cell."""
        from napari_rls.workflow.fields.field_task import above_no_light
        from napari_rls.workflow.measure.image_sets import ImageSet
        from napari_rls.workflow.measure.measure_settings import measure_settings
        from napari_rls.workflow.measure.measurements import measure

        collector = self.result.collector
        sr = ImageSet("SR", self.result.stack, collector.samples, self.result.record)
        settings = measure_settings(None, None, {}, self.measurement)
        if collector.run is not None:
            settings = above_no_light(settings, [sr], collector.run.intensity)
        for update in measure([sr], settings, factor=1):
            yield TableNews(update.done, update.total, update.result)


News = FieldNews | TableNews


def blank_field(image: SrField) -> NDArray[np.float32]:
    """Return the SR field (C, H, W) without its cells: the interpolated LR image."""
    nothing = replace(image, sr=image.sr[:0], places=image.places[:0])
    whole = np.empty(image.shape, np.float32)
    for rows, columns in image.tiles():
        whole[:, rows, columns], _ = nothing.region(rows, columns)
    return whole


def patches_of(result: FieldResult, cells: Iterable[int]) -> Generator[Patch]:
    """Make the parts of an SR field where these cells lie."""
    image = result.image
    _, height, width = image.shape
    half = image.sr.shape[-1] / 2
    for cell in cells:
        centre = (image.places[cell] + 0.5) * image.ratio
        rows, columns = (
            slice(max(int(middle - half), 0), min(int(np.ceil(middle + half)), size))
            for middle, size in zip(centre, (height, width), strict=True)
        )
        if rows.start < rows.stop and columns.start < columns.stop:
            yield Patch(rows, columns, *image.region(rows, columns))
