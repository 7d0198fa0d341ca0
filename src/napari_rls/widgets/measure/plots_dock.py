"""The dock widget "Plots of measurements": the last table as a picture, tied to the selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import napari
from magicgui.widgets import ComboBox, PushButton
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget
from superqt.utils import create_worker

from napari_rls.measure.columns import CONDITION, Column
from napari_rls.measure.dictionary import columns_of, measurements
from napari_rls.measure.registry import registry
from napari_rls.text import for_qt, for_terminal
from napari_rls.widgets.common.ask_file import ask_where
from napari_rls.widgets.common.docks import Dock
from napari_rls.widgets.common.parts import TextLabel, UpAndDown, form_rows, shorten
from napari_rls.widgets.common.plot_canvas import PlotCanvas
from napari_rls.widgets.common.state import Message
from napari_rls.widgets.measure.measure_state import MeasureState, state_of
from napari_rls.widgets.measure.plot_job import CONDITIONS, PLOTS, DrawnPlot, Wish, draw, save

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.evaluation.plots import Plot

ALL = ("(all)", None)
PICTURES = {"PNG (*.png)": ".png", "SVG (*.svg)": ".svg"}

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
    wants_own_place = True

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.state: MeasureState = state_of(self._viewer)
        self.plot: Plot | None = None
        self._drawing: tuple[Wish, object] | None = None
        self._saving: object | None = None
        self._again = False
        self._names: list[str] = []
        self._columns: dict[str, Column] = {}
        self._problem = ""
        self._build()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw)
        for box in (self.kind, self.column, self.negative, self.positive):
            box.changed.connect(self._draw_soon)
        self.kind.changed.connect(self._show_choice)
        self.save.changed.connect(self._save)
        self.canvas.clicked.connect(self._pick)
        self.canvas.outdated.connect(self._draw_soon)
        events = self.state.events
        self.follow((events.result, self._show_result), (events.selected, self._draw_soon))
        self._show_result()

    def _build(self) -> None:
        self.kind = ComboBox(choices=tuple(PLOTS.values()), tooltip="What is drawn.")
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
            shorten(box.native, 8)
            self._rows.addRow(name, box.native)
        self.canvas = PlotCanvas()
        self.statistics = QPlainTextEdit()
        self.statistics.setReadOnly(True)
        self.statistics.setMaximumHeight(STATISTICS_HEIGHT)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._rows)
        column.addWidget(self.canvas, stretch=1)
        column.addWidget(self.statistics)
        # It scrolls where the window is low, the button stays.
        self.area = UpAndDown(content)
        self.whole.addWidget(self.area, stretch=1)
        self.whole.addWidget(self.message)
        self.whole.addWidget(self.save.native)

    # -- the choice --------------------------------------------------------------------

    def _show_result(self) -> None:
        """Offer the columns and conditions of the last table, and draw it."""
        table, result = self._table, self.state.result
        self._columns = {} if table is None or result is None else columns_of(table, result.record)
        columns = [one.name for one in self._columns.values() if one.kind == "measurement"]
        conditions = [] if table is None else sorted(set(table[CONDITION]) - {""})
        usual = next(iter(measurements(self._columns)), None)
        _offer(self.column, [(name, name) for name in columns], usual)
        if result is not None:
            assay = registry()[result.record["settings"]["assay"]]
            kinds = [PLOTS[kind] for kind in assay.plots]
            _offer(self.kind, [(name, name) for name in kinds], kinds[0])
        # Two conditions are meant to be compared.
        usual_pair = conditions if len(conditions) == 2 else (None, None)
        for box, name in zip((self.negative, self.positive), usual_pair, strict=True):
            _offer(box, [ALL, *((_in_list(name), name) for name in conditions)], name)
        self._show_choice()
        self._draw_soon()

    def _show_choice(self) -> None:
        """Show the choice of conditions where it counts."""
        for box in (self.negative, self.positive):
            self._rows.setRowVisible(box.native, self.kind.value == CONDITIONS)

    @property
    def _table(self) -> pd.DataFrame | None:
        return None if self.state.result is None else self.state.result.table

    @property
    def wish(self) -> Wish | None:
        """The chosen plot of the last table; None without one."""
        result, column = self.state.result, self.column.value
        if result is None or column is None:
            return None
        negative, positive = self.negative.value, self.positive.value
        pair = None if negative is None or positive is None else (negative, positive)
        selected = self.state.selected
        kind, columns = self.kind.value, self._columns
        return Wish(result.table, column, kind, pair, selected, columns, result.record)

    # -- drawing -----------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something is drawn, saved, or about to be."""
        return bool(self._drawing or self._saving or self._timer.isActive())

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Draw what came while the plot could not be seen."""
        super().showEvent(event)
        self._draw_soon()

    def _draw_soon(self) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._timer.start(WAIT)

    def _draw(self) -> None:
        """Have the chosen plot drawn in a thread, one at a time."""
        self._again = self._drawing is not None
        if self._again:
            return
        wish = self.wish
        if wish is None:
            self._show_picture(DrawnPlot(problem=EMPTY))
            return
        worker = create_worker(draw, wish, self.canvas.screen_now)
        self._drawing = wish, worker
        worker.returned.connect(self._show_picture)
        worker.start()

    def _show_picture(self, picture: DrawnPlot) -> None:
        drawn, self._drawing = self._drawing, None
        self.plot = picture.plot
        self._names = drawn[0].names if drawn and picture.plot else []
        there = picture.pixels is not None
        if picture.pixels is not None:
            self.canvas.show_pixels(picture.pixels)
        self.canvas.setVisible(there)
        self.save.enabled = there and self._saving is None
        self.statistics.setPlainText("\n".join(picture.statistics))
        self.statistics.setVisible(bool(picture.statistics))
        # A plot that is drawn again leaves what is said of the saved one.
        if picture.problem or self._problem:
            self._say(Message(picture.problem))
        self._problem = picture.problem
        if picture.error is not None:
            notification_manager.receive_error(
                type(picture.error), picture.error, picture.error.__traceback__
            )
        if self._again:
            self._draw()

    def _pick(self, x: float, y: float) -> None:
        """Select the cell whose point was clicked."""
        name = None if self.plot is None else self.plot.cell_at(x, y)
        if name is not None:
            self.state.selected = (self._names.index(name),)

    def _save(self) -> None:
        wish, result = self.wish, self.state.result
        path = ask_where(self, "Save plot", "plot.png", PICTURES)
        if path is None or wish is None or result is None:
            return
        self._saving = worker = create_worker(save, wish, path, result.record)
        self.save.enabled = False
        worker.returned.connect(self._saved)
        worker.start()

    def _saved(self, message: Message) -> None:
        self._saving = None
        self.save.enabled = self.plot is not None
        self._say(message)

    def _say(self, message: Message) -> None:
        self.message.show_message(message)


def _in_list(condition: str) -> str:
    """Return a condition's name on one line, told apart from what stands for all."""
    name = for_terminal(condition)
    return f"'{name}'" if name == ALL[0] else name


def _offer(box: ComboBox, choices: Sequence[tuple[str, str | None]], otherwise: str | None) -> None:
    """Offer other choices; what was chosen stays chosen where it is still there."""
    before = box.value
    values = [value for _, value in choices]
    with box.changed.blocked():
        box.choices = ()
        box.choices = choices
        if choices:
            kept = before is not None and before in values
            box.value = before if kept else otherwise if otherwise in values else values[0]
    for row, value in enumerate(values):
        box.native.setItemData(row, for_qt(value or ""), Qt.ItemDataRole.ToolTipRole)
