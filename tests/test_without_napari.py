"""The package without its extra ``napari``, as on a cluster: all but the widgets works."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import napari_rls

OF_THE_EXTRA = ("magicgui", "napari", "npe2", "psygnal", "qtpy", "superqt")

NOT_INSTALLED = f"""
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OF_THE_EXTRA}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", NOT_INSTALLED + code, *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_every_module_but_those_of_the_widgets_can_be_imported() -> None:
    names = [
        module.name
        for module in pkgutil.walk_packages(napari_rls.__path__, "napari_rls.")
        if not module.name.startswith("napari_rls.widgets")
    ]
    assert "napari_rls.cli.main" in names
    assert len(names) > 100
    code = "import importlib\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    done = python(code, *names)
    assert (done.returncode, done.stderr) == (0, "")


def test_commands_run(tiny_bundle_file: Path, tmp_path: Path) -> None:
    command = "from napari_rls.cli.main import app\napp()\n"
    fast = ("--bundle", tiny_bundle_file, "--factor", 4, "--steps", 2, "--device", "cpu")
    done = python(command, "demo", "--cells", 2, "--out", tmp_path / "demo", *fast)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "demo.png").is_file()
    lr = tmp_path / "demo" / "demo_LR4x.ome.tif"
    done = python(command, "super-resolve", lr, "--out", tmp_path / "out", "--samples", 0, *fast)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "demo_LR4x_SR4x.ome.tif").is_file()


def test_a_window_is_refused_in_a_sentence() -> None:
    spec = importlib.util.find_spec("napari_rls.widgets.__main__")
    assert spec is not None
    hide = (
        "import importlib.util as util, runpy\n"
        "util.find_spec = lambda name, *_: None\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    done = python(hide, spec.origin)
    assert done.returncode == 1
    assert done.stderr.startswith("napari is not installed here: run pip install 'napari-rls[")
    assert len(done.stderr.splitlines()) == 1
