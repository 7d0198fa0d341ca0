"""Whether the fields of a run are in one unit, as they share noise and intensities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_rls.errors import InputError
from napari_rls.models.intensity import IntensityMap, Levels
from napari_rls.workflow.fields.field_files import FieldFile

_DARK = 0.02
"""Share of the run's range that the brightest pixel of a median cell's nucleus has at least."""


def kind_of(pixels: DTypeLike) -> str:
    """Return of which kind of numbers pixels are: those of a kind are in one unit.

    Examples
    --------
    >>> kind_of("uint8"), kind_of(">u2"), kind_of("int32"), kind_of("float32")
    ('integers of 8 bits', 'integers of 16 bits or more', 'integers of 16 bits or more', 'floats')
    """
    found = np.dtype(pixels)
    if found.kind == "f":
        return "floats"
    return f"integers of {'8 bits' if found.itemsize == 1 else '16 bits or more'}"


def of_one_kind(
    fields: Sequence[FieldFile],
) -> tuple[list[FieldFile], list[tuple[str, InputError]]]:
    """Return the fields whose pixels are of the kind that most have, and why others are not."""
    counts = Counter(kind_of(field.dtype) for field in fields)
    if len(counts) < 2:
        return list(fields), []
    ((usual, _), *_) = counts.most_common(1)
    kept = [field for field in fields if kind_of(field.dtype) == usual]
    others = [
        (
            field.name,
            InputError(
                f"{field.path.name} has pixels that are {kind_of(field.dtype)}, and those of "
                f"{counts[usual]} of {len(fields)} fields are {usual}: it is left out, as the "
                "fields of a run share one unit; run it by itself, with another folder of results."
            ),
        )
        for field in fields
        if kind_of(field.dtype) != usual
    ]
    return kept, others


def in_another_unit(lr: NDArray[np.generic], intensity: IntensityMap, dna: int) -> bool:
    """Tell whether the nuclei of a field are not brighter than what is no light in its run.

    Parameters
    ----------
    lr
        LR images (N, C, y, x) of the cells that were found in the field.
    intensity
        What all fields of the run share.
    dna
        Channel of the nuclei.
    """
    low, high = intensity.low[dna], intensity.high[dna]
    found = Levels.of(lr[:, dna : dna + 1])
    return intensity.mode == "match" and found.most[0] < low + _DARK * (high - low)


def check_unit(lr: NDArray[np.generic], intensity: IntensityMap, dna: int, name: str) -> None:
    """Check that a field is in the unit of its run; for arguments see :func:`in_another_unit`.

    Raises
    ------
    InputError
        If it is not.
    """
    if in_another_unit(lr, intensity, dna):
        raise InputError(
            f"The nuclei of {name} are as dark as what is no light in the other fields "
            f"({intensity.low[dna]:.4g} in the DNA channel): it is in another unit, or exposed "
            "much shorter; run it by itself, with another folder of results."
        )
