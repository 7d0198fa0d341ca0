"""Sample data: files that are what the recipe draws, and a window that goes on meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_rls.errors import DownloadError
from napari_rls.widgets.common.background import beside_the_window
from napari_rls.widgets.contributions import sample_cells
from napari_rls.widgets.contributions.sample_data import bbbc013, read_sample


def plain(options: dict) -> dict:
    """Return options as JSON has them, without the versions that drew the cells."""
    text = json.dumps(options, default=lambda table: table.to_dict("list"))
    known = json.loads(text)
    known["metadata"]["napari-rls"].pop("software", None)
    return known


def approximately(value):
    """Compare numbers as far as they are the same on all machines."""
    if isinstance(value, dict):
        return {name: approximately(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [approximately(entry) for entry in value]
    return pytest.approx(value, rel=1e-4, abs=1e-4) if isinstance(value, float) else value


@pytest.mark.parametrize("key", sample_cells.MADE)
def test_sample_files_are_what_the_recipe_draws(key):
    drawn, kept = sample_cells.MADE[key](), read_sample(key)
    assert len(kept) == len(drawn)
    for (pixels, options, kind), (data, known, stored) in zip(drawn, kept, strict=True):
        assert stored == kind
        assert data.dtype == pixels.dtype
        np.testing.assert_allclose(data, pixels, rtol=1e-3, atol=0.02)
        assert plain(known) == approximately(plain(options))


@pytest.mark.parametrize("key", sample_cells.MADE)
def test_every_sample_image_is_shown_in_its_own_range(key):
    images = [entry for entry in read_sample(key) if entry[2] == "image"]
    # The field has LR images alone: a larger image beside it would be taken for a field as well.
    hidden = 0 if key == "simulated-field" else 2
    shown = [options["visible"] for _, options, _ in images if "visible" in options]
    assert shown == [False] * hidden
    for pixels, options, _ in images:
        assert options["contrast_limits"] == pytest.approx([pixels.min(), pixels.max()])


def test_samples_open_without_torch():
    code = (
        "import sys\n"
        "from napari_rls.widgets.contributions.sample_data import *\n"
        "assert len(simulated_golgi()) + len(simulated_translocation()) == 15\n"
        "assert len(generated_lr_cells()) == 4\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_needed_soon_is_imported_in_the_background():
    code = (
        "import sys, threading\n"
        "from napari_rls.widgets.common.background import NEEDED_SOON, warm_up\n"
        "assert not {*NEEDED_SOON, 'pandas'} & set(sys.modules)\n"
        "warm_up()\n"
        "[t.join() for t in threading.enumerate() if t is not threading.main_thread()]\n"
        "assert {*NEEDED_SOON, 'pandas'} <= set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.usefixtures("qapp")
def test_the_window_answers_while_something_is_made():
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(10)
    assert beside_the_window(lambda: time.sleep(0.5) or "made") == "made"
    assert len(ticks) > 10


@pytest.mark.usefixtures("qapp")
def test_a_download_is_made_beside_the_window_and_its_error_told(monkeypatch):
    reached = []

    def cut(bar):
        bar.total = 100
        for _ in range(10):
            bar.update(10)
            time.sleep(0.03)
        reached.append(bar.done)
        return []

    monkeypatch.setattr(sample_cells, "cut_bbbc013", cut)
    assert bbbc013() == []
    assert reached == [100]

    def fail(_):
        raise DownloadError("BBBC013 cannot be downloaded: check the internet connection.")

    monkeypatch.setattr(sample_cells, "cut_bbbc013", fail)
    with pytest.raises(DownloadError, match="check the internet"):
        bbbc013()
