"""Make the figures of a bundle's page: how a run went, and what its generator draws.

    python docs/training_figures.py RUN CROPS OUT_PREFIX [--generator last] [--source simulated]

RUN is the folder of a run; CROPS are held-out crops: its crops-validation.ome.tif, or an .npy
file (N, C, H, W) in its unit. Writes OUT_PREFIX-curves.png and OUT_PREFIX-samples.png.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from napari_rls.models.intensity import IntensityMap
from napari_rls.training.checkpoint import load_generator
from napari_rls.training.grid import PALETTE
from napari_rls.training.run_folder import RunFolder, Score
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.cells.contact_sheet import TILE, contact_sheet, write_png
from napari_rls.workflow.cells.read import read_stack

SEED = 0
COLUMNS, ROWS = 6, 2
BLUE, ORANGE, GREEN, INK = "#0072b2", "#d55e00", "#008060", "#606060"
ABOVE = {"xycoords": ("data", "axes fraction"), "ha": "center", "color": INK}


def draw_curves(run: RunFolder, settings: TrainSettings, taken: Score) -> Image.Image:
    """Draw scores, ADA and losses over the kimg of both stages, if there are two."""
    earlier = RunFolder(run.path / "half").reports()
    before = earlier[-1].images / 1000 if earlier else 0
    reports = pd.DataFrame([asdict(report) for report in (*earlier, *run.reports())])
    kimg = reports["images"] / 1000
    kimg[len(earlier) :] += before
    figure = Figure(figsize=(9, 9), layout="constrained")
    panels = scores, ada, losses = figure.subplots(3, sharex=True, height_ratios=(1.5, 1, 1))
    _draw_scores(scores, run.scores(), taken, before)
    ada.set_ylabel("augmentation (ADA)")
    ada.plot(kimg, reports["ada_p"], color=BLUE, label="ADA's probability p")
    ada.plot(kimg, reports["real_sign"], color=ORANGE, label="mean sign of D on real images")
    target = f"the sign that ADA steers to ({settings.ada_target:g})"
    ada.axhline(settings.ada_target, color=INK, linewidth=1, linestyle="--", label=target)
    losses.plot(kimg, reports["discriminator_loss"], color=BLUE, label="discriminator D")
    losses.plot(kimg, reports["generator_loss"], color=ORANGE, label="generator G")
    losses.set(ylabel="loss", xlabel="training images shown, in thousands (kimg)")
    losses.set_xlim(0, kimg.max() * 1.02)
    scores.grid(alpha=0.25)
    for axes in (ada, losses):
        axes.grid(alpha=0.25)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    events = {before: f"{settings.size // 2} px before, {settings.size} px after"}
    if settings.decay_after_kimg:
        events[before + settings.decay_after_kimg] = "step size falls"
    for event in (e for e in events if 0 < e < kimg.max()):
        scores.annotate(events[event], (event, 1.01), **ABOVE)
        for axes in panels:
            axes.axvline(event, color=INK, linewidth=1, linestyle=":")
    figure.savefig(file := BytesIO(), dpi=150)
    # Few colours make a small file.
    return Image.open(file).convert("RGB").quantize(64)


def _draw_scores(kid: Axes, scores: list[Score], taken: Score, before: float) -> None:
    table = pd.DataFrame([asdict(score) for score in scores])
    kimg, where = table["images"] / 1000 + before, taken.images / 1000 + before
    fid = kid.twinx()
    (fid_line,) = fid.plot(kimg, table["fid"], "s-", color=ORANGE, markersize=4, linewidth=1)
    (kid_line,) = kid.plot(kimg, table["kid"], "o-", color=BLUE, markersize=5)
    low, high = table["kid"] - table["kid_std"], table["kid"] + table["kid_std"]
    band = kid.fill_between(kimg, low, high, color=BLUE, alpha=0.3, linewidth=0)
    (ring,) = kid.plot(where, taken.kid, "o", color=GREEN, ms=13, mfc="none", mew=2)
    for axes, name, colour in ((kid, "KID", BLUE), (fid, "FID", ORANGE)):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel(f"{name}, lower is better (log scale)", color=colour)
        axes.tick_params(axis="y", which="both", colors=colour)
    names = ("KID", "± standard deviation", "FID", f"bundle: {where:g} kimg, KID {taken.kid:.3g}")
    lines, above = (kid_line, band, fid_line, ring), (0, 1.06)
    kid.legend(lines, names, loc="lower left", bbox_to_anchor=above, ncols=4, frameon=False)


@torch.no_grad()
def generated(
    run: RunFolder, which: str, settings: TrainSettings, count: int
) -> NDArray[np.float32]:
    """Return the first random images of a generator at truncation 1, in the run's unit."""
    if which == "best":
        generator = load_generator(run.best, settings.architecture)
    else:
        generator = load_generator(run.checkpoint, settings.architecture, part="average.")
    rng = torch.Generator().manual_seed(SEED)
    ws = generator.broadcast(generator.mapping(torch.randn(count, settings.z_dim, generator=rng)))
    images = generator.synthesis(ws, "random", rng=rng)
    if settings.camera is not None:
        images = settings.camera.drawn(images, rng)
    channels, unit = len(settings.channels), settings.intensity
    return IntensityMap("bundle", (unit.low,) * channels, (unit.high,) * channels).decode(
        images.numpy()
    )


def draw_samples(
    crops: NDArray[np.generic], images: NDArray[np.generic], settings: TrainSettings, source: str
) -> Image.Image:
    """Draw random held-out crops above random generated ones, in the same contrast."""
    chosen = np.random.default_rng(SEED).choice(len(crops), len(images), replace=False)
    rows = {
        f"{label}\n{k + 1} to {k + COLUMNS}": cells[k : k + COLUMNS]
        for label, cells in ((f"{source} (held out)", crops[chosen]), ("generated", images))
        for k in range(0, len(cells), COLUMNS)
    }
    title = (
        f"{', '.join(settings.channels)}: {settings.size} pixels wide, shown "
        f"{TILE // settings.size}x; random cells, none chosen; generated at truncation 1"
    )
    sheet = contact_sheet(rows, PALETTE[: len(settings.channels)], title)
    return sheet.point(lambda level: level & ~3)  # 64 levels a colour: the file is far smaller


def main() -> None:
    """Write both figures of a run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("crops", type=Path, help="held-out crops, TIFF or .npy")
    parser.add_argument("out", help="what the names of both figures begin with")
    parser.add_argument("--source", default="real", help='"simulated" where crops are not real')
    parser.add_argument(
        "--generator", choices=["best", "last"], default="best", help="the one in the bundle"
    )
    given = parser.parse_args()
    run = RunFolder(given.run)
    taken = run.best_score() if given.generator == "best" else next(reversed(run.scores()), None)
    if taken is None:
        raise SystemExit(f"{run.path} has no scores; wait for the first score of the run.")
    record = json.loads((run.path / "run.json").read_text(encoding="utf-8"))["settings"]
    settings = TrainSettings.model_validate(record)
    is_array = given.crops.suffix == ".npy"
    crops = np.load(given.crops, mmap_mode="r") if is_array else read_stack(given.crops).data
    images = generated(run, given.generator, settings, ROWS * COLUMNS)
    samples = draw_samples(crops, images, settings, given.source)
    Path(given.out).parent.mkdir(parents=True, exist_ok=True)
    write_png(Path(f"{given.out}-samples.png"), samples)
    write_png(Path(f"{given.out}-curves.png"), draw_curves(run, settings, taken))


if __name__ == "__main__":
    main()
