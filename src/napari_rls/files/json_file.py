"""Read the JSON of others: bounded before memory is taken, and with one error for all faults.

Python's own reader takes what JSON is not (NaN, two values of one name), raises five kinds of
errors, and makes numbers of thousands of digits, which later fail where they are used.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from napari_rls.errors import JsonError
from napari_rls.text import for_terminal

MAX_BYTES: Final = 64 * 2**20
"""Records of a whole plate have some megabytes."""

MAX_DEPTH: Final = 50
MAX_DIGITS: Final = 20
"""Digits of a whole number: all of 64 bits."""

_MAX_NUMBER = 400
"""Characters of any other number."""

_SHOWN = 60
_TEXTS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")

_WORDS: Final = {
    "must be a number": "float_type float_parsing",
    "must be a finite number": "finite_number",
    "must be a whole number": "int_type int_parsing int_from_float int_parsing_size",
    "must be true or false": "bool_type bool_parsing",
    "must be text": "string_type",
    "must be a list": "list_type tuple_type",
    "must be names with values": "dict_type model_type model_attributes_type dataclass_type",
    "must be {expected}": "literal_error enum",
    "must be above {gt}": "greater_than",
    "must be {ge} or more": "greater_than_equal",
    "must be below {lt}": "less_than",
    "must be {le} or less": "less_than_equal",
    "must be a number, not true or false": "truth",
    "is missing": "missing",
    "is not known; leave it out": "extra_forbidden",
    "must be of the form {pattern}": "string_pattern_mismatch",
}
_FAULTS: Final = {kind: words for words, kinds in _WORDS.items() for kind in kinds.split()}
"""What pydantic finds, in words for people who know no Python."""

Model = TypeVar("Model")


def read_json(path: Path, *, nan: bool = False, most: int = MAX_BYTES) -> Any:
    """Read a JSON file; see :func:`parse_json`.

    Raises
    ------
    JsonError
        As :func:`parse_json`.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return parse_json(file.read(most + 1), nan=nan, most=most)


def read_model(path: Path, model: type[Model], *, most: int = MAX_BYTES) -> Model:
    """Read a JSON file that holds a model.

    Raises
    ------
    JsonError
        As :func:`parse_model`.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return parse_model(file.read(most + 1), model, most=most)


def parse_model(
    data: bytes | str, model: type[Model], *, nan: bool = False, most: int = MAX_BYTES
) -> Model:
    """Return the model, or the dataclass, that a JSON text holds.

    Raises
    ------
    JsonError
        As :func:`parse_json`, and if the model refuses a value.
    """
    value = parse_json(data, nan=nan, most=most)
    try:
        made: Model = _adapter(model).validate_python(value)  # type: ignore[arg-type]
    except ValidationError as error:
        raise JsonError(first_fault(error)) from None
    return made


def parse_json(data: bytes | str, *, nan: bool = False, most: int = MAX_BYTES) -> Any:
    """Return what a JSON text holds.

    Parameters
    ----------
    data
        The text, or its bytes: UTF-8, with or without a byte order mark.
    nan
        Whether numbers may be NaN or infinite, which JSON does not know but Python writes.
    most
        Length that is read at most.

    Raises
    ------
    JsonError
        If it is no JSON, longer than ``most``, nested more than :data:`MAX_DEPTH` deep, has a
        whole number of more than :data:`MAX_DIGITS` digits or a number that is not finite,
        names a value twice, or holds half a surrogate pair, which nothing can write.
    """
    if len(data) > most:
        raise JsonError(f"it is longer than {most:,} bytes")
    text = _decoded(data) if isinstance(data, bytes) else data
    _check_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole_number,
            parse_float=float if nan else _number,
            parse_constant=float if nan else _not_finite,
        )
        if _HALF_PAIR.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise JsonError(f"it is not valid JSON (line {error.lineno}: {error.msg})") from None
    except UnicodeEncodeError:
        raise JsonError("it holds half a surrogate pair, which is no text") from None
    return value


@cache
def _adapter(model: type) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def first_fault(error: ValidationError) -> str:
    """Return which value a validation refused first and why, without a full stop.

    As in "steps must be 1 or more".
    """
    first = error.errors(include_url=False, include_input=False)[0]
    place = shown(".".join(str(part) for part in first["loc"]))
    context = first.get("ctx", {})
    words = _FAULTS.get(first["type"])
    if words:
        return f"{place or 'it'} {words.format(**context)}"
    message = first["msg"].removeprefix("Value error, ")
    return for_terminal(f"{place}: {message}" if place else message)


def shown(text: str, most: int = _SHOWN) -> str:
    """Return a text of a file as it may be shown: printable, on one line, not too long."""
    cut = text if len(text) <= most else f"{text[:most]}..."
    return for_terminal(cut)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError(f"it is no UTF-8 text (byte {error.start})") from None


def _check_depth(text: str) -> None:
    """Check how deep a text is nested, before anything is made of it."""
    depth = 0
    for found in _TEXTS_AND_BRACKETS.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise JsonError(f"it is nested more than {MAX_DEPTH} deep")
        elif found[0] in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise JsonError(f"it names {shown(twice)} twice")
    return made


def _whole_number(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise JsonError(f"it holds a number of {len(digits):,} digits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits) if len(digits) <= _MAX_NUMBER else math.inf
    if not math.isfinite(number):
        _not_finite(digits)
    return number


def _not_finite(number: str) -> NoReturn:
    raise JsonError(f"it holds the number {shown(number)}, which is not finite")
