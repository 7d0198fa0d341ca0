"""A window with the dock of fields, and settings that take no time."""

from __future__ import annotations

import pytest
from field_bench import BUNDLE
from field_window import give

from napari_rls.search.settings import Settings
from napari_rls.widgets.common.memory import settings_file
from napari_rls.widgets.fields.field_dock import FieldWidget


@pytest.fixture
def viewer(make_napari_viewer):
    path = settings_file().with_name("field.json")
    path.parent.mkdir(parents=True)
    Settings(bundle=BUNDLE, steps=3, samples=0, threads=1).save(path)
    return make_napari_viewer()


@pytest.fixture
def dock(viewer) -> FieldWidget:
    widget = viewer.window.add_plugin_dock_widget("napari-rls", "Super-resolve a field")[1]
    give(widget, noise="100,2,4")
    return widget
