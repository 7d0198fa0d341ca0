"""How fluid napari stays during a run, and how fast the widget opens.

Run it where a display is, or under Xvfb:

    xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/gui_fluidity.py

A timer asks to be called every 10 ms in the GUI thread; the gaps between its calls are
how long the window was deaf. Figures are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

OPEN = """
import time
{first}
import napari
viewer = napari.Viewer()
start = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-rls", "Super-resolve cells")
print(time.perf_counter() - start)
"""


def opening_seconds(first: str) -> float:
    """Return how long the widget takes to open in a fresh process after ``first``."""
    run = subprocess.run(
        [sys.executable, "-c", OPEN.format(first=first)], capture_output=True, text=True, check=True
    )
    return float(run.stdout.split()[-1])


def import_seconds(module: str) -> float:
    """Return how long a fresh process takes to import a module."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


class Ticks:
    """Times at which the GUI thread answered a timer of 10 ms."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.times: list[float] = []
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(lambda: self.times.append(time.perf_counter()))
        self.timer.start(10)

    def gaps(self, start: float, end: float) -> dict[str, float]:
        """Return gaps between two times in milliseconds."""
        times = np.array([t for t in self.times if start <= t <= end])
        gaps = np.diff(times) * 1000
        p50, p95, p99 = np.percentile(gaps, (50, 95, 99))
        values = {"p50": p50, "p95": p95, "p99": p99, "max": gaps.max()}
        return {name: round(float(value), 1) for name, value in values.items()}


def measure_run(cells: int, steps: int) -> dict[str, object]:
    """Run the embedded bundle in a real window and return the tick gaps."""
    from qtpy.QtWidgets import QApplication

    from napari_rls.widgets.__main__ import open_viewer

    viewer, widget = open_viewer(sample=False)
    rng = np.random.default_rng(0)
    lr = np.cumsum(rng.normal(0, 20, (cells, 2, 8, 8)), axis=-1).clip(0, 255)
    viewer.add_image(lr, name="LR")
    widget.main.fields["steps"].value = steps
    ticks = Ticks()
    began = time.perf_counter()
    while time.perf_counter() < began + 2:
        QApplication.processEvents()
    started = time.perf_counter()
    widget.run.native.click()
    shown = time.perf_counter()
    first = None
    while widget.state.phase.value != "idle":
        QApplication.processEvents()
        # Without a rest this loop would keep the processor from the search.
        time.sleep(0.001)
        if first is None and widget.state.progress.share > 0:
            first = time.perf_counter()
    ended = time.perf_counter()
    assert first is not None, widget.state.message.text
    figures = {
        "cells": cells,
        "steps": steps,
        "idle_gap_ms": ticks.gaps(began, started),
        "loading_gap_ms": ticks.gaps(shown, first),
        "searching_gap_ms": ticks.gaps(first, ended),
        "whole_run_gap_ms": ticks.gaps(shown, ended),
        "sr_layer_after_s": round(shown - started, 3),
        "first_update_after_s": round(first - started, 2),
        "run_s": round(ended - started, 1),
    }
    viewer.close()
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    figures = {
        "import_napari_rls_s": round(import_seconds("napari_rls"), 3),
        "open_widget_s": round(opening_seconds(""), 3),
        "open_widget_with_torch_imported_s": round(opening_seconds("import torch"), 3),
        **measure_run(options.cells, options.steps),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    import os

    with TemporaryDirectory() as folder:
        # The user's own settings are neither used nor changed.
        os.environ["XDG_CONFIG_HOME"] = str(Path(folder))
        main()
