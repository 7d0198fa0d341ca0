"""The cells of the plugin's sample data, drawn, simulated or cut, as napari layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.catalogue import find_bundle
from napari_rls.search.settings import DEFAULT_BUNDLE
from napari_rls.simulate.assays import AssayName
from napari_rls.widgets.cells.layer_data import LayerData, layer_data
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.cells.examples import (
    BBBC013_LICENCE,
    PRIOR_LABEL,
    SIMULATED_FOR,
    Progress,
    draw_prior_sample,
    fetch_bbbc013,
    read_bbbc013,
)
from napari_rls.workflow.cells.simulated import (
    FRESH_SEED,
    SIMULATED_LABEL,
    SimulateSettings,
    Simulation,
    simulate,
)
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.fields.demo_fields import DEMO_BUNDLE, simulate_plate

FACTOR = 8
GOLGI_FACTOR = 16
SIMULATED_CELLS = 12
FIELD_CELLS = 24
"""About twice the cells of the field."""
BBBC013_WELL = "B07"


def generated_lr_cells() -> list[LayerData]:
    """Draw cells from the embedded bundle: LR images, and the HR images behind them."""
    from napari_rls.models.bundle import load_bundle

    sample = draw_prior_sample(load_bundle(DEFAULT_BUNDLE), factor=FACTOR)
    return lr_and_gt_layers(sample.truth, "(not real)", {"note": PRIOR_LABEL})


def cut_bbbc013(bar: Progress) -> list[LayerData]:
    """Fetch BBBC013 once and cut the cells of one well; LR images are made from them.

    Raises
    ------
    DownloadError
        If it cannot be fetched.
    """
    archive = fetch_bbbc013(bar)
    size = read_manifest(find_bundle(DEFAULT_BUNDLE)).hr_size
    cells = cut_crops(read_bbbc013(archive, BBBC013_WELL), size).stack
    return lr_and_gt_layers(cells, f"BBBC013 {BBBC013_WELL}", {"licence": BBBC013_LICENCE})


def simulated_golgi() -> list[LayerData]:
    """Simulate cells of a Golgi scattering assay: LR and GT images, and the exact truth."""
    return _simulated("golgi", GOLGI_FACTOR)


def simulated_translocation() -> list[LayerData]:
    """Simulate cells of a translocation assay: LR and GT images, and the exact truth."""
    return _simulated("translocation", FACTOR)


def simulated_field() -> list[LayerData]:
    """Simulate a field of a Golgi scattering assay as an LR microscope records it: LR alone."""
    plate = simulate_plate(SIMULATED_FOR[DEMO_BUNDLE], FIELD_CELLS)
    note = {"note": SIMULATED_LABEL}
    name = "LR field (simulated, not real)"
    return _in_own_contrast(
        layer_data(plate.fields[0].lr, name, colours=plate.colours, record=note)
    )


def lr_and_gt_layers(
    gt: CellStack,
    what: str,
    record: dict[str, str],
    *,
    factor: int = FACTOR,
    colours: Sequence[str] = (),
) -> list[LayerData]:
    """Degrade cells; return LR layers and hidden GT layers, each with a contrast of its own.

    LR images lack what is finer than a pixel: with the GT's contrast they would be dark.

    Without ``colours``, channels have those of the embedded bundle.
    """
    lr = degrade_stack(gt, DegradeSettings(factor=factor))
    if not colours:
        manifest = read_manifest(find_bundle(DEFAULT_BUNDLE))
        colours = [channel.colour for channel in manifest.channels]
    return _in_own_contrast(
        [
            *layer_data(gt, f"GT {what}", colours=colours, record=record, visible=False),
            *layer_data(lr, f"LR {what}", colours=colours, record=record, factor=factor),
        ]
    )


def _in_own_contrast(layers: list[LayerData]) -> list[LayerData]:
    """Give each layer the contrast of its own range."""
    for data, options, _ in layers:
        low, high = float(data.min()), float(data.max())
        options["contrast_limits"] = low, high if high > low else low + 1
    return layers


def _simulated(assay: AssayName, factor: int) -> list[LayerData]:
    made = simulate(SimulateSettings(assay=assay, cells=SIMULATED_CELLS, seed=FRESH_SEED))
    colours, record = made.settings.model.colours, made.record | {"note": SIMULATED_LABEL}
    images = lr_and_gt_layers(
        made.hr, "(simulated, not real)", record, factor=factor, colours=colours
    )
    return [*_truth_layers(made, images[0]), *images]


def _truth_layers(made: Simulation, gt: LayerData) -> list[LayerData]:
    """Return hidden labels: what is where, and the cells in the middle with their table.

    The cell in the middle of image k has the label k + 1 in the last layer.
    """
    number = np.arange(1, len(made.hr) + 1, dtype=np.int32)[:, None, None]
    own = np.where(made.labels["cells"] == 1, number, 0)
    table = made.table.assign(index=made.table.cell + 1).dropna(axis=1, how="all")
    places = ("scale", "translate", "axis_labels", "units", "metadata")
    shared = {name: gt[1][name] for name in places} | {"visible": False}
    truth = {kind: labels for kind, labels in made.labels.items() if labels.any()}
    return [
        *((labels, shared | {"name": f"Truth {kind}"}, "labels") for kind, labels in truth.items()),
        (own, shared | {"name": "Truth measured cells", "features": table}, "labels"),
    ]


MADE = {
    "generated-lr-cells": generated_lr_cells,
    "simulated-field": simulated_field,
    "simulated-golgi": simulated_golgi,
    "simulated-translocation": simulated_translocation,
}
"""The samples that the package has as files, and what draws them."""
