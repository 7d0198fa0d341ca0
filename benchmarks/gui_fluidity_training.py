"""How fluid napari stays while a bundle is trained, and how soon Cancel acts.

Run it where a display is, or under Xvfb:

    xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/gui_fluidity_training.py FOLDER

FOLDER holds images of BBBC013. Gaps between the calls of a timer of 10 ms in the GUI thread are
printed as JSON, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory


def measure(images: str, folder: Path, seconds: float, threads: int) -> dict[str, object]:
    """Train for some seconds in a real window and return the tick gaps."""
    import napari
    from gui_fluidity import Ticks
    from qtpy.QtWidgets import QApplication

    from napari_rls.widgets.state import Phase

    viewer = napari.Viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-rls", "Train a bundle")
    control, state = widget.controller, widget.state
    control.change("folder", folder)
    for name, value in {"threads": threads, "report_kimg": 0.1, "sample_kimg": 0.5}.items():
        control.change_setting(name, value)
    ticks = Ticks()

    def work_until(done) -> float:
        while not done():
            QApplication.processEvents()
            # Without a rest this loop would keep the processor from the training.
            time.sleep(0.001)
        return time.perf_counter()

    def idle() -> bool:
        return state.phase is Phase.IDLE

    opened = time.perf_counter()
    began = work_until(lambda: time.perf_counter() > opened + 2)
    control.choose_images([images])
    work_until(idle)
    started = time.perf_counter()
    widget.train.native.click()
    first = work_until(lambda: bool(state.device) or idle())
    assert state.device, state.message.text
    ended = work_until(lambda: time.perf_counter() > first + seconds)
    speed = state.curves.reports[-1].images_per_second if state.curves.reports else None
    widget.cancel.native.click()
    stopped = work_until(idle)
    figures = {
        "device": state.device,
        "images_per_second": speed,
        "idle_gap_ms": ticks.gaps(opened, began),
        "crops_and_loading_gap_ms": ticks.gaps(started, first),
        "training_gap_ms": ticks.gaps(first, ended),
        "cancel_s": round(stopped - ended, 2),
    }
    viewer.close()
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wells", default="D0*.ome.tif", help="pattern of the images' names")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1, help="threads of the training")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        # The user's own settings are neither used nor changed.
        os.environ["XDG_CONFIG_HOME"] = folder
        images = str(options.folder / options.wells)
        figures = measure(images, Path(folder), options.seconds, options.threads)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
