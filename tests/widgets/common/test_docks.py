"""Docks of the plugin in a real window, as they are opened by menu, button and script."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from napari._app_model import get_app_model
from qtpy.QtWidgets import QDockWidget
from widget_bench import lr_cells

from napari_rls.search.settings import Settings
from napari_rls.widgets.cells.input_state import FIELD
from napari_rls.widgets.common import docks
from napari_rls.widgets.common.docks import Dock, open_dock
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.common.state import Phase

pytestmark = pytest.mark.canvas

NAMES = {
    "super_resolve": docks.SUPER_RESOLVE,
    "field": FIELD,
    "compare": docks.COMPARE,
    "train": docks.TRAIN,
    "measure": docks.MEASURE,
    "plots": docks.PLOTS,
}


@pytest.fixture
def viewer(make_napari_viewer, tiny_bundle_file):
    settings_file().parent.mkdir(parents=True)
    Settings(bundle=str(tiny_bundle_file), samples=0).save(settings_file())
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.showNormal()
    viewer.window.resize(1366, 768)
    return viewer


def test_layers_can_be_made_while_units_are_read() -> None:
    # In a process of its own: units are read once.
    script = """
from threading import Thread
import numpy as np
from napari.layers import Image
from napari_rls.widgets.common.background import warm_up_layers
thread = Thread(target=warm_up_layers)
thread.start()
thread.join(0.2)
images = [Image(np.zeros((2, 2))) for _ in range(50)]
thread.join()
images.append(Image(np.zeros((2, 2))))
assert len({image.units for image in images}) == 1
assert images[0].extent.units == images[-1].extent.units
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def by_menu(command: str) -> None:
    get_app_model().commands.execute_command(f"napari-rls.{command}")


def main_window(viewer):
    return viewer.window._qt_window


def ours(viewer) -> list[QDockWidget]:
    """Return the docks that hold a widget of the plugin."""
    found = main_window(viewer).findChildren(QDockWidget)
    return [dock for dock in found if isinstance(dock.widget(), Dock)]


def shown(viewer) -> list[str]:
    """Return what the tabs say of the docks that can be seen."""
    return [d.windowTitle() for d in ours(viewer) if not d.visibleRegion().isEmpty()]


def test_all_docks_of_the_menu_are_tabs_of_one_group_and_leave_room(viewer, qtbot):
    for command in NAMES:
        by_menu(command)
    first = ours(viewer)[0]
    qtbot.waitUntil(lambda: len(main_window(viewer).tabifiedDockWidgets(first)) == 5)
    qtbot.waitUntil(lambda: shown(viewer) == ["Plots"])
    assert main_window(viewer).size().width() == 1366
    assert main_window(viewer).size().height() == 768
    assert main_window(viewer).minimumSizeHint().height() < 700
    for dock in ours(viewer):
        dock.widget().bring_up()
        qtbot.waitUntil(lambda dock=dock: shown(viewer) == [dock.windowTitle()])
        assert dock.height() > 600
        assert viewer.window._qt_viewer.canvas.native.width() > 500


def test_plots_are_beside_the_table_where_there_is_room(viewer, qtbot):
    viewer.window.resize(1600, 768)
    by_menu("measure")
    by_menu("super_resolve")
    qtbot.waitUntil(lambda: shown(viewer) == ["Super-resolve"])
    by_menu("plots")
    qtbot.waitUntil(lambda: set(shown(viewer)) == {"Super-resolve", "Plots"})
    by_menu("train")
    qtbot.waitUntil(lambda: set(shown(viewer)) == {"Train", "Plots"})
    assert all(dock.height() > 600 for dock in ours(viewer))
    assert viewer.window._qt_viewer.canvas.native.width() >= docks.LEAST_CANVAS - 50


def test_scripts_and_buttons_find_the_dock_of_the_menu(viewer, qtbot):
    by_menu("super_resolve")
    (title,) = viewer.window.dock_widgets
    widget = viewer.window.dock_widgets[title]
    by_menu("train")
    qtbot.waitUntil(lambda: shown(viewer) == ["Train"])
    assert open_dock(viewer, docks.SUPER_RESOLVE) is widget
    qtbot.waitUntil(lambda: shown(viewer) == ["Super-resolve"])
    assert len(ours(viewer)) == 2


@pytest.mark.parametrize("command", NAMES)
def test_the_menu_knows_a_dock_that_a_button_opened(viewer, qtbot, command):
    widget = open_dock(viewer, NAMES[command])
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1)
    by_menu(command)  # it is ticked there, and so a click hides it
    qtbot.waitUntil(lambda: widget.parent().isHidden())
    by_menu(command)
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1)
    assert [dock.widget() for dock in ours(viewer)] == [widget]


def test_a_dock_that_a_script_named_otherwise_moves_with_all_it_holds(viewer, qtbot):
    _, widget = viewer.window.add_plugin_dock_widget("napari-rls", docks.SUPER_RESOLVE)
    widget.main.fields["steps"].value = 77
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1)
    by_menu("super_resolve")
    title = "Super-resolve cells (RLS super-resolution)"
    qtbot.waitUntil(lambda: list(viewer.window.dock_widgets) == [title])
    assert viewer.window.dock_widgets[title] is widget
    assert widget.main.fields["steps"].value == 77
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1)
    by_menu("super_resolve")
    qtbot.waitUntil(lambda: shown(viewer) == [])


def test_a_click_on_the_menu_brings_a_dock_up_that_is_behind_another(viewer, qtbot):
    by_menu("super_resolve")
    by_menu("measure")
    qtbot.waitUntil(lambda: shown(viewer) == ["Measure"])
    by_menu("super_resolve")
    qtbot.waitUntil(lambda: shown(viewer) == ["Super-resolve"])
    by_menu("super_resolve")
    qtbot.waitUntil(lambda: shown(viewer) == ["Measure"])


def test_a_dock_that_the_user_has_moved_stays_there(viewer, qtbot):
    from qtpy.QtCore import Qt

    by_menu("super_resolve")
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1)
    (dock,) = ours(viewer)
    main_window(viewer).addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    by_menu("measure")
    qtbot.waitUntil(lambda: len(shown(viewer)) == 2)
    assert main_window(viewer).dockWidgetArea(dock) == Qt.DockWidgetArea.LeftDockWidgetArea
    assert main_window(viewer).tabifiedDockWidgets(dock) == []


def test_closing_a_dock_ends_its_run_and_the_next_one_is_new(viewer, qtbot):
    by_menu("super_resolve")
    viewer.add_image(lr_cells(), name="LR")
    (dock,) = ours(viewer)
    widget = dock.widget()
    widget.main.fields["steps"].value = 10_000
    state = widget.state
    widget.run.native.click()
    qtbot.waitUntil(lambda: state.progress.share > 0, timeout=60_000)
    dock.title.close_button.click()
    qtbot.waitUntil(lambda: state.phase is Phase.IDLE, timeout=10_000)
    viewer.add_image(np.zeros((4, 4)))  # reaches no dock that is gone
    by_menu("super_resolve")
    assert [found.widget() for found in ours(viewer)] != [widget]
    qtbot.waitUntil(lambda: len(shown(viewer)) == 1)
    assert ours(viewer)[0].widget().run.enabled
