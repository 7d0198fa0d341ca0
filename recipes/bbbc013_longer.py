"""Train the generator of ``bbbc013-translocation-64`` for longer, through the camera.

    python recipes/bbbc013_longer.py DATA OUT.rls.safetensors

DATA is the folder of BBBC013v1 that the bundle's recipe takes. The run goes on from
``bbbc013-translocation-64-start.safetensors``: generator and discriminator of the bundle, which had
seen 500 thousand images, after another 685 with the settings below, through a camera whose
grey levels were not whole. No embedded bundle has this generator yet. Ctrl-C keeps a checkpoint;
the same command goes on with it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bbbc013_translocation_64 import BLUEPRINT, SETTINGS, job_of, train

from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.catalogue import find_bundle

START = Path(__file__).with_name(f"{BLUEPRINT.name}-start.safetensors")
BEFORE, IN_ALL, FALLING = 1185, 2000, 100
"""kimg that the start has seen, that it is to see, and during which the step size falls."""


def main() -> None:
    """Train, fit and write the bundle; go on with the run if there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of A01.ome.tif to H12.ome.tif")
    parser.add_argument("out", type=Path, help="bundle to write, NAME.rls.safetensors")
    given = parser.parse_args()
    settings = SETTINGS.model_copy(
        update={
            "camera": read_manifest(find_bundle(BLUEPRINT.name)).camera,
            "kimg": IN_ALL - BEFORE,
            "decay_after_kimg": IN_ALL - BEFORE - FALLING,
            # With 0.3, six times the published heuristic, D was nearly blind: a loss of 1.35.
            "r1_gamma": 0.1,
            "precision": "bfloat16",
        }
    )
    told = f"{BLUEPRINT.data} Before the kimg that are counted here, {BEFORE}."
    card = BLUEPRINT.model_copy(update={"data": told})
    train(job_of(given.data, given.out).but(settings=settings, card=card, start=START))


if __name__ == "__main__":
    main()
