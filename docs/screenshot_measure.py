"""Make docs/images/measure*.png: cells of two wells measured, the table, the plots, the labels.

    xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshot_measure.py NEGATIVE POSITIVE

NEGATIVE and POSITIVE are images of wells of BBBC013 (channels DNA and FKHR-GFP); cells are cut
from them, degraded 8x, super-resolved and measured beside LR and GT.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from screenshot import IMAGES, wait

from napari_rls.widgets.__main__ import open_viewer
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.contributions.sample_cells import lr_and_gt_layers
from napari_rls.widgets.measure.measure_dock import MeasureWidget
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack

CELLS = 12


def cells_of(fields: list[Path]) -> CellStack:
    """Return a few cells of every field, with their wells."""
    parts = [cut_crops(read_stack(field), 64).stack for field in fields]
    return replace(
        parts[0],
        data=np.concatenate([part.data[:CELLS] for part in parts]),
        crops=tuple(crop for part in parts for crop in part.crops[:CELLS]),
    )


def main() -> None:
    """Super-resolve and measure in a window, select a cell, and save pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fields", type=Path, nargs=2, metavar="WELL.ome.tif")
    options = parser.parse_args()
    cells = cells_of(options.fields)
    viewer, widget = open_viewer()
    viewer.window._qt_window.resize(1380, 860)
    for entry in lr_and_gt_layers(cells, "BBBC013", {}):
        viewer.add_layer(napari.layers.Layer.create(*entry))
    wait(0.5)
    widget.run.native.click()
    while widget.state.phase is not Phase.IDLE:
        wait(0.1)
    viewer.window.remove_dock_widget(widget)
    _, measure = viewer.window.add_plugin_dock_widget("napari-rls", "Measure cells")
    assert isinstance(measure, MeasureWidget)
    with tempfile.TemporaryDirectory() as folder:
        plate_map = Path(folder, "plate.csv")
        names = [field.name.split(".")[0] for field in options.fields]
        plate_map.write_text(f"well,condition\n{names[0]},negative\n{names[1]},positive\n")
        measure.controller.choose_plate_map(plate_map)
        wait(0.5)
        save(viewer, "measure-settings")
        measure.run.native.click()
        while measure.state.phase is not Phase.IDLE:
            wait(0.1)
    print(measure.state.message.text)
    measure.shown.kind.value = "SR"
    measure.table.selectRow(CELLS + 2)
    wait(1)
    save(viewer, "measure")
    measure.plots.native.click()
    wait(3)
    save(viewer, "measure-plots")
    viewer.close()


def save(viewer: napari.Viewer, name: str) -> None:
    """Save a picture of the whole window."""
    viewer.window.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)


if __name__ == "__main__":
    main()
