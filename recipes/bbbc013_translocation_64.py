"""Make the embedded bundle ``bbbc013-translocation-64`` from the weights of its generator.

    python recipes/bbbc013_translocation_64.py WEIGHTS.safetensors OUT.rls.safetensors

WEIGHTS holds the moving average of the generator with the state-dict names of
stylegan2-ada-pytorch. Flow and encoders are fitted here; everything is seeded.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import load_file

from napari_rls.models.architecture import Architecture
from napari_rls.models.manifest import (
    Channel,
    EncoderSpec,
    FlowFit,
    FlowSpec,
    Intensity,
    Manifest,
    Training,
)
from napari_rls.models.stylegan2 import Generator
from napari_rls.training.assemble import FLOW_SAMPLES, assemble

ARCHITECTURE = Architecture(
    resolution=64,
    image_channels=2,
    z_dim=128,
    w_dim=128,
    mapping_layers=8,
    channel_base=1024,
    channel_max=128,
)

DRAFT = Manifest(
    name="bbbc013-translocation-64",
    title="FKHR-GFP translocation in U2OS cells, 64 x 64 pixels",
    architecture=ARCHITECTURE,
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
    flow_fit=FlowFit(samples=FLOW_SAMPLES, seed=0, epochs=0, held_out_nats=0, ks_distance=1),
    encoder=EncoderSpec(
        factors=(4, 8, 16, 32),
        hidden=384,
        samples=100_000,
        noise=0.04,
        seed=0,
        held_out_error=(1.0, 1.0, 1.0, 1.0),
    ),
    training=Training(
        data="BBBC013v1, rows A, D, E, G, H (60 wells); rows B, C and F were held out.",
        images=8674,
        kimg=156,
    ),
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


def main(weights: Path, out: Path) -> None:
    """Fit flow and encoders to the generator in ``weights`` and write the bundle to ``out``."""
    generator = Generator(ARCHITECTURE)
    generator.load_state_dict(load_file(weights))
    bundle = assemble(generator, DRAFT, report=lambda line: print(line, flush=True)).save(out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {bundle.manifest.content_hash}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
