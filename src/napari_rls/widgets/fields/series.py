"""A run over several fields that goes on where an earlier one ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_rls.widgets.cells.own_layers import say_it_goes_on
from napari_rls.widgets.fields.chosen_cells import Chosen, Unfinished

if TYPE_CHECKING:
    from napari_rls.widgets.fields.field_run import FieldRun
    from napari_rls.widgets.fields.field_table import LastField
    from napari_rls.widgets.fields.planes_job import PlanesJob
    from napari_rls.workflow.fields.field_result import FieldResult


def go_on(run: FieldRun, last: LastField | None, job: PlanesJob) -> PlanesJob | None:
    """Return the job of the fields that an earlier run of the same kind has left, if it is one.

    Fields that are done stay as they are, and so do finished cells of one that is not.

    Parameters
    ----------
    run
        The new run, which takes over layers and results.
    last
        The earlier one.
    job
        The job of all fields.
    """
    if (
        last is None
        or last.planes != run.planes
        or last.source.layer is not run.origin[0].layer
        or last.made_with != run.made_with
        or not last.layers.present
    ):
        return None
    done = {k: each for k, each in last.whole.items() if _same_places(each, job.places.get(k))}
    left = tuple(k for k in job.planes if k not in done)
    if not left:
        return None
    run.layers, run.results, run.shared = last.layers, dict(last.results), last.shared
    say_it_goes_on(last.layers.every)
    if done:
        run.notes.append(f"Done already: {len(done)} of {run.planes} fields.")
    before, chosen = {}, dict[int, Chosen]()
    for plane, result in last.results.items():
        if plane in done or plane not in job.places:
            continue
        cells = enumerate(result.collector.cells)
        finished = [k for k, cell in cells if cell.status in ("done", "failed")]
        left_over = Unfinished(result.cells.places[finished], 1 / result.microscope.ratio)
        if left_over(job.places[plane]).any():
            before[plane], chosen[plane] = result, left_over
    return replace(job, planes=left, before=before, chosen=chosen, shared=last.shared)


def _same_places(result: FieldResult, places: NDArray[np.float64] | None) -> bool:
    """Whether a result is of cells at these places; the grid of HR pixels moves them."""
    own = result.cells.places
    if places is None or len(places) != len(own):
        return places is None
    apart = np.linalg.norm(places[:, None] - own[None], axis=-1)
    return bool((apart.min(axis=1) <= 1 / result.microscope.ratio).all())
