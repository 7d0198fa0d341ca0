"""The job of all fields of a layer: time points, planes or positions, one after the other."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import sentence_of
from napari_rls.widgets.fields.field_job import FieldNews
from napari_rls.widgets.fields.field_patches import whole_field

if TYPE_CHECKING:
    from napari_rls.widgets.fields.chosen_cells import Chosen
    from napari_rls.widgets.fields.field_job import FieldJob
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.fields.field_result import FieldResult
    from napari_rls.workflow.fields.shared import Shared


class Read(Protocol):
    """Reads fields of a layer."""

    def __call__(self, plane: int) -> CellStack:
        """Return a field (1, C, h, w)."""


@dataclass(frozen=True, eq=False)
class PlanesJob:
    """What a run over several fields computes.

    They share noise and intensities, as the fields of a run of the command line do. One that
    cannot be used does not stop the others.

    Parameters
    ----------
    job
        How the first is worked on; the others are worked on like it.
    read
        Reads a field.
    count
        How many fields there are.
    planes
        Which of them are worked on.
    places
        Where cells of some of them are (N, 2); those of the others are found.
    chosen
        Tell which cells of a field are searched; all of a field that is not named.
    before
        Results of fields that an earlier run has finished in part.
    shared
        What they share, as an earlier run has found it; None to find it.
    """

    job: FieldJob
    read: Read
    count: int
    planes: tuple[int, ...]
    places: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    chosen: Mapping[int, Chosen] = field(default_factory=dict)
    before: Mapping[int, FieldResult] = field(default_factory=dict)
    shared: Shared | None = None

    def updates(self) -> Generator[FieldNews]:
        """Go through the fields."""
        from napari_rls.workflow.fields.field_result import FieldUpdate

        nowhere = np.empty((0, 2))
        shared = self.shared
        if shared is None and not self.job.find_only:
            shared = self._shared()
            said = " ".join(shared.words)
            yield FieldNews(FieldUpdate("found", nowhere, said), shared=shared)
        for plane in self.planes:
            stack = self.read(plane)
            begins = FieldUpdate("found", nowhere)
            yield FieldNews(begins, begins=stack, plane=plane)
            job = replace(
                self.job,
                field=stack,
                places=self.places.get(plane),
                chosen=self.chosen.get(plane),
                before=self.before.get(plane),
                shared=shared,
            )
            try:
                for news in job.updates():
                    message = news.update.message
                    if shared is not None and message in shared.words:
                        message = ""
                    update = replace(news.update, message=message)
                    last = news.last and plane == self.planes[-1]
                    yield replace(news, update=update, plane=plane, last=last)
            except Exception as error:
                if (sentence := sentence_of(error)) is None:
                    raise
                yield self._left_out(job, plane, sentence)

    def _shared(self) -> Shared:
        from napari_rls.workflow.fields.shared import Shared, some_fields

        return Shared.choose(self.job.resolver(), some_fields(self.count, self.read), {})

    def _left_out(self, job: FieldJob, plane: int, why: str) -> FieldNews:
        """Return what is to be told of a field of which nothing is made."""
        from napari_rls.workflow.fields.field_result import FieldUpdate
        from napari_rls.workflow.fields.sr_field import SrField

        update = FieldUpdate("done", np.empty((0, 2)))
        blank = None
        if not job.find_only:
            resolver = job.resolver()
            size = resolver.bundle.manifest.hr_size
            lr = job.field.data[0]
            none = np.empty((0, len(lr), size, size), np.float32)
            ratio = resolver.microscope(job.field).ratio
            blank = whole_field(SrField(lr, none, update.places, ratio), 0)
        last = plane == self.planes[-1]
        return FieldNews(update, blank=blank, plane=plane, fault=why, last=last)
