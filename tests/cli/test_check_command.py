"""``napari-rls check``: own HR cells in, a verdict, a page and tables out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from cli_bench import run

from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.cells.write import write_stack

GOLGI = ("--bundle", "golgi-simulated-128", "--factors", 32, "--max-steps", 2, "--threads", 1)


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    cells = simulate(SimulateSettings(assay="golgi", cells=4, seed=7)).hr
    write_stack(tmp_path / "mine.ome.tif", cells, description="HR")
    return tmp_path / "mine.ome.tif"


def test_from_own_cells_to_a_verdict(
    hr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("check", hr, *GOLGI, "--cells", 3)
    assert done.stdout.split() == ["check/check.csv", "check/cells.csv", "check/check.html"]
    assert "3 of 4 cells." in done.stderr
    table = pd.read_csv("check/check.csv")
    assert "Cells_Children_Spots_Count" in set(table["column"])
    for column, why in zip(table["column"], table["why"], strict=True):
        assert f"\n{column}\nfactor" in done.stderr
        assert f"32x: {why}" in done.stderr
        assert why.startswith("Too few cells to say")
    assert set(table["of"]) == {3}
    assert "A trial run" in Path("check/check.html").read_text("utf-8")
    # The files are those that a calibration takes; three cells are too few for it.
    calibrate = (
        "bundles", "calibrate", "golgi-simulated-128", "check/LR32x_SR32x.ome.tif", "--gt",
        "check/HR.ome.tif", "--assay", "spots", "--data", "mine", "--out", "m.rls.safetensors",
    )  # fmt: skip
    assert "held-out cells have finite numbers" in str(run(*calibrate, code=1).output)
    own = run("check", "check/LR32x_SR32x.ome.tif", *GOLGI, "--out", "of_sr", code=2)
    assert "LR32x_SR32x.ome.tif holds SR images, which are generated and no truth" in own.output
    again = run("check", hr, *GOLGI, "--cells", 3)
    assert "is finished already" in again.stderr
    other = run("check", hr, *GOLGI, "--cells", 2, code=1)
    assert "is of a check of other images or settings; give another --out" in other.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--factors", "8;16"), "--factors 8;16 is no list of whole numbers; give it as in 8,16."),
        (("--factors", "8,8"), "the same factor stands there twice"),
        (("--factors", "3"), "The factor 3 does not bring LR crops to the 128 pixels"),
        (("--assay", "x"), "There is no assay 'x'"),
        (("--channels", "DNA"), "1 channel(s) were chosen but the bundle needs 2"),
        (("--bundle", "bbbc013-translocation-64"), "No nucleus was found"),
    ],
)
def test_wrong_usage_is_told(hr: Path, tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    if told == "No nucleus was found":
        tifffile.imwrite(hr, np.full((2, 96, 96), 7, np.uint8), photometric="minisblack")
    given = ("--bundle", "golgi-simulated-128", *options)
    done = run("check", hr, "--out", tmp_path / "out", *given, code=2)
    assert told in done.stderr
    assert not list((tmp_path / "out").glob("*.tif"))
