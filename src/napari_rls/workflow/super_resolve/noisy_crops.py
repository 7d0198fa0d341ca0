"""Whether the search of LR crops goes by their noise, and how it sees them then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.errors import SettingsError
from napari_rls.models.bundle import Bundle
from napari_rls.models.intensity import IntensityMap
from napari_rls.search.crop_noise import CropView, crop_noise, is_noisy
from napari_rls.search.degradation import Degradation
from napari_rls.search.kit import Seen
from napari_rls.search.noise import NoiseModel
from napari_rls.search.settings import Settings
from napari_rls.workflow.super_resolve.search_run import searches

_BY_NOISE: Final = ("auto", "likelihood")
"""Readings that look at the noise of LR crops."""


@dataclass(frozen=True, eq=False)
class NoisyCrops:
    """LR crops whose search goes by their noise.

    Attributes
    ----------
    lr
        All crops of the run (N, C, h, w), in their own unit.
    intensity
        Which of their intensities are which of the bundle's.
    view
        How they were made.
    encoded_noise
        Their noise, in units of -1 to 1.
    """

    lr: NDArray[np.generic]
    intensity: IntensityMap
    view: CropView
    encoded_noise: NoiseModel

    @property
    def noise(self) -> NoiseModel:
        """Their noise in their own unit."""
        span = self.intensity.unit_span
        return self.encoded_noise.in_unit(span.tolist(), (span + self.intensity.low).tolist())

    def seen(self, cells: NDArray[np.intp]) -> Seen:
        """Return how some of them (n,) were seen."""
        encoded = torch.from_numpy(self.intensity.encode(self.lr[cells]))
        return self.view.seen(encoded, self.encoded_noise)


def noisy_crops(
    lr: NDArray[np.generic],
    usable: list[int],
    bundle: Bundle,
    settings: Settings,
    intensity: IntensityMap,
    degrade: Degradation,
) -> NoisyCrops | None:
    """Return what a search needs to go by the noise of LR crops (N, C, h, w), None if it does not.

    The noise is that of the crops ``usable``.

    Raises
    ------
    SettingsError
        If it must go by it, and the bundle cannot tell it.
    """
    if not searches(settings) or settings.reading not in _BY_NOISE:
        return None
    manifest = bundle.manifest
    spec = manifest.field_encoder
    known = spec is not None and spec.knows_crops(settings.factor)
    view = CropView(degrade, settings.factor, manifest.hr_size, len(manifest.channels), known)
    noise = crop_noise(bundle, intensity.encode(lr[usable]), view)
    if noise is None and settings.reading == "likelihood":
        raise SettingsError(
            f"The reading 'likelihood' needs the noise of LR crops, which the bundle "
            f"{manifest.name} cannot tell: it has no field encoder that knows {settings.factor}x "
            "and such noise; choose 'scaled', or add one by train-fields."
        )
    if noise is None or (settings.reading == "auto" and not is_noisy(noise)):
        return None
    return NoisyCrops(lr, intensity, view, noise)


def settled(settings: Settings, noisy: NoisyCrops | None) -> Settings:
    """Return the settings with the reading that 'auto' came to."""
    if settings.reading not in _BY_NOISE:
        return settings
    reading = "scaled" if noisy is None else "likelihood"
    return settings.model_copy(update={"reading": reading})
