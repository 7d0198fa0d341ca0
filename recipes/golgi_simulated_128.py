"""Make the embedded bundle ``golgi-simulated-128`` of simulated cells.

    python recipes/golgi_simulated_128.py OUT.rls.safetensors

Simulates 6000 cells to train on and 600 to validate on, half of each with a compact Golgi
and half with a scattered one, trains at half the size, then at full size, and at last through
the camera, so that the generator draws cells and leaves the camera's noise to the camera.
Everything is seeded. Ctrl-C keeps a checkpoint; the same command goes on with it.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.progress import track

from napari_rls.models.blueprint import Blueprint
from napari_rls.models.camera import CameraNoise
from napari_rls.models.manifest import Channel, EncoderShape, FlowSpec, Intensity
from napari_rls.simulate.assays import ASSAYS
from napari_rls.simulate.golgi import GolgiSettings
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.cells.simulated import SIMULATED_LABEL, SimulateSettings, simulated_cells
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.train.train_bundle import train_bundle
from napari_rls.workflow.train.train_job import TrainJob

ASSAY = ASSAYS["golgi"]
PIXEL_UM = GolgiSettings().optics.pixel_size_um
INTENSITY = Intensity(low=100, high=1100, unit="simulated camera counts")

SETTINGS = TrainSettings(
    size=128,
    channels=ASSAY.channels,
    intensity=INTENSITY,
    channel_last=8,
    kimg=210,
    decay_after_kimg=160,
    warmup_kimg=4,
    precision="float32",
    threads=1,
)
HALF_SIZE_KIMG = 100
OPTICS = GolgiSettings().optics
SPAN = (INTENSITY.high - INTENSITY.low) / 2
CAMERA = CameraNoise(
    slope=(OPTICS.gain / SPAN,) * 2,
    # Read noise, and rounding to whole grey levels.
    floor=(((OPTICS.gain * OPTICS.read_noise) ** 2 + 1 / 12) / SPAN**2,) * 2,
)
THROUGH_CAMERA = SETTINGS.model_copy(
    update={"camera": CAMERA, "kimg": 75, "decay_after_kimg": 35, "decay_half_kimg": 12}
)
CELLS = {
    "training": SimulateSettings(cells=6000),
    "validation": SimulateSettings(cells=600, seed=1),
}
SAMPLES = 100_000
FACTORS = (8, 16, 32)

BLUEPRINT = Blueprint(
    name="golgi-simulated-128",
    title="Golgi scattering in simulated cells, 128 x 128 pixels",
    architecture=SETTINGS.architecture,
    channels=tuple(
        Channel(name=name, colour=colour)
        for name, colour in zip(ASSAY.channels, ASSAY.colours, strict=True)
    ),
    pixel_size_um=PIXEL_UM,
    intensity=INTENSITY,
    flow=FlowSpec(kind="maf", blocks=5, hidden=256, hidden_layers=2),
    encoder=EncoderShape(
        factors=FACTORS,
        hidden=384,
        samples=SAMPLES,
        noise=0.04,
        seed=0,
    ),
    data="Simulated cells of napari-rls (napari-rls simulate --assay golgi, seed 0), half with "
    "a compact Golgi, half with a scattered one; cells of seed 1 are held out for KID and FID. "
    f"Before the kimg that are counted here, {HALF_SIZE_KIMG} at half the size and "
    f"{SETTINGS.kimg:g} without the camera.",
    licence="BSD-3-Clause",
    attribution="Trained on cells simulated by napari-rls.",
    intended_use="Simulated cells of the Golgi assay, whose truth is known: to try the method at "
    "16x and 32x, and to check how far spot areas and counts survive it.",
    limits="Has never seen a real cell and is not meant for any. SR pixels are generated: details "
    "finer than the LR image are plausible, not measured.",
    created_by=f"napari-rls {version('napari-rls')}",
)


def main() -> None:
    """Simulate, train, fit and write the bundle; go on with the run if there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="bundle to write, NAME.rls.safetensors")
    parser.add_argument("--run", type=Path, help="folder of the run (default OUT-run)")
    parser.add_argument("--start", type=Path, help="bundle of the stages without a camera, if kept")
    given = parser.parse_args()
    stem = given.out.name.partition(".")[0]
    run = given.run or given.out.with_name(f"{stem}-run")
    cells = run.with_name(f"{run.name}-cells")
    last = TrainJob(
        images=(str(_simulated(cells, "training")),),
        settings=THROUGH_CAMERA,
        card=BLUEPRINT,
        out=given.out,
        folder=run,
        validation=(str(_simulated(cells, "validation")),),
        start=given.start or given.out.with_name(f"{stem}-start.rls.safetensors"),
        generator="last",
        fit_samples=SAMPLES,
    )
    first = last.but(
        settings=SETTINGS,
        out=last.start,
        folder=run.with_name(f"{run.name}-start"),
        start=None,
        grow_kimg=HALF_SIZE_KIMG,
    )
    try:
        for job in (last,) if given.start else (first, last):
            _train(job)
    except KeyboardInterrupt:
        raise SystemExit("Stopped; the same command goes on.") from None


def _train(job: TrainJob) -> None:
    for update in train_bundle(job):
        if update.message:
            print(update.message, flush=True)
        if update.step and update.step.report:
            print(update.step.report, update.step.score or "", flush=True)


def _simulated(folder: Path, part: str) -> Path:
    """Return a file of simulated cells, made once."""
    file = folder / f"{part}.ome.tif"
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    wanted = CELLS[part]
    # The images alone: the truth of 6000 cells would fill the memory.
    images = [c.image for c in track(simulated_cells(wanted), total=wanted.cells, description=part)]
    stack = CellStack(np.stack(images), ASSAY.channels, pixel_size_um=PIXEL_UM, name=part)
    write_stack(file, stack, description=f"{SIMULATED_LABEL.capitalize()}.", colours=ASSAY.colours)
    return file


if __name__ == "__main__":
    main()
