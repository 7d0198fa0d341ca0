"""Which intensities of LR images are which of the bundle's."""

from __future__ import annotations

from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.measure.domain import look, strange_looks
from napari_rls.models.bundle import Bundle
from napari_rls.models.intensity import IntensityMap, Levels, choose_map
from napari_rls.models.manifest import Manifest
from napari_rls.search.degradation import Bicubic
from napari_rls.search.settings import Settings

TYPICAL_CELLS: Final = 256
"""Generated cells whose levels are taken for those of the bundle's cells."""

_BATCH = 32

_known: WeakKeyDictionary[Bundle, dict[int, Levels]] = WeakKeyDictionary()


def intensity_map(lr: NDArray[np.generic], bundle: Bundle, settings: Settings) -> IntensityMap:
    """Choose the intensity map of LR images (N, C, y, x), as the settings ask."""
    typical = partial(typical_levels, bundle, settings.factor)
    trained = bundle.manifest.intensity
    return choose_map(lr, trained, typical, settings.intensity, settings.camera_offset)


def typical_levels(bundle: Bundle, factor: int) -> Levels:
    """Return the levels of the bundle's cells, degraded by ``factor``, in the bundle's unit.

    They are those of :data:`TYPICAL_CELLS` cells that the generator draws, the same ones each
    time.
    """
    levels = _known.setdefault(bundle, {})
    if factor not in levels:
        levels[factor] = Levels.of(_drawn(bundle, factor))
    return levels[factor]


@torch.no_grad()
def _drawn(bundle: Bundle, factor: int) -> NDArray[np.float32]:
    manifest = bundle.manifest
    channels = len(manifest.channels)
    unit = IntensityMap(
        "bundle", (manifest.intensity.low,) * channels, (manifest.intensity.high,) * channels
    )
    degrade = Bicubic(factor)
    parts = bundle.draw_z(TYPICAL_CELLS, 0).split(_BATCH)
    return np.concatenate([unit.decode(degrade(bundle.generator(z)).numpy()) for z in parts])


def count_strange(
    lr: NDArray[np.generic], intensity: IntensityMap, manifest: Manifest, factor: int
) -> int:
    """Return how many LR cells (N, C, y, x) do not look like those that a bundle knows.

    Nothing need be searched for that; 0 where the bundle knows none at this factor.
    """
    trust = manifest.trust_at(factor)
    if trust is None:
        return 0
    return int(strange_looks(trust.domain, look(lr, intensity.low, intensity.high, 1)).sum())
