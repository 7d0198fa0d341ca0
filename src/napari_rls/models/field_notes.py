"""What is known of settings: notes in the annotations of their fields, and settings of many jobs.

The form of the window and the help of the command line show notes; a description need not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Healthy:
    """The range in which a setting does its work well."""

    low: float
    high: float

    def __str__(self) -> str:
        ends = (f"{end:g}" if end >= 1e-3 else f"{end:.0e}" for end in (self.low, self.high))
        return " to ".join(end.replace("e-0", "e-") for end in ends)


@dataclass(frozen=True)
class Unit:
    """The unit of a setting: ``sign`` stands beside a field, ``name`` in a sentence.

    Examples
    --------
    >>> from typing import Annotated
    >>> from pydantic import BaseModel, Field
    >>> class Rings(BaseModel):
    ...     width: Annotated[float, PIXELS] = Field(default=3.0, description="Width of a ring.")
    >>> unit_of(Rings.model_fields["width"])
    Unit(name='pixels', sign='px')
    """

    name: str
    sign: str


PIXELS = Unit("pixels", "px")
SQUARE_PIXELS = Unit("square pixels", "px²")
MICROMETRES = Unit("micrometres", "µm")
KIMG = Unit("kimg", "kimg")
"""Thousands of images, of which a training is as long as it is."""

Device = Annotated[
    str,
    Field(
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        title="Device",
        description="auto, cpu, cuda, cuda:N or mps.",
    ),
]
"""The setting of what to compute on."""

Threads = Annotated[
    int,
    Field(
        ge=0,
        le=1024,
        title="CPU threads",
        description="0 leaves the choice to torch, which takes every core; on a machine busy with "
        "other work, 1 is much faster.",
    ),
]
"""The setting of how much of the CPU to take."""

BatchSize = Annotated[
    int, Field(ge=1, le=1024, title="Batch size", description="Cells searched at once.")
]
"""The setting of how many cells are searched together."""


def healthy_range(field: FieldInfo) -> str:
    """Return the range in which a setting does its work well, "" if it has none.

    Examples
    --------
    >>> from napari_rls import Settings
    >>> healthy_range(Settings.model_fields["lambda_w"])
    '1e-6 to 5e-4'
    """
    return next((str(note) for note in field.metadata if isinstance(note, Healthy)), "")


def unit_of(field: FieldInfo) -> Unit | None:
    """Return the unit of a setting, None if it has none."""
    return next((note for note in field.metadata if isinstance(note, Unit)), None)
