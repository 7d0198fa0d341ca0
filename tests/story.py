"""A user in a real window: clicks on menus, tabs and buttons, and what is then to be seen.

``Window`` knows no widget by its name in the code: it finds menus, tabs and buttons by the text
that a user reads, and clicks on what can be seen alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread, get_ident

import napari
import numpy as np
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDockWidget,
    QLabel,
    QScrollArea,
    QTabBar,
    QWidget,
)

from napari_rls.widgets.common.docks import Dock

PLUGIN = "RLS super-resolution"
SLOW = 300
"""Seconds after which a step counts as hung."""

TICK = 10
"""Milliseconds between two calls of the timer that finds when the window is deaf."""


def plain(text: str) -> str:
    """Return what is read of a text with keyboard shortcuts."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&")


@dataclass
class Step:
    """What a user did: how long it took and the longest time the window did not answer, seconds.

    ``of_its_own`` is the greatest part that the GUI thread computed itself in one such time: what
    would be left of it on a machine that has nothing else to do. ``during`` is what the GUI
    thread was doing in the longest, if it was long.
    """

    name: str
    seconds: float
    longest_block: float
    of_its_own: float
    during: str = ""


def _now() -> tuple[float, float]:
    """Return the time, and the time for which this thread has computed, in seconds."""
    return time.perf_counter(), time.thread_time()


class Watch:
    """Finds when the GUI thread does not answer, and what it is doing then."""

    LONG = 0.2

    def __init__(self) -> None:
        self._ticks = [_now()]
        self._seen: list[tuple[float, str]] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(lambda: self._ticks.append(_now()))
        self._timer.start(TICK)
        self._watched, self._stopped = get_ident(), Event()
        Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        """Let the window alone."""
        self._timer.stop()
        self._stopped.set()

    def longest(self, begun: tuple[float, float]) -> tuple[float, float, str]:
        """Return the longest gap since a time, the most computed in one, and what was done."""
        times = np.array([begun, *(t for t in self._ticks if t > begun), _now()])
        gaps, computed = np.diff(times, axis=0).T
        start, end = times[gaps.argmax()][0], times[gaps.argmax() + 1][0]
        looks = Counter(what for when, what in self._seen if start < when < end)
        self._ticks, self._seen = self._ticks[-1:], []
        said = looks.most_common(1)[0][0] if looks else ""
        return float(gaps.max()), float(computed.max()), said

    def _look(self) -> None:
        while not self._stopped.wait(self.LONG / 4):
            if time.perf_counter() - self._ticks[-1][0] > self.LONG:
                frame = sys._current_frames()[self._watched]
                calls = [
                    f"{Path(c.filename).stem}.{c.name}" for c in traceback.extract_stack(frame)
                ]
                ours = [
                    f"{Path(c.filename).stem}.{c.name}"
                    for c in traceback.extract_stack(frame)
                    if "napari_rls" in c.filename
                ]
                self._seen.append((time.perf_counter(), " > ".join([*ours[-2:], calls[-1]])))


