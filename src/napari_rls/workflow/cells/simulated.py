"""Simulated cells as a stack with their truth: label images and a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from napari_rls.errors import InputError
from napari_rls.files.csv_file import write_csv
from napari_rls.models.field_notes import PIXELS
from napari_rls.models.part import Checked
from napari_rls.simulate.assays import ASSAYS, AssayName, SimulatedAssay
from napari_rls.workflow.cells.stack import CellStack, Crop
from napari_rls.workflow.cells.write import write_json, write_stack

if TYPE_CHECKING:
    import pandas as pd

    from napari_rls.simulate.scene import SimulatedCell

SIMULATED_LABEL = "simulated cells, not real"
"""How simulated cells are called wherever they appear."""

FILE = "simulated"
"""What the crops of simulated cells name as their file."""

FRESH_SEED = 1_000_000
"""Seed of the cells that are shown; no bundle is trained on cells of a seed this large."""


class SimulateSettings(Checked):
    """Which cells are simulated.

    Cell k is drawn with ``np.random.default_rng([seed, k])`` in condition k modulo their
    number, so that any cell can be made again alone. The side of the images is in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    assay: AssayName = Field(default="golgi", title="Assay", description="What is simulated.")
    cells: int = Field(default=24, ge=1, le=100_000, title="Cells", description="Number of cells.")
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, title="Seed", description="Seed of all that is random."
    )
    size: Annotated[int | None, PIXELS] = Field(
        default=None, ge=32, le=1024, title="Size", description="Side of the images."
    )
    conditions: tuple[str, ...] = Field(
        default=(),
        title="Conditions",
        description="Conditions that the cells are in, in turn; the assay's own if empty.",
    )

    @property
    def model(self) -> SimulatedAssay:
        """What is known of the assay."""
        return ASSAYS[self.assay]


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated cells and the truth behind them.

    Parameters
    ----------
    settings
        Which cells these are.
    hr
        The images (N, 2, H, W), uint16 grey levels; the crops tell the conditions.
    labels
        ``nuclei``, ``cells`` and ``spots`` (N, H, W), int32; see
        :class:`~napari_rls.simulate.scene.SimulatedCell`. In ``nuclei`` and ``cells`` the
        cell in the middle is 1.
    table
        A row per cell, about the one in the middle:

        ============== ==============================================================
        cell           its number, from 0
        condition      what was done to it
        ratio          mean signal in the nucleus over that in the cytoplasm, before
                       blur, background and noise; NaN in the Golgi assay
        spots          number of separate spots
        spot_mean_um2  mean area of a spot in square micrometres; NaN without spots
        spot_median_um2, spot_total_um2
                       median and sum of the areas; the median is NaN without spots
        nucleus_um2, cell_um2
                       area of nucleus and cell as labelled, inside the image
        ============== ==============================================================
    record
        How they were made: plain numbers, strings, lists and dicts.
    """

    settings: SimulateSettings
    hr: CellStack
    labels: dict[str, NDArray[np.int32]]
    table: pd.DataFrame
    record: dict[str, Any]


def simulate(settings: SimulateSettings) -> Simulation:
    """Simulate cells.

    Raises
    ------
    InputError
        If the assay has no such condition.
    """
    return gather(settings, simulated_cells(settings))


def simulated_cells(settings: SimulateSettings) -> Iterator[SimulatedCell]:
    """Simulate cells one by one; see :func:`simulate`."""
    assay = settings.model
    conditions = settings.conditions or assay.conditions
    size = settings.size or assay.size
    for k in range(settings.cells):
        rng = np.random.default_rng([settings.seed, k])
        try:
            yield assay.simulate(conditions[k % len(conditions)], rng, size)
        except ValueError as error:
            raise InputError(str(error)) from None


def gather(settings: SimulateSettings, simulated: Iterable[SimulatedCell]) -> Simulation:
    """Gather the cells of :func:`simulated_cells`."""
    import pandas as pd

    cells = list(simulated)
    assay = settings.model
    centre = (cells[0].image.shape[-1] - 1) / 2
    hr = CellStack(
        np.stack([cell.image for cell in cells]),
        assay.channels,
        pixel_size_um=cells[0].pixel_size_um,
        crops=tuple(Crop(FILE, y=centre, x=centre, condition=cell.condition) for cell in cells),
        name=f"{assay.title} ({SIMULATED_LABEL})",
    )
    labels = {
        "nuclei": np.stack([cell.nuclei for cell in cells]),
        "cells": np.stack([cell.cells for cell in cells]),
        "spots": np.stack([cell.spots for cell in cells]),
    }
    table = pd.DataFrame([{"cell": k} | _row(cell) for k, cell in enumerate(cells)])
    return Simulation(settings, hr, labels, table, _record(settings))


def simulation_paths(folder: Path, settings: SimulateSettings) -> dict[str, Path]:
    """Return where :func:`write_simulation` writes what, in a folder."""
    stem = f"simulated_{settings.assay}"
    images = {kind: folder / f"{stem}_{kind}.ome.tif" for kind in ("HR", "nuclei", "cells")}
    if settings.assay == "golgi":
        images["spots"] = folder / f"{stem}_spots.ome.tif"
    return images | {"truth": folder / f"{stem}_truth.csv", "record": folder / f"{stem}.json"}


def write_simulation(folder: Path, made: Simulation) -> list[Path]:
    """Write images, truth and record, each file whole or not at all; return their paths.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = simulation_paths(folder, made.settings)
    description = f"{SIMULATED_LABEL.capitalize()}."
    write_stack(
        paths["HR"],
        made.hr,
        description=description,
        colours=made.settings.model.colours,
        record=made.record,
    )
    for kind in made.labels.keys() & paths.keys():
        truth = CellStack(
            made.labels[kind][:, None],
            (kind,),
            pixel_size_um=made.hr.pixel_size_um,
            crops=made.hr.crops,
            name=f"{kind} of {made.hr.name}",
        )
        write_stack(paths[kind], truth, description=description, record=made.record)
    write_csv(paths["truth"], made.table)
    write_json(paths["record"], made.record)
    return list(paths.values())


def _row(cell: SimulatedCell) -> dict[str, float | int | str]:
    areas = np.array(cell.areas_um2)
    pixel = cell.pixel_size_um**2
    return {
        "condition": cell.condition,
        "ratio": cell.ratio,
        "spots": areas.size,
        "spot_mean_um2": float(areas.mean()) if areas.size else np.nan,
        "spot_median_um2": float(np.median(areas)) if areas.size else np.nan,
        "spot_total_um2": float(areas.sum()),
        "nucleus_um2": float((cell.nuclei == 1).sum() * pixel),
        "cell_um2": float((cell.cells == 1).sum() * pixel),
    }


def _record(settings: SimulateSettings) -> dict[str, Any]:
    assay = settings.model
    return {
        "simulated": True,
        "warning": "The cells are simulated: drawn by a program, not recorded by a microscope.",
        "software": {name: version(name) for name in ("napari-rls", "numpy", "scipy")},
        "settings": settings.model_dump(mode="json"),
        "assay": assay.settings(settings.size or assay.size).model_dump(mode="json"),
    }
