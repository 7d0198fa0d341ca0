"""Add Pix2Pix networks to an embedded bundle, as they come with the package.

    python recipes/pix2pix_networks.py bbbc013-translocation-64 OUT.rls.safetensors --data DATA
    python recipes/pix2pix_networks.py golgi-simulated-128 OUT.rls.safetensors

DATA is a folder of BBBC013v1 as two-channel TIFF files (DNA, FKHR-GFP) named by well,
A01.ome.tif to H12.ome.tif; rows A, D, E, G and H are used, which the generator was trained on.
Golgi cells are simulated: the first 1500 that the generator was trained on, and 150 further ones
of them to look at. One factor is trained after the other. Everything is seeded. Ctrl-C keeps a
checkpoint; the same command goes on with it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from napari_rls.models.bundle_file import SUFFIX
from napari_rls.training.pix2pix_settings import Pix2PixSettings
from napari_rls.workflow.cells.simulated import SIMULATED_LABEL, SimulateSettings, simulate
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.train.hr_images import HRImages
from napari_rls.workflow.train.train_pix2pix import Pix2PixJob, train_pix2pix

ROWS = "ADEGH"
CELLS = SimulateSettings(assay="golgi", cells=1650, seed=0)
HELD_OUT = 150

SETTINGS = {
    "bbbc013-translocation-64": Pix2PixSettings(
        width=16, width_max=32, steps=10_000, batch_size=16, threads=1
    ),
    "golgi-simulated-128": Pix2PixSettings(
        width=16, width_max=32, steps=4500, batch_size=8, threads=1
    ),
}
FACTORS = {"bbbc013-translocation-64": (8, 16), "golgi-simulated-128": (16, 32)}
DATA = {
    "bbbc013-translocation-64": "BBBC013v1, rows A, D, E, G, H",
    "golgi-simulated-128": "simulated cells of seed 0, control and nocodazole",
}


def main() -> None:
    """Train a network for each factor and write the bundle; go on with what is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", choices=sorted(SETTINGS))
    parser.add_argument("out", type=Path, help="bundle to write, NAME.rls.safetensors")
    parser.add_argument("--data", type=Path, help="folder of A01.ome.tif to H12.ome.tif")
    parser.add_argument("--run", type=Path, help="folder of the runs (default OUT-run)")
    given = parser.parse_args()
    run = given.run or given.out.with_name(given.out.name.removesuffix(SUFFIX) + "-run")
    if given.bundle == "golgi-simulated-128":
        hr = _simulated(run)
    elif given.data is None:
        parser.error("--data must name the folder of BBBC013")
    else:
        hr = HRImages(tuple(str(given.data / f"{row}*.tif") for row in ROWS))
    bundle = given.bundle
    try:
        for factor in FACTORS[given.bundle]:
            bundle = _with_network(given.bundle, bundle, hr, factor, run, given.out)
    except KeyboardInterrupt:
        raise SystemExit(f"Stopped; the same command goes on with {run}.") from None


def _with_network(name: str, bundle: str, hr: HRImages, factor: int, run: Path, out: Path) -> str:
    """Train the network of a factor and return the bundle that has it."""
    settings = SETTINGS[name].model_copy(update={"factor": factor})
    job = Pix2PixJob(hr, bundle, settings, out, run / f"{factor}x", DATA[name])
    for update in train_pix2pix(job):
        if update.message:
            print(update.message, flush=True)
        if update.step and update.step.report:
            print(factor, update.step.report, flush=True)
    return str(out)


def _simulated(folder: Path) -> HRImages:
    """Return files of simulated cells to train on and to look at, made once."""
    files = {part: folder / f"{part}.ome.tif" for part in ("training", "held-out")}
    if not all(file.exists() for file in files.values()):
        folder.mkdir(parents=True, exist_ok=True)
        hr = simulate(CELLS).hr
        cut = CELLS.cells - HELD_OUT
        for part, cells in (("training", slice(cut)), ("held-out", slice(cut, None))):
            stack = replace(hr, data=hr.data[cells], crops=hr.crops[cells])
            write_stack(
                files[part],
                stack,
                description=f"{SIMULATED_LABEL.capitalize()}.",
                colours=CELLS.model.colours,
            )
    return HRImages((str(files["training"]),), (str(files["held-out"]),))


if __name__ == "__main__":
    main()
