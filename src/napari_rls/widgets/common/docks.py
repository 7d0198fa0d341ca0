"""Docks of the plugin: one of a kind in a window, tabs of one group, usable in a low window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from napari.plugins import menu_item_template
from npe2 import PluginManager
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QVBoxLayout, QWidget

from napari_rls.widgets.common.background import warm_up
from napari_rls.widgets.common.parts import UpAndDown, there

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from napari.components import ViewerModel
    from psygnal import SignalInstance

PLUGIN = "napari-rls"

SUPER_RESOLVE = "Super-resolve cells"
FIELD = "Super-resolve a field"
COMPARE = "Compare methods"
TRAIN = "Train a bundle"
MEASURE = "Measure cells"
PLOTS = "Plots of measurements"
"""Names that the manifest has for the docks."""

LEAST_CANVAS = 500
"""Pixels across that are left to the images where two docks are seen at once."""

SHOWN = 300
"""Milliseconds after which a new dock has been drawn."""


class OneOfAKind(type(QWidget)):  # type: ignore[misc]  # which class that is, Qt alone knows
    """Makes no second widget of a class where a window has one: its maker gets that one.

    napari knows docks by their titles, and the Plugins menu, ``add_plugin_dock_widget`` and
    scripts give the same widget different ones. Whoever opens a dock again moves the widget,
    with its settings and its run, to the new dock.
    """

    def __call__(cls, napari_viewer: napari.Viewer) -> Any:
        """Return the widget that the window has, or a new one."""
        # napari hands plugins a proxy, whose layers are proxies again: no layer would be
        # the one that an event names.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        window = getattr(viewer, "window", None)
        docked, kind = window.dock_widgets.values() if window else (), cast("Any", cls)
        found = next((widget for widget in docked if isinstance(widget, kind)), None)
        return found or super().__call__(viewer)


class Dock(QWidget, metaclass=OneOfAKind):
    """What all dock widgets of the plugin are; they fill ``whole``, which scrolls.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    tab: ClassVar[str] = ""
    """What its tab says, as short as six of them side by side ask for."""

    wants_own_place: ClassVar[bool] = False
    """Whether it is to be seen beside the others' tabs where the window is wide enough."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._dock: QDockWidget | None = None
        self._in_front = True
        self._apart = False
        body = _Body()
        self.whole = QVBoxLayout(body)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(UpAndDown(body))

    def event(self, event: QEvent | None) -> bool:
        """Settle once napari has put the dock into its window, or taken it out."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            QTimer.singleShot(0, self._settle if self.parent() else self._end)
        return super().event(event)

    def bring_up(self) -> None:
        """Show the dock before those that it shares tabs with."""
        dock = self._dock or self.parent()
        if isinstance(dock, QWidget):
            dock.show()
            dock.raise_()

    def follow(self, *pairs: tuple[SignalInstance, Callable[..., Any]]) -> None:
        """Connect events with slots until the dock is gone: what tells of them may live longer."""
        for signal, slot in pairs:
            signal.connect(slot)

        def disconnect() -> None:
            for signal, slot in pairs:
                signal.disconnect(slot, missing_ok=True)

        self.destroyed.connect(disconnect)

    def _settle(self) -> None:
        dock, before = self.parent(), self._dock
        if not isinstance(dock, QDockWidget) or dock is before:
            return
        self._dock = dock
        if before is not None:
            before.visibilityChanged.disconnect(self._follow_tab)
            self._viewer.window.remove_dock_widget(before)
        dock.setWindowTitle(self.tab)
        dock.visibilityChanged.connect(self._follow_tab)
        dock.destroyed.connect(self._forget_dock)
        main = dock.parent()
        if isinstance(main, QMainWindow) and not dock.isFloating():
            self._join_others(main, dock)
        self.bring_up()
        QTimer.singleShot(SHOWN, warm_up)

    def _join_others(self, main: QMainWindow, dock: QDockWidget) -> None:
        """Put the dock into the tabs of ours on its side of the window, or beside them."""
        area = main.dockWidgetArea(dock)
        ours = [
            other
            for other in main.findChildren(QDockWidget)
            if other is not dock
            and isinstance(widget := other.widget(), Dock)
            and not widget._apart
            and not other.isFloating()
            and main.dockWidgetArea(other) == area
        ]
        if not ours or set(ours) & set(main.tabifiedDockWidgets(dock)):
            return
        wanted = max(self.sizeHint().width(), self.minimumSizeHint().width())
        room = there(main.centralWidget()).width() - wanted
        self._apart = self.wants_own_place and room >= LEAST_CANVAS
        if self._apart:
            main.addDockWidget(area, dock, Qt.Orientation.Horizontal)
        else:
            main.tabifyDockWidget(ours[-1], dock)

    def _end(self) -> None:
        """End with the dock that the user has closed, and with it what it is doing."""
        if self.parent() is None:
            events = self._viewer.layers.events
            if follow := getattr(self, "reset_choices", None):
                for event in (events.inserted, events.removed, events.reordered, events.renamed):
                    event.disconnect(follow)
            self.deleteLater()

    def _follow_tab(self, visible: bool) -> None:
        """Come to the front where a click on the menu hides what is behind another tab."""
        hidden = self._dock is not None and self._dock.isHidden()
        if hidden and not self._in_front:
            QTimer.singleShot(0, self.bring_up)
        elif not hidden:
            self._in_front = visible

    def _forget_dock(self, dock: QDockWidget) -> None:
        if dock is self._dock:
            self._dock = None


class _Body(QWidget):
    """What a dock holds: it scrolls where it has less height than it needs, not than it likes."""

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Return the height that is needed: areas that scroll by themselves ask for more."""
        return there(self.layout()).minimumHeightForWidth(width)


def open_dock(viewer: napari.Viewer, name: str) -> Any:
    """Bring up a dock widget of the plugin, opened as by the Plugins menu if it is not open.

    Parameters
    ----------
    viewer
        The viewer in whose window it is.
    name
        What the manifest calls it.

    Returns
    -------
    Dock
        The widget.
    """
    manifest = PluginManager.instance().get_manifest(PLUGIN)
    contributed = {widget.display_name: widget for widget in manifest.contributions.widgets or ()}
    make: Any = contributed[name].get_callable()
    widget = make(viewer)
    if not isinstance(widget.parent(), QDockWidget):
        title = menu_item_template.format(manifest.display_name, name)
        viewer.window.add_dock_widget(widget, name=title)
    widget.bring_up()
    return widget
