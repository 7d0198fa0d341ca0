"""The width of the PSF by cells of LR fields and cells that a bundle draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_rls.models.bundle import Bundle
from napari_rls.models.intensity import IntensityMap
from napari_rls.search.psf import PsfEstimate, estimate_psf
from napari_rls.workflow.fields.placed_cells import PlacedCells

_DRAWN = 800
"""Cells that the generator draws."""

_BATCH = 50


@torch.no_grad()
def psf_of_cells(
    bundle: Bundle, cells: Sequence[PlacedCells], intensity: IntensityMap
) -> PsfEstimate:
    """Estimate the width of the PSF by cells of fields of one microscope.

    Parameters
    ----------
    bundle
        What knows how sharp cells are.
    cells
        The cells of each field.
    intensity
        Which of their intensities are which of the bundle's.

    Raises
    ------
    InputError
        If LR pixels are too large to tell it.
    """
    span, low = intensity.unit_span, np.array(intensity.low)
    noise = cells[0].noise.in_unit((1 / span).tolist(), (-low / span - 1).tolist())
    z = bundle.draw_z(_DRAWN, 0)
    drawn = torch.cat([bundle.generator(part) for part in z.split(_BATCH)])
    windows = np.concatenate([intensity.encode(each.lr) for each in cells])
    return estimate_psf(windows, drawn, cells[0].optics.ratio, noise)
