"""Make docs/images/widget.png: napari with the widget while real cells are super-resolved.

    xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshot.py FIELD.ome.tif

FIELD.ome.tif is an image of BBBC013 (channels DNA and FKHR-GFP); cells are cut from it and
degraded 8x.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

from napari_rls.widgets.__main__ import open_viewer
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.contributions.sample_cells import lr_and_gt_layers
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack

IMAGES = Path(__file__).parent / "images"
CELLS = 8


def wait(seconds: float) -> None:
    """Let napari work."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def main() -> None:
    """Run the widget on real cells and save pictures of the window during and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("field", type=Path)
    parser.add_argument("--first", type=int, default=0, help="first cell to take")
    options = parser.parse_args()
    cells = cut_crops(read_stack(options.field), 64).stack
    chosen = slice(options.first, options.first + CELLS)
    cells = replace(cells, data=cells.data[chosen], crops=cells.crops[chosen])
    viewer, widget = open_viewer()
    viewer.window._qt_window.resize(1380, 860)
    well = options.field.name.split(".")[0]
    for entry in lr_and_gt_layers(cells, well, {}):
        viewer.add_layer(napari.layers.Layer.create(*entry))
    viewer.dims.set_current_step(0, 0)
    wait(1)
    widget.run.native.click()
    wait(0.2)
    widget.compare.native.click()
    IMAGES.mkdir(exist_ok=True)
    while widget.state.progress.share < 0.6 and widget.state.phase is Phase.RUNNING:
        wait(0.1)
    viewer.window.screenshot(str(IMAGES / "widget.png"), canvas_only=False, flash=False)
    while widget.state.phase is not Phase.IDLE:
        wait(0.1)
    wait(0.5)
    viewer.window.screenshot(str(IMAGES / "widget-done.png"), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main()
