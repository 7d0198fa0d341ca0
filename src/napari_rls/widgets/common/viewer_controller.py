"""What controllers have in common that follow the layers of a viewer and remember settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.widgets.common.explain import explain
from napari_rls.widgets.common.run_controller import RunController, Soon, at_once
from napari_rls.widgets.common.state import Level
from napari_rls.widgets.common.worker import NewsT

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_rls.widgets.common.state import RunState
    from napari_rls.widgets.common.worker import Launch


class ViewerController(RunController[NewsT]):
    """Work on layers of a viewer, with settings that a file remembers.

    Parameters
    ----------
    viewer
        The viewer, or its model alone.
    state
        What the view shows.
    launch
        Starts a job in the background, see :func:`napari_rls.widgets.common.worker.launch`.
    memory
        File that remembers the settings.
    soon
        Calls a function once the window has drawn; at once where there is none.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        state: RunState,
        launch: Launch,
        memory: Path,
        soon: Soon = at_once,
    ) -> None:
        super().__init__(state, launch)
        self.viewer = viewer
        self._memory = memory
        self._soon = soon
        self._guessing = True
        self._open()

    def _in_turns(
        self,
        steps: Iterator[object],
        wanted: Callable[[], bool],
        what: str = "layers of the samples",
    ) -> None:
        """Show layers one after the other, as long as they are wanted; the window draws between."""
        if not wanted():
            return
        try:
            next(steps)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - the layers are as before
            self._say(explain(error, what), Level.ERROR)
            return
        self._soon(partial(self._in_turns, steps, wanted, what))

    def _open(self) -> None:
        """Recall the settings, and choose among the layers that are there."""
        raise NotImplementedError
