"""Training runs that are scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from run_bench import crops, settings

from napari_rls.models.stylegan2 import Generator
from napari_rls.training.run import Progress, train


@dataclass(frozen=True)
class Distances:
    kid: float
    kid_std: float = 0.001
    fid: float = 10.0
    features: str = "test features"


def kid_of(generator: Generator) -> Distances:
    """Score by the generator alone, so that a resumed run sees the same scores."""
    return Distances(float(generator.mapping.w_avg.square().sum()))


def scored(folder: Path, scorer, stop_at: int | None = None, **changes: object) -> list[Progress]:
    updates = []
    iteration = train(crops(), settings(**changes), folder, scorer=scorer)
    for progress in iteration:
        updates.append(progress)
        if stop_at is not None and progress.images >= stop_at:
            iteration.close()
    return updates
