"""What controllers have in common that run a job in a thread: phases, messages, the end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Generic

from napari_rls.widgets.common.explain import explain
from napari_rls.widgets.common.state import Level, Message, Phase, RunOutcome, RunProgress
from napari_rls.widgets.common.worker import NewsT

if TYPE_CHECKING:
    from napari_rls.widgets.common.state import RunState
    from napari_rls.widgets.common.worker import BackgroundJob, Launch


Soon = Callable[[Callable[[], None]], None]
"""Calls a function once the window has drawn what changed."""


def at_once(call: Callable[[], None]) -> None:
    """Call a function now: there is no window that would have to draw."""
    call()


class RunController(Generic[NewsT]):
    """Run one job at a time; without Qt.

    A run begins with :meth:`_begin`, is in its thread from :meth:`_work_on` on, is settled once,
    whatever ends it, by :meth:`_settle`, and over when its thread has ended, too. Only then
    may another begin.

    Parameters
    ----------
    state
        What the view shows.
    launch
        Starts a job in the background, see :func:`napari_rls.widgets.common.worker.launch`.
    """

    what: ClassVar[str] = "run"
    """What an unexpected error in the thread is said to have ended."""

    more_memory: ClassVar[str] = "choose a smaller batch size"
    """What to do where memory is used up."""

    cut_short: ClassVar[str] = "The work ended before it was done."
    """What there is to say where a thread ends by itself before its job is done."""

    def __init__(self, state: RunState, launch: Launch) -> None:
        self.state = state
        self._launch = launch
        self._token = 0
        self._settled = True
        self._in_thread = False
        self._closed = False
        self._stop: Callable[[], None] = _nothing

    def start(self) -> None:
        """Check what is chosen and begin; one run at a time."""
        self._once(self._take_on)

    def cancel(self) -> None:
        """End the run now and keep what was reached."""
        self._settle(RunOutcome.CANCELLED)

    def close(self) -> None:
        """End the run and keep what was reached; called when the widget is gone."""
        if not self._closed:
            self._closed = True
            self.cancel()

    # -- what differs ------------------------------------------------------------------

    def _take_on(self) -> None:
        """Check what is chosen, :meth:`_begin` and :meth:`_work_on`.

        Raises
        ------
        UserError
            If a run of it cannot begin.
        """
        raise NotImplementedError

    def _receive(self, news: NewsT) -> None:
        """Take a message of the run that is on."""
        raise NotImplementedError

    def _conclude(self, outcome: RunOutcome, why: str, level: Level) -> None:  # noqa: ARG002
        """Make what was reached the result; say how the run ended, ``why`` unless as usual."""
        self._say(why, level)

    def _reached(self, outcome: RunOutcome) -> RunProgress:
        """Return what the bar shows after a run."""
        return RunProgress(1.0 if outcome is RunOutcome.DONE else 0.0)

    @property
    def _at_rest(self) -> bool:
        """Whether nothing is left to do of a run whose thread has ended."""
        return True

    def _ready(self) -> None:
        """Be ready for the next run; nothing of the last one is held on to but its result."""
        self.state.phase = Phase.IDLE

    # -- a run -------------------------------------------------------------------------

    def _once(self, take_on: Callable[[], None]) -> None:
        """Take a run on, unless one is on; say why where that is not possible."""
        if self.state.phase is not Phase.IDLE:
            return
        try:
            take_on()
        except Exception as error:  # noqa: BLE001 - all is as before; the program goes on
            why = explain(error, "run", self.more_memory)
            if self._settled:
                self._say(why, Level.ERROR)
            else:
                self._settle(RunOutcome.STOPPED, why, Level.ERROR)

    def _begin(self, doing: str) -> None:
        """Let a run be on; ``doing`` tells what is done first."""
        self._token += 1
        self._settled = False
        self._stop = _nothing
        self.state.phase = Phase.RUNNING
        self.state.progress = RunProgress(0.0, doing)

    def _work_on(self, job: BackgroundJob[NewsT]) -> None:
        """Start the thread of the run that is on."""
        self._in_thread = True
        # The thread knows a run by its number, and so holds none of its images.
        token = self._token
        self._stop = self._launch(job, partial(self._deliver, token), partial(self._end, token))

    def _deliver(self, token: int, message: NewsT | Exception) -> None:
        """Take a message of the thread, unless the run it belongs to is settled."""
        if token != self._token or self._settled:
            return
        if isinstance(message, Exception):
            why = explain(message, self.what, self.more_memory)
            self._settle(RunOutcome.STOPPED, why, Level.ERROR)
        elif self.state.phase is Phase.RUNNING:
            self._receive(message)

    def _settle(self, outcome: RunOutcome, why: str = "", level: Level = Level.INFO) -> None:
        """End the run that is on: later messages of it are not looked at."""
        if self._settled:
            return
        self._settled = True
        self.state.phase = Phase.STOPPING
        self._stop()
        self.state.progress = self._reached(outcome)
        self._conclude(outcome, why, level)
        self._rest()

    def _end(self, token: int) -> None:
        """Note that the thread of a run is over."""
        if token != self._token:
            return
        self._in_thread = False
        self._settle(RunOutcome.STOPPED, self.cut_short, Level.WARNING)
        self._rest()

    def _rest(self) -> None:
        """Be ready for the next run once this one is over in every respect."""
        idle = self.state.phase is Phase.IDLE
        if self._settled and not self._in_thread and self._at_rest and not idle:
            self._ready()

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        self.state.message = Message(text, level)


def _nothing() -> None:
    """Stop what has not begun."""
