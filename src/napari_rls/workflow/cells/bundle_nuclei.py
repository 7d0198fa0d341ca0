"""What a bundle tells of the nuclei in its images: where they show, and how they are found."""

from __future__ import annotations

from typing import Any

from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.measure.translocation import TranslocationSettings
from napari_rls.models.manifest import Manifest
from napari_rls.workflow.cells.channels import shows_dna


def dna_channel(manifest: Manifest) -> int:
    """Return the bundle's channel that shows nuclei: by its name, else the first.

    Examples
    --------
    >>> from napari_rls import load_bundle
    >>> dna_channel(load_bundle("bbbc013-translocation-64").manifest)
    0
    """
    return next((k for k, name in enumerate(manifest.channel_names) if shows_dna(name)), 0)


def nucleus_settings(manifest: Manifest) -> NucleusSettings:
    """Return how nuclei are found in the bundle's images."""
    suggested = _suggested(manifest)
    if suggested is None:
        return NucleusSettings()
    found: NucleusSettings = suggested.nucleus
    return found


def translocation_settings(manifest: Manifest) -> TranslocationSettings:
    """Return how nucleus and ring of a cell are found: as the bundle suggests, if it does."""
    suggested = _suggested(manifest)
    if isinstance(suggested, TranslocationSettings):
        return suggested
    reach = manifest.hr_size / 8
    return TranslocationSettings(nucleus=nucleus_settings(manifest), reach=reach)


def _suggested(manifest: Manifest) -> Any:
    """Return the settings of the assay that the bundle suggests, which are of its own class."""
    if not manifest.measurement:
        return None
    return MeasureSettings.model_validate(dict(manifest.measurement)).own
