"""Parts of an SR field that are drawn: where cells are, their image, and their samples."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_rls.workflow.fields.field_result import FieldResult
    from napari_rls.workflow.fields.sr_field import SrField


@dataclass(frozen=True, eq=False)
class Patch:
    """A part of an SR field.

    Parameters
    ----------
    rows, columns
        Where it is.
    image
        Its image (C, y, x).
    generated
        Where that is generated (y, x).
    samples
        Its samples (S, C, y, x), if they are drawn.
    """

    rows: slice
    columns: slice
    image: NDArray[np.float32]
    generated: NDArray[np.bool_]
    samples: NDArray[np.float32] | None = None


def whole_field(image: SrField, cells: int) -> Patch:
    """Return the SR field with its first cells alone, and the interpolated LR image elsewhere."""
    some = replace(image, sr=image.sr[:cells], places=image.places[:cells])
    _, height, width = image.shape
    whole, generated = np.empty(image.shape, np.float32), np.zeros((height, width), np.bool_)
    for rows, columns in image.tiles():
        whole[:, rows, columns], generated[rows, columns] = some.region(rows, columns)
    return Patch(slice(0, height), slice(0, width), whole, generated)


def patches_of(
    result: FieldResult, cells: Iterable[int], *, samples: bool = False
) -> Generator[Patch]:
    """Make the parts of an SR field where these cells lie.

    Parameters
    ----------
    result
        What became of the field.
    cells
        Which cells of it.
    samples
        Whether to blend their samples too, each like the SR image.
    """
    image = result.image
    drawn = result.collector.samples if samples else None
    _, height, width = image.shape
    half = image.sr.shape[-1] / 2
    for cell in cells:
        centre = (image.places[cell] + 0.5) * image.ratio
        rows, columns = (
            slice(max(int(middle - half), 0), min(int(np.ceil(middle + half)), size))
            for middle, size in zip(centre, (height, width), strict=True)
        )
        if rows.start < rows.stop and columns.start < columns.stop:
            blended = None
            if drawn is not None:
                each = (replace(image, sr=sr).region(rows, columns)[0] for sr in drawn)
                blended = np.stack(list(each))
            yield Patch(rows, columns, *image.region(rows, columns), blended)


def sample_stacks(result: FieldResult, cells: Iterable[int]) -> list[NDArray[np.float32]]:
    """Return the samples of an SR field, one array (S, H, W) a channel, with these cells drawn.

    Elsewhere each is the interpolated LR image.
    """
    samples = result.collector.samples
    assert samples is not None
    stacks = [np.repeat(one[None], len(samples), 0) for one in whole_field(result.image, 0).image]
    for part in patches_of(result, cells, samples=True):
        paint_samples(stacks, part)
    return stacks


def paint_samples(stacks: Iterable[NDArray[np.float32]], part: Patch) -> None:
    """Draw the samples of a part into arrays (S, H, W), one a channel."""
    assert part.samples is not None
    for channel, stack in enumerate(stacks):
        stack[:, part.rows, part.columns] = part.samples[:, channel]
