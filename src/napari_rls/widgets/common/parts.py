"""Small Qt parts that all dock widgets share: texts, rows, the bar and the message of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from magicgui.widgets import PushButton
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QProgressBar,
    QScrollArea,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_rls.text import for_qt
from napari_rls.widgets.common.state import Level, Message, RunProgress

FULL = 1000
TEXT_MARGIN = 4
"""Pixels that Qt leaves free around the text of a box."""

_COLUMNS = 6
"""Columns of a grid of buttons, which rows of one, two and three share out."""

COLOURS = {
    Level.INFO: "",
    Level.WARNING: "color: #e8a33d",
    Level.ERROR: "color: #f0645a",
}


T = TypeVar("T")


def there(part: T | None) -> T:
    """Return a part that Qt's types say may be missing, where it never is."""
    assert part is not None
    return part


class RunBar(QProgressBar):
    """How far a run is, in the bar and in words."""

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0, FULL)

    def show_progress(self, progress: RunProgress) -> None:
        """Show how far it is."""
        # The text is in the bar, as a label would have the panel laid out anew each time,
        # and the bar is not to draw the whole window by itself, apart from the canvas.
        self.setUpdatesEnabled(False)
        self.setFormat(progress.text)
        self.setValue(round(progress.share * FULL))
        self.setUpdatesEnabled(True)


class TextLabel(QLabel):
    """Plain text that wraps, can be copied, and does not widen the dock."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        # A long path has no place to wrap.
        self.setMinimumWidth(1)

    def show_text(self, text: str) -> None:
        """Show a text; nothing takes no room."""
        self.setText(text)
        if self.parentWidget():
            self.setVisible(bool(text))

    def show_message(self, message: Message) -> None:
        """Show a sentence in the colour of its level; nothing without one."""
        self.setText(message.text)
        self.setToolTip(for_qt(message.text))
        self.setStyleSheet(COLOURS[message.level])
        self.setVisible(bool(message.text))


class PlainLabel(QLabel):
    """A label that shows its text as it is: names of others may look like markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)


def folded(title: str, *parts: QWidget) -> QCollapsible:
    """Return a closed section; its arrow points right while it is closed, down when open."""
    section = QCollapsible(title, collapsedIcon="▶")
    for part in parts:
        section.addWidget(part)
    return section


def allow(button: PushButton, obstacle: str, tooltip: str, *, now: bool = True) -> None:
    """Enable a button that can work; one that cannot says in its tooltip why."""
    button.enabled = now and not obstacle
    button.native.setToolTip(for_qt(obstacle or tooltip))


class _Shortened(QObject):
    """Draws the choice of a box with its middle left out where it is too long for it.

    Names of layers differ at their ends, in their channels, which Qt would cut off.
    """

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Draw the box in place of Qt."""
        painting = event is not None and event.type() == QEvent.Type.Paint
        if not painting or not isinstance(watched, QComboBox):
            return False
        option = QStyleOptionComboBox()
        watched.initStyleOption(option)
        style, complex_control = there(watched.style()), QStyle.ComplexControl.CC_ComboBox
        part = QStyle.SubControl.SC_ComboBoxEditField
        room = style.subControlRect(complex_control, option, part, watched).width() - TEXT_MARGIN
        middle = Qt.TextElideMode.ElideMiddle
        option.currentText = watched.fontMetrics().elidedText(option.currentText, middle, room)
        painter = QStylePainter(watched)
        painter.drawComplexControl(complex_control, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        return True


def shorten(box: QComboBox, letters: int) -> None:
    """Let long choices not widen a box of that many letters, and show their two ends."""
    box.setMinimumContentsLength(letters)
    box.setSizeAdjustPolicy(box.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.installEventFilter(_Shortened(box))


def form_rows() -> QFormLayout:
    """Return rows of a label and a field, which takes all the width that there is."""
    rows = QFormLayout()
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return rows


def button_grid(rows: Sequence[Sequence[PushButton]]) -> QGridLayout:
    """Return buttons in rows, each row of one, two or three that are as wide as each other."""
    grid = QGridLayout()
    for row, buttons in enumerate(rows):
        span = _COLUMNS // len(buttons)
        for column, button in enumerate(buttons):
            grid.addWidget(button.native, row, span * column, 1, span)
    for column in range(_COLUMNS):
        grid.setColumnStretch(column, 1)
    return grid


class UpAndDown(QScrollArea):
    """A scroll area as wide as what it holds, which is as high as its wrapped texts need."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Follow the size that the content wants."""
        sized = (QEvent.Type.LayoutRequest, QEvent.Type.Resize)
        if event is not None and event.type() in sized:
            content = there(self.widget())
            bar = there(self.verticalScrollBar()).sizeHint().width()
            self.setMinimumWidth(content.minimumSizeHint().width() + bar)
            # Qt asks how high a text is for a width that it has not, and squeezes it with others.
            layout = content.layout()
            if layout is not None and layout.hasHeightForWidth():
                content.setMinimumHeight(layout.minimumHeightForWidth(content.width()))
        return super().eventFilter(watched, event)


class AtMost(UpAndDown):
    """A text in as much height as it needs, up to some lines, beyond which it scrolls.

    Parameters
    ----------
    text
        The text; without it, nothing is there.
    lines
        How many lines there are without scrolling.
    """

    def __init__(self, text: TextLabel, lines: int) -> None:
        self._text, self._lines = text, lines
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(text)
        text.setAlignment(Qt.AlignmentFlag.AlignTop)
        super().__init__(content)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Follow the text."""
        done = super().eventFilter(watched, event)
        sized = (QEvent.Type.LayoutRequest, QEvent.Type.Resize)
        if event is not None and event.type() in sized:
            wanted = there(self.widget()).minimumHeight()
            most = self._lines * self._text.fontMetrics().lineSpacing()
            frame = self.contentsMargins()
            self.setFixedHeight(min(wanted, most) + frame.top() + frame.bottom())
            self.setVisible(not self._text.isHidden())
        return done
