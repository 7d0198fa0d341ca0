"""Plots of measurements, drawn beside the GUI thread: what is wished for, and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import TableError
from napari_rls.measure.assay import PlotKind
from napari_rls.measure.columns import CELL, IMAGE, Column
from napari_rls.widgets.common.plot_canvas import Screen
from napari_rls.widgets.common.state import Level, Message

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.evaluation.figure_style import Look
    from napari_rls.evaluation.plots import Plot

# matplotlib and scipy take seconds to import: what draws imports them in its thread.

CONDITIONS, DOSES, AGREEMENT = "Conditions", "Dose response", "Agreement with truth"
COVERAGE, HELD_OUT = "Coverage of intervals", "Coverage on held-out cells"
PLOTS: dict[PlotKind, str] = {
    "conditions": CONDITIONS,
    "doses": DOSES,
    "agreement": AGREEMENT,
    "coverage": COVERAGE,
    "held_out": HELD_OUT,
}
"""What plots are called."""


@dataclass(frozen=True, eq=False)
class Wish:
    """A plot of a table, see :mod:`napari_rls.evaluation.plots`.

    Parameters
    ----------
    table, column
        The table and the measurement.
    kind
        One of the values of :data:`PLOTS`.
    pair
        The negative and the positive condition, or None for all.
    selected
        Cells to mark, by their index.
    columns
        What the columns are.
    record
        How the table was made.
    """

    table: pd.DataFrame
    column: str
    kind: str
    pair: tuple[str, str] | None = None
    selected: tuple[int, ...] = ()
    columns: Mapping[str, Column] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the cells, by their index."""
        return list(dict.fromkeys(self.table[CELL]))

    def plot(self, look: Look) -> Plot:
        """Return the plot.

        Raises
        ------
        TableError
            If the table does not have what it needs.
        """
        from napari_rls.evaluation import plots
        from napari_rls.evaluation.agreement import coverage, interval_columns
        from napari_rls.evaluation.held_out import held_out
        from napari_rls.evaluation.reliability_plot import reliability_plot
        from napari_rls.workflow.measure.plate_columns import dose_unit

        table, column, names = self.table, self.column, self.names
        chosen = [names[cell] for cell in self.selected]
        reference = "GT" if "GT" in set(table[IMAGE]) else "HR"
        if self.kind == CONDITIONS:
            return plots.box_plot(table, column, self.pair, highlight=chosen, look=look)
        if self.kind == DOSES:
            unit = dose_unit(self.record)
            return plots.dose_response_plot(table, column, highlight=chosen, look=look, unit=unit)
        if self.kind == AGREEMENT:
            return plots.agreement_plot(table, column, reference, chosen, look, self.columns)
        if self.kind == HELD_OUT:
            held = held_out(table, self.record, column)
            return reliability_plot(held, look)
        intervals = interval_columns(table, column, self.columns)
        found = coverage(table, column, reference, intervals=intervals)
        return reliability_plot({column: found}, look)

    def statistics(self) -> tuple[str, ...]:
        """Return the statistics of what is drawn, a line per kind of image.

        Raises
        ------
        TableError
            If the table does not have what they need.
        """
        from napari_rls.evaluation.held_out import held_out, told_levels
        from napari_rls.evaluation.summary import summarise_conditions, summarise_doses

        if self.kind == HELD_OUT:
            return told_levels(held_out(self.table, self.record, self.column))
        if self.kind == CONDITIONS and self.pair:
            return summarise_conditions(self.table, self.column, *self.pair)
        return summarise_doses(self.table, self.column) if self.kind == DOSES else ()


@dataclass(frozen=True, eq=False)
class DrawnPlot:
    """A plot as it is drawn.

    Parameters
    ----------
    plot
        The plot; None if there is none.
    pixels
        Colours and opacity (H, W, 4), uint8.
    statistics
        Lines of text below it.
    problem
        Why there is no plot, in one sentence.
    error
        What went wrong where nothing should.
    """

    plot: Plot | None = None
    pixels: NDArray[np.uint8] | None = None
    statistics: tuple[str, ...] = ()
    problem: str = ""
    error: Exception | None = None


def draw(wish: Wish, screen: Screen) -> DrawnPlot:
    """Draw a plot for a screen; meant for a thread."""
    try:
        plot = wish.plot(screen.look)
        pixels = screen.pixels(plot.figure)
        return DrawnPlot(plot, pixels, wish.statistics())
    except TableError as error:
        return DrawnPlot(problem=str(error))
    except Exception as error:  # noqa: BLE001 - one cannot be heard from a thread
        return DrawnPlot(problem=f"The plot cannot be drawn: {error}", error=error)


def save(wish: Wish, path: Path, record: Mapping[str, Any]) -> Message:
    """Write a plot in the size and colours of print; return what there is to say."""
    from napari_rls.evaluation.figure_style import PRINT
    from napari_rls.evaluation.plots import save_figure

    try:
        save_figure(path, wish.plot(PRINT).figure, record)
    except TableError as error:
        return Message(str(error), Level.ERROR)
    except OSError as error:
        text = f"The plot cannot be written to {path}: {error.strerror}."
        return Message(text, Level.ERROR)
    except Exception as error:  # noqa: BLE001 - one cannot be heard from a thread
        return Message(f"The plot cannot be saved: {error}", Level.ERROR)
    return Message(f"Plot saved to {path}.")
