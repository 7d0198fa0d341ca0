"""What a run asks of whoever scores its generators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from napari_rls.errors import ScoringError
from napari_rls.models.stylegan2 import Generator
from napari_rls.training.run_folder import Score


class HasDistances(Protocol):
    """Distances of generated images from held-out real ones, as ``Score`` describes them."""

    @property
    def kid(self) -> float: ...  # noqa: D102
    @property
    def kid_std(self) -> float: ...  # noqa: D102
    @property
    def fid(self) -> float: ...  # noqa: D102
    @property
    def features(self) -> str: ...  # noqa: D102


Scorer = Callable[[Generator], HasDistances]
"""Takes the averaged generator; must leave it and all global random streams as they are."""


def score_of(scorer: Scorer, generator: Generator, images: int) -> Score:
    """Return the score of a generator that has seen ``images`` images.

    Raises
    ------
    ScoringError
        If the scorer fails, in whatever way.
    """
    try:
        found = scorer(generator)
        return Score(images, found.kid, found.kid_std, found.fid, found.features)
    except Exception as error:  # hours of training must not end with a score
        raise ScoringError(
            f"The generator at {images} images could not be scored ({error}); training goes on "
            "without this score."
        ) from error


def is_best(score: Score, best: Score | None) -> bool:
    """Tell whether a score is lower in KID than the best one of the same features so far."""
    if not math.isfinite(score.kid):
        return False
    return best is None or best.features != score.features or score.kid < best.kid
