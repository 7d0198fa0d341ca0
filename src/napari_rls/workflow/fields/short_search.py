"""Settings of searches in fields, which are short where they start at an estimate."""

from __future__ import annotations

from typing import Final

from napari_rls.models.manifest import Manifest
from napari_rls.search.settings import Settings

FROM_ESTIMATE: Final = {"steps": 40, "learning_rate": 0.05}
"""Steps of a search that starts at a field encoder's estimate and stays near it, and their size."""


def search_settings(manifest: Manifest, settings: Settings) -> Settings:
    """Return the settings of a search in fields: short where it starts at an estimate.

    What of :data:`FROM_ESTIMATE` was given stays as it is.

    Parameters
    ----------
    manifest
        The bundle's.
    settings
        Those of the run.

    Examples
    --------
    >>> from napari_rls import load_bundle
    >>> manifest = load_bundle("bbbc013-translocation-64").manifest
    >>> search_settings(manifest, Settings()).steps
    40
    >>> search_settings(manifest, Settings(steps=9)).steps
    9
    """
    spec = manifest.field_encoder
    estimates = spec is not None and spec.start
    if not estimates or settings.method != "rls" or settings.start != "encoder":
        return settings
    given = settings.model_fields_set
    return settings.model_copy(update={k: v for k, v in FROM_ESTIMATE.items() if k not in given})
