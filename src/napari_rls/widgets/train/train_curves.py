"""Losses, ADA and KID against the thousands of images shown, drawn by matplotlib."""

from __future__ import annotations

import time
from textwrap import fill
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtGui import QPalette, QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_rls.widgets.train.train_state import Curves

FASTEST, SLOWEST = 1.5, 10.0
"""Least and greatest time between two drawings, in seconds."""

SHARE = 0.1
"""Share of the GUI thread's time that drawing may take, where that is possible."""

LINE = 30
"""Letters of a text that fit into a plot side by side."""

HEIGHT = 300
MARGINS = {"left": 0.19, "right": 0.98, "top": 0.95, "bottom": 0.11, "hspace": 0.2}
COLOURS = ("#4c9be8", "#e8a33d", "#7fc97f")


class CurvesPlot(QWidget):
    """Three plots, one above the other, over the same kimg.

    matplotlib is imported when there is something to draw, and draws only while the plots
    can be seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(HEIGHT)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._curves: Curves | None = None
        self._no_score = ""
        self._drawn_scores = 0
        self._pause = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw)
        self.axes: tuple[Axes, ...] = ()

    def show_curves(self, curves: Curves, no_score: str) -> None:
        """Draw these curves soon; ``no_score`` is what to say where there is no KID."""
        self._curves, self._no_score = curves, no_score
        if not curves.reports or not self.isVisible():
            return
        # The first at once, later ones together; a score stands beside the plot in numbers.
        if len(curves.measured) != self._drawn_scores:
            self._timer.start(0)
        elif not self._timer.isActive():
            self._timer.start(round(self._pause * 1000))

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Draw what came while the plots could not be seen."""
        super().showEvent(event)
        if self._curves is not None:
            self.show_curves(self._curves, self._no_score)

    def _make(self) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        palette = self.palette()
        back = palette.color(QPalette.ColorRole.Window).name()
        self._ink = palette.color(QPalette.ColorRole.WindowText).name()
        figure = Figure(facecolor=back)
        # A layout that matplotlib finds by itself draws everything twice.
        figure.subplots_adjust(**MARGINS)
        self._canvas = FigureCanvasQTAgg(figure)
        self._column.addWidget(self._canvas)
        self.axes = tuple(figure.subplots(3, 1, sharex=True))
        for axes in self.axes:
            axes.set_facecolor(back)

    def _draw(self) -> None:
        if not self.axes:
            self._make()
        began = time.perf_counter()
        assert self._curves is not None
        curves = self._curves
        losses, ada, kid = self.axes
        for axes in self.axes:
            axes.clear()
        kimg = [report.images / 1000 for report in curves.reports]
        for values, label, colour in (
            ([r.discriminator_loss for r in curves.reports], "D", COLOURS[0]),
            ([r.generator_loss for r in curves.reports], "G", COLOURS[1]),
        ):
            losses.plot(kimg, values, label=label, color=colour, **_mark(kimg))
        for values, label, colour in (
            ([r.ada_p for r in curves.reports], "ADA p", COLOURS[0]),
            ([r.real_sign for r in curves.reports], "sign of D", COLOURS[1]),
        ):
            ada.plot(kimg, values, label=label, color=colour, **_mark(kimg))
        scores = curves.measured
        self._drawn_scores = len(scores)
        kid.errorbar(
            [score.images / 1000 for score in scores],
            [score.kid for score in scores],
            [score.kid_std for score in scores],
            color=COLOURS[0],
            marker=".",
            capsize=2,
        )
        if best := curves.best:
            where = [best.images / 1000], [best.kid]
            kid.plot(*where, "o", color=COLOURS[2], label="best")
        if not scores:
            kid.set_yticks([])
            centre: dict[str, Any] = {"transform": kid.transAxes, "ha": "center", "va": "center"}
            text = fill(self._no_score, LINE)
            kid.text(0.5, 0.5, text, color=self._ink, fontsize=8, **centre)
        self._label(losses, "loss")
        self._label(ada, "ADA")
        self._label(kid, "KID")
        kid.set_xlabel("kimg", color=self._ink, fontsize=8)
        self._canvas.draw()
        self._pause = min(max((time.perf_counter() - began) / SHARE, FASTEST), SLOWEST)

    def _label(self, axes: Axes, name: str) -> None:
        axes.set_ylabel(name, color=self._ink, fontsize=8)
        axes.tick_params(colors=self._ink, labelsize=7)
        axes.yaxis.get_offset_text().set(color=self._ink, fontsize=7)
        axes.grid(alpha=0.2)
        for spine in axes.spines.values():
            spine.set_color(self._ink)
            spine.set_alpha(0.4)
        if axes.get_legend_handles_labels()[1]:
            # Above the plot, where no curve can be.
            axes.legend(
                loc="lower right",
                bbox_to_anchor=(1, 0.97),
                ncols=2,
                fontsize=7,
                frameon=False,
                borderpad=0,
                labelcolor=self._ink,
            )


def _mark(points: list[float]) -> dict[str, Any]:
    """Return a marker where points are few: a line of a single one is not seen."""
    return {"marker": "."} if len(points) < 30 else {}
