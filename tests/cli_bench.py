"""Run commands as a user does."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from napari_rls.cli.main import app


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result
