"""Sample data of the plugin: cells to try the search on, drawn beforehand so that they open fast.

``recipes/samples.py`` draws them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils import progress

from napari_rls.widgets.common.background import beside_the_window, warm_up_layers

if TYPE_CHECKING:
    from napari_rls.widgets.cells.layer_data import LayerData

FOLDER = Path(__file__).with_name("sample_files")


def generated_lr_cells() -> list[LayerData]:
    """Open cells drawn from the embedded bundle: LR images, and the HR images behind them."""
    return beside_the_window(lambda: read_sample("generated-lr-cells"))


def simulated_field() -> list[LayerData]:
    """Open a simulated field of a Golgi scattering assay, as an LR microscope records it."""
    return beside_the_window(lambda: read_sample("simulated-field"))


def simulated_golgi() -> list[LayerData]:
    """Open simulated cells of a Golgi scattering assay: LR and GT images, and the exact truth."""
    return beside_the_window(lambda: read_sample("simulated-golgi"))


def simulated_translocation() -> list[LayerData]:
    """Open simulated cells of a translocation assay: LR and GT images, and the exact truth."""
    return beside_the_window(lambda: read_sample("simulated-translocation"))


def bbbc013() -> list[LayerData]:
    """Fetch BBBC013 once and cut the cells of one well; LR images are made from them."""
    reached = _Reached()

    def make() -> list[LayerData]:
        from napari_rls.widgets.contributions.sample_cells import cut_bbbc013

        warm_up_layers()
        return cut_bbbc013(reached)

    with progress(desc="Downloading BBBC013") as bar:

        def follow() -> None:
            if reached.total and bar.total != reached.total:
                bar.reset(reached.total)
            bar.update(reached.done - bar.n)

        return beside_the_window(make, follow)


@dataclass
class _Reached:
    """How far a download is: bars of the window may be touched in its own thread alone."""

    total: int = 0
    done: int = 0

    def update(self, count: int, /) -> None:
        self.done += count

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing is to be taken away."""


def read_sample(key: str) -> list[LayerData]:
    """Return the layers of a sample file."""
    warm_up_layers()
    with np.load(FOLDER / f"{key}.npz") as file:
        kinds = json.loads(str(file["layers"]))
        return [(file[f"data{k}"], options, kind) for k, (options, kind) in enumerate(kinds)]


def write_sample(key: str, layers: list[LayerData]) -> Path:
    """Write the layers of a sample file; return its path."""
    options = [
        (
            kept | ({"features": kept["features"].to_dict("list")} if "features" in kept else {}),
            kind,
        )
        for _, kept, kind in layers
    ]
    arrays = {f"data{k}": data for k, (data, _, _) in enumerate(layers)}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{key}.npz"
    np.savez_compressed(
        path, layers=json.dumps(options, default=lambda table: table.to_dict("list")), **arrays
    )
    return path
