"""Which arrays are stacks of cells, and what their axes are taken for."""

from __future__ import annotations

import re

import numpy as np
import pytest

from napari_rls.errors import InputError
from napari_rls.workflow.cells.stack import (
    CellStack,
    Crop,
    content_digest,
    fitting_factor,
    stack_from_array,
)


def numbered(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "axes", "expected", "leading"),
    [
        ((2, 8, 9), None, (1, 2, 8, 9), None),
        ((5, 2, 8, 9), None, (5, 2, 8, 9), "N"),
        ((8, 9), None, (1, 1, 8, 9), None),
        ((2, 8, 9), "cyx", (1, 2, 8, 9), None),
        ((5, 8, 9), "tyx", (5, 1, 8, 9), "t"),
        ((5, 2, 8, 9), ("cell", "channel", "y", "x"), (5, 2, 8, 9), "cell"),
        ((2, 5, 8, 9), "CTYX", (5, 2, 8, 9), "T"),
        ((1, 1, 5, 2, 8, 9), None, (5, 2, 8, 9), "N"),
        ((5, 1, 2, 8, 9), "TZCYX", (5, 2, 8, 9), "T"),
        ((1, 2, 8, 9), "TCYX", (1, 2, 8, 9), "T"),
    ],
)
def test_axes(
    shape: tuple[int, ...],
    axes: str | tuple[str, ...] | None,
    expected: tuple[int, ...],
    leading: str | None,
) -> None:
    stack = stack_from_array(numbered(*shape), axes=axes)
    assert stack.data.shape == expected
    assert stack.leading == leading
    assert len(stack.channels) == expected[1]


def test_channel_axis_moves_with_its_pixels() -> None:
    array = numbered(2, 5, 8, 9)
    stack = stack_from_array(array, axes="CTYX")
    for c in range(2):
        for t in range(5):
            np.testing.assert_array_equal(stack.data[t, c], array[c, t])


@pytest.mark.parametrize(
    ("array", "axes", "message"),
    [
        (np.zeros((0, 2, 8, 8)), None, "is empty (shape (0, 2, 8, 8)); choose an image with"),
        (np.zeros((2, 8, 8), complex), None, "holds complex128 values; intensities must be real"),
        (np.zeros((8, 8, 3)), "yxs", "is an RGB picture; give the fluorescence channels"),
        (np.zeros((2, 3, 2, 8, 8)), None, "has the shape (2, 3, 2, 8, 8); a single cell is"),
        (np.zeros(8), None, "has the shape (8,); a single cell is (channel, y, x)"),
        (np.zeros((8, 8, 8)), "yxc", "has the shape (8, 8, 8); a single cell is"),
    ],
)
def test_what_is_no_stack(array: np.ndarray, axes: str | None, message: str) -> None:
    with pytest.raises(InputError, match=f"^picture {re.escape(message)}"):
        stack_from_array(array, axes=axes, name="picture")


def test_time_points_with_planes_are_told_what_to_do() -> None:
    with pytest.raises(InputError, match="; of time points and planes, give one of each, or a pro"):
        stack_from_array(np.zeros((2, 3, 2, 8, 8)), axes="tzcyx", name="movie")


def test_channel_names_are_used_if_there_is_one_each() -> None:
    array = numbered(2, 8, 8)
    assert stack_from_array(array, channels=("DNA", "GFP")).channels == ("DNA", "GFP")
    assert stack_from_array(array, channels=("DNA",)).channels == ("channel 0", "channel 1")


def test_select() -> None:
    stack = CellStack(numbered(2, 3, 4, 4), ("a", "b", "c"), crops=(Crop("x"), Crop("y")))
    chosen = stack.select([2, 0])
    assert chosen.channels == ("c", "a")
    assert chosen.crops == stack.crops
    np.testing.assert_array_equal(chosen.data, stack.data[:, [2, 0]])
    with pytest.raises(InputError, match=r"^image has no channel 3: its 3 channels are a, b, c"):
        stack.select([0, 3])


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((8, 8, 2), None),
        ((12, 8, 8, 2), None),
        ((1040, 1392, 3), None),
        ((8, 8, 2), ["y", "x", "c"]),
        ((12, 8, 8, 2), ["N", "y", "x", "channel"]),
        ((12, 8, 8, 2), ["-4", "-3", "-2", "-1"]),
    ],
)
def test_channels_that_come_last_are_named_as_such(
    shape: tuple[int, ...], axes: list[str] | None
) -> None:
    with pytest.raises(
        InputError, match=r"^lr has the shape \(.*the channel axis seems to be last"
    ):
        stack_from_array(np.zeros(shape), axes=axes, name="lr")


@pytest.mark.parametrize("shape", [(2, 4, 4), (50, 2, 2, 2), (7, 5, 2, 2), (3, 1040, 1392)])
def test_small_cells_are_not_taken_for_channels(shape: tuple[int, ...]) -> None:
    assert stack_from_array(np.zeros(shape)).data.shape[-3:] == shape[-3:]


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": np.zeros((2, 4, 4)), "channels": ("a", "b")},
        {"data": np.zeros((2, 2, 4, 4)), "channels": ("a",)},
        {"data": np.zeros((2, 1, 4, 4)), "channels": ("a",), "crops": (Crop(),)},
    ],
)
def test_a_stack_is_whole(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        CellStack(**wrong)


@pytest.mark.parametrize(
    ("size", "factor"),
    [((8, 8), 8), ((16, 16), 4), ((2, 2), 32), ((64, 64), None), ((7, 7), None), ((8, 16), None)],
)
def test_fitting_factor(size: tuple[int, int], factor: int | None) -> None:
    assert fitting_factor(*size, 64) == factor


def test_digest_tells_values_shapes_and_types_apart() -> None:
    array = numbered(2, 2, 4, 4).astype("<i4")
    digest = content_digest(array)
    assert content_digest(array.astype(">i4")) == digest
    assert content_digest(np.asfortranarray(array)) == digest
    others = [array + 1, array.reshape(4, 1, 4, 4), array.astype("i8")]
    assert digest not in {content_digest(other) for other in others}


def test_a_single_channel_is_not_called_several() -> None:
    stack = stack_from_array(np.zeros((3, 1, 8, 8)), channels=("DNA",))
    with pytest.raises(InputError, match=r"^image has no channel 1: its only channel is DNA"):
        stack.select([1])
