"""What the training widget shows: one evented state that its controller writes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.widgets.common.state import RunState
from napari_rls.widgets.train.train_plan import TrainPlan

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
        fit = [s for s in self.measured if s.features == self.scores[-1].features]
        return min(fit, key=lambda s: s.kid, default=None)

    @property
    def measured(self) -> tuple[Score, ...]:
        """The scores whose KID is a number."""
        return tuple(s for s in self.scores if math.isfinite(s.kid))


NOT_YET = "not measured yet"
NEVER = "not measured: too few held-out cells, or too small ones"


@dataclass
class TrainState(RunState):
    """Everything that the view shows; each change is an event of ``events``.

    ``found`` says how many cells there are, ``estimate`` how long training takes,
    ``warnings`` are what training warned of, ``device`` is where it computes, ``scored``
    tells whether its generators are scored, ``begun`` whether the run's folder holds a run
    that can go on, ``stoppable`` whether the run at work can be finished early, ``bundle``
    is the last one that was made.
    """

    plan: TrainPlan = field(default_factory=TrainPlan)
    found: str = ""
    estimate: str = ""
    training: bool = False
    warnings: tuple[str, ...] = ()
    device: str = ""
    curves: Curves = field(default_factory=Curves)
    scored: bool = True
    begun: bool = False
    stoppable: bool = False
    bundle: Path | None = None

    @property
    def no_score(self) -> str:
        """What there is to say of KID as long as there is none."""
        return NOT_YET if self.scored else NEVER
