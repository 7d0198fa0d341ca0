"""Make docs/images/compare.png: methods on real cells side by side, and the table of metrics.

    xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshot_compare.py FIELD.ome.tif

FIELD.ome.tif is an image of BBBC013 (channels DNA and FKHR-GFP); cells are cut from it and
degraded 8x.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import napari
from screenshot import CELLS, IMAGES, wait

from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.compare.compare_dock import CompareWidget
from napari_rls.widgets.contributions.sample_cells import lr_and_gt_layers
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack


def main() -> None:
    """Compare methods in a window and save a picture of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("field", type=Path)
    options = parser.parse_args()
    cells = cut_crops(read_stack(options.field), 64).stack
    cells = replace(cells, data=cells.data[:CELLS], crops=cells.crops[:CELLS])
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1380, 860)
    for entry in lr_and_gt_layers(cells, options.field.name.split(".")[0], {}):
        viewer.add_layer(napari.layers.Layer.create(*entry))
    _, widget = viewer.window.add_plugin_dock_widget("napari-rls", "Compare methods")
    assert isinstance(widget, CompareWidget)
    viewer.dims.set_current_step(0, 0)
    wait(1)
    widget.run.native.click()
    while widget.state.phase is not Phase.IDLE:
        wait(0.1)
    print(widget.state.message.text)
    wait(1)
    viewer.window.screenshot(str(IMAGES / "compare.png"), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main()
