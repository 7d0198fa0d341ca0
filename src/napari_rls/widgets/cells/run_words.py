"""A run in words: its progress, how much was finished, cells that were set apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_rls.widgets.common.state import RunProgress

if TYPE_CHECKING:
    from napari_rls.workflow.super_resolve.result import Collector
    from napari_rls.workflow.super_resolve.updates import Update


def describe_progress(update: Update) -> RunProgress:
    """Return the share of the work done and, in words, cells, objective and time left."""
    total = update.run.cells - len(update.run.skipped)
    begun = 0.0 if update.finished else len(update.cells) * update.step / update.steps
    share = (update.cells_done + begun) / total
    objective = float(update.objective.mean())
    text = (
        f"{update.cells_done} of {total} cells, objective {objective:.3g}, "
        f"{update.seconds_left:.0f} s left"
    )
    return RunProgress(share, text)


def describe_reached(collector: Collector) -> str:
    """Return how many cells were finished and, if not all were, how many begun, and when."""
    total, took = len(collector.cells), f"in {collector.seconds:.1f} s"
    if not collector.reached:
        return "nothing was computed yet, so that there is no SR image"
    if collector.complete:
        return f"{collector.finished} of {total} cells {took}"
    begun = collector.reached - collector.finished
    if not collector.finished:
        return (
            f"none of {count_cells(total)} was finished, {took}; images of the {begun} that the "
            "search had begun are on their way, and no result"
        )
    return f"{collector.finished} of {total} cells finished, {begun} more begun, {took}"


def count_cells(count: int) -> str:
    """Return a number of cells in words that agree with it."""
    return f"{count} cell" if count == 1 else f"{count} cells"


def describe_cells(cells: Mapping[int, str], total: int, what: str) -> str:
    """Return a sentence on cells set apart, grouped by reason; nothing if there are none."""
    by_reason: dict[str, list[int]] = defaultdict(list)
    for cell, reason in cells.items():
        by_reason[reason].append(cell)
    parts = []
    for reason, members in by_reason.items():
        # As names of cells in tables end.
        shown = ", ".join(f"#{k}" for k in members[:8]) + (", ..." if len(members) > 8 else "")
        parts.append(f"{len(members)} of {total} cells {what} ({shown}): {reason}.")
    return " ".join(parts)
