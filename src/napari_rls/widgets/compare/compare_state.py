"""What the widget "Compare methods" shows, beside what every widget of LR cells shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from napari_rls.widgets.cells.input_state import InputState
from napari_rls.workflow.benchmark.benchmark_settings import RIVALS

if TYPE_CHECKING:
    from napari_rls.workflow.compare.method_results import MethodResult


class Cells(Enum):
    """Which cells of the LR image are compared."""

    IN_VIEW = "The cell in view"
    FIRST = "The first cells"
    ALL = "All cells"


@dataclass(frozen=True, eq=False)
class Turn:
    """How far a method is: the share of its work that is done, 0 to 1, and what it gave.

    ``ended`` says that it will give nothing, as the comparison was cancelled before.
    """

    method: str
    share: float = 0.0
    result: MethodResult | None = None
    ended: bool = False

    @property
    def words(self) -> str:
        """What there is to say as long as there are no values."""
        if self.result is not None:
            return "" if self.result.ran else f"Not run: {self.result.note}"
        begun = f"at {self.share:.0%}" if self.share else "before it began"
        if self.ended:
            return f"Cancelled {begun}; not scored"
        return f"{self.share:.0%} done" if self.share else "Waiting"


@dataclass
class CompareState(InputState):
    """Everything that the view shows; ``settings`` holds what all methods have in common.

    Parameters
    ----------
    methods
        The chosen methods.
    max_steps
        Upper bound of the steps of each; 0 for none.
    cells, count
        Which cells, and how many are the first ones.
    turns
        The last comparison, method by method, the baseline first.
    """

    methods: tuple[str, ...] = RIVALS
    max_steps: int = 0
    cells: Cells = Cells.FIRST
    count: int = 8
    turns: tuple[Turn, ...] = ()
