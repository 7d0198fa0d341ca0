"""JSON of others: whatever it is, it is read, or there is one sentence that says why not."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from napari_rls.errors import JsonError
from napari_rls.files.json_file import parse_json, parse_model, read_json, read_model


class Cell(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    area: float = Field(gt=0)
    wells: tuple[str, ...] = ()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_is_written_comes_back_with_or_without_a_byte_order_mark(
    tmp_path: Path, mark: bytes
) -> None:
    value = {"a": [1, -2.5e-7, None, True, 'µ "[" \\'], "b": {"c": 2**64 - 1}, "😀": "😀"}
    path = tmp_path / "x.json"
    for ascii_only in (True, False):
        path.write_bytes(mark + json.dumps(value, ensure_ascii=ascii_only).encode())
        assert read_json(path) == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not valid JSON (line 1: Expecting value)"),
        (b'{"a": 1,\n}', "not valid JSON (line 2"),
        (b"[1", "not valid JSON"),
        (b'"\\', "not valid JSON"),
        (b"\xff\xfe{}", "no UTF-8 text (byte 0)"),
        (b'{"a": "\xe9"}', "no UTF-8 text (byte 7)"),
        (b"[" * 100_000, "nested more than 50 deep"),
        (b'{"a":' * 60 + b"1" + b"}" * 60, "nested more than 50 deep"),
        (b"1" * 5000, "a number of 5,000 digits"),
        (b"[1e400]", "the number 1e400, which is not finite"),
        (b"0." + b"1" * 5000, "which is not finite"),
        (b"[NaN]", "the number NaN, which is not finite"),
        (b"-Infinity", "the number -Infinity"),
        (b'{"a": 1, "a": 2}', "it names a twice"),
        (b'{"\\u001b[31m": 1, "\\u001b[31m": 2}', r"it names \x1b[31m twice"),
        (b'{"a": "\\ud83d"}', "half a surrogate pair"),
        (b'["\\udc00\\ud83d"]', "half a surrogate pair"),
    ],
)
def test_what_is_no_json_is_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(JsonError) as refused:
        parse_json(data)
    assert said in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 150


def test_brackets_in_texts_are_no_depth() -> None:
    text = '["' + "[" * 1000 + '\\"' + "{" * 1000 + '"]'
    assert parse_json(text) == json.loads(text)


def test_nan_is_read_where_python_wrote_it() -> None:
    assert math.isnan(parse_json('{"loss": NaN}', nan=True)["loss"])


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(JsonError, match="longer than 67,108,864 bytes"):
        read_json(path)


def test_the_check_takes_no_longer_than_the_reading() -> None:
    hostile = '"' + "\\" * 2_000_000
    began = time.perf_counter()
    with pytest.raises(JsonError, match="not valid JSON"):
        parse_json(hostile)
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("null", "it must be names with values"),
        ("[]", "it must be names with values"),
        ('{"name": "a"}', "area is missing"),
        ('{"name": "a", "area": 0}', "area must be above 0"),
        ('{"name": "a", "area": 1, "wells": [["A1"]]}', "wells.0 must be"),
        ('{"name": "a", "area": 1, "\\u001b[2J": 1}', r"\x1b[2J is not known; leave it out"),
    ],
)
def test_a_model_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "cell.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JsonError) as refused:
        read_model(path, Cell)
    assert str(refused.value).startswith(said)
    assert str(refused.value).isprintable()


def test_a_model_comes_back() -> None:
    cell = Cell(name="a", area=2.5, wells=("A1", "B2"))
    assert parse_model(cell.model_dump_json(), Cell) == cell
