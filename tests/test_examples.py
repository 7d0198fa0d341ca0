"""The examples of the gallery run, with few steps, and draw what the gallery shows."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
PICTURES = ROOT / "docs" / "images" / "examples"

SHORTER = (
    (r"\bcells=\d+", "cells=2"),
    (r"(?<!\w)Settings\(factor=(\w+), samples=\d+\)", r"Settings(factor=\1, steps=2, samples=2)"),
    (r"(?<!\w)Settings\(factor=(\d+)\)", r"Settings(factor=\1, steps=2, samples=2)"),
    (r"samples=2\)", "samples=2, sample_steps=2)"),
    (r', "pix2pix"\)\)', ', "pix2pix"), max_steps=2)'),
)
"""What makes an example fast."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_draws_its_picture(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = path.read_text(encoding="utf-8")
    for long, short in SHORTER:
        code = re.sub(long, short, code)
    assert "Settings(factor" not in code or "steps=2" in code, "the example runs at full length"
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    try:
        exec(compile(code, path, "exec"), {})
    finally:
        plt.close("all")
    (drawn,) = tmp_path.iterdir()
    assert drawn.name == f"{path.stem}.png"
    with Image.open(drawn) as image, Image.open(PICTURES / drawn.name) as shown:
        assert np.ptp(np.asarray(image.convert("L"))) > 100
        # The picture in the gallery is of this program, but of more cells.
        assert shown.width == image.width or path.stem in ("super_resolve_cells", "measure_cells")


def test_the_gallery_shows_every_example_and_its_picture() -> None:
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    code = re.findall(r'^--8<-- "docs/examples/(\w+)\.py"$', text, re.MULTILINE)
    pictures = re.findall(r"\]\(images/examples/(\w+)\.png\)", text)
    assert code == pictures
    assert sorted(code) == [path.stem for path in EXAMPLES]
    assert sorted(pictures) == sorted(path.stem for path in PICTURES.glob("*.png"))
