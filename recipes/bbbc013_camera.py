"""Add the camera's noise to an earlier ``bbbc013-translocation-64``, as it comes with the package.

    python recipes/bbbc013_camera.py DATA OUT.rls.safetensors

DATA is the folder of BBBC013v1 that the bundle's recipe takes. The noise is what the crops
that the generator was trained on have and its images lack; bundles that are trained anew get
it by themselves.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from bbbc013_translocation_64 import BLUEPRINT, SETTINGS

from napari_rls.models.bundle import load_bundle
from napari_rls.models.manifest import FORMAT_VERSION
from napari_rls.workflow.train.cut_crops import prepare
from napari_rls.workflow.train.fields import find_fields
from napari_rls.workflow.train.fitted import with_camera

ROWS = "ADEGH"


def main() -> None:
    """Find the noise and write the bundle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of A01.ome.tif to H12.ome.tif")
    parser.add_argument("out", type=Path, help="bundle to write, NAME.rls.safetensors")
    given = parser.parse_args()
    images = [str(given.data / f"{row}*.tif") for row in ROWS]
    cutting = prepare(find_fields(images, SETTINGS.channels), SETTINGS)
    while True:
        try:
            next(cutting)
        except StopIteration as end:
            crops = end.value
            break
    print(crops.summary())
    bundle = with_camera(load_bundle(BLUEPRINT.name), crops.training.data)
    print(bundle.manifest.camera)
    manifest = bundle.manifest.model_copy(update={"format_version": FORMAT_VERSION})
    replace(bundle, manifest=manifest).save(given.out)


if __name__ == "__main__":
    main()
