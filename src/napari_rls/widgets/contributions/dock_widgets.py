"""The docks' classes by name, as the manifest names them, each imported beside the window."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from napari_rls.widgets.common.background import beside_the_window

MODULES = {
    "SuperResolveWidget": "napari_rls.widgets.super_resolve.super_resolve_dock",
    "FieldWidget": "napari_rls.widgets.fields.field_dock",
    "CompareWidget": "napari_rls.widgets.compare.compare_dock",
    "TrainWidget": "napari_rls.widgets.train.train_dock",
    "MeasureWidget": "napari_rls.widgets.measure.measure_dock",
    "PlotsWidget": "napari_rls.widgets.measure.plots_dock",
}


def __getattr__(name: str) -> Any:
    """Return a dock's class; what it imports would stop the window for a second or two."""
    if name not in MODULES:
        raise AttributeError(name)
    module = MODULES[name]
    if found := getattr(sys.modules.get(module), name, None):
        return found
    return getattr(beside_the_window(lambda: import_module(module)), name)
