"""Make docs/images/train.png and train-done.png: napari while a bundle is trained, and after.

    xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshot_train.py FOLDER

FOLDER holds images of BBBC013 (channels DNA and FKHR-GFP). The run starts from the embedded
bundle, so that there are cells to be seen.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import napari
from qtpy.QtWidgets import QApplication

from napari_rls.models.catalogue import find_bundle
from napari_rls.search.settings import DEFAULT_BUNDLE
from napari_rls.widgets.common.state import Phase

IMAGES = Path(__file__).parent / "images"


def wait(seconds: float) -> None:
    """Let napari work."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def main() -> None:
    """Train a small bundle and save pictures of the window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wells", default="D0*.ome.tif", help="pattern of the images' names")
    parser.add_argument("--kimg", type=float, default=400, help="kimg that are said to be planned")
    parser.add_argument("--stop-kimg", type=float, default=1.0, help="kimg after which to stop")
    parser.add_argument("--images", type=Path, default=IMAGES, help="where the pictures go")
    options = parser.parse_args()
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1380, 860)
    _, widget = viewer.window.add_plugin_dock_widget("napari-rls", "Train a bundle")
    control, state = widget.controller, widget.state

    def picture(name: str) -> None:
        wait(2)
        file = options.images / name
        viewer.window.screenshot(str(file), canvas_only=False, flash=False)

    def idle() -> None:
        while state.phase is not Phase.IDLE:
            wait(0.1)

    with TemporaryDirectory() as folder:
        control.change("folder", Path(folder))
        for name, value in {"report_kimg": 0.1, "threads": 1, "snapshot_kimg": 0.2}.items():
            control.change_setting(name, value)
        control.change("start", str(find_bundle(DEFAULT_BUNDLE)))
        control.change("fit_samples", 2000)
        control.change("fit_epochs", 2)
        control.change_setting("kimg", options.kimg)
        control.choose_images([str(options.folder / options.wells)])
        idle()
        widget.find_cells.native.click()
        idle()
        widget.run.native.click()
        while state.progress.share * options.kimg < options.stop_kimg * 0.8:
            wait(0.1)
            if state.phase is Phase.IDLE:
                break
        picture("train.png")
        control.cancel()
        idle()
        control.change_setting("kimg", options.stop_kimg)
        widget.run.native.click()
        idle()
        picture("train-done.png")
        viewer.close()


if __name__ == "__main__":
    main()
