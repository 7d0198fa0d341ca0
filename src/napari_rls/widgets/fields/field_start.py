"""What a run of the dock takes, without Qt: one field or all of a layer, all cells or some."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_rls.errors import InputError
from napari_rls.widgets.fields.chosen_cells import Which, inside_shapes, selected_points
from napari_rls.widgets.fields.field_job import FieldJob
from napari_rls.widgets.fields.field_psf import FieldPsf
from napari_rls.widgets.fields.field_run import MOST_SAMPLES, FieldRun
from napari_rls.widgets.fields.planes_job import PlanesJob
from napari_rls.widgets.fields.series import go_on
from napari_rls.workflow.fields.short_search import search_settings

if TYPE_CHECKING:
    from napari_rls.search.settings import Settings
    from napari_rls.widgets.cells.sources import Source
    from napari_rls.widgets.fields.chosen_cells import Chosen
    from napari_rls.widgets.fields.planes_job import Read
    from napari_rls.workflow.fields.field_result import FieldResult


class FieldStart(FieldPsf):
    """Begin runs of what is chosen, or say why there is none.

    Parameters
    ----------
    viewer, state, launch, memory, soon
        As for :class:`~napari_rls.widgets.cells.input_controller.InputController`.
    """

    _run: FieldRun | None = None

    def shown_settings(self) -> Settings:
        """Return the settings that a run would have, which is short where it can be."""
        state = self.state
        if state.manifest is None:
            return state.settings
        return search_settings(state.manifest, state.settings)

    def choose_cells(self, which: Which) -> None:
        """Choose which cells a run takes."""
        self.state.which = which

    def find(self) -> None:
        """Find the cells of the field and show them as points."""
        self._once(lambda: self._take_field(find_only=True))

    def _take_on(self) -> None:
        """Super-resolve cells at the points or, without points, of those that are found."""
        self._take_field(find_only=False)

    def _take_field(self, *, find_only: bool) -> None:
        state = self.state
        if state.manifest is None:
            return
        self._judge()
        if state.obstacle:
            raise InputError(state.obstacle)
        origin, read = self._sources(), self._reader()
        image = read(origin[0].first_cell)
        ratio = state.fields.optics.ratio_of(image.pixel_size_um, state.manifest.pixel_size_um)
        fields = state.fields.model_copy(update={"noise": self._noise()})
        made_with = {
            # Where and how fast it is computed is no matter of the result.
            "settings": state.settings.model_dump(exclude={"device", "threads", "batch_size"}),
            "fields": fields,
            "bundle": state.manifest.content_hash,
        }
        planes = state.planes if state.every else None
        run = FieldRun(image, origin, state.manifest, find_only, ratio, made_with, planes)
        job = FieldJob(
            image,
            state.settings,
            fields,
            self._near(origin[0]),
            find_only=find_only,
            estimate=self._width,
            most_samples=MOST_SAMPLES / (planes or 1),
        )
        whole = self._of_all(run, job, read) if planes else self._of_one(run, job)
        self._comparison.stop()
        self._run = run
        shared = planes and not find_only and run.shared is None
        looks = ", looking at what the fields share" if shared else ""
        self._begin(f"Loading the bundle{looks}")
        self._say("")
        self._work_on(whole)

    def _of_one(self, run: FieldRun, job: FieldJob) -> FieldJob:
        """Return the job of the one field that is shown."""
        source = run.origin[0]
        if run.find_only:
            self.points.keep_edited(source)
            return job
        if taken := self.points.take_over(source, run.image.name, run.ring):
            run.notes.append(taken)
        places = self.points.places(source)
        chosen = self._chosen(source)
        before = None
        if chosen is not None:
            if places is not None:
                chosen(places)  # or it is said at once that none is
            before = self._beside(run)
        return replace(job, places=places, chosen=chosen, before=before)

    def _of_all(self, run: FieldRun, job: FieldJob, read: Read) -> PlanesJob:
        """Return the job of all fields of the layer, or of those that are not done yet."""
        assert run.planes is not None
        count = run.planes
        every = PlanesJob(job, read, count, tuple(range(count)))
        each = [replace(run.origin[0], cells=range(k, k + 1)) for k in range(count)]
        if run.find_only:
            for source in each:
                self.points.keep_edited(source)
            return every
        places = {k: self.points.places(s) for k, s in enumerate(each) if self.points.known(s)}
        known = {k: found for k, found in places.items() if found is not None}
        if self.state.which is Which.ALL:
            earlier = go_on(run, self._last, replace(every, places=known))
            if earlier is not None:
                return earlier
            chosen: dict[int, Chosen] = {}
        elif self.state.which is Which.INSIDE:
            chosen = dict.fromkeys(range(count), inside_shapes(self.viewer, each[0].layer))
        else:
            chosen = {
                k: selected_points(self.points.layer_of(s), self.points.rows(s))
                for k, s in enumerate(each)
            }
        if self._last is not None and self._last.source.layer is each[0].layer:
            self._keep_earlier(self._last)
            run.notes.append("The SR fields of the earlier run stay, in layers of their own.")
        return replace(every, places=known, chosen=chosen)

    def _chosen(self, origin: Source) -> Chosen | None:
        """Return what tells which cells a run takes; None for all."""
        which = self.state.which
        if which is Which.SELECTED:
            return selected_points(self.points.layer_of(origin), self.points.rows(origin))
        return inside_shapes(self.viewer, origin.layer) if which is Which.INSIDE else None

    def _beside(self, run: FieldRun) -> FieldResult | None:
        """Return the earlier result that a run of some cells adds to.

        One of the same field that was made in another way keeps its layers.
        """
        last = self._last
        if last is None or last.planes is not None:
            return None
        (result,) = last.results.values()
        if not np.array_equal(result.image.lr, run.image.data[0]):
            return None
        if last.made_with == run.made_with:
            return result
        self._keep_earlier(last)
        run.notes.append("The SR field of other settings stays, in layers of its own.")
        return None
