"""The demo: generated cells, called so, super-resolved and written or shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner, Result

from napari_rls.cli.demo import has_display
from napari_rls.cli.main import app
from napari_rls.workflow.cells.contact_sheet import (
    GAP,
    LABEL_WIDTH,
    TILE,
    TITLE_HEIGHT,
    contact_sheet,
)
from napari_rls.workflow.cells.read import read_stack


def demo(bundle: Path, *args: object) -> Result:
    fixed = ["--bundle", bundle, "--factor", 4, "--steps", 3, "--cells", 2]
    result = CliRunner().invoke(app, [str(arg) for arg in ("demo", *fixed, *args)])
    assert result.exit_code == 0, result.output
    return result


def test_files_are_written_and_named(tiny_bundle_file: Path, tmp_path: Path) -> None:
    result = demo(tiny_bundle_file, "--out", tmp_path / "demo")
    paths = [Path(line) for line in result.stdout.split()]
    names = ["demo_LR4x.ome.tif", "demo_SR4x.ome.tif", "demo_truth.ome.tif", "demo.png"]
    assert [path.name for path in paths] == names
    lr, sr, truth = (read_stack(path) for path in paths[:3])
    assert lr.data.shape == (2, 2, 8, 8)
    assert sr.data.shape == truth.data.shape == (2, 2, 32, 32)
    for path in paths[:3]:
        with tifffile.TiffFile(path) as tiff:
            image = ElementTree.fromstring(tiff.ome_metadata).find("{*}Image")
        assert "generated sample, not real cells" in image.get("Name")
    assert json.loads((tmp_path / "demo" / "demo_SR4x.json").read_text())["complete"]
    width, height = LABEL_WIDTH + 2 * (TILE + GAP), TITLE_HEIGHT + 3 * (TILE + GAP)
    with Image.open(paths[3]) as sheet:
        assert sheet.size == (width, height)


def test_fields_of_two_conditions_become_a_table_a_page_and_a_picture(tmp_path: Path) -> None:
    fast = ["--cells", "2", "--steps", "2", "--device", "cpu"]
    result = CliRunner().invoke(app, ["demo", *fast, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    paths = [Path(line) for line in result.stdout.split()]
    assert all(path.exists() for path in paths)
    assert {tmp_path / "results" / name for name in ("cells.csv", "report.html")} < set(paths)
    assert paths[-1] == tmp_path / "demo.png"
    table = pd.read_csv(tmp_path / "results" / "cells.csv")
    conditions = dict(zip(table.Metadata_Well, table.Metadata_Condition, strict=True))
    assert conditions == {"A01": "control", "A02": "nocodazole"}
    # LR, SR and truth, a row a condition; the truth is the file's.
    with Image.open(paths[-1]) as sheet:
        tile = 2 * 128
        assert sheet.size == (LABEL_WIDTH + 3 * (tile + GAP), TITLE_HEIGHT + 2 * (tile + GAP))
        right = np.asarray(sheet)[TITLE_HEIGHT : TITLE_HEIGHT + tile : 2, -GAP - tile : -GAP : 2]
    truth = read_stack(tmp_path / "plate" / "truth_A01.ome.tif").data[0]
    assert np.corrcoef(right[..., 2].ravel(), truth[0].ravel())[0, 1] > 0.95
    lr = read_stack(tmp_path / "plate" / "A01.ome.tif")
    assert lr.data.shape == (1, 2, 16, 16)
    assert lr.pixel_size_um == pytest.approx(2.6)


def test_default_folder(
    tiny_bundle_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    demo(tiny_bundle_file, "--no-window")
    assert (tmp_path / "napari-rls-demo" / "demo.png").is_file()


def test_contact_sheet_shows_every_row() -> None:
    lr = np.zeros((2, 2, 2, 2), np.float32)
    lr[0, 0] = [[0, 50], [50, 0]]  # blue in the first cell
    sr = np.zeros((2, 2, 4, 4), np.float32)
    sr[1, 1] = 80  # green in the second
    pixels = np.asarray(contact_sheet({"LR": lr, "SR": sr}, ["#0000ff", "#00ff00"], "title"))

    def tile(row: int, column: int) -> np.ndarray:
        top, left = TITLE_HEIGHT + row * (TILE + GAP), LABEL_WIDTH + column * (TILE + GAP)
        return pixels[top : top + TILE, left : left + TILE]

    half = TILE // 2
    checks = tile(0, 0)
    assert (checks[:half, half:] == [0, 0, 255]).all()
    assert (checks[:half, :half] == 0).all()
    assert (tile(0, 1) == 0).all()
    assert (tile(1, 0) == 0).all()
    assert (tile(1, 1) == [0, 255, 0]).all()
    label = pixels[TITLE_HEIGHT : TITLE_HEIGHT + TILE, :LABEL_WIDTH]
    assert (label > 200).all(axis=-1).any()


def test_contact_sheet_of_cells_that_were_not_reached() -> None:
    blank = np.full((1, 1, 2, 2), np.nan, np.float32)
    pixels = np.asarray(contact_sheet({"SR": blank}, ["#ffffff"], "title"))
    tile = pixels[TITLE_HEIGHT : TITLE_HEIGHT + TILE, LABEL_WIDTH : LABEL_WIDTH + TILE]
    assert (tile == 0).all()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize(
    ("x11", "wayland", "there"),
    [("", "", False), (":0", "", True), ("", "wayland-0", True)],
)
def test_display(x11: str, wayland: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", x11)
    monkeypatch.setenv("WAYLAND_DISPLAY", wayland)
    assert has_display() == there


@pytest.fixture
def python_that_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a display and an interpreter in place that only writes down its arguments."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexit $(cat {tmp_path}/code)\n')
    script.chmod(0o755)
    (tmp_path / "code").write_text("0")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
def test_window_is_opened_where_there_is_a_display(
    tiny_bundle_file: Path, python_that_notes: Path
) -> None:
    demo(tiny_bundle_file)
    arguments = (python_that_notes / "arguments").read_text().split()
    assert arguments == ["-m", "napari_rls.widgets", "--field"]
    assert not (python_that_notes / "napari-rls-demo").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
def test_files_are_written_if_the_window_fails(
    tiny_bundle_file: Path, python_that_notes: Path
) -> None:
    (python_that_notes / "code").write_text("1")
    result = demo(tiny_bundle_file)
    assert "napari could not be opened; writing files instead." in result.stderr
    assert (python_that_notes / "napari-rls-demo" / "demo.png").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
def test_files_are_written_where_napari_is_not_installed(
    tiny_bundle_file: Path, python_that_notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_rls.cli.demo.find_spec", lambda _name: None)
    result = demo(tiny_bundle_file)
    assert (
        "napari is not installed here: run pip install 'napari-rls[napari]', or 'napari-rls[all]' "
        "for napari with a Qt. Writing files instead.\n"
    ) in result.stderr
    assert not (python_that_notes / "arguments").exists()
    assert (python_that_notes / "napari-rls-demo" / "demo.png").is_file()


@pytest.mark.parametrize("option", ["--no-window", "--out=here"])
def test_no_window_when_files_are_asked_for(
    tiny_bundle_file: Path, python_that_notes: Path, option: str
) -> None:
    demo(tiny_bundle_file, option)
    assert not (python_that_notes / "arguments").exists()
