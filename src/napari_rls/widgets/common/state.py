"""What every dock shows of a run: one evented state that a controller writes and a view follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import ClassVar

from psygnal import SignalGroupDescriptor


class Phase(Enum):
    """What the widget is doing.

    ``STOPPING`` is the time between Cancel and the end of the thread's last step: the
    result is settled, but a new run has to wait.
    """

    IDLE = "idle"
    RUNNING = "running"
    STOPPING = "stopping"


class RunOutcome(StrEnum):
    """How a run ended, as messages begin: by itself, by the user, or by what went wrong."""

    DONE = "Done"
    CANCELLED = "Cancelled"
    STOPPED = "Stopped"


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


@dataclass
class RunState:
    """What every dock shows that runs something; each change is an event of ``events``."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    phase: Phase = Phase.IDLE
    progress: RunProgress = field(default_factory=RunProgress)
    message: Message = field(default_factory=Message)
