"""Names and texts of others in what commands print: shown as they are, obeyed by no terminal."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_rls.cli import bundles, reporting
from napari_rls.cli.main import app
from napari_rls.errors import SettingsError
from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.catalogue import find_bundle
from napari_rls.models.manifest import Manifest
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.table_files import read_table

RED = "\x1b[31m"
ESCAPED = r"\x1b[31m"


def run(*args: object, code: int) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    assert RED not in result.output
    return result.output


@pytest.mark.parametrize(
    "args",
    [
        (f"--no{RED}sense",),
        (f"comm{RED}and",),
        ("crops", "a.tif", "--out", "b.tif", f"--no{RED}sense"),
        ("bundles", f"in{RED}fo"),
    ],
)
def test_unknown_options_commands_and_values(args: tuple[str, ...]) -> None:
    assert ESCAPED in run(*args, code=2)


@pytest.mark.parametrize(
    ("option", "words"),
    [("--steps", "it must be a whole number"), ("--learning-rate", "it must be a number")],
)
def test_options_that_are_no_numbers(option: str, words: str) -> None:
    shown = run("super-resolve", "a.tif", "--out", "b", option, "many", code=2)
    assert f"Invalid value for '{option}': {words}" in shown
    assert "Input" not in shown


def test_missing_files_and_bundles() -> None:
    assert ESCAPED in run("bundles", "info", f"a{RED}.rls.safetensors", code=1)
    assert ESCAPED in run("degrade", f"a{RED}.tif", "--out", "b.tif", code=1)


def test_keys_and_values_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    for values in ({f"a{RED}": 1}, {"method": RED}, {"device": RED}):
        path.write_text(json.dumps(values), encoding="utf-8")
        run("super-resolve", "a.tif", "--out", tmp_path, "--settings", path, code=2)


def test_texts_of_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    valid = read_manifest(find_bundle("bbbc013-translocation-64"))
    texts = {"title": f"[bold]title[/bold] {RED}", "licence": f"[red]free[/red] {RED}"}
    # What the file may hold, whatever later versions refuse.
    manifest = Manifest.model_construct(
        **{name: getattr(valid, name) for name in Manifest.model_fields} | texts
    )
    monkeypatch.setattr(bundles, "read_manifest", lambda _path: manifest)
    for args in (("bundles", "list"), ("bundles", "info", "bbbc013-translocation-64")):
        shown = run(*args, code=0)
        assert f"[bold]title[/bold] {ESCAPED}" in shown
    assert f"[red]free[/red] {ESCAPED}" in shown


def test_a_fault_of_the_program_is_told_in_printable_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> Path:
        raise RuntimeError(f"broken {RED}[red]")

    monkeypatch.setattr(bundles, "find_bundle", fail)
    shown = run("bundles", "info", "a", code=1)
    assert shown.startswith("This is a fault of napari-rls; please report it:\nTraceback")
    assert shown.rstrip().endswith(f"RuntimeError: broken {ESCAPED}[red]")


@pytest.mark.skipif(os.name != "posix", reason="names of other systems are text")
def test_paths_are_bytes_for_programs_and_printable_for_a_terminal(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\x1b[31m[red].tif"
    reporting.put(Path(os.fsdecode(name)))
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == name + b"\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    reporting.put(Path(os.fsdecode(name)))
    assert (
        capfdbinary.readouterr().out == os.fsencode(tmp_path) + rb"/\udcff\x1b[31m[red].tif" + b"\n"
    )


@pytest.mark.skipif(os.name != "posix", reason="names of other systems are text")
def test_a_file_with_any_name_is_read_and_written(tmp_path: Path) -> None:
    stack = CellStack(np.ones((1, 2, 8, 8), np.uint8), ("a", "b"))
    for name in (f"a{RED}[b].tif", os.fsdecode(b"a\xff.tif")):
        write_stack(tmp_path / name, stack, description="HR")
        out = tmp_path / f"LR {name}"
        result = CliRunner().invoke(app, ["degrade", str(tmp_path / name), "--out", str(out)])
        assert result.exit_code == 0, result.output
        np.testing.assert_array_equal(read_stack(out).data, np.ones((1, 2, 1, 1)))


@pytest.mark.skipif(os.name != "posix", reason="names of other systems are text")
@pytest.mark.parametrize("ending", ["csv", "parquet", "h5ad"])
def test_a_file_with_any_name_is_measured(tmp_path: Path, ending: str) -> None:
    made = simulate(SimulateSettings(assay="translocation", cells=2, seed=1, size=64))
    path = tmp_path / os.fsdecode(b"B03_\xff.tif")
    write_stack(path, replace(made.hr, crops=()), description="HR")
    out = tmp_path / f"table.{ending}"
    options = ["--assay", "translocation", "--out", str(out)]
    result = CliRunner().invoke(app, ["measure", str(path), *options])
    assert result.exit_code == 0, result.output
    assert set(read_table(out)[0]["Metadata_Well"]) == {"B03"}


def test_exits_are_not_faults() -> None:
    with pytest.raises(typer.Exit), reporting._printable():
        raise typer.Exit(3)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"method": ["rls"]}', "method must be 'rls', "),
        (b'{"method": {"rls": 1}}', "method must be 'rls', "),
        (b'{"method": null}', "method must be 'rls', "),
        (b'{"bundle": ["a"]}', "bundle must be text."),
        (b'{"steps": "many"}', "steps must be a whole number."),
        (b'{"steps": 1.5}', "steps must be a whole number."),
        (b'{"steps": ' + b"9" * 5000 + b"}", "it holds a number of 5,000 digits."),
        (b'{"seed": ' + b"9" * 19 + b"}", "seed must be 2147483647 or less."),
        (b'{"a": ' + b"[" * 100_000, "it is nested more than 50 deep."),
        (b'{"speed": 3}', "speed is not known; leave it out."),
        (b'{"factor": 8, "factor": 4}', "it names factor twice."),
        (b'{"learning_rate": NaN}', "it holds the number NaN, which is not finite."),
        (b"[]", "it must be names with values."),
        (b"null", "it must be names with values."),
        (b"\xff\xfe{", "it is no UTF-8 text (byte 0)."),
        (b"", "it is not valid JSON (line 1: Expecting value)."),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        Settings.load(path)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()


def test_settings_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"factor": 4}', encoding="utf-8-sig")
    assert Settings.load(path) == Settings(factor=4)
