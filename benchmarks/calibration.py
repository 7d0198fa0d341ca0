"""Whether samples of cells whose truth is known are of the posterior: SBC and TARP.

    python benchmarks/calibration.py --factor 8
    python benchmarks/calibration.py --factor 8 --hr HR.ome.tif

Cells are drawn by the bundle's generator, with the camera's noise, or are HR crops; they are
degraded without noise, and their samples drawn by flow matching. Of each measurement of the
bundle's assay: between which of its sorted samples the true value lies (simulation-based
calibration), how often the least and largest, and those next to them, hold it, what would be
exact, and the chance of ranks as uneven. Of all together: the largest difference of coverage from
what it should be (TARP), by points drawn at random. What only hundreds of cells tell, some dozens
do not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from napari_rls.evaluation.distributions import ranks_of_truth, shares_nearer
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.search.degradation import Bicubic
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.trust_levels import measured
from napari_rls.workflow.super_resolve.resolver import SuperResolver


def generated(bundle: Bundle, cells: int, seed: int) -> np.ndarray:
    """Return cells (N, C, S, S) that the generator draws, with the camera's noise."""
    manifest, generator = bundle.manifest, bundle.generator
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        w = generator.mapping(torch.randn(cells, manifest.architecture.z_dim, generator=rng))
        images = generator.synthesis(generator.broadcast(w))
        if manifest.camera is not None:
            noise = torch.randn(images.shape, generator=rng)
            images = manifest.camera.recorded(images, noise)
    intensity = manifest.intensity
    share = (images.clamp(-1, 1).numpy() + 1) / 2
    return intensity.low + share * (intensity.high - intensity.low)


def main() -> None:
    """Print coverage, ranks and TARP."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="bbbc013-translocation-64")
    parser.add_argument("--assay", default="translocation")
    parser.add_argument("--factor", type=int, default=8)
    parser.add_argument("--cells", type=int, default=192)
    parser.add_argument("--samples", type=int, default=9)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--hr", type=Path, help="HR crops instead of the generator's cells.")
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    if options.hr:
        images = read_stack(options.hr).data
        chosen = np.random.default_rng(options.seed).permutation(len(images))[: options.cells]
        images = images[np.sort(chosen)]
    else:
        images = generated(bundle, options.cells, options.seed)
    hr = CellStack(images.astype(np.float32), bundle.manifest.channel_names)
    lr = CellStack(Bicubic(options.factor)(torch.from_numpy(hr.data)).numpy(), hr.channels)
    given = {"factor": options.factor, "method": "flow", "samples": options.samples}
    settings = Settings.model_validate({**given, "threads": 1, "intensity": "bundle"})
    drawn = SuperResolver(bundle, settings).run(lr).samples
    assert drawn is not None
    how = MeasureSettings(assay=options.assay)
    truth = measured(hr.data, hr, how)
    samples = [measured(one, hr, how) for one in drawn]
    columns = {}
    for name, true in truth.items():
        draws = np.stack([one[name] for one in samples])
        known = np.isfinite(true) & np.isfinite(draws).all(0)
        if known.sum() < len(true) / 2 or np.ptp(true[known]) == 0:
            continue
        columns[name] = (draws, true)
        ranks = np.bincount(ranks_of_truth(draws[:, known], true[known]), minlength=len(draws) + 1)
        held = [
            f"{ranks[k : len(ranks) - k].sum() / known.sum():.2f} of {1 - 2 * k / len(ranks):.2f}"
            for k in (1, 2)
        ]
        chance = stats.chisquare(ranks).pvalue
        print(f"{name}: {known.sum()} cells, held {', '.join(held)}; ranks {ranks}, p {chance:.3f}")
    draws = np.stack([values for values, _ in columns.values()], -1)
    true = np.stack([values for _, values in columns.values()], -1)
    known = np.isfinite(true).all(1) & np.isfinite(draws).all((0, 2))
    shares = shares_nearer(draws[:, known], true[known], np.random.default_rng(options.seed))
    ranks = np.bincount((shares * len(draws)).round().astype(int), minlength=len(draws) + 1)
    off = np.abs(ranks.cumsum() / ranks.sum() - np.arange(1, len(ranks) + 1) / len(ranks)).max()
    chance = stats.chisquare(ranks).pvalue
    print(
        f"TARP of all {true.shape[1]}: {known.sum()} cells, shares of samples that are nearer "
        f"{ranks}, p {chance:.3f}, largest difference {off:.3f}"
    )


if __name__ == "__main__":
    main()
