"""What the training widget shows: one evented state that its controller writes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from psygnal import SignalGroupDescriptor

from napari_rls.widgets.state import Message, Phase, Progress
from napari_rls.widgets.train_plan import Plan

if TYPE_CHECKING:
    from napari_rls.training.run_folder import Report, Score


@dataclass(frozen=True)
class Curves:
    """All reports and scores of a run at one size, in the order of images shown."""

    reports: tuple[Report, ...] = ()
    scores: tuple[Score, ...] = ()

    def with_report(self, report: Report) -> Curves:
        """Return the curves with one report more, which replaces any of later ones."""
        earlier = tuple(r for r in self.reports if r.images < report.images)
        return Curves((*earlier, report), self.scores)

    def with_score(self, score: Score) -> Curves:
        """Return the curves with one score more, which replaces any of later ones."""
        earlier = tuple(s for s in self.scores if s.images < score.images)
        return Curves(self.reports, (*earlier, score))

    @property
    def best(self) -> Score | None:
        """The score of the lowest KID, among those that can be compared with the last."""
        fit = [s for s in self.scores if s.features == self.scores[-1].features]
        return min((s for s in fit if math.isfinite(s.kid)), key=lambda s: s.kid, default=None)


@dataclass
class TrainState:
    """Everything that the view shows; each change is an event of ``events``.

    ``channels`` are the names to choose the DNA channel from, ``found`` says how many
    cells there are, ``warnings`` are what training warned of, ``device`` is where it
    computes, ``begun`` tells whether the run's folder holds a run that can go on,
    ``bundle`` is the last one that was made.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    plan: Plan = field(default_factory=Plan)
    found: str = ""
    phase: Phase = Phase.IDLE
    training: bool = False
    progress: Progress = field(default_factory=Progress)
    message: Message = field(default_factory=Message)
    warnings: tuple[str, ...] = ()
    device: str = ""
    curves: Curves = field(default_factory=Curves)
    begun: bool = False
    bundle: Path | None = None
