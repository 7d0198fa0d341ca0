"""The job of a field: what the thread computes, and what it tells of it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_rls.search.psf import PsfEstimate
    from napari_rls.search.settings import Settings
    from napari_rls.widgets.common.plot_canvas import Screen
    from napari_rls.widgets.fields.chosen_cells import Chosen
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.fields.field_result import FieldResult, FieldUpdate
    from napari_rls.workflow.fields.field_settings import FieldSettings
    from napari_rls.workflow.fields.resolve_field import FieldResolver
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
    points
        Where cells are (N, 2), if that is to be shown.
    blank
        The whole field before any cell of the run is drawn, with the first step of the search.
    kept
        How many cells of the result are of an earlier run, with ``blank``.
    patches
        Where cells have been finished.
    cells
        Which these are, of the result.
    last
        Whether this is all.
    """

    update: FieldUpdate
    points: NDArray[np.float64] | None = None
    blank: Patch | None = None
    kept: int = 0
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
    chosen
        Tells which cells are searched; None for all.
    before
        A result of the same field and settings, whose other cells stay.
    """

    field: CellStack
    settings: Settings
    fields: FieldSettings
    near: NDArray[np.float64]
    places: NDArray[np.float64] | None = None
    find_only: bool = False
    chosen: Chosen | None = None
    before: FieldResult | None = None

    def updates(self) -> Generator[FieldNews]:
        """Find cells, search, and make the parts of the SR field that change."""
        from napari_rls.workflow.fields.resolve_field import FieldResolver
        from napari_rls.workflow.super_resolve.resolver import kept_resolver

        resolver = FieldResolver(kept_resolver(self.settings.bundle, self.settings), self.fields)
        if self.find_only:
            yield from self._find(resolver)
        elif self.chosen is None:
            yield from self._search(resolver, self.places)
        else:
            places = self.places
            if places is None:
                places = yield from self._find(resolver)
            mask = self.chosen(places)
            yield from self._search(resolver, places[mask], places[~mask])

    def _find(self, resolver: FieldResolver) -> Generator[FieldNews, None, NDArray[np.float64]]:
        """Find cells and return where they are."""
        found = "looked" if resolver.scouts else "found"
        with closing(resolver.updates(self.field, near=self.near)) as updates:
            for update in updates:
                ended = update.stage == found and len(update.places) > 0
                yield FieldNews(update, _to_show(update), last=ended and self.find_only)
                if ended:
                    return update.places
        raise AssertionError("no cell is an error")

    def _search(
        self,
        resolver: FieldResolver,
        places: NDArray[np.float64] | None,
        others: NDArray[np.float64] | None = None,
    ) -> Generator[FieldNews]:
        """Search cells at places, beside those of the earlier result that lie at others."""
        from napari_rls.workflow.fields.joined_result import join_results

        before, kept, intensity = self.before, np.empty(0, np.intp), None
        if before is not None and others is not None and before.collector.run is not None:
            kept = _at(before.cells.places, others, 1 / before.microscope.ratio)
            intensity = before.collector.run.intensity
        begun = False
        every = resolver.updates(self.field, places=places, near=self.near, intensity=intensity)
        for update in every:
            result, step = update.result, update.step
            if result is None:
                yield FieldNews(update, _to_show(update) if others is None else None)
                continue
            finished = step is not None and step.finished
            if before is not None and len(kept):
                # Joined where it is looked at: arrays of all cells are made anew.
                told = not begun or finished or step is None
                result = join_results(before, kept, result) if told else None
            changed = replace(update, result=result)
            if result is not None and not begun:
                begun = True
                shown = update.places if others is None else None
                blank = whole_field(result.image, len(kept))
                yield FieldNews(replace(changed, step=None), shown, blank, len(kept))
            if result is not None and step is not None and finished:
                cells = tuple(len(kept) + int(k) for k in step.cells)
                yield FieldNews(changed, patches=tuple(patches_of(result, cells)), cells=cells)
            else:
                yield FieldNews(changed, last=update.stage == "done")


def _to_show(update: FieldUpdate) -> NDArray[np.float64] | None:
    """Return where cells are found, once they are."""
    return update.places if update.step is None and len(update.places) else None


def _at(
    places: NDArray[np.float64], others: NDArray[np.float64], tolerance: float
) -> NDArray[np.intp]:
    """Return which places (N, 2) are those of others (M, 2)."""
    apart = np.linalg.norm(places[:, None] - others[None], axis=-1)
    return np.flatnonzero((apart <= tolerance).any(axis=1))


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
        from napari_rls.workflow.fields.tiles import told_tiles
        from napari_rls.workflow.measure.image_sets import ImageSet
        from napari_rls.workflow.measure.measure_settings import measure_settings
        from napari_rls.workflow.measure.measurements import measure

        collector = self.result.collector
        sr = ImageSet("SR", self.result.stack, collector.samples, self.result.record)
        settings = measure_settings(None, None, {}, self.measurement)
        if collector.run is not None:
            settings = above_no_light(settings, [sr], collector.run.intensity)
        for update in measure([sr], settings, factor=1):
            if update.result is not None and (told := told_tiles(self.result.record)):
                update.result.record["warnings"].append(told)
            yield TableNews(update.done, update.total, update.result)


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
        from napari_rls.workflow.super_resolve.resolver import kept_resolver

        resolver = FieldResolver(kept_resolver(self.settings.bundle, self.settings), self.fields)
        estimate = resolver.estimate_psf([self.field])
        yield PsfNews(estimate, self.screen.pixels(psf_plot(estimate, self.screen.look)))


News = FieldNews | TableNews | PsfNews


def whole_field(image: SrField, cells: int) -> Patch:
    """Return the SR field with its first cells alone, and the interpolated LR image elsewhere."""
    some = replace(image, sr=image.sr[:cells], places=image.places[:cells])
    _, height, width = image.shape
    whole, generated = np.empty(image.shape, np.float32), np.zeros((height, width), np.bool_)
    for rows, columns in image.tiles():
        whole[:, rows, columns], generated[rows, columns] = some.region(rows, columns)
    return Patch(slice(0, height), slice(0, width), whole, generated)


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
