"""What all parts of a manifest have in common: nothing unknown, unbounded or unprintable."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

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
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
"""A number that is not below 0, as an error is."""
Factor = Annotated[int, Field(ge=2, le=256)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


def plain_name(text: str) -> str:
    """Return what is left of a text as a :data:`Name`, as for a bundle named after its file.

    Examples
    --------
    >>> plain_name("größe 3"), plain_name("µ")
    ('gr__e 3', 'bundle')
    """
    found = re.sub(r"[^A-Za-z0-9 ._+-]", "_", text)
    return re.sub(r"^[^A-Za-z0-9]+", "", found)[:80] or "bundle"


class Checked(BaseModel):
    """Base of settings and parts: True and False are no numbers, as they are to Python."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth(cls, value: Any, info: ValidationInfo) -> Any:
        values = value if isinstance(value, list | tuple) else [value]
        truths = any(isinstance(one, bool | np.bool_) for one in values)
        if truths and info.field_name and _takes_numbers(cls.model_fields[info.field_name]):
            raise PydanticCustomError("truth", "must be a number, not true or false")
        return value


def _takes_numbers(field: FieldInfo) -> bool:
    """Whether a field is for numbers, alone or in a list, and not for true and false."""
    kinds, waiting = set(), [field.annotation]
    while waiting:
        kind = waiting.pop()
        kinds.add(kind)
        waiting += get_args(kind) if get_origin(kind) is not Literal else ()
    return bool(kinds & {int, float}) and bool not in kinds


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


class Part(Checked):
    """Base of all parts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
