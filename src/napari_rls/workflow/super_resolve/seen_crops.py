"""How a run sees LR crops: whether it goes by their noise, and what samples are drawn of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_rls.errors import SettingsError
from napari_rls.models.bundle import Bundle
from napari_rls.models.intensity import IntensityMap
from napari_rls.models.manifest import Manifest
from napari_rls.search.crop_noise import CropView, crop_noise, is_noisy, quiet
from napari_rls.search.degradation import Degradation
from napari_rls.search.kit import Seen
from napari_rls.search.noise import NoiseModel
from napari_rls.search.settings import Settings
from napari_rls.workflow.super_resolve.search_run import FLOW, searches

_BY_NOISE: Final = ("auto", "likelihood")
"""Readings that look at the noise of LR crops."""


@dataclass(frozen=True, eq=False)
class SeenCrops:
    """LR crops of which it is known how they were seen.

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
    noisy
        Whether the search goes by it.
    """

    lr: NDArray[np.generic]
    intensity: IntensityMap
    view: CropView
    encoded_noise: NoiseModel
    noisy: bool

    @property
    def noise(self) -> NoiseModel | None:
        """Their noise in their own unit, if the search goes by it."""
        if not self.noisy:
            return None
        span = self.intensity.unit_span
        return self.encoded_noise.in_unit(span.tolist(), (span + self.intensity.low).tolist())

    def seen(self, cells: NDArray[np.intp]) -> Seen:
        """Return how some of them (n,) were seen."""
        encoded = torch.from_numpy(self.intensity.encode(self.lr[cells]))
        return self.view.seen(encoded, self.encoded_noise)


def seen_crops(
    lr: NDArray[np.generic],
    usable: list[int],
    bundle: Bundle,
    settings: Settings,
    intensity: IntensityMap,
    degrade: Degradation,
) -> SeenCrops | None:
    """Return how LR crops (N, C, h, w) were seen, None where a run need not know it.

    The noise is that of the crops ``usable``; ``settings`` have the posterior that they come to.

    Raises
    ------
    SettingsError
        If the search must go by the noise, and the bundle cannot tell it.
    """
    by_noise = searches(settings) and settings.reading in _BY_NOISE
    draws = draws_by_flow(settings)
    if not (by_noise or draws):
        return None
    manifest = bundle.manifest
    spec = manifest.field_encoder
    known = spec is not None and spec.knows_crops(settings.factor)
    channels = len(manifest.channels)
    view = CropView(degrade, settings.factor, manifest.hr_size, channels, known)
    noise = crop_noise(bundle, intensity.encode(lr[usable]), view)
    if noise is None and by_noise and settings.reading == "likelihood":
        raise SettingsError(
            f"The reading 'likelihood' needs the noise of LR crops, which the bundle "
            f"{manifest.name} cannot tell: it has no field encoder that knows {settings.factor}x "
            "and such noise; choose 'scaled', or add one by train-fields."
        )
    noisy = by_noise and noise is not None
    if noise is not None and settings.reading == "auto":
        noisy = noisy and is_noisy(noise)
    if not (noisy or draws):
        return None
    return SeenCrops(lr, intensity, view, noise or quiet(channels), noisy)


def draws_by_flow(settings: Settings) -> bool:
    """Tell whether images are drawn by flow matching: samples, or those of the method ``flow``."""
    return settings.method == FLOW or bool(settings.samples and settings.posterior == FLOW)


def settled(settings: Settings, seen: SeenCrops | None) -> Settings:
    """Return the settings with the reading that 'auto' came to."""
    if settings.reading not in _BY_NOISE:
        return settings
    reading = "likelihood" if seen is not None and seen.noisy else "scaled"
    return settings.model_copy(update={"reading": reading})


def with_posterior(settings: Settings, manifest: Manifest, *, knows: bool) -> Settings:
    """Return the settings with the posterior that 'auto' comes to.

    Parameters
    ----------
    settings
        Those of the run.
    manifest
        The bundle's.
    knows
        Whether its field encoder has seen such LR images.

    Raises
    ------
    SettingsError
        If flow matching must draw, and the bundle has none that knows such images.
    """
    able = knows and manifest.flow_matching is not None
    if draws_by_flow(settings) and not able:
        lack, how = "has seen no such LR images", ""
        if manifest.flow_matching is None:
            lack, how = "has none", ", or add it by train-flow"
        raise SettingsError(
            f"Images are to be drawn by flow matching, of which the bundle {manifest.name} {lack}; "
            f"choose another method or posterior{how}."
        )
    if settings.posterior != "auto":
        return settings
    return settings.model_copy(update={"posterior": FLOW if able else "bound"})
