"""What the dock "Super-resolve a field" shows: one evented state that its controller writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_rls.search.optics import Optics
from napari_rls.widgets.cells.input_state import InputState
from napari_rls.workflow.fields.field_settings import FieldSettings


@dataclass
class FieldState(InputState):
    """Everything that the view shows; each change is an event of ``events``.

    ``fields`` is how the field was seen and how its cells are found, as far as it is given, and
    ``noise`` what of the camera's noise, as it was typed; ``sizes_ratio`` is the ratio that the
    pixel sizes of image and bundle tell, None if they do not.
    """

    fields: FieldSettings = field(default_factory=FieldSettings)
    noise: str = ""
    sizes_ratio: float | None = None

    @property
    def optics(self) -> Optics:
        """The microscope, with the ratio that is used if none is given."""
        given = self.fields.optics
        if given.ratio is not None or self.sizes_ratio is None:
            return given
        return given.model_copy(update={"ratio": round(self.sizes_ratio, 4)})
