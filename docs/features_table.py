"""Measure what KID and FID of the feature network see, for docs/features.md.

    python docs/features_table.py DATA

DATA is the folder of BBBC013 as OME-TIFF. Crops of rows A and D are the reference; the network
was trained on these rows. Row B, which it has never seen, is compared with them as it is and
damaged in known ways. Everything is seeded and computed on one thread. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from napari_rls import degrade, load_bundle
from napari_rls.evaluation.features import features
from napari_rls.evaluation.scores import Scorer, distances, generated_features
from napari_rls.models.stylegan2 import Generator
from napari_rls.workflow.cells.crops import cut_crops
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.usable import unusable_cells

BUNDLE = "bbbc013-translocation-64"
SIZE = 64
WELLS = {
    "row B, untreated wells only": ("B01", "B02"),
    "row B, three highest doses only": ("B10", "B11", "B12"),
}
REAL = 1500
SAMPLES = 1000
SEED = 0

Images = NDArray[np.float32]
"""Images (N, 2, SIZE, SIZE), 0 to 255."""


def crops_of(data: Path, *wells: str) -> Images:
    """Return all usable crops of wells, or of whole rows of the plate, in a random order."""
    found = []
    for path in sorted(p for well in wells for p in data.glob(f"{well}*.tif")):
        stack = cut_crops(read_stack(path), SIZE).stack
        bad = unusable_cells(stack)
        found.append(stack.data[[k for k in range(len(stack)) if k not in bad]])
    crops = np.concatenate(found).astype(np.float32)
    order: Images = crops[np.random.default_rng(SEED).permutation(len(crops))]
    return order


def found_in(images: Images) -> torch.Tensor:
    """Return the features of images, 0 to 255."""
    return features(torch.from_numpy(images / 127.5 - 1).float())


def warped(images: Images, pixels: float) -> Images:
    """Move pixels by a smooth random field of so many pixels (root mean square).

    Splines of a low order blur, and the network sees blur much sooner than a warp.
    """
    rng = np.random.default_rng(SEED)
    field = ndimage.gaussian_filter(rng.normal(size=(len(images), 2, SIZE, SIZE)), (0, 0, 6, 6))
    field *= pixels / np.sqrt((field**2).sum(1).mean())
    places = np.indices((SIZE, SIZE)) + field
    out = np.empty_like(images)
    for cell, moved, at in zip(images, out, places, strict=True):
        for channel, result in zip(cell, moved, strict=True):
            ndimage.map_coordinates(channel, at, output=result, order=5, mode="reflect")
    clipped: Images = out.clip(0, 255)
    return clipped


def resampled(images: Images, factor: int) -> Images:
    """Degrade by a factor and enlarge again, both bicubic."""
    lr = torch.from_numpy(degrade(images, factor))
    out: Images = F.interpolate(lr, size=(SIZE, SIZE), mode="bicubic").numpy().clip(0, 255)
    return out


def damaged(cells: Images) -> Iterator[tuple[str, Images]]:
    """Yield cells damaged in known ways, each kind rising."""
    rng = np.random.default_rng(SEED)
    yield "grey levels not whole", cells + rng.uniform(-0.5, 0.5, cells.shape).astype(np.float32)
    for sigma in (0.5, 1, 2):
        blurred = ndimage.gaussian_filter(cells, (0, 0, sigma, sigma), mode="mirror")
        yield f"blurred, sigma {sigma:g} px", blurred
    grain = rng.normal(size=cells.shape)
    for level in (0.5, 1, 2, 5, 10, 20):
        noisy = (cells + level * grain).clip(0, 255).astype(np.float32)
        yield f"Gaussian noise, deviation {level:g} of 255", noisy
    for pixels in (1, 2, 4, 8):
        yield f"elastic warp, {pixels} px", warped(cells, pixels)
    for share in (0.25, 1.0):
        mixed = cells.copy()
        rows = np.arange(round(share * len(cells)))
        mixed[rows, 1] = cells[np.roll(rows, 1), 1]
        yield f"protein channel of another cell, in {share:.0%}", mixed
    for count in (200, 50, 10):
        yield f"mode loss: {count} cells repeated", cells[np.arange(len(cells)) % count]
    for factor in (4, 8, 16):
        yield f"degraded {factor}x, enlarged by bicubic", resampled(cells, factor)


def absurd() -> Iterator[tuple[str, Images]]:
    """Yield images that show no cell."""
    shape = (SAMPLES, 2, SIZE, SIZE)
    rng = np.random.default_rng(SEED)
    yield "black images", np.zeros(shape, np.float32)
    yield "grey images", np.full(shape, 127.5, np.float32)
    yield "white images", np.full(shape, 255, np.float32)
    yield "white noise, 0 to 255", rng.uniform(0, 255, shape).astype(np.float32)


def table(data: Path) -> Iterator[str]:
    """Yield the lines of the table, and last the time of a score."""
    seen, cells = crops_of(data, "A", "D"), crops_of(data, "B")
    real, rest, cells = seen[:REAL], seen[REAL : REAL + SAMPLES], cells[:SAMPLES]
    reference = found_in(real)
    yield f"| {len(cells)} images against {len(real)} crops of rows A and D | KID | FID |"
    yield "|---|---|---|"

    def line(name: str, found: torch.Tensor) -> str:
        score = distances(reference, found)
        return f"| {name} | {score.kid:.3f} ± {score.kid_std:.3f} | {score.fid:.1f} |"

    yield line("other crops of rows A and D", found_in(rest))
    yield line("row B as it is", found_in(cells))
    for name, wells in WELLS.items():
        some = crops_of(data, *wells)[:SAMPLES]
        yield line(f"{name} ({len(some)} crops)", found_in(some))
    for name, images in damaged(cells):
        yield line(name, found_in(images))
    bundle = load_bundle(BUNDLE)
    yield line(f"generated by `{BUNDLE}`", generated_features(bundle.generator, SAMPLES, SEED))
    for name, images in absurd():
        yield line(name, found_in(images))
    torch.manual_seed(SEED)
    untrained = Generator(bundle.manifest.architecture).requires_grad_(False).eval()
    yield line("generated without any training", generated_features(untrained, SAMPLES, SEED))

    scorer = Scorer(real, 0, 255, SAMPLES, SEED)
    scorer(bundle.generator)
    began = time.perf_counter()
    scorer(bundle.generator)
    yield f"\n{time.perf_counter() - began:.0f} s to score a generator by {SAMPLES} images."


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of A01.ome.tif to H12.ome.tif")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for line in table(given.data):
        print(line, flush=True)


if __name__ == "__main__":
    main()
