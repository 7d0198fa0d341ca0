"""What a run leaves behind beside its checkpoint: reports, sheets, generators, scores, advice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import ScoringError, TrainingError
from napari_rls.models.stylegan2 import Generator
from napari_rls.training import advice
from napari_rls.training.board import Board
from napari_rls.training.run_folder import Report, RunFolder, Score
from napari_rls.training.scoring import Scorer, is_best, score_of


class Recorder:
    """Writes what a run can go on without; failures become warnings, as does bad news.

    Parameters
    ----------
    place
        The run's folder, cut to where the run stands.
    images
        Images shown so far.
    scorer
        Scores the generators, if there is one.
    channels
        The channels' names.

    Attributes
    ----------
    warnings
        Sentences since the last :meth:`clear`.
    """

    def __init__(
        self, place: RunFolder, images: int, scorer: Scorer | None, channels: tuple[str, ...]
    ) -> None:
        self.place = place
        self.scorer = scorer
        self.channels = ", ".join(channels)
        self.board = Board(place.board, images)
        self.warnings: list[str] = []
        self._reports = place.reports()
        self._scores = place.scores()
        self._said: dict[str, frozenset[str]] = {}

    def clear(self) -> None:
        """Forget the warnings."""
        self.warnings.clear()

    def report(self, report: Report) -> None:
        """Log a report."""
        self._reports.append(report)
        self.attempt(partial(self.place.add_report, report))
        self.attempt(partial(self.board.add_report, report))
        self._advise("reports", advice.of_reports(self._reports))

    def samples(self, images: int, samples: NDArray[np.float32]) -> None:
        """Write a sheet of samples (n, C, H, W), -1 to 1."""
        self.attempt(partial(self.place.add_samples, images, samples))
        self.attempt(partial(self.board.add_samples, images, samples))

    def snapshot(self, images: int, generator: Generator) -> tuple[Score | None, bool]:
        """Keep a generator, and score it; return the score and whether it is the best so far."""
        note = {"images": str(images), "channels": self.channels}
        self.attempt(partial(self.place.add_snapshot, images, generator, note))
        if self.scorer is None:
            return None, False
        try:
            score = score_of(self.scorer, generator, images)
        except ScoringError as error:
            self.warnings.append(str(error))
            return None, False
        best = is_best(score, self.place.best_score())
        self._scores.append(score)
        self.attempt(partial(self.place.add_score, score))
        self.attempt(partial(self.board.add_score, score))
        if best:
            self.attempt(partial(self.place.add_best, generator, score, note))
        self._advise("scores", advice.of_scores(self._scores, self._reports))
        return score, best

    def attempt(self, write: Callable[[], None]) -> bool:
        """Write something that the run can go on without; a failure becomes a warning."""
        try:
            write()
        except TrainingError as error:
            self.warnings.append(str(error))
            return False
        return True

    def _advise(self, source: str, found: dict[str, str]) -> None:
        """Warn of what was not yet wrong the last time."""
        before = self._said.get(source, frozenset())
        self.warnings += [text for kind, text in found.items() if kind not in before]
        self._said[source] = frozenset(found)
