"""What the widgets of measurements show: one evented state for each viewer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from napari_rls.measure.cells import MeasureSettings
from napari_rls.widgets.common.state import RunState

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_rls.widgets.cells.hr_means import CorrectedTable
    from napari_rls.widgets.measure.image_pairs import Images
    from napari_rls.widgets.measure.measure_layers import MeasureLayers
    from napari_rls.workflow.measure.measurements import Measurements


class Undoable(Protocol):
    """What can be undone."""

    def undo(self) -> None:
        """Undo it."""


@dataclass
class MeasureState(RunState):
    """Everything that the views show; each change is an event of ``events``.

    Parameters
    ----------
    settings
        What is measured, and how; without the names of the channels, which layers tell.
    images
        Where the channels of every kind of image are.
    factor
        How much LR images are upsampled; 0 to the size of the others.
    plate_map
        File of the conditions, if there is one.
    hr_cells
        File of HR images of a few of the cells, by which means are corrected.
    notes
        What is taken from names: wells of files, and what channels are called; in sentences.
    result
        The last measurement.
    means
        The corrected means of the last measurement, with HR cells.
    saving
        Whether the table is being written.
    layers
        The labels layers of the last measurement.
    link
        These layers, tied to the selection.
    selected
        Cells that are selected, by their index in the images; the last one is in view.
    """

    settings: MeasureSettings = field(
        default_factory=lambda: MeasureSettings(assay="translocation")
    )
    images: Images = field(default_factory=dict)
    factor: int = 0
    plate_map: Path | None = None
    hr_cells: Path | None = None
    notes: str = ""
    result: Measurements | None = None
    means: CorrectedTable | None = None
    saving: bool = False
    layers: MeasureLayers | None = None
    link: Undoable | None = None
    selected: tuple[int, ...] = ()


_states: WeakKeyDictionary[ViewerModel, MeasureState] = WeakKeyDictionary()


def state_of(viewer: ViewerModel) -> MeasureState:
    """Return the state that all widgets of a viewer share."""
    return _states.setdefault(viewer, MeasureState())
