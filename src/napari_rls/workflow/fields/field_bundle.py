"""What a bundle tells of the fields that it is used on: its unit, its nuclei, its encoder."""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import numpy as np
import torch

from napari_rls.measure.nuclei import central_nucleus, find_nuclei
from napari_rls.models.bundle import Bundle
from napari_rls.search.settings import FACTORS
from napari_rls.workflow.cells.bundle_nuclei import dna_channel, nucleus_settings

_DRAWN = 64
"""Generated cells whose nuclei are measured."""

_known: WeakKeyDictionary[Bundle, float | None] = WeakKeyDictionary()


@torch.no_grad()
def nucleus_diameter(bundle: Bundle) -> float | None:
    """Return the diameter of a usual nucleus of the bundle's cells, in HR pixels.

    It is that of a disc of the median area of the nuclei in the centres of cells that the
    generator draws; None if hardly any of them has one.
    """
    if bundle not in _known:
        manifest = bundle.manifest
        images = bundle.generator(bundle.draw_z(_DRAWN, 0))[:, dna_channel(manifest)].numpy()
        settings = nucleus_settings(manifest)
        areas = []
        for image in images:
            labels = find_nuclei(image, settings).labels
            if nucleus := central_nucleus(labels, manifest.hr_size / 8):
                areas.append(int((labels == nucleus).sum()))
        many = len(areas) >= _DRAWN / 2
        _known[bundle] = 2 * math.sqrt(float(np.median(areas)) / math.pi) if many else None
    return _known[bundle]


def nearest_factor(bundle: Bundle, ratio: float) -> int:
    """Return the factor whose encoder starts the search at a ratio of pixel sizes.

    It is the nearest one of those that the bundle has an encoder for, else of all that divide
    its images; what is known of results at a factor is taken from it too.
    """
    size = bundle.manifest.hr_size
    factors = [*bundle.encoders] or [f for f in FACTORS if size % f == 0]
    return min(factors, key=lambda factor: abs(math.log(factor / ratio)))
