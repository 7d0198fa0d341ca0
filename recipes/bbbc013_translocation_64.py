"""Make the embedded bundle ``bbbc013-translocation-64`` of the images of BBBC013.

    python recipes/bbbc013_translocation_64.py DATA OUT.rls.safetensors

DATA is a folder of BBBC013v1 as two-channel TIFF files (DNA, FKHR-GFP) named by well,
A01.ome.tif to H12.ome.tif. The generator starts from random weights. Everything is seeded.
Ctrl-C keeps a checkpoint; the same command goes on with it.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

from napari_rls.models.blueprint import Blueprint
from napari_rls.models.manifest import Channel, EncoderShape, FlowSpec, Intensity
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.train.train_bundle import train_bundle
from napari_rls.workflow.train.train_job import TrainJob

SETTINGS = TrainSettings(
    size=64,
    channels=("DNA", "FKHR-GFP"),
    kimg=500,
    decay_after_kimg=400,
    precision="float32",
    threads=1,
)

SAMPLES = 100_000

BLUEPRINT = Blueprint(
    name="bbbc013-translocation-64",
    title="FKHR-GFP translocation in U2OS cells, 64 x 64 pixels",
    architecture=SETTINGS.architecture,
    channels=(Channel(name="DNA", colour="#3060ff"), Channel(name="FKHR-GFP", colour="#30ff60")),
    pixel_size_um=None,
    intensity=Intensity(
        low=0,
        high=255,
        unit="8-bit grey levels",
        note="Every training field was stretched to 0..255 on its own before publication, so "
        "absolute intensities cannot be compared between fields; ratios within a field can.",
    ),
    flow=FlowSpec(kind="maf", blocks=5, hidden=256, hidden_layers=2),
    encoder=EncoderShape(
        factors=(4, 8, 16, 32),
        hidden=384,
        samples=SAMPLES,
        noise=0.04,
        seed=0,
    ),
    data="BBBC013v1, rows A, D, E, G, H (60 wells); row B is held out for KID and FID, "
    "rows C and F were not used.",
    licence="CC BY 3.0",
    attribution="Trained on image set BBBC013v1, provided by Ilya Ravkin, available from the "
    "Broad Bioimage Benchmark Collection (Ljosa et al., Nature Methods, 2012).",
    intended_use="Nucleus-centred crops of U2OS cells with a DNA stain and FKHR-GFP, at the pixel "
    "size of BBBC013, where a nucleus is about 15 pixels across; to try the method, and to "
    "measure nucleus to cytoplasm ratios of the FKHR translocation assay.",
    limits="Knows one cell line, one assay and one microscope. A small generator, trained for a "
    "short time. SR pixels are generated: details finer than the LR image are plausible, "
    "not measured.",
    created_by=f"napari-rls {version('napari-rls')}",
)


def job_of(data: Path, out: Path, run: Path | None = None) -> TrainJob:
    """Return the training on a folder of images, whose run lies beside the bundle by default."""
    return TrainJob(
        images=tuple(str(data / f"{row}*.tif") for row in "ADEGH"),
        settings=SETTINGS,
        card=BLUEPRINT,
        out=out,
        folder=run or out.with_name(f"{out.name.partition('.')[0]}-run"),
        validation=(str(data / "B*.tif"),),
        generator="last",
        fit_samples=SAMPLES,
    )


def train(job: TrainJob) -> None:
    """Train, fit and write the bundle, and print how far it is; go on with the run if there is one.

    Ctrl-C ends the program with a sentence.
    """
    try:
        for update in train_bundle(job):
            if update.message:
                print(update.message, flush=True)
            if update.step and update.step.report:
                print(update.step.report, update.step.score or "", flush=True)
    except KeyboardInterrupt:
        raise SystemExit(f"Stopped; the same command goes on with {job.folder}.") from None


def main() -> None:
    """Train, fit and write the bundle; go on with the run if there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of A01.ome.tif to H12.ome.tif")
    parser.add_argument("out", type=Path, help="bundle to write, NAME.rls.safetensors")
    parser.add_argument("--run", type=Path, help="folder of the run (default OUT-run)")
    given = parser.parse_args()
    train(job_of(given.data, given.out, given.run))


if __name__ == "__main__":
    main()
