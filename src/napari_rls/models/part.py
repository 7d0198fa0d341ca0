"""What all parts of a manifest have in common: nothing unknown, unbounded or unprintable."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LARGEST: Final = 1e15
"""Numbers beyond it are none to compute with: their squares come near float32's largest."""

_MAX_TEXT = 10_000
_MAX_DEPTH = 10
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_PRINTABLE = f"^[^{_CONTROLS}]*$"

Text = Annotated[str, Field(max_length=_MAX_TEXT, pattern=_PRINTABLE)]
"""A text of several lines without control characters, which a terminal would obey."""

Line = Annotated[str, Field(max_length=_MAX_TEXT, pattern=rf"^[^{_CONTROLS}\n\t]*$")]
"""A text of one line."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,79}$")]

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=2**53)]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Check settings that are another part's of the package to understand."""
    waiting: list[tuple[Any, int]] = [(values, 0)]
    while waiting:
        value, depth = waiting.pop()
        match value:
            case dict() | list() | tuple() if depth > _MAX_DEPTH:
                raise ValueError("it is nested too deep")
            case dict():
                waiting += [(part, depth + 1) for pair in value.items() for part in pair]
            case list() | tuple():
                waiting += [(part, depth + 1) for part in value]
            case str() if len(value) > _MAX_TEXT or not re.match(_PRINTABLE, value):
                raise ValueError("it holds a text that is too long or has control characters")
            case int() | float() if not (math.isfinite(value) and abs(value) <= LARGEST):
                raise ValueError("it holds a number that is not finite or too large")
            case str() | int() | float() | None:
                pass
            case _:
                raise ValueError("it holds what is neither text nor number")
    return values


BOUNDED: Final = AfterValidator(_plain)

PlainSettings = Annotated[dict[str, Any], BOUNDED]


class Part(BaseModel):
    """Base of all parts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
