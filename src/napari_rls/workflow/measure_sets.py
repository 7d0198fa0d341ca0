"""Images of the same cells in several kinds, made ready to be measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.read import channel_index
from napari_rls.workflow.stack import CellStack, InputError
from napari_rls.workflow.upsample import upsample

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
            f"not of the size of those of {target.name} ({_size(target)})."
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

    A channel is found by its name where a set has it, and at the same place where not.

    Raises
    ------
    InputError
        If a set lacks a channel.
    """
    # LR files often come from elsewhere, without names.
    stacks = [s.stack for s in sorted(sets, key=lambda s: s.kind == "LR")]
    names, places = {}, {}
    for which, wanted in (("dna", settings.dna or "0"), ("signal", settings.signal or "1")):
        home = next((stack for stack in stacks if wanted in stack.channels), stacks[0])
        places[which] = channel_index(home, wanted)
        names[which] = home.channels[places[which]]
    indices = [
        tuple(
            channel_index(s.stack, name if name in s.stack.channels else str(places[which]))
            for which, name in names.items()
        )
        for s in sets
    ]
    return settings.model_copy(update=names), [(dna, signal) for dna, signal in indices]


def _size(stack: CellStack) -> str:
    height, width = stack.data.shape[-2:]
    return f"{height} x {width}"
