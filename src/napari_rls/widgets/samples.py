"""Sample data of the plugin: cells to try the search on."""

from __future__ import annotations

from napari.utils import progress

from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.catalogue import find_bundle
from napari_rls.search.settings import DEFAULT_BUNDLE
from napari_rls.widgets.layer_data import LayerData, layer_data
from napari_rls.workflow.crops import cut_crops
from napari_rls.workflow.degrade import DegradeSettings, degrade_stack
from napari_rls.workflow.samples import (
    BBBC013_LICENCE,
    PRIOR_LABEL,
    draw_prior_sample,
    fetch_bbbc013,
    read_bbbc013,
)
from napari_rls.workflow.stack import CellStack

FACTOR = 8
BBBC013_WELL = "B07"


def generated_lr_cells() -> list[LayerData]:
    """Draw cells from the embedded bundle: LR images, and the HR images behind them."""
    from napari_rls.models.bundle import load_bundle

    sample = draw_prior_sample(load_bundle(DEFAULT_BUNDLE), factor=FACTOR)
    return lr_and_gt_layers(sample.truth, "(not real)", {"note": PRIOR_LABEL})


def bbbc013() -> list[LayerData]:
    """Fetch BBBC013 once and cut the cells of one well; LR images are made from them."""
    bar = progress(desc="Downloading BBBC013")
    try:
        archive = fetch_bbbc013(bar)
    finally:
        bar.close()
    size = read_manifest(find_bundle(DEFAULT_BUNDLE)).hr_size
    cells = cut_crops(read_bbbc013(archive, BBBC013_WELL), size).stack
    return lr_and_gt_layers(cells, f"BBBC013 {BBBC013_WELL}", {"licence": BBBC013_LICENCE})


def lr_and_gt_layers(gt: CellStack, what: str, record: dict[str, str]) -> list[LayerData]:
    """Degrade cells; return LR layers and hidden GT layers, all with the contrast of these."""
    lr = degrade_stack(gt, DegradeSettings(factor=FACTOR))
    manifest = read_manifest(find_bundle(DEFAULT_BUNDLE))
    colours = [channel.colour for channel in manifest.channels]
    layers = [
        *layer_data(gt, f"GT {what}", colours=colours, record=record, visible=False),
        *layer_data(lr, f"LR {what}", colours=colours, record=record, factor=FACTOR),
    ]
    for c in range(len(gt.channels)):
        limits = float(gt.data[:, c].min()), float(gt.data[:, c].max())
        for _, options, _ in layers[c :: len(gt.channels)]:
            options["contrast_limits"] = limits
    return layers
