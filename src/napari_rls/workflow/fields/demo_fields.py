"""Simulated LR fields to try a run on: two conditions, with the truth behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from napari_rls.files.csv_file import write_csv
from napari_rls.search.noise import NoiseModel
from napari_rls.search.optics import USUAL_SIGMA
from napari_rls.simulate.assays import AssayName
from napari_rls.workflow.cells.contact_sheet import contact_sheet
from napari_rls.workflow.cells.lr_field import degrade_field
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.simulated import (
    FRESH_SEED,
    SIMULATED_LABEL,
    SimulateSettings,
    simulate,
)
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import GENERATED, write_stack
from napari_rls.workflow.fields.field_files import FieldPaths
from napari_rls.workflow.fields.sr_field import SrField

DEMO_BUNDLE = "golgi-simulated-128"
"""The bundle that has learned simulated cells, so that simulated fields are its own kind."""

DEMO_STEPS = 100
"""Steps of the search: enough for a first look."""

GAIN, READ = 1 / 750, 0.007
"""Of the camera: levels a photon and read noise, as shares of the light of bright pixels."""

_FILLED = 0.75
"""Cells of an image for each that is tried, as some are too near to others."""

_TILE = 256
"""Least side of a field in the picture, where its pixels can be enlarged; the most is twice it."""


@dataclass(frozen=True, eq=False)
class DemoField:
    """A simulated field of one condition: LR as recorded (1, C, h, w), and HR (1, C, H, W)."""

    well: str
    condition: str
    lr: CellStack
    hr: CellStack


@dataclass(frozen=True, eq=False)
class DemoPlate:
    """Fields of one camera, HR pixels along an LR pixel, the noise, and colours of channels."""

    fields: tuple[DemoField, ...]
    ratio: float
    noise: NoiseModel
    colours: tuple[str, ...]


def simulate_plate(assay: AssayName, cells: int, ratio: float = 8, seed: int = 0) -> DemoPlate:
    """Simulate a field of each of the assay's conditions, as an LR microscope records it.

    Cells are of seeds that no bundle was trained on; PSF: :data:`USUAL_SIGMA` LR pixels.

    Parameters
    ----------
    assay
        What is simulated.
    cells
        About how many cells all fields have.
    ratio
        HR pixels along an LR pixel.
    seed
        Seed of cells and noise.
    """
    model = SimulateSettings(assay=assay).model
    conditions, scene = model.conditions, model.settings(model.size)
    area = cells / len(conditions) / (_FILLED * scene.population.density)
    side = round(math.sqrt(area) / scene.optics.pixel_size_um / ratio) * ratio
    size = int(min(max(side, model.size), 1024))
    made = simulate(
        SimulateSettings(
            assay=assay, cells=len(conditions), seed=(FRESH_SEED + seed) % 2**31, size=size
        )
    )
    offset = scene.optics.offset
    light = made.hr.data.astype(np.float32) - offset
    bright = np.percentile(light, 99.9, axis=(0, 2, 3)).max()
    gain, read = float(GAIN * bright), float(READ * bright)
    fields = []
    for k, condition in enumerate(conditions):
        well = f"A{k + 1:02d}"
        lr = degrade_field(
            light[k], ratio, USUAL_SIGMA, offset=offset, gain=gain, read_noise=read, seed=seed + k
        )
        hr = replace(
            made.hr,
            data=made.hr.data[k : k + 1],
            crops=(),
            leading=None,
            name=f"{well} ({SIMULATED_LABEL})",
        )
        size_um = scene.optics.pixel_size_um * ratio
        fields.append(
            DemoField(well, condition, replace(hr, data=lr[None], pixel_size_um=size_um), hr)
        )
    channels = len(model.channels)
    noise = NoiseModel(
        gain=(gain,) * channels, offset=(offset,) * channels, read_noise=(read,) * channels
    )
    return DemoPlate(tuple(fields), ratio, noise, model.colours)


def write_plate(folder: Path, plate: DemoPlate) -> list[Path]:
    """Write LR and true fields and a plate map; return the paths of the LR fields and the map.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for field in plate.fields:
        paths.append(folder / f"{field.well}.ome.tif")
        text = f"{SIMULATED_LABEL.capitalize()}."
        write_stack(paths[-1], field.lr, description=f"LR. {text}", colours=plate.colours)
        truth = folder / f"truth_{field.well}.ome.tif"
        write_stack(truth, field.hr, description=f"HR. {text}", colours=plate.colours)
    conditions = [(field.well, field.condition) for field in plate.fields]
    write_csv(folder / "wells.csv", pd.DataFrame(conditions, columns=["well", "condition"]))
    return [*paths, folder / "wells.csv"]


def plate_picture(plate: DemoPlate, results: Path) -> Image.Image:
    """Draw LR, SR and true fields beside each other, in one contrast.

    Parameters
    ----------
    plate
        The fields.
    results
        Folder of the run's results.

    Raises
    ------
    InputError
        If an SR field is not there.
    """
    rows = {}
    for field in plate.fields:
        paths = FieldPaths.of(results / "fields", field.well, plate.ratio)
        sr = read_stack(paths.image).data[0].astype(np.float32)
        whole = slice(0, sr.shape[-2]), slice(0, sr.shape[-1])
        none = np.empty((0, len(sr), 1, 1), np.float32)
        lr = SrField(field.lr.data[0], none, np.empty((0, 2)), plate.ratio).recorded(*whole)
        truth = field.hr.data[0][:, *whole].astype(np.float32)
        rows[f"{field.well}\n{field.condition}"] = np.stack([lr, sr, truth])
    title = (
        f"{SIMULATED_LABEL.capitalize()}. From left: LR; SR {plate.ratio:g}x, {GENERATED}; truth"
    )
    side = sr.shape[-1]
    return contact_sheet(
        rows, plate.colours, title, tile=min(side * max(_TILE // side, 1), 2 * _TILE)
    )