@dataclass
class Window:
    """A napari window of a size, and its user."""

    viewer: napari.Viewer
    width: int
    height: int
    pictures: Path | None = field(
        default_factory=lambda: (
            Path(os.environ["NAPARI_RLS_PICTURES"]) if "NAPARI_RLS_PICTURES" in os.environ else None
        )
    )
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.main = self.viewer.window._qt_window
        self.main.showNormal()
        self.main.resize(self.width, self.height)
        self.complaints: list[str] = []
        notification_manager.notification_ready.connect(self._note)
        self._watch = Watch()
        self.rest()

    def close(self) -> None:
        """Stop listening and let go of the viewer, which is its maker's to close."""
        self._watch.stop()
        notification_manager.notification_ready.disconnect(self._note)
        if log := os.environ.get("NAPARI_RLS_STEPS"):
            window = {"window": f"{self.width}x{self.height}"}
            with Path(log).open("a") as file:
                file.writelines(json.dumps(window | asdict(step)) + "\n" for step in self.steps)
        self.viewer = self.main = None

    def _note(self, notification) -> None:
        if notification.severity >= NotificationSeverity.WARNING:
            self.complaints.append(notification.message)

    # -- what the user does ----------------------------------------------------------------

    @contextmanager
    def step(self, name: str):
        """Time a step, look at the window after it, and keep a picture of it."""
        self.rest(0.2)
        begun = _now()
        yield
        seconds = time.perf_counter() - begun[0]
        self.rest(0.3)
        self.steps.append(Step(name, seconds, *self._watch.longest(begun)))
        assert not self.complaints, f"{name}: {self.complaints}"
        assert (self.main.width(), self.main.height()) == (self.width, self.height), name
        if self.pictures:
            stem = f"{self.width}-{len(self.steps):02d}-{name.replace(' ', '-')}"
            self.main.grab().save(str(self.pictures / f"{stem}.png"))

    def menu(self, *texts: str) -> None:
        """Choose an entry of the menu bar."""
        menu = self.main.menuBar()
        for text in texts:
            if menu is not self.main.menuBar():
                menu.aboutToShow.emit()
            action = next(a for a in menu.actions() if plain(a.text()) == text)
            menu = action.menu()
        action.trigger()
        self.rest()

    def open_dock(self, name: str) -> Dock:
        """Open a dock by the Plugins menu; return its widget."""
        title = f"{name} ({PLUGIN})"
        self.menu("Plugins", PLUGIN, title)
        self.until(lambda: title in self.viewer.window.dock_widgets)
        widget = self.viewer.window.dock_widgets[title]
        self.until(lambda: seen(widget))
        return widget

    def open_sample(self, name: str) -> None:
        """Open sample data by the File menu."""
        self.menu("File", "Open Sample", PLUGIN, name)

    def tab(self, text: str) -> None:
        """Click on a tab of the docks, or of the dock that is in front."""
        for bar in self.main.findChildren(QTabBar):
            for k in range(bar.count()):
                if bar.tabText(k) == text and seen(bar):
                    where = bar.tabRect(k).center()
                    QTest.mouseClick(bar, Qt.MouseButton.LeftButton, pos=where)
                    self.rest()
                    return
        raise AssertionError(f"there is no tab {text}")

    def button(self, text: str) -> QAbstractButton:
        """Return the button of a text in the dock that is in front, scrolled into view."""
        buttons = [b for d in self.docks for b in d.findChildren(QAbstractButton)]
        wanted = [b for b in buttons if plain(b.text()) == text and b.isVisibleTo(self.main)]
        for button in wanted:
            scroll_to(button)
        self.rest()
        wanted = [button for button in wanted if seen(button)]
        assert len(wanted) == 1, f"{len(wanted)} buttons {text} can be seen"
        return wanted[0]

    def click(self, text: str) -> None:
        """Click on a button that can be seen and is enabled."""
        button = self.button(text)
        assert button.isEnabled(), f"{text} is disabled"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.rest()

    # -- what the user sees ------------------------------------------------------------------

    @property
    def docks(self) -> list[QDockWidget]:
        """Our docks."""
        found = self.main.findChildren(QDockWidget)
        return [dock for dock in found if isinstance(dock.widget(), Dock)]

    @property
    def names(self) -> list[str]:
        """Names of the layers."""
        return [layer.name for layer in self.viewer.layers]

    def says(self, words: str) -> bool:
        """Whether a dock that is in front says something."""
        labels = [label for dock in self.docks for label in dock.findChildren(QLabel)]
        return any(words in label.text() for label in labels if seen(label))

    def written(self) -> int:
        """Return how many layers have their names written over them."""
        return sum(layer.name_overlay.visible for layer in self.viewer.layers)

    def canvas(self) -> np.ndarray:
        """Return the canvas as it is drawn, (height, width, 3), 0 to 1."""
        self.rest()
        return self.viewer.screenshot(canvas_only=True, flash=False)[..., :3] / 255

    def until(self, reached: Callable[[], bool], seconds: float = SLOW) -> None:
        """Let napari work until something holds."""
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, self.texts()
            QApplication.processEvents()
            # Without a rest this loop would keep the interpreter from threads.
            time.sleep(0.002)

    def rest(self, seconds: float = 0.1) -> None:
        """Let napari work for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def texts(self) -> list[str]:
        """Return all texts that can be read in the docks."""
        labels = [label for dock in self.docks for label in dock.findChildren(QLabel)]
        return [label.text() for label in labels if seen(label) and label.text()]

    def look_through_docks(self) -> list[str]:
        """Bring up every dock and all of its tabs; return what cannot be used there."""
        problems = []
        for dock in self.docks:
            if not seen(dock.widget()):
                self.tab(dock.windowTitle())
            inner = [bar for bar in dock.findChildren(QTabBar) if bar.isVisibleTo(dock)]
            for text in [bar.tabText(k) for bar in inner for k in range(bar.count())] or [""]:
                if text:
                    self.tab(text)
                problems += [f"{dock.windowTitle()}: {p}" for p in _unusable(dock)]
        return problems


def seen(widget: QWidget) -> bool:
    """Whether anything of a widget can be seen."""
    return widget.isVisible() and not widget.visibleRegion().isEmpty()


def scroll_to(widget: QWidget) -> None:
    """Scroll as a user does until a widget is in view."""
    around = widget.parentWidget()
    while around is not None:
        if isinstance(around, QScrollArea) and around.widget().isAncestorOf(widget):
            around.ensureWidgetVisible(widget)
        around = around.parentWidget()


def _unusable(dock: QDockWidget) -> list[str]:
    """Return buttons that cannot be scrolled into view at their full size."""
    problems = []
    for button in dock.findChildren(QAbstractButton):
        text = plain(button.text())
        if not text or not button.isVisibleTo(dock):
            continue
        scroll_to(button)
        QApplication.processEvents()
        shown, wanted = button.visibleRegion().boundingRect(), button.minimumSizeHint()
        if shown.height() < min(wanted.height(), button.sizeHint().height()):
            problems.append(f"{text} is {shown.height()} of {wanted.height()} pixels high")
        if shown.width() < wanted.width():
            problems.append(f"{text} is {shown.width()} of {wanted.width()} pixels wide")
    return problems
