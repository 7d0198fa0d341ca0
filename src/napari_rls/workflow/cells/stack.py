"""A stack of single-cell images with what is known of each: the one input of every job."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import AxesError, InputError
from napari_rls.workflow.cells.reading import Reading, describe_axes

CHANNEL_AXES = frozenset({"c", "ch", "channel", "channels"})
MOST_CHANNELS = 6
"""Channels of usual images, by which an axis of channels in the wrong place is known."""

_MEANINGS = {"t": "time", "z": "planes", "n": "cells"}
"""What the letters of axes mean."""

_APART = {"t": "time points", "z": "planes", "m": "tiles"}
"""What axes of these letters run over that is taken for cells or fields."""


@dataclass(frozen=True)
class Crop:
    """Where a single-cell image was cut from; what is not known stays empty.

    ``y`` and ``x`` are the crop's centre in pixels of the source image, in the
    convention that the centre of the first pixel is 0; ``pixel_size_um`` is the side of
    those pixels. ``field``, ``time`` and ``plane`` count from 1 which of the file's images
    that is, where it has several.
    """

    file: str = ""
    well: str = ""
    y: float | None = None
    x: float | None = None
    condition: str = ""
    pixel_size_um: float | None = None
    field: int | None = None
    time: int | None = None
    plane: int | None = None

    @property
    def frame(self) -> tuple[int, ...]:
        """Which image of its file it is of: the numbers that are known."""
        return tuple(k for k in (self.field, self.time, self.plane) if k is not None)

    def of_frame(self, axis: str, index: int) -> Crop:
        """Return it as of one image of several, which an axis T, Z or another runs over."""
        if axis.lower() == "t":
            return replace(self, time=index + 1)
        if axis.lower() == "z":
            return replace(self, plane=index + 1)
        return replace(self, field=index + 1)


@dataclass(frozen=True, eq=False)
class CellStack:
    """Single-cell images of one size and unit.

    Parameters
    ----------
    data
        Images (N, C, y, x) in the unit that they were recorded in.
    channels
        Names of the channels.
    leading
        Name of the first axis, or None if the image came without one (a single cell).
    pixel_size_um
        Side of a pixel in micrometres, or None if unknown.
    crops
        Where each cell came from: N entries, or none.
    name
        Name of the source, for messages and records.
    reading
        What its axes and channels are taken for.

    Examples
    --------
    >>> from napari_rls import CellStack
    >>> cells = CellStack(np.zeros((3, 2, 8, 8)), ("DNA", "GFP"), pixel_size_um=0.65)
    >>> len(cells), cells.select([1]).channels
    (3, ('GFP',))
    """

    data: NDArray[np.generic]
    channels: tuple[str, ...]
    leading: str | None = "N"
    pixel_size_um: float | None = None
    crops: tuple[Crop, ...] = field(default=())
    name: str = "image"
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        if self.data.ndim != 4 or len(self.channels) != self.data.shape[1]:
            raise ValueError("data must be (N, C, y, x) with one name per channel")
        if self.crops and len(self.crops) != len(self.data):
            raise ValueError("there must be one crop record per cell")

    def __len__(self) -> int:
        return len(self.data)

    def origin(self, index: int) -> Crop:
        """Return where an image came from, with its place among several of a file."""
        crop = self.crops[index] if self.crops else Crop(self.name)
        if len(self) > 1 and self.leading is not None and not crop.frame:
            return crop.of_frame(self.leading, index)
        return crop

    def select(self, channels: Sequence[int]) -> CellStack:
        """Return the stack with only these channels, in this order.

        Raises
        ------
        InputError
            If there is no such channel.
        """
        for index in channels:
            if not 0 <= index < len(self.channels):
                raise no_channel(self, index)
        names = tuple(self.channels[i] for i in channels)
        return replace(self, data=self.data[:, list(channels)], channels=names)


def stack_from_array(
    array: NDArray[np.generic],
    *,
    axes: Sequence[str] | None = None,
    channels: Sequence[str] = (),
    name: str = "image",
    frames: bool = False,
) -> CellStack:
    """Make a stack of (C, y, x) or (N, C, y, x) pixels; the leading axis may have any name.

    Parameters
    ----------
    array
        Pixels. With more than four axes, leading axes of length 1 are dropped.
    axes
        Names of the axes, first to last, if known. The channel axis is the one
        named C, ch or channel; without names it is the third from last. Axes of
        another name, such as Z or T, are never that of channels.
    channels
        Names of the channels, if known.
    name
        Name of the source, for messages.
    frames
        Whether planes of time points, with axes named T and Z, are cells or fields of their own.

    Raises
    ------
    InputError
        If the axes are not those of one or many single-cell images.

    Examples
    --------
    >>> from napari_rls import cells_from_array
    >>> cells = cells_from_array(np.zeros((3, 2, 8, 8)), channels=("DNA", "GFP"))
    >>> len(cells), cells.channels
    (3, ('DNA', 'GFP'))
    """
    names = list(axes) if axes is not None else [""] * array.ndim
    if frames and (both := frame_axes(array.shape, names)):
        return _of_frames(array, names, both, channels, name)
    shape = array.shape
    if array.size == 0:
        raise InputError(f"{name} is empty (shape {shape}); choose an image with pixels.")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {array.dtype} values; intensities must be real numbers.")
    if any(axis.lower() == "s" for axis in names):
        raise InputError(f"{name} is an RGB picture; give the fluorescence channels themselves.")
    if not any(axis.strip().lower() in CHANNEL_AXES for axis in names[:-2]):
        check_channel_axis(shape, name)
    try:
        leading, channel = find_axes(shape, names)
    except AxesError as error:
        raise InputError(f"{name} {error}.") from None
    except ValueError:
        more = "; of time points and planes, give one of each, or a projection"
        raise InputError(
            f"{name} has the shape {shape}; a single cell is (channel, y, x) and a stack of "
            f"cells is (N, channel, y, x){more if len(shape) > 4 else ''}."
        ) from None
    kept = [axis for axis in (leading, channel) if axis is not None]
    dropped = [axis for axis in range(len(shape) - 2) if axis not in kept]
    cells = 1 if leading is None else shape[leading]
    count = 1 if channel is None else shape[channel]
    named = channel is None or names[channel].strip().lower() in CHANNEL_AXES
    manifold = None if cells == 1 else leading
    return CellStack(
        array.transpose(*dropped, *kept, -2, -1).reshape(cells, count, *shape[-2:]),
        tuple(channels) if len(channels) == count else tuple(f"channel {k}" for k in range(count)),
        leading=None if leading is None else names[leading] if names[leading].isalpha() else "N",
        name=name,
        reading=Reading(
            describe_axes(shape, channel, manifold, names),
            masks=(name,) if array.dtype.kind == "b" else (),
            unnamed=not named,
            apart="" if manifold is None else told_apart(names[manifold], cells),
        ),
    )


def frame_axes(shape: Sequence[int], axes: Sequence[str]) -> tuple[int, ...]:
    """Return the axes of time points and of planes, in this order, if an image has both."""
    names = [axis.strip().lower() for axis in axes]
    found = tuple(names.index(letter) for letter in "tz" if letter in names)
    return found if len(found) == 2 and all(shape[axis] > 1 for axis in found) else ()


def _of_frames(
    array: NDArray[np.generic],
    names: Sequence[str],
    both: tuple[int, ...],
    channels: Sequence[str],
    name: str,
) -> CellStack:
    """Return the planes of all time points, one time point after the other."""
    times, planes = (array.shape[axis] for axis in both)
    rest = [axis for axis in range(array.ndim) if axis not in both]
    joined = array.transpose(*both, *rest)
    joined = joined.reshape(times * planes, *joined.shape[2:])
    stack = stack_from_array(
        joined, axes=["TZ", *(names[axis] for axis in rest)], channels=channels, name=name
    )
    apart = f"{times * planes} planes ({times} time points of {planes} planes)"
    crops = tuple(
        Crop(name, time=time + 1, plane=plane + 1)
        for time in range(times)
        for plane in range(planes)
    )
    return replace(stack, crops=crops, reading=replace(stack.reading, apart=apart))


def told_apart(axis: str, count: int) -> str:
    """Return in words what an axis of this name runs over, if not over cells or fields."""
    what = _APART.get(axis.strip().lower(), "")
    return what and f"{count} {what}"


def check_positions(
    kinds: Sequence[tuple[Sequence[int], str, np.dtype[np.generic]]], name: str
) -> None:
    """Check that the images of a file, such as positions of a stage, can be fields of one stack.

    Parameters
    ----------
    kinds
        Shape, letters of the axes and type of each image.
    name
        Name of the file, for the message.

    Raises
    ------
    InputError
        If they differ, or each has further axes than channels, y and x.
    """
    axes = kinds[0][1]
    alike = all(kind == kinds[0] for kind in kinds)
    if not alike or set(axes) - set("CYXS"):
        what = f"(positions) of axes {axes}" if alike else "of different shapes"
        raise InputError(
            f"{name} holds {len(kinds)} images {what}; save each one to use in a file of its own."
        )


def no_channel(stack: CellStack, channel: str | int) -> InputError:
    """Return the error that a stack lacks a channel, and what it has instead."""
    names = ", ".join(stack.channels)
    has = (
        f"its only channel is {names}, number 0"
        if len(stack.channels) == 1
        else f"its {len(stack.channels)} channels are {names}, counted from 0"
    )
    return InputError(f"{stack.name} has no channel {channel}: {has}.")


def check_channel_axis(shape: Sequence[int], name: str) -> None:
    """Check that the last axis is not that of the channels, by its length.

    No cell and no field is far narrower than its number of channels and its height.

    Raises
    ------
    InputError
        If it seems to be.
    """
    if len(shape) >= 3 and shape[-1] <= MOST_CHANNELS and shape[-1] < min(shape[-3:-1]):
        size = ", ".join(map(str, shape))
        raise InputError(
            f"{name} has the shape ({size}): the channel axis seems to be last; move it before y "
            "and x, as in (channel, y, x) or (N, channel, y, x)."
        )


def find_axes(
    shape: Sequence[int], axes: Sequence[str] | None = None
) -> tuple[int | None, int | None]:
    """Return which axis runs over cells and which over channels, None for one that is not there.

    See :func:`stack_from_array` for the rules.

    Raises
    ------
    AxesError
        If what would be the axis of channels is named otherwise, or too long for it.
    ValueError
        If the axes are not those of one or many single-cell images.
    """
    names = [axis.strip().lower() for axis in axes] if axes is not None else [""] * len(shape)
    named = [k for k, axis in enumerate(names) if axis in CHANNEL_AXES]
    channel = named[0] if len(named) == 1 else None
    front = list(range(len(shape) - 2))
    while len(front) > 2:
        unit = [k for k in front if shape[k] == 1 and k != channel]
        if not unit:
            raise ValueError("too many axes")
        front.remove(unit[0])
    if len(shape) < 2 or (channel is not None and channel not in front):
        raise ValueError("the last two axes must be y and x")
    if channel is None:
        channel = _unnamed_channel(shape, names, front)
    return next((k for k in front if k != channel), None), channel


def _unnamed_channel(
    shape: Sequence[int], names: Sequence[str], front: Sequence[int]
) -> int | None:
    """Return the axis of channels where none is called so."""
    unnamed = [k for k in front if not names[k].isalpha()]
    if not unnamed:
        single = [k for k in front if shape[k] == 1]
        if len(front) == 2 and not single:
            told = " and ".join(f"{_MEANINGS.get(names[k], names[k])} ({shape[k]})" for k in front)
            raise AxesError(
                f"has axes of {told} and none of channels; give one plane or time point of each "
                "cell, as in (N, channel, y, x), and name the axis of channels C"
            )
        return single[-1] if len(front) == 2 else None
    channel = unnamed[-1]
    if shape[channel] > MOST_CHANNELS:
        size = ", ".join(map(str, shape))
        raise AxesError(
            f"has the shape ({size}): its axis {channel} of {shape[channel]} seems to run over "
            "cells, time points or planes, not over channels; give (channel, y, x) or "
            "(N, channel, y, x), or name the axis of channels C"
        )
    return channel


def fitting_factor(height: int, width: int, hr_size: int) -> int | None:
    """Return the factor by which LR images of this size become HR ones, or None if none does."""
    if height != width or height < 1 or hr_size % height or hr_size // height < 2:
        return None
    return hr_size // height


def content_digest(data: NDArray[np.generic]) -> str:
    """Return the SHA-256 of an array's shape, type and values."""
    digest = hashlib.sha256(f"{data.shape} {data.dtype.newbyteorder('<').str}".encode())
    plain = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
    digest.update(plain.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
