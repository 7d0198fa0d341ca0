"""Run commands as a user does."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from napari_rls.cli.main import app

TINY_LINE = (
    "--size 16 --channels DNA,GFP --z-dim 8 --w-dim 8 --mapping-layers 2 --channel-max 8 "
    "--channel-last 4 --batch-size 4 --kimg 0.04 --report-kimg 0.01 --threads 1 --device cpu "
    "--precision float32 --fit-samples 300 --fit-epochs 1"
)
TINY = TINY_LINE.split()
"""Options of a training that takes seconds."""


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result
