"""What the widgets of measurements show: one evented state for each viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from weakref import WeakKeyDictionary

from psygnal import SignalGroupDescriptor

from napari_rls.measure.cells import MeasureSettings
from napari_rls.widgets.common.state import Message, Phase, RunProgress

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from psygnal import SignalInstance
    from qtpy.QtWidgets import QWidget

    from napari_rls.widgets.measure.measure_inputs import Images
    from napari_rls.widgets.measure.measure_layers import MeasureLayers
    from napari_rls.workflow.measure.measurements import Measurements


class Undoable(Protocol):
    """What can be undone."""

    def undo(self) -> None:
        """Undo it."""


@dataclass
class MeasureState:
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
    wells
        Which wells are taken from names of files, in sentences.
    phase, progress, message
        What the widget is doing and has to say.
    result
        The last measurement.
    saving
        Whether the table is being written.
    layers
        The labels layers of the last measurement.
    link
        These layers, tied to the selection.
    selected
        Cells that are selected, by their index in the images; the last one is in view.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    settings: MeasureSettings = field(
        default_factory=lambda: MeasureSettings(assay="translocation")
    )
    images: Images = field(default_factory=dict)
    factor: int = 0
    plate_map: Path | None = None
    wells: str = ""
    phase: Phase = Phase.IDLE
    progress: RunProgress = field(default_factory=RunProgress)
    message: Message = field(default_factory=Message)
    result: Measurements | None = None
    saving: bool = False
    layers: MeasureLayers | None = None
    link: Undoable | None = None
    selected: tuple[int, ...] = ()


_states: WeakKeyDictionary[ViewerModel, MeasureState] = WeakKeyDictionary()


def state_of(viewer: ViewerModel) -> MeasureState:
    """Return the state that all widgets of a viewer share."""
    return _states.setdefault(viewer, MeasureState())


def connect_for_life(
    widget: QWidget, pairs: Iterable[tuple[SignalInstance, Callable[..., Any]]]
) -> None:
    """Connect events with methods of a widget until it is destroyed; the state lives longer."""
    connected = list(pairs)
    for signal, slot in connected:
        signal.connect(slot)

    def disconnect() -> None:
        for signal, slot in connected:
            signal.disconnect(slot, missing_ok=True)

    widget.destroyed.connect(disconnect)
