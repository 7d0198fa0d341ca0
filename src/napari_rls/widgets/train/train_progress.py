"""What there is to see of a training run: its speed and scores in numbers, and its curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_rls.widgets.common.parts import TextLabel, UpAndDown
from napari_rls.widgets.train.train_curves import CurvesPlot

if TYPE_CHECKING:
    from napari_rls.widgets.train.train_state import Curves

FACTS = {
    "Images/s": (0, 0, 1),
    "ADA p": (0, 2, 1),
    "KID": (1, 0, 3),
    "Best KID": (2, 0, 3),
    "Device": (3, 0, 3),
}
"""What is told of a run, and where: row, column, columns that the value may take."""

EM_DASH = "\N{EM DASH}"


class TrainProgress(UpAndDown):
    """Facts of a run, and below them its curves."""

    def __init__(self) -> None:
        self.facts = {name: TextLabel() for name in FACTS}
        self.curves = CurvesPlot()
        grid = QGridLayout()
        for name, (row, place, span) in FACTS.items():
            grid.addWidget(QLabel(name), row, place)
            grid.addWidget(self.facts[name], row, place + 1, 1, span)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(grid)
        column.addWidget(self.curves, stretch=1)
        super().__init__(content)

    def show_device(self, text: str) -> None:
        """Show where training computes."""
        self.facts["Device"].setText(text or EM_DASH)

    def show_curves(self, curves: Curves, none: str) -> None:
        """Show a run's curves and its last numbers; ``none`` is what to say without a KID."""
        self.curves.show_curves(curves, none)
        report = curves.reports[-1] if curves.reports else None
        score = curves.measured[-1] if curves.measured else None
        texts = {
            "Images/s": f"{report.images_per_second:.1f}" if report else EM_DASH,
            "ADA p": f"{report.ada_p:.3f}" if report else EM_DASH,
            "KID": f"{score.kid:.3g} \N{PLUS-MINUS SIGN} {score.kid_std:.2g}" if score else none,
            "Best KID": none,
        }
        if best := curves.best:
            texts["Best KID"] = f"{best.kid:.3g} at {best.images / 1000:.1f} kimg"
        for name, text in texts.items():
            self.facts[name].setText(text)
