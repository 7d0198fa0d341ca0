"""Open napari with a widget docked: ``python -m napari_rls.widgets [--field]``."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

from napari_rls.errors import NO_NAPARI

if find_spec("napari") is None:
    sys.exit(NO_NAPARI)

import napari

from napari_rls.widgets.cells.layer_data import layer_data
from napari_rls.widgets.common.docks import FIELD, SUPER_RESOLVE, open_dock
from napari_rls.widgets.common.state import Phase
from napari_rls.widgets.fields.field_dock import FieldWidget
from napari_rls.widgets.super_resolve.super_resolve_dock import SuperResolveWidget
from napari_rls.workflow.cells.examples import SIMULATED_FOR
from napari_rls.workflow.cells.simulated import SIMULATED_LABEL
from napari_rls.workflow.fields.demo_fields import DEMO_BUNDLE, DEMO_STEPS, simulate_plate


def main(arguments: list[str] | None = None) -> None:
    """Open napari with a widget, which is at work on a field if asked for; return when closed."""
    parser = argparse.ArgumentParser(prog="python -m napari_rls.widgets", description=__doc__)
    parser.add_argument(
        "--field",
        action="store_true",
        help="open a simulated field (not real), super-resolve and measure it",
    )
    if parser.parse_args(arguments).field:
        _, widget = open_field()
        work_on(widget)
    else:
        open_viewer()
    napari.run()


def open_viewer() -> tuple[napari.Viewer, SuperResolveWidget]:
    """Return a viewer and the widget docked in it."""
    viewer = napari.Viewer()
    return viewer, open_dock(viewer, SUPER_RESOLVE)


def open_field(cells: int = 24) -> tuple[napari.Viewer, FieldWidget]:
    """Return a viewer with a simulated LR field and the widget of fields, ready to run.

    Remembered settings stay as they are.

    Parameters
    ----------
    cells
        About twice the cells of the field.
    """
    viewer = napari.Viewer()
    plate = simulate_plate(SIMULATED_FOR[DEMO_BUNDLE], cells)
    field = plate.fields[0]
    colours = plate.colours
    for entry in layer_data(field.lr, f"LR field ({SIMULATED_LABEL})", colours=colours):
        viewer.add_layer(napari.layers.Layer.create(*entry))
    widget: FieldWidget = open_dock(viewer, FIELD)
    chosen = {"bundle": DEMO_BUNDLE, "steps": DEMO_STEPS, "samples": 0}
    widget.controller.use_settings(widget.state.settings.model_copy(update=chosen))
    levels = plate.noise.offset[0], plate.noise.gain[0], plate.noise.read_noise[0]
    noise = ",".join(f"{level:.4g}" for level in levels)
    widget.noise.native.setText(noise)
    widget.controller.change_noise(noise)
    return viewer, widget


def work_on(widget: FieldWidget) -> None:
    """Super-resolve the field of a widget and, once that is done, measure its cells."""

    def measure(phase: Phase) -> None:
        if phase is Phase.IDLE:
            widget.state.events.phase.disconnect(measure)
            if not widget.state.unmeasured:
                widget.controller.measure()

    widget.controller.start()
    widget.state.events.phase.connect(measure)


if __name__ == "__main__":
    main()
