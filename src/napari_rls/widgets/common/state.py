"""What the widget shows: one evented state that the controller writes and the view follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Phase(Enum):
    """What the widget is doing.

    ``STOPPING`` is the time between Cancel and the end of the thread's last step: the
    result is settled, but a new run has to wait.
    """

    IDLE = "idle"
    RUNNING = "running"
    STOPPING = "stopping"


class Level(Enum):
    """How much a message matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Message:
    """A sentence for the user."""

    text: str = ""
    level: Level = Level.INFO


@dataclass(frozen=True)
class RunProgress:
    """How far a run is: ``share`` of the work done, 0 to 1, and the rest in words."""

    share: float = 0.0
    text: str = ""
