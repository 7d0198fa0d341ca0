"""What an import brings along: the first window and the first help text must come at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = [
    "napari_rls",
    "napari_rls.cli.main",
    "napari_rls.models.bundle_file",
    "napari_rls.models.catalogue",
    "napari_rls.models.intensity",
    "napari_rls.models.manifest",
    "napari_rls.search.settings",
    "napari_rls.workflow.cells.stack",
]
SHOW_HEAVY = "print(*sorted({'torch', 'napari', 'qtpy', 'magicgui'} & set(sys.modules)))"


def heavy_modules_after(statements: str) -> list[str]:
    """Return which heavy packages a new interpreter holds after ``statements``."""
    code = f"import sys\n{statements}\n{SHOW_HEAVY}"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("module", LIGHT)
def test_import_is_light(module: str) -> None:
    assert heavy_modules_after(f"import {module}") == []


def test_widgets_import_no_torch() -> None:
    assert "torch" not in heavy_modules_after("import napari_rls.widgets")


def test_help_needs_neither_torch_nor_napari() -> None:
    assert (
        heavy_modules_after(
            "from typer.testing import CliRunner\n"
            "from napari_rls.cli.main import app\n"
            "result = CliRunner().invoke(app, ['--help'])\n"
            "assert result.exit_code == 0, result.output\n"
            "assert 'super-resolve' in result.output"
        )
        == []
    )


def test_the_search_is_known_to_be_heavy() -> None:
    assert "torch" in heavy_modules_after("import napari_rls.search.engine")
