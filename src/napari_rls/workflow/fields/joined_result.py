"""Cells of a field that were super-resolved in two runs, as one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.workflow.fields.field_result import FieldResult
from napari_rls.workflow.fields.placed_cells import PlacedCells
from napari_rls.workflow.super_resolve.result import Collector

Numbers = NDArray[np.intp]


def join_results(before: FieldResult, kept: Numbers, now: FieldResult) -> FieldResult:
    """Return some cells of an earlier run and, after them, all of a later one.

    Parameters
    ----------
    before, now
        Results of one field, microscope, bundle and settings. The later one may be on its way.
    kept
        Which cells of the earlier one.
    """
    old, new = before.collector, now.collector
    assert old.run is not None
    assert new.run is not None
    picked, added = kept.tolist(), len(new.cells)
    crops = (*(old.lr.crops[k] for k in picked), *new.lr.crops)
    lr = replace(new.lr, data=np.concatenate([old.lr.data[kept], new.lr.data]), crops=crops)
    both = Collector(lr, new.sr.shape[-1])
    unusual = {at: old.run.unusual[k] for at, k in enumerate(picked) if k in old.run.unusual}
    unusual |= {len(picked) + k: why for k, why in new.run.unusual.items()}
    both.begin(replace(new.run, cells=len(both.cells), unusual=unusual))
    both.restore(
        np.arange(len(picked)),
        old.sr[kept],
        None if old.samples is None else old.samples[:, kept],
        [old.cells[k] for k in picked],
    )
    later = np.arange(len(picked), len(picked) + added)
    both.restore(later, new.sr, new.samples, new.cells)
    if old.latents is not None and new.latents is not None:
        both.latents = np.concatenate([old.latents[kept], new.latents])
    both.go_on(old.started, old.seconds + new.seconds)
    cells = _placed([(before.cells, picked), (now.cells, range(added))])
    image = replace(now.image, sr=both.sr, places=cells.places)
    return replace(now, collector=both, cells=cells, image=image)


def _placed(parts: Sequence[tuple[PlacedCells, Sequence[int]]]) -> PlacedCells:
    """Return some cells of several, in their order."""
    picked = [(cells, list(numbers)) for cells, numbers in parts]
    optics = [cells.optics.of(numbers) for cells, numbers in picked]

    tensors: dict[str, Any] = {
        name: torch.cat([getattr(each, name) for each in optics])
        for name in ("rows", "columns", "inside", "share")
    }
    return replace(
        picked[-1][0],
        places=np.concatenate([cells.places[n] for cells, n in picked]),
        lr=np.concatenate([cells.lr[n] for cells, n in picked]),
        upsampled=np.concatenate([cells.upsampled[n] for cells, n in picked]),
        optics=replace(optics[-1], **tensors),
    )
