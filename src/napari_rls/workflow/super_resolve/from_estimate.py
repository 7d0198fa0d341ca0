"""Searches that start at the estimate of a bundle's field encoder, and are short for it."""

from __future__ import annotations

from typing import Final

from napari_rls.models.manifest import Manifest
from napari_rls.search.settings import Settings

SHORT: Final = {"steps": 40, "learning_rate": 0.05}
"""Steps of a search that starts at a field encoder's estimate and stays near it, and their size."""


def starts_crops(manifest: Manifest, settings: Settings) -> bool:
    """Tell whether a search of LR crops starts at such an estimate.

    It does so only where the estimates are known to draw what looks like cells. Methods to compare
    with start where they always did.
    """
    spec = manifest.field_encoder
    known = spec is not None and spec.starts_crops(settings.factor)
    return known and settings.method == "rls" and settings.start == "encoder"


def starts_fields(manifest: Manifest, settings: Settings) -> bool:
    """Tell whether a search of cells of a field is short as it starts at such an estimate."""
    spec = manifest.field_encoder
    known = spec is not None and spec.start
    return known and settings.method == "rls" and settings.start == "encoder"


def shortened(settings: Settings) -> Settings:
    """Return the settings of a short search; what of :data:`SHORT` was given stays as it is.

    Examples
    --------
    >>> shortened(Settings()).steps, shortened(Settings(steps=9)).steps
    (40, 9)
    """
    given = settings.model_fields_set
    return settings.model_copy(update={k: v for k, v in SHORT.items() if k not in given})
