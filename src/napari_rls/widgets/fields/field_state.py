"""What the dock "Super-resolve a field" shows: one evented state that its controller writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_rls.search.optics import Optics
from napari_rls.widgets.cells.input_state import InputState
from napari_rls.widgets.fields.chosen_cells import Which
from napari_rls.workflow.fields.field_settings import FieldSettings

if TYPE_CHECKING:
    from pathlib import Path

    from napari_rls.widgets.cells.hr_means import CorrectedTable
    from napari_rls.widgets.fields.result_jobs import PsfNews
    from napari_rls.workflow.measure.measurements import Measurements

NO_RESULT = "There is no result yet: super-resolve first."


@dataclass
class FieldState(InputState):
    """Everything that the view shows; each change is an event of ``events``.

    ``fields`` is how the field was seen and how its cells are found, as far as it is given, and
    ``noise`` what of the camera's noise, as it was typed; ``which`` are the cells that a run
    takes, and ``psf`` what was estimated of the field's PSF. ``sizes_ratio`` is the ratio that the
    pixel sizes of image and bundle tell, None if they do not. ``unmeasured`` tells why the cells
    of the last run cannot be measured ("" if they can), ``measured`` is their table, and
    ``hr_cells`` is the file by which means are corrected, ``means`` are those of the last
    measurement with it, and ``selected`` are the numbers of the cells that are selected in it.
    ``planes`` are how many fields the LR layer holds, ``along`` tells along which axis, and
    ``every`` whether a run takes all of them.
    """

    fields: FieldSettings = field(default_factory=FieldSettings)
    noise: str = ""
    which: Which = Which.ALL
    psf: PsfNews | None = None
    sizes_ratio: float | None = None
    unmeasured: str = NO_RESULT
    measured: Measurements | None = None
    hr_cells: Path | None = None
    means: CorrectedTable | None = None
    selected: tuple[int, ...] = ()
    planes: int = 1
    along: str = ""
    every: bool = False

    @property
    def optics(self) -> Optics:
        """The microscope, with the ratio that is used if none is given."""
        given = self.fields.optics
        if given.ratio is not None or self.sizes_ratio is None:
            return given
        return given.model_copy(update={"ratio": round(self.sizes_ratio, 4)})
