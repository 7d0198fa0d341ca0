"""Add a field encoder, or flow matching, to an embedded bundle, as it comes with the package.

    python recipes/field_encoder.py bbbc013-translocation-64 DATA OUT.rls.safetensors
    python recipes/field_encoder.py bbbc013-translocation-64 DATA OUT.rls.safetensors --flow
    python recipes/field_encoder.py golgi-simulated-128 CELLS OUT.rls.safetensors
    python recipes/field_encoder.py golgi-simulated-128 CELLS OUT.rls.safetensors --flow
    python recipes/field_encoder.py golgi-simulated-128 CELLS OUT.rls.safetensors --coarse

DATA is a folder of BBBC013v1 as two-channel TIFF files (DNA, FKHR-GFP) named by well,
A01.ome.tif to H12.ome.tif; rows A, D, E, G and H are used, which the generator was trained on,
and row B to look at. CELLS is the folder of simulated cells that ``golgi_simulated_128.py`` makes.
Everything is seeded. Ctrl-C keeps a checkpoint; the same command goes on with it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_rls.models.bundle_file import SUFFIX
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.training.flow_matching_settings import FlowMatchingSettings
from napari_rls.workflow.train.hr_images import HRImages
from napari_rls.workflow.train.train_fields import FieldEncoderJob, train_fields
from napari_rls.workflow.train.train_flow import FlowMatchingJob, train_flow

ROWS, HELD_OUT = "ADEGH", "B"
RECIPES = {
    "bbbc013-translocation-64": (
        FieldEncoderSettings(
            steps=12000,
            width=48,
            hidden=512,
            image_width=48,
            threads=1,
            device="cpu",
            report_steps=1000,
        ),
        [f"{row}*.tif" for row in ROWS],
        f"{HELD_OUT}*.tif",
        f"BBBC013v1, rows {', '.join(ROWS)}",
    ),
    "golgi-simulated-128": (
        FieldEncoderSettings(
            steps=7000,
            batch_size=16,
            ratio_high=40,
            image_width=32,
            start=False,
            threads=1,
            device="cpu",
            report_steps=1000,
        ),
        ["training.ome.tif"],
        "validation.ome.tif",
        "simulated cells of napari-rls",
    ),
}

FLOWS = {
    "bbbc013-translocation-64": FlowMatchingSettings(
        steps=12000, threads=1, device="cpu", report_steps=1000
    ),
    "golgi-simulated-128": FlowMatchingSettings(
        steps=16000, batch_size=16, width=32, threads=1, device="cpu", report_steps=1000
    ),
}

COARSE = {
    "golgi-simulated-128": FlowMatchingSettings(
        part="coarse",
        steps=7000,
        batch_size=16,
        width=28,
        threads=1,
        device="cpu",
        report_steps=1000,
    ),
}


def main() -> None:
    """Train the network and write the bundle; go on with what is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", choices=[*RECIPES], help="bundle to add it to")
    parser.add_argument("data", type=Path, help="folder of its HR images")
    parser.add_argument("out", type=Path, help="bundle to write, NAME.rls.safetensors")
    networks = parser.add_mutually_exclusive_group()
    networks.add_argument("--flow", action="store_true", help="add flow matching instead")
    networks.add_argument("--coarse", action="store_true", help="add that of coarse images instead")
    given = parser.parse_args()
    folder = given.out.with_name(given.out.name.removesuffix(SUFFIX) + "-run")
    settings, images, held_out, data = RECIPES[given.bundle]
    hr = HRImages(tuple(str(given.data / one) for one in images), (str(given.data / held_out),))
    flows = COARSE if given.coarse else FLOWS if given.flow else {}
    if flows:
        if given.bundle not in flows:
            parser.error(f"{given.bundle} has no network of coarse images")
        flow = flows[given.bundle]
        updates = train_flow(FlowMatchingJob(hr, given.bundle, flow, given.out, folder, data))
    else:
        job = FieldEncoderJob(hr, given.bundle, settings, given.out, folder, data)
        updates = train_fields(job)
    try:
        for update in updates:
            if update.message:
                print(update.message, flush=True)
            if update.step and update.step.report:
                print(update.step.report, flush=True)
    except KeyboardInterrupt:
        raise SystemExit(f"Stopped; the same command goes on with {folder}.") from None


if __name__ == "__main__":
    main()
