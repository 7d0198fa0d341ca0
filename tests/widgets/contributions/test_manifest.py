from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from napari._app_model.constants import MenuId
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

import napari_rls


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_file(Path(napari_rls.__file__).with_name("napari.yaml"))


def test_the_manifest_is_valid_and_announced(manifest):
    manifest.validate_imports()
    assert manifest.display_name == "RLS super-resolution"
    (entry,) = distribution("napari-rls").entry_points.select(group="napari.manifest")
    assert entry.value == "napari_rls:napari.yaml"


def test_every_command_is_something_to_call(manifest):
    for command in manifest.contributions.commands:
        assert callable(import_python_name(command.python_name))


def test_what_the_plugin_offers(manifest):
    offered = manifest.contributions
    assert [w.display_name for w in offered.widgets] == [
        "Super-resolve cells",
        "Super-resolve a field",
        "Compare methods",
        "Train a bundle",
        "Measure cells",
        "Plots of measurements",
    ]
    assert [w.filename_extensions for w in offered.writers] == [
        [".csv", ".parquet", ".h5ad"],
        [".ome.tif", ".ome.tiff", ".tif", ".tiff"],
        *[[]] * 3,
    ]
    assert [s.display_name for s in offered.sample_data] == [
        "Generated LR cells (not real)",
        "BBBC013 (download)",
        "Simulated LR field (not real)",
        "Simulated Golgi cells (not real)",
        "Simulated translocation cells (not real)",
    ]
    menus = {MenuId(name) for name in offered.menus}
    assert menus <= MenuId.contributables()


HEAVY = """
import sys
import {module}
heavy = [name for name in ("torch", "nflows") if name in sys.modules]
sys.exit(", ".join(heavy) or 0)
"""


MODULES = (
    "super_resolve.super_resolve_dock",
    "super_resolve.super_resolve_controller",
    "common.worker",
    "common.docks",
    "measure.measure_dock",
    "measure.plots_dock",
    "compare.compare_dock",
    "fields.field_dock",
    "train.train_dock",
    "contributions.dock_widgets",
    "contributions.image_writers",
    "contributions.reader",
    "contributions.sample_data",
    "contributions.table_writer",
)


@pytest.mark.parametrize("module", MODULES)
def test_opening_the_plugin_does_not_import_torch(module):
    code = HEAVY.format(module=f"napari_rls.widgets.{module}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
