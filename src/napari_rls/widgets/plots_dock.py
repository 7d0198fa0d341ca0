"""The dock widget "Plots of measurements": the last table as a picture, tied to the selection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import napari
import pandas as pd
from magicgui.widgets import ComboBox, PushButton
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFileDialog, QPlainTextEdit, QWidget

from napari_rls.evaluation.agreement import coverage
from napari_rls.evaluation.summary import summarise_conditions, summarise_doses
from napari_rls.evaluation.tables import CELL, CONDITION, IMAGE, TableError
from napari_rls.widgets.docks import Dock
from napari_rls.widgets.measure_state import MeasureState, connect_for_life, state_of
from napari_rls.widgets.parts import TextLabel, form_rows
from napari_rls.widgets.table_view import headline, measured_columns

if TYPE_CHECKING:
    from matplotlib.backend_bases import MouseEvent

    from napari_rls.evaluation.plots import Plot

CONDITIONS, DOSES, AGREEMENT = "Conditions", "Dose response", "Agreement with truth"
PLOTS = (CONDITIONS, DOSES, AGREEMENT, "Coverage of intervals")
ALL = "(all)"
PICTURES = "PNG (*.png);;SVG (*.svg)"
SMALLEST = (240, 280)
"""Pixels, across and down, that axes, their names and a legend need."""

STATISTICS_HEIGHT = 120
"""Pixels; longer texts scroll."""

WAIT = 50
"""Milliseconds in which changes are drawn together."""

EMPTY = "Nothing is measured yet: Measure cells does."


class PlotsWidget(Dock):
    """Draw the last measurement of a viewer.

    Parameters
    ----------
    napari_viewer
        The napari viewer whose cells were measured.
    """

    tab = "Plots"

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.state: MeasureState = state_of(self._viewer)
        self.plot: Plot | None = None
        self._build()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw)
        for box in (self.kind, self.column, self.negative, self.positive):
            box.changed.connect(self._draw_soon)
        self.kind.changed.connect(self._show_choice)
        self.save.changed.connect(self._save)
        events = self.state.events
        pairs = ((events.result, self._show_result), (events.selected, self._draw_soon))
        connect_for_life(self, pairs)
        self._show_result()

    def _build(self) -> None:
        self.kind = ComboBox(choices=PLOTS, tooltip="What is drawn.")
        self.column = ComboBox(choices=(), tooltip="The measurement.")
        self.negative = ComboBox(choices=(ALL,), tooltip="The negative condition, or all.")
        self.positive = ComboBox(choices=(ALL,), tooltip="The positive condition, or all.")
        self.save = PushButton(text="Save plot...", tooltip="As PNG or SVG, with its record")
        self.message = TextLabel()
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._rows = form_rows()
        for name, box in (
            ("Plot", self.kind),
            ("Measurement", self.column),
            ("Negative", self.negative),
            ("Positive", self.positive),
        ):
            # Long names of columns must not widen the dock.
            box.native.setMinimumContentsLength(8)
            box.native.setSizeAdjustPolicy(
                box.native.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            self._rows.addRow(name, box.native)
        self.whole.addLayout(self._rows)
        self.statistics = QPlainTextEdit()
        self.statistics.setReadOnly(True)
        self.statistics.setMaximumHeight(STATISTICS_HEIGHT)
        self.whole.addWidget(self.message, stretch=1)
        self.whole.addWidget(self.statistics)
        self.whole.addWidget(self.save.native)
        self._canvas: QWidget | None = None

    # -- the choice --------------------------------------------------------------------

    def _show_result(self) -> None:
        """Offer the columns and conditions of the last table, and draw it."""
        table = self._table
        columns = [] if table is None else measured_columns(table)
        conditions = [] if table is None else sorted(set(table[CONDITION]) - {""})
        usual = next(iter(headline(columns)), None)
        _offer(self.column, columns, usual)
        # Two conditions are meant to be compared.
        usual_pair = conditions if len(conditions) == 2 else (ALL, ALL)
        for box, name in zip((self.negative, self.positive), usual_pair, strict=True):
            _offer(box, [ALL, *conditions], name)
        self._show_choice()
        self._draw_soon()

    def _show_choice(self) -> None:
        """Show the choice of conditions where it counts."""
        for box in (self.negative, self.positive):
            self._rows.setRowVisible(box.native, self.kind.value == CONDITIONS)

    @property
    def _table(self) -> pd.DataFrame | None:
        return None if self.state.result is None else self.state.result.table

    # -- drawing -----------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Draw what came while the plot could not be seen."""
        super().showEvent(event)
        self._draw_soon()

    def _draw_soon(self) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._timer.start(WAIT)

    def _draw(self) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

        self.plot, problem, statistics = None, EMPTY, ()
        try:
            self.plot = self.make()
            statistics = self.summarise() if self.plot else ()
        except TableError as error:
            problem = str(error)
        if self._canvas is not None:
            self.whole.removeWidget(self._canvas)
            self._canvas.deleteLater()
            self._canvas = None
        self.save.enabled = self.plot is not None
        self.message.setVisible(self.plot is None)
        self.message.setText(problem)
        self.statistics.setPlainText("\n".join(statistics))
        self.statistics.setVisible(bool(statistics))
        if self.plot is not None:
            canvas = FigureCanvasQTAgg(self.plot.figure)
            canvas.setMinimumSize(*SMALLEST)
            canvas.mpl_connect("button_press_event", self._pick)
            self.whole.insertWidget(1, canvas, stretch=1)
            self._canvas = canvas

    def make(self) -> Plot | None:
        """Return the chosen plot of the last table, or None without one.

        Raises
        ------
        TableError
            If the table does not have what the plot needs.
        """
        table, column = self._table, self.column.value
        if table is None or column is None:
            return None
        from napari_rls.evaluation import plots

        names = pd.unique(table[CELL])
        chosen = [str(names[cell]) for cell in self.state.selected]
        kind = self.kind.value
        reference = "GT" if "GT" in set(table[IMAGE]) else "HR"
        if kind == CONDITIONS:
            return plots.box_plot(table, column, self._pair, highlight=chosen)
        if kind == DOSES:
            return plots.dose_response_plot(table, column, highlight=chosen)
        if kind == AGREEMENT:
            return plots.agreement_plot(table, column, reference, highlight=chosen)
        return plots.reliability_plot({column: coverage(table, column, reference)})

    def summarise(self) -> tuple[str, ...]:
        """Return the statistics of what is drawn, a line per kind of image.

        Raises
        ------
        TableError
            If the table does not have what they need.
        """
        table, column = self._table, self.column.value
        if self.kind.value == CONDITIONS and self._pair:
            return summarise_conditions(table, column, *self._pair)
        return summarise_doses(table, column) if self.kind.value == DOSES else ()

    @property
    def _pair(self) -> tuple[str, str] | None:
        """The two conditions that are compared, or None for all."""
        pair = (self.negative.value, self.positive.value)
        return None if ALL in pair else pair

    def _pick(self, event: MouseEvent) -> None:
        """Select the cell whose point was clicked."""
        if self.plot is None or self._table is None:
            return
        name = self.plot.cell_at(event.x, event.y)
        if name is not None:
            names = pd.unique(self._table[CELL])
            self.state.selected = (int((names == name).argmax()),)

    def _save(self) -> None:
        from napari_rls.evaluation.plots import save_figure

        # A figure of its own, in the size of print rather than that of the dock.
        plot, result = self.make(), self.state.result
        name, wanted = QFileDialog.getSaveFileName(self, "Save plot", "plot.png", PICTURES)
        if not name or plot is None or result is None:
            return
        path = Path(name)
        if not path.suffix:
            path = path.with_suffix(".svg" if "svg" in wanted else ".png")
        try:
            save_figure(path, plot.figure, result.record)
        except TableError as error:
            self._say(str(error))
        except OSError as error:
            self._say(f"The plot cannot be written to {path}: {error.strerror}.")
        else:
            self._say(f"Plot saved to {path}.")

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(True)


def _offer(box: ComboBox, choices: list[str], otherwise: str | None) -> None:
    """Offer other choices; what was chosen stays chosen where it is still there."""
    before = box.value
    with box.changed.blocked():
        box.choices = ()
        box.choices = choices
        if choices:
            kept = before in choices and before != ALL
            box.value = before if kept else otherwise or choices[0]
