"""Jobs in a background thread: torch is imported, used and let go of there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from threading import Event
from typing import Protocol, TypeVar

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QTimer

FASTEST, SLOWEST = 0.08, 0.5
"""Least and greatest time between two updates of the display, in seconds."""

SHARE = 0.1
"""Share of the GUI thread's time that updates of the display may take."""


SWITCH_INTERVAL = 0.0005
"""Seconds that the GUI thread waits for the interpreter, at every step of its drawing, while
a job computes in Python; 0.005 if not set."""

PAINT_DELAY = 0.01
"""Seconds after which Qt has begun to draw what an update changed."""


class JobNews(Protocol):
    """A message of a job."""

    @property
    def must_show(self) -> bool:
        """Whether it must not be left out, however many there are."""


NewsT = TypeVar("NewsT", bound=JobNews)
NewsT_co = TypeVar("NewsT_co", bound=JobNews, covariant=True)

Stop = Callable[[], None]


class BackgroundJob(Protocol[NewsT_co]):
    """What a thread is to do."""

    def updates(self) -> Generator[NewsT_co]:
        """Do it; tell of every step, after which it may be closed."""


class Launch(Protocol):
    """Starts a job in the background, as :func:`launch` does, and returns what stops it."""

    def __call__(
        self,
        job: BackgroundJob[NewsT],
        deliver: Callable[[NewsT | Exception], None],
        ended: Callable[[], None],
        /,
    ) -> Stop:
        """Start the job."""


class Pace:
    """Decides when an update is worth showing, so that the window stays fluid.

    One that is not shown yet holds back the next. Where drawing is slow, as without a
    graphics card, updates come less often.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent = -SLOWEST
        self._pause = FASTEST
        self._waiting = False

    @property
    def due(self) -> bool:
        """Whether the next update should be shown."""
        return not self._waiting and self._clock() - self._sent >= self._pause

    def sent(self) -> None:
        """Note that an update is on its way to the display."""
        self._sent = self._clock()
        self._waiting = True

    def shown(self, seconds: float) -> None:
        """Note that the last update was drawn, which kept the GUI thread so long."""
        self._pause = min(max(seconds / SHARE, FASTEST), SLOWEST)
        self._waiting = False


def messages(job: BackgroundJob[NewsT], stop: Event, pace: Pace) -> Iterator[NewsT | Exception]:
    """Yield the updates that are worth showing, or the error that ended the job.

    ``stop`` is looked at after every step, shown or not. Updates that must be shown are
    yielded; of the others, those that are due.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        # However this ends, the job is closed here and its tensors are freed.
        with closing(job.updates()) as updates:
            for update in updates:
                if stop.is_set():
                    return
                if update.must_show or pace.due:
                    pace.sent()
                    yield update
    except Exception as error:  # noqa: BLE001 - torch's RuntimeError would end the thread unheard
        yield error
    finally:
        sys.setswitchinterval(interval)
        if torch := sys.modules.get("torch"):
            torch.cuda.empty_cache()


class JobWorker(GeneratorWorker):  # type: ignore[misc]  # napari tells no types
    """A worker that ends by itself when asked to, so that nothing stays suspended in it."""

    def __init__(
        self,
        function: Callable[..., Iterator[object]],
        job: BackgroundJob[JobNews],
        stop: Event,
        pace: Pace,
    ) -> None:
        super().__init__(function, job, stop, pace)
        self._stop = stop

    def quit(self) -> None:
        """Ask the job to end after its step."""
        self._stop.set()


def launch(
    job: BackgroundJob[NewsT],
    deliver: Callable[[NewsT | Exception], None],
    ended: Callable[[], None],
) -> Stop:
    """Start a job in a thread and return what stops it.

    ``deliver`` and ``ended`` are called in the thread that called this.
    """
    pace = Pace()

    def show(message: NewsT | Exception) -> None:
        start = time.perf_counter()
        deliver(message)
        delivered = time.perf_counter()

        def drawn() -> None:
            # Drawing keeps this timer waiting.
            late = time.perf_counter() - delivered - PAINT_DELAY
            pace.shown(delivered - start + max(late, 0.0))

        QTimer.singleShot(round(PAINT_DELAY * 1000), drawn)

    worker: JobWorker = create_worker(
        messages, job, Event(), pace, _worker_class=JobWorker, _ignore_errors=True
    )
    worker.yielded.connect(show)
    worker.finished.connect(ended)
    worker.start()
    return worker.quit
