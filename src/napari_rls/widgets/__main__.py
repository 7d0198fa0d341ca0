"""Open napari with the widget docked: ``python -m napari_rls.widgets [--sample] [--run]``."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

from napari_rls.errors import NO_NAPARI

if find_spec("napari") is None:
    sys.exit(NO_NAPARI)

import napari

from napari_rls.search.settings import DEFAULT_BUNDLE
from napari_rls.widgets.common.docks import SUPER_RESOLVE, open_dock
from napari_rls.widgets.super_resolve.super_resolve_dock import SuperResolveWidget
from napari_rls.workflow.cells.examples import SIMULATED_FOR

SAMPLE = f"simulated-{SIMULATED_FOR[DEFAULT_BUNDLE]}"


def main(arguments: list[str] | None = None) -> None:
    """Open napari with the widget and, if asked for, simulated cells; return when closed."""
    parser = argparse.ArgumentParser(prog="python -m napari_rls.widgets", description=__doc__)
    parser.add_argument("--sample", action="store_true", help="open simulated cells (not real)")
    parser.add_argument("--run", action="store_true", help="super-resolve what is open at once")
    options = parser.parse_args(arguments)
    _, widget = open_viewer(sample=options.sample)
    if options.run:
        widget.controller.start()
    napari.run()


def open_viewer(*, sample: bool) -> tuple[napari.Viewer, SuperResolveWidget]:
    """Return a viewer and the widget docked in it; with ``sample``, with simulated cells."""
    viewer = napari.Viewer()
    if sample:
        viewer.open_sample("napari-rls", SAMPLE)
    return viewer, open_dock(viewer, SUPER_RESOLVE)


if __name__ == "__main__":
    main()
