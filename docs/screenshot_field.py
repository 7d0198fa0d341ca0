"""Make docs/images/field.png: napari with the demo's simulated field, super-resolved and measured.

xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshot_field.py
"""

from __future__ import annotations

from screenshot import IMAGES, wait

from napari_rls.widgets.__main__ import open_field, work_on
from napari_rls.widgets.common.state import Phase


def main() -> None:
    """Run the widget of fields on the demo's field and save a picture of the window after it."""
    viewer, widget = open_field()
    viewer.window._qt_window.resize(1380, 860)
    wait(1)
    viewer.reset_view()
    work_on(widget)
    while widget.state.measured is None or widget.state.phase is not Phase.IDLE:
        wait(0.1)
    widget.compare.native.click()
    wait(1)
    viewer.window.screenshot(str(IMAGES / "field.png"), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main()
