"""Super-resolution of single cells by Regularized Latent Search, in napari and without.

``dir(napari_rls)`` lists the public interface. From an array to files to a table::

    resolver = SuperResolver("bbbc013-translocation-64", Settings(factor=8))
    result = resolver.run(lr)
    result.save("cells_SR8x.ome.tif")
    measured = measure_cells(result)
    write_table("cells.csv", measured.table, measured.record)

torch is imported with the first use of what needs it, not with the package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from napari_rls.version import __version__

if TYPE_CHECKING:
    from napari_rls.api import measure_cells, read_cells, read_table, write_cells, write_table
    from napari_rls.errors import BundleError, InputError, SettingsError, TableError, UserError
    from napari_rls.measure.cells import MeasureSettings
    from napari_rls.models.bundle import Bundle, load_bundle
    from napari_rls.search.noise import NoiseModel, estimate_noise
    from napari_rls.search.operators import Imaging, OperatorKind
    from napari_rls.search.optics import Optics
    from napari_rls.search.presets import Method
    from napari_rls.search.settings import Settings
    from napari_rls.workflow.cells.degrade import degrade
    from napari_rls.workflow.cells.lr_field import degrade_field
    from napari_rls.workflow.cells.stack import CellStack
    from napari_rls.workflow.cells.stack import stack_from_array as cells_from_array
    from napari_rls.workflow.fields.field_result import FieldResult, FieldUpdate
    from napari_rls.workflow.fields.field_settings import FieldSettings
    from napari_rls.workflow.fields.resolve_field import FieldResolver
    from napari_rls.workflow.measure.measurements import Measurements
    from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
    from napari_rls.workflow.super_resolve.resolver import SuperResolver
    from napari_rls.workflow.super_resolve.sr_result import Result
    from napari_rls.workflow.super_resolve.updates import Update

_HOMES = {
    "Bundle": "models.bundle",
    "BundleError": "errors",
    "CellStack": "workflow.cells.stack",
    "FieldResolver": "workflow.fields.resolve_field",
    "FieldResult": "workflow.fields.field_result",
    "FieldSettings": "workflow.fields.field_settings",
    "FieldUpdate": "workflow.fields.field_result",
    "Imaging": "search.operators",
    "InputError": "errors",
    "MeasureSettings": "measure.cells",
    "Measurements": "workflow.measure.measurements",
    "Method": "search.presets",
    "NoiseModel": "search.noise",
    "OperatorKind": "search.operators",
    "Optics": "search.optics",
    "Result": "workflow.super_resolve.sr_result",
    "Settings": "search.settings",
    "SettingsError": "errors",
    "SuperResolver": "workflow.super_resolve.resolver",
    "TableError": "errors",
    "Update": "workflow.super_resolve.updates",
    "UserError": "errors",
    "cells_from_array": "workflow.cells.stack",
    "degrade": "workflow.cells.degrade",
    "degrade_field": "workflow.cells.lr_field",
    "estimate_noise": "search.noise",
    "load_bundle": "models.bundle",
    "measure_cells": "api",
    "read_cells": "api",
    "read_table": "api",
    "super_resolve": "workflow.super_resolve.kept_resolver",
    "write_cells": "api",
    "write_table": "api",
}
"""The modules of the public names."""

_OTHERWISE = {"cells_from_array": "stack_from_array"}
"""What they are called there, if otherwise."""

__all__ = [
    "Bundle",
    "BundleError",
    "CellStack",
    "FieldResolver",
    "FieldResult",
    "FieldSettings",
    "FieldUpdate",
    "Imaging",
    "InputError",
    "MeasureSettings",
    "Measurements",
    "Method",
    "NoiseModel",
    "OperatorKind",
    "Optics",
    "Result",
    "Settings",
    "SettingsError",
    "SuperResolver",
    "TableError",
    "Update",
    "UserError",
    "__version__",
    "cells_from_array",
    "degrade",
    "degrade_field",
    "estimate_noise",
    "load_bundle",
    "measure_cells",
    "read_cells",
    "read_table",
    "super_resolve",
    "write_cells",
    "write_table",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"napari_rls.{_HOMES[name]}"), _OTHERWISE.get(name, name))


def __dir__() -> list[str]:
    return list(__all__)
