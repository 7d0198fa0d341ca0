"""Which intensities of LR images are which of the bundle's."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.errors import SettingsError
from napari_rls.measure.domain import look, strange_looks
from napari_rls.models.bundle import Bundle
from napari_rls.models.intensity import IntensityMap, Levels, choose_map
from napari_rls.models.manifest import Manifest
from napari_rls.search.degradation import Degradation, Recorded
from napari_rls.search.imaging import PlacedOptics
from napari_rls.search.operators import Imaging, make_operator
from napari_rls.search.settings import Settings

TYPICAL_CELLS: Final = 256
"""Generated cells whose levels are taken for those of the bundle's cells."""

_BATCH = 32

_known: WeakKeyDictionary[Bundle, dict[str, Levels]] = WeakKeyDictionary()


def operator_for(
    settings: Settings, manifest: Manifest, lr_pixel_size_um: float | None = None
) -> Degradation:
    """Return the operator that settings name, for images of a bundle.

    Without the LR images' pixel size, that of the bundle's HR images holds.

    Raises
    ------
    SettingsError
        If it cannot be used.
    """
    size = manifest.pixel_size_um
    if lr_pixel_size_um is not None:
        size = lr_pixel_size_um / settings.factor
    imaging = Imaging(settings.factor, manifest.channel_names, size)
    operator = make_operator(settings.operator, imaging)
    check_operator(operator, manifest)
    return operator


@torch.no_grad()
def check_operator(operator: Degradation, manifest: Manifest) -> None:
    """Check that an operator makes images of the size that its factor says.

    Raises
    ------
    SettingsError
        If it does not.
    """
    side = manifest.hr_size
    if side % operator.factor:
        return  # no LR image fits, which is told of the image
    wanted = (1, len(manifest.channels), side // operator.factor, side // operator.factor)
    made = tuple(operator(torch.zeros(1, len(manifest.channels), side, side)).shape)
    if made != wanted:
        raise SettingsError(
            f"The operator {operator.record().get('name')} makes images of the shape {made} where "
            f"the factor {operator.factor} needs {wanted}; choose another one."
        )


def intensity_map(
    lr: NDArray[np.generic],
    bundle: Bundle,
    settings: Settings,
    operator: Degradation | None = None,
) -> IntensityMap:
    """Choose the intensity map of LR images (N, C, y, x), as the settings ask.

    Without an operator, it is the one that the settings name.
    """
    operator = operator or operator_for(settings, bundle.manifest)
    typical = partial(typical_levels, bundle, operator)
    trained = bundle.manifest.intensity
    return choose_map(lr, trained, typical, settings.intensity, settings.camera_offset)


def typical_levels(bundle: Bundle, operator: Recorded) -> Levels:
    """Return the levels of the bundle's cells, degraded, in the bundle's unit.

    They are those of :data:`TYPICAL_CELLS` cells that the generator draws, the same ones each
    time.
    """
    levels = _known.setdefault(bundle, {})
    key = json.dumps(operator.record(), sort_keys=True)
    if key not in levels:
        levels[key] = Levels.of(_drawn(bundle, operator))
    return levels[key]


def levels_at(bundle: Bundle, optics: PlacedOptics) -> Levels:
    """Return the levels of the bundle's cells in LR fields, in the bundle's unit.

    They are those of the HR crops that its field encoder was fitted to, between two ratios of
    pixel sizes interpolated over the logarithm of the ratio; without a field encoder those of
    cells that the generator draws, which may be brighter or darker.
    """
    spec = bundle.manifest.field_encoder
    if spec is None or not spec.levels:
        return typical_levels(bundle, optics)
    known = sorted(spec.levels, key=lambda levels: levels.ratio)
    places = np.log([levels.ratio for levels in known])

    def between(name: str) -> tuple[float, ...]:
        by_channel = np.transpose([getattr(levels, name) for levels in known])
        return tuple(float(np.interp(np.log(optics.ratio), places, one)) for one in by_channel)

    return Levels(*(between(field.name) for field in fields(Levels)))


@torch.no_grad()
def _drawn(bundle: Bundle, operator: Recorded) -> NDArray[np.float32]:
    manifest = bundle.manifest
    channels = len(manifest.channels)
    unit = IntensityMap(
        "bundle", (manifest.intensity.low,) * channels, (manifest.intensity.high,) * channels
    )
    parts = bundle.draw_z(TYPICAL_CELLS, 0).split(_BATCH)
    return np.concatenate([unit.decode(operator(bundle.generator(z)).numpy()) for z in parts])


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
