"""Images of the same cells in several kinds, made ready to be measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.cells.channels import (
    channel_index,
    channel_label,
    dna_index,
    named,
    same_name,
    shows_dna,
)
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.upsample import upsample

Kind = Literal["LR", "SR", "HR", "GT"]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one kind of some cells.

    Parameters
    ----------
    kind
        What they are.
    stack
        The images; those of the kind LR as small as they are.
    samples
        Samples of the posterior (S, N, C, H, W) in the unit of the stack; SR only.
    record
        Provenance of SR images.
    """

    kind: Kind
    stack: CellStack
    samples: NDArray[np.float32] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def at_one_size(sets: Sequence[ImageSet], factor: int | None) -> list[ImageSet]:
    """Return the sets with LR images upsampled, all of the same number of cells and size.

    Parameters
    ----------
    sets
        Images of the same cells, each kind once.
    factor
        How much LR images are upsampled; None takes what makes them as large as the others.

    Raises
    ------
    InputError
        If kinds, numbers of cells or sizes do not go together.
    """
    if not sets or not len(sets[0].stack):
        raise InputError("There are no images; give some to measure.")
    kinds = [s.kind for s in sets]
    if len(set(kinds)) < len(kinds):
        raise InputError(f"Two sets of images are {max(kinds, key=kinds.count)}; give one of each.")
    first = next((s for s in sets if s.kind != "LR"), sets[0])
    for other in sets:
        if len(other.stack) != len(first.stack):
            raise InputError(
                f"{other.stack.name} holds {len(other.stack)} cells but {first.stack.name} "
                f"{len(first.stack)}; give files of the same cells in the same order."
            )
        if other.kind != "LR" and other.stack.data.shape[-2:] != first.stack.data.shape[-2:]:
            raise InputError(
                f"{other.stack.name} has images of {_size(other.stack)} pixels but "
                f"{first.stack.name} of {_size(first.stack)}; SR and HR images must be of one size."
            )
    target = None if first.kind == "LR" else first.stack
    return [_upsampled(s, target, factor) if s.kind == "LR" else s for s in sets]


