"""Commands that train a network of a bundle, as small as can be."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from napari_rls.cli.main import app

_LINE = (
    "--width 4 --hidden 16 --image-width 4 --steps 4 --batch-size 4 --report-steps 2 --threads 1 "
    "--device cpu"
)
TINY_ENCODER = _LINE.split()
"""Options of a field encoder's training."""


def run(*args: object, code: int = 0, name: str = "train-fields") -> Result:
    """Run a command, which must end with a code."""
    result = CliRunner().invoke(app, [*name.split(), *map(str, args)])
    assert result.exit_code == code, result.output
    return result


def out(folder: Path, name: str = "mine") -> Path:
    """Return a bundle's file in a folder."""
    return folder / f"{name}.rls.safetensors"
