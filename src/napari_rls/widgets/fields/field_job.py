"""The job of a field: what the thread computes, and what it tells of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_rls.widgets.fields.field_patches import (
    Patch,
    patches_of,
    sample_stacks,
    whole_field,
)

if TYPE_CHECKING:
    from napari_rls.search.psf import PsfEstimate
    from napari_rls.search.settings import Settings
    from napari_rls.widgets.fields.chosen_cells import Chosen
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.fields.field_result import FieldResult, FieldUpdate
    from napari_rls.workflow.fields.field_settings import FieldSettings
    from napari_rls.workflow.fields.resolve_field import FieldResolver
    from napari_rls.workflow.fields.shared import Shared


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
    samples
        The samples of the whole field, an array (S, H, W) a channel, when the first are there.
    begins
        The field, with the first news of each of several.
    plane
        Which of several it is.
    fault
        Why nothing is made of it.
    shared
        What all of several share, once it is known.
    last
        Whether this is all.
    """

    update: FieldUpdate
    points: NDArray[np.float64] | None = None
    blank: Patch | None = None
    kept: int = 0
    patches: tuple[Patch, ...] = ()
    cells: tuple[int, ...] = ()
    samples: tuple[NDArray[np.float32], ...] = ()
    begins: CellStack | None = None
    plane: int = 0
    fault: str = ""
    shared: Shared | None = None
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
    estimate
        The estimate that the width of the PSF is of; None if it is of none.
    most_samples
        Bytes that the samples of the SR field may have; they are not drawn where they have more.
    shared
        What several fields share; None for one.
    """

    field: CellStack
    settings: Settings
    fields: FieldSettings
    near: NDArray[np.float64]
    places: NDArray[np.float64] | None = None
    find_only: bool = False
    chosen: Chosen | None = None
    before: FieldResult | None = None
    estimate: PsfEstimate | None = None
    most_samples: float = 0
    shared: Shared | None = None

    def resolver(self) -> FieldResolver:
        """Return what super-resolves the field."""
        from napari_rls.workflow.fields.resolve_field import FieldResolver
        from napari_rls.workflow.super_resolve.kept_resolver import kept_resolver

        kept = kept_resolver(self.settings.bundle, self.settings)
        resolver = FieldResolver(kept, self.fields, self.estimate)
        return self.shared.tell(resolver) if self.shared else resolver

    def updates(self) -> Generator[FieldNews]:
        """Find cells, search, and make the parts of the SR field that change."""
        resolver = self.resolver()
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

        before, kept = self.before, np.empty(0, np.intp)
        intensity = self.shared.intensity if self.shared else None
        if before is not None and others is not None and before.collector.run is not None:
            kept = _at(before.cells.places, others, 1 / before.microscope.ratio)
            intensity = before.collector.run.intensity
        begun = sampled = False
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
                drawn = self._draws_samples(result)
                patches = tuple(patches_of(result, cells, samples=drawn and sampled))
                samples: tuple[NDArray[np.float32], ...] = ()
                if drawn and not sampled:
                    samples = tuple(sample_stacks(result, (*range(len(kept)), *cells)))
                    sampled = True
                yield FieldNews(changed, patches=patches, cells=cells, samples=samples)
            else:
                yield FieldNews(changed, last=update.stage == "done")

    def _draws_samples(self, result: FieldResult) -> bool:
        samples = result.collector.samples
        if samples is None:
            return False
        channels, height, width = result.image.shape
        return 4 * len(samples) * channels * height * width <= self.most_samples


def _to_show(update: FieldUpdate) -> NDArray[np.float64] | None:
    """Return where cells are found, once they are."""
    return update.places if update.step is None and len(update.places) else None


def _at(
    places: NDArray[np.float64], others: NDArray[np.float64], tolerance: float
) -> NDArray[np.intp]:
    """Return which places (N, 2) are those of others (M, 2)."""
    apart = np.linalg.norm(places[:, None] - others[None], axis=-1)
    return np.flatnonzero((apart <= tolerance).any(axis=1))
