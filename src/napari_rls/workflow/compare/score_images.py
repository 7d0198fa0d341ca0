"""Score SR images in the LR image's unit: cells without an image have no part in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import MetricError
from napari_rls.evaluation.metrics import score
from napari_rls.models.intensity import IntensityMap


def score_images(
    sr: NDArray[np.floating],
    truth: NDArray[np.generic],
    intensity: IntensityMap,
    *,
    features: Sequence[str] = ("napari-rls",),
    bootstrap: int = 200,
    seed: int = 0,
) -> tuple[pd.DataFrame, str]:
    """Return a row per metric, see :func:`score`, and in a sentence what is wrong, else "".

    Parameters
    ----------
    sr, truth
        Images (N, C, H, W) of the same cells in one unit; ``sr`` is not finite where a cell
        has no image. ``n`` of the table tells how many cells are left.
    intensity
        The map that brings both to -1 to 1.
    features, bootstrap, seed
        See :func:`score`.
    """
    usable = np.isfinite(sr).all((1, 2, 3))
    try:
        found = score(
            intensity.encode(sr[usable]),
            intensity.encode(truth[usable]),
            features=features,
            bootstrap=bootstrap,
            seed=seed,
        )
    except MetricError as error:
        return pd.DataFrame(), str(error)
    return found, ""
