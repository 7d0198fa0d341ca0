"""What docks have in common that run something: buttons, bar and message, and why not now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import PushButton

from napari_rls.widgets.common.docks import Dock
from napari_rls.widgets.common.parts import AtMost, RunBar, TextLabel, allow, button_grid
from napari_rls.widgets.common.state import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

    from napari_rls.widgets.common.run_controller import RunController


MESSAGE_LINES = 8
"""Lines of a message that are seen at once: the settings above it are to stay in view."""


@dataclass(frozen=True)
class RunWords:
    """What a dock calls what it runs.

    Parameters
    ----------
    run
        The text of the button that starts it.
    busy
        Why something has to wait while it is on.
    no_work
        Why there is nothing to cancel.
    cancel
        What cancelling does.
    """

    run: str
    busy: str
    no_work: str
    cancel: str


class RunDock(Dock):
    """A view of a controller's state, which passes wishes on: start, cancel, and its own.

    ``settings_area``, made by :meth:`_build`, is what cannot be used during a run.

    Parameters
    ----------
    napari_viewer
        The napari viewer; napari gives it by this name.
    """

    words: ClassVar[RunWords]
    controller: RunController[Any]
    settings_area: QWidget

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.controller = self._make_controller()
        self.state = self.controller.state
        self.run = PushButton(text=self.words.run)
        self.cancel = PushButton(text="Cancel")
        self.bar = RunBar()
        self.message = TextLabel()
        self.said = AtMost(self.message, MESSAGE_LINES)
        self._build()
        self._connect()
        self._show_all()
        self.destroyed.connect(self.controller.close)

    # -- what differs ------------------------------------------------------------------

    def _make_controller(self) -> RunController[Any]:
        """Return what the dock is a view of."""
        raise NotImplementedError

    def _build(self) -> None:
        """Make the parts and put them into ``whole``."""
        raise NotImplementedError

    def _allow(self, busy: str) -> None:
        """Enable the dock's own buttons that can work; ``busy`` is "" between two runs."""
        raise NotImplementedError

    def _start(self) -> None:
        self.controller.start()

    # -- what does not -----------------------------------------------------------------

    def _add_below(self, buttons: Sequence[Sequence[PushButton]], *parts: QWidget) -> None:
        """Put rows of buttons, and parts below them, under what the dock holds."""
        self.whole.addLayout(button_grid(buttons))
        for part in parts:
            self.whole.addWidget(part)

    def _connect(self) -> None:
        """Pass wishes on, and follow the state."""
        self.run.changed.connect(self._start)
        self.cancel.changed.connect(self.controller.cancel)
        events = self.state.events
        self.follow(
            (events.phase, self._show_phase),
            (events.progress, self.bar.show_progress),
            (events.message, self.message.show_message),
        )

    def _show_all(self) -> None:
        self._show_phase()
        self.bar.show_progress(self.state.progress)
        self.message.show_message(self.state.message)

    def _show_phase(self, _: object = None) -> None:
        phase, words = self.state.phase, self.words
        idle = phase is Phase.IDLE
        self.settings_area.setEnabled(idle)
        allow(self.cancel, "" if phase is Phase.RUNNING else words.no_work, words.cancel)
        self._allow("" if idle else words.busy)
