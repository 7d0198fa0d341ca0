"""A picture of a plot in Qt: it takes the room that there is, and tells where it is clicked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QImage, QMouseEvent, QPainter, QPaintEvent, QPalette, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_rls.evaluation.figure_style import Look

SMALLEST = (240, 280)
"""Pixels, across and down, that axes, their names and a legend need."""


DPI = 100
"""Pixels of an inch on a screen of usual density."""

FONT = 8
"""Size of texts on a screen, in points."""


@dataclass(frozen=True)
class Screen:
    """Where a plot is shown: pixels across and down, how many to one of usual size, colours."""

    width: int
    height: int
    ratio: float
    paper: str
    ink: str

    @property
    def look(self) -> Look:
        """Colours and size of the figure."""
        from napari_rls.evaluation.figure_style import Look

        return Look(self.paper, self.ink, (self.width / DPI, self.height / DPI), FONT)

    def pixels(self, figure: Figure) -> NDArray[np.uint8]:
        """Draw a figure (H, W, 4); meant for a thread, as matplotlib takes seconds to import."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure.set_dpi(DPI * self.ratio)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.array(canvas.buffer_rgba(), np.uint8)


class PlotCanvas(QWidget):
    """A picture; ``clicked`` carries a place in its pixels from the lower left corner.

    ``outdated`` tells that it would look different if it was drawn again.

    Parameters
    ----------
    smallest
        Its least width and height in pixels.
    """

    clicked = Signal(float, float)
    outdated = Signal()

    def __init__(self, smallest: tuple[int, int] = SMALLEST) -> None:
        super().__init__()
        self._smallest = smallest
        self.setMinimumSize(*smallest)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._image: QImage | None = None

    @property
    def screen_now(self) -> Screen:
        """Size and colours that a picture should have."""
        palette = self.palette()
        return Screen(
            max(self.width(), self._smallest[0]),
            max(self.height(), self._smallest[1]),
            self.devicePixelRatioF(),
            palette.color(QPalette.ColorRole.Window).name(),
            palette.color(QPalette.ColorRole.WindowText).name(),
        )

    def show_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """Show a picture (H, W, 4)."""
        height, width = pixels.shape[:2]
        image = QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
        self._image = image.copy()  # the bytes are not kept
        self.update()

    # -- what Qt tells -----------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the picture, stretched until one of this size is there."""
        if self._image is not None:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self.rect(), self._image)
            painter.end()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Ask for a picture of the new size."""
        super().resizeEvent(event)
        self.outdated.emit()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Ask for a picture in the new colours."""
        super().changeEvent(event)
        looks = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
        if event is not None and event.type() in looks:
            self.outdated.emit()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Tell where the picture was clicked."""
        left = event is not None and event.button() is Qt.MouseButton.LeftButton
        if event is not None and left and self._image is not None:
            place: Any = event.position()
            across = place.x() / self.width() * self._image.width()
            up = (1 - place.y() / self.height()) * self._image.height()
            self.clicked.emit(across, up)
