"""Stopping: what a signal asks for, as an exception; and steps that none breaks off half-way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TypeVar

from napari_rls.errors import TrainingError

Step = TypeVar("Step")

_ASKING = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]  # Windows has no SIGHUP.
_SIGNALS = (signal.SIGINT, *_ASKING)


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C has asked the process to stop; ``number`` says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def stop_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a process that was asked to stop: 130 for Ctrl-C, 143 for a kill."""
    return 128 + (stop.number if isinstance(stop, Stopped) else int(signal.SIGINT))


@contextmanager
def stoppable() -> Iterator[None]:
    """Let what asks a process to stop (SIGTERM, SIGHUP) end the block as Ctrl-C does.

    A batch system, a shutdown or a closed terminal then loses nothing that Ctrl-C would
    keep. A signal that the process was started to ignore stays ignored. Only the main
    thread receives signals; elsewhere nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        raise Stopped(number)

    ours = [number for number in _ASKING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def whole_step() -> Iterator[None]:
    """Hold back Ctrl-C and what else asks to stop until the block is done.

    A step that breaks off half-way would leave weights that no checkpoint should
    hold. Only the main thread receives signals; elsewhere nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append((number, frame))

    handlers = {int(number): signal.getsignal(number) for number in _SIGNALS}
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in ours:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
    for number, frame in received:
        ours[number](number, frame)


def kept_steps(
    going: Callable[[], bool], step: Callable[[], Step], keep: Callable[[], None]
) -> Generator[Step, None, None]:
    """Make whole steps and yield what each gives; keep what was reached, however it ends.

    Parameters
    ----------
    going
        Whether there is another step.
    step
        Makes one.
    keep
        Keeps what was reached, but for a training that went wrong in itself.

    Raises
    ------
    TrainingError
        What a step raises.
    """
    broken = False
    try:
        while going():
            with whole_step():
                done = step()
            yield done
    except TrainingError:
        broken = True
        raise
    finally:
        if not broken:
            keep()