def _upsampled(images: ImageSet, target: CellStack | None, factor: int | None) -> ImageSet:
    stack = images.stack
    height, width = stack.data.shape[-2:]
    if factor is None:
        if target is None:
            raise InputError(
                f"{stack.name} holds LR images, which are measured at the size of HR ones; give "
                "the factor, or SR or HR images too."
            )
        factor = max(target.data.shape[-2] // height, 1)
        if (height, width) == target.data.shape[-2:]:
            raise InputError(
                f"{stack.name} holds images as large as those of {target.name}, {_size(stack)} "
                "pixels, and cannot be their LR images; give those, or the factor 1 if they are "
                "upsampled already."
            )
    if target is not None and (height * factor, width * factor) != target.data.shape[-2:]:
        raise InputError(
            f"{stack.name} has images of {_size(stack)} pixels, which {factor} times upsampled are "
            f"not of the size of those of {target.name} ({_size(target)}); give images of "
            "the same cells, or another factor."
        )
    if factor == 1:
        return images
    size = stack.pixel_size_um
    return replace(
        images,
        stack=replace(
            stack,
            data=upsample(stack.data, factor),
            pixel_size_um=None if size is None else size / factor,
        ),
    )


def find_channels(
    sets: Sequence[ImageSet], settings: MeasureSettings
) -> tuple[MeasureSettings, list[tuple[int, int]]]:
    """Return the settings with the names of the channels, and their indices in every set.

    Without a choice, the DNA channel is the one named after a stain of DNA, else the first;
    the signal is the other of two channels, else the second. In the other sets a channel is
    found by its name where a set has it, and at the same place where not; of two channels,
    the one that is left.

    Raises
    ------
    InputError
        If a set lacks a channel, several have its name, both are the same one, or nothing
        tells which is meant.
    """
    # LR files often come from elsewhere, without names.
    stacks = [s.stack for s in sorted(sets, key=lambda s: s.kind == "LR")]
    if len(settings.of.channels) == 1:
        return _one_channel(stacks, sets, settings)
    homes = [_home(stacks, wanted) for wanted in (settings.dna, settings.signal)]
    places = _places(homes, settings)
    labels = [channel_label(home, k) for home, k in zip(homes, places, strict=True)]
    if homes[0] is homes[1] and places[0] == places[1]:
        raise InputError(_same(homes[0], places[0]))
    indices = [_in_set(s.stack, labels, places) for s in sets]
    return settings.model_copy(update={"dna": labels[0], "signal": labels[1]}), indices


def describe_channels(
    sets: Sequence[ImageSet], settings: MeasureSettings, found: Sequence[tuple[int, int]]
) -> list[str]:
    """Return in sentences which channels are taken where their names do not say so.

    Parameters
    ----------
    sets
        The images.
    settings
        As the user gave them.
    found
        What :func:`find_channels` found in every set.
    """
    said = []
    given = (settings.dna.strip(), settings.signal.strip())
    needed = settings.of.channels
    for images, places in zip(sets, found, strict=True):
        names = images.stack.channels
        by_name = all(
            same_name(names[k], name) for k, name in zip(places, given, strict=True) if name
        )
        guessed = "dna" in needed and not given[0] and not shows_dna(names[places[0]])
        guessed |= "signal" in needed and not given[1] and len(names) > len(needed)
        if guessed or not by_name:
            dna, signal = (f"{names[k]} (number {k})" for k in places)
            words = {"dna": f"DNA is {dna}", "signal": f"the signal is {signal}"}
            told = ", ".join(text for role, text in words.items() if role in needed)
            said.append(f"{images.stack.name}: {told}.")
    return said


def _one_channel(
    stacks: Sequence[CellStack], sets: Sequence[ImageSet], settings: MeasureSettings
) -> tuple[MeasureSettings, list[tuple[int, int]]]:
    """Return what :func:`find_channels` does for an assay that needs one channel: it twice."""
    (role,) = settings.of.channels
    wanted = getattr(settings, role)
    home = _home(stacks, wanted)
    place = channel_index(home, wanted) if wanted else dna_index(home.channels)
    if role == "signal" and not wanted:
        place = channel_index(home, "1" if len(home.channels) > 1 else "0")
    place = place or 0
    label = channel_label(home, place)
    found = [named(s.stack.channels, label, s.stack.name) for s in sets]
    indices = [
        channel_index(s.stack, str(place)) if index is None else index
        for s, index in zip(sets, found, strict=True)
    ]
    given = settings.model_copy(update={"dna": "", "signal": "", role: label})
    return given, [(index, index) for index in indices]


def _home(stacks: Sequence[CellStack], wanted: str) -> CellStack:
    """Return the first stack that has a channel of this name, else the first one."""
    has = (s for s in stacks if any(same_name(wanted, name) for name in s.channels))
    return stacks[0] if wanted.strip().isdecimal() else next(has, stacks[0])


def _places(homes: Sequence[CellStack], settings: MeasureSettings) -> tuple[int, int]:
    """Return the indices of both channels, each in the stack where it is looked for."""
    dna, signal = (
        channel_index(home, wanted) if wanted else None
        for home, wanted in zip(homes, (settings.dna, settings.signal), strict=True)
    )
    if dna is None:
        stain = dna_index(homes[0].channels)
        dna = stain if stain is not None else _other(homes[0], signal, 0, "dna")
    if signal is None:
        signal = _other(homes[1], dna, 1, "signal")
    return dna, signal


def _other(stack: CellStack, taken: int | None, usual: int, option: str) -> int:
    """Return the channel for which there was no choice: the usual one, or the other of two."""
    if taken in (None, 1 - usual):
        return channel_index(stack, str(usual))
    if len(stack.channels) != 2:
        raise InputError(
            f"{stack.name} has the channels {', '.join(stack.channels)}; say which is the "
            f"{'DNA' if option == 'dna' else option} channel (--{option} on the command line)."
        )
    return 1 - int(taken or 0)


def _in_set(stack: CellStack, labels: Sequence[str], places: Sequence[int]) -> tuple[int, int]:
    """Return the indices of both channels: by their names, else at their places."""
    dna, signal = (named(stack.channels, label, stack.name) for label in labels)
    if dna is None:
        dna = _at(stack, places[0], signal)
    if signal is None:
        signal = _at(stack, places[1], dna)
    if dna == signal:
        raise InputError(_same(stack, dna))
    return dna, signal


def _at(stack: CellStack, place: int, taken: int | None) -> int:
    """Return a channel's place, or the other of two if it is taken."""
    index = channel_index(stack, str(place))
    return 1 - index if index == taken and len(stack.channels) == 2 else index


def _same(stack: CellStack, index: int) -> str:
    return (
        f"DNA and signal of {stack.name} are the same channel, {stack.channels[index]} (number "
        f"{index}); choose one for each."
    )


def _size(stack: CellStack) -> str:
    height, width = stack.data.shape[-2:]
    return f"{height} x {width}"
