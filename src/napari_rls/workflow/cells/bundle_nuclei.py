"""What a bundle tells of the nuclei in its images: where they show, and how they are found."""

from __future__ import annotations

from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.nuclei import NucleusSettings
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
    if not manifest.measurement:
        return NucleusSettings()
    measured = MeasureSettings.model_validate(dict(manifest.measurement)).own
    found: NucleusSettings = measured.nucleus
    return found
