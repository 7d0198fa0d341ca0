"""Score SR images by the truth: KID, FID, perceptual distances, PSNR and MS-SSIM.

KID leads. FID of a hundred images is far from 0 for two halves of the same images, and
PSNR and MS-SSIM reward blur. The name of the features, or of the window, stands beside
every number, since values of different ones cannot be compared (docs/metrics.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_rls.errors import MetricError
from napari_rls.evaluation.bootstrap import (
    Floats,
    Interval,
    draw_cells,
    fid_interval,
    kid_interval,
    mean_interval,
)
from napari_rls.evaluation.feature_sets import Judge, read_judges
from napari_rls.evaluation.features import SMALLEST
from napari_rls.evaluation.per_cell import ms_ssim, ms_ssim_variant, psnr
from napari_rls.evaluation.scores import FEWEST, distances

COLUMNS = ("metric", "variant", "value", "low", "high", "n", "better")

Row = dict[str, Any]


def score(
    sr: NDArray[np.floating] | Tensor,
    truth: NDArray[np.floating] | Tensor,
    *,
    features: Sequence[str] = ("napari-rls",),
    bootstrap: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the metrics of SR images, each with its variant and a 95 % interval.

    Parameters
    ----------
    sr, truth
        Images (N, C, H, W) of the same cells, float, black -1 and white 1, of at least
        :data:`~napari_rls.evaluation.features.SMALLEST` pixels a side.
    features
        Names of :data:`~napari_rls.evaluation.feature_sets.FEATURE_SETS`, or ``NAME=FILE``;
        :func:`~napari_rls.evaluation.feature_sets.available_features` lists those that can
        be used here.
    bootstrap
        Draws of cells behind the intervals, 2 or more; FID takes 100 at most.
    seed
        Seed of the draws and of KID's subsets.

    Returns
    -------
    DataFrame
        A row per metric: ``metric``, ``variant`` (features, or window), ``value``, ``low``
        and ``high`` (95 % interval over cells, see
        :mod:`~napari_rls.evaluation.bootstrap`), ``n`` (cells) and ``better`` (``"lower"`` or
        ``"higher"``). KID and FID are NaN with fewer than
        :data:`~napari_rls.evaluation.scores.FEWEST` cells, intervals of the others with one.

    Raises
    ------
    MetricError
        If the images do not match, are too small or not finite, or features are unknown
        or their weights missing.
    """
    if bootstrap < 2:
        raise MetricError(f"{bootstrap} draws give no interval; take 200.")
    generated, real = _checked(sr, truth)
    counts = draw_cells(len(generated), bootstrap, seed)
    rows: list[Row] = []
    # Networks are made of random weights before they are filled.
    with torch.random.fork_rng(devices=[]):
        judges = read_judges(features)
        for judge in judges:
            rows += _distances(judge, generated, real, counts, seed)
        rows += _per_cell(judges, generated, real, counts)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _checked(
    sr: NDArray[np.floating] | Tensor, truth: NDArray[np.floating] | Tensor
) -> list[Tensor]:
    images = [torch.as_tensor(given).detach().cpu().float() for given in (sr, truth)]
    generated, real = images
    if generated.shape != real.shape or real.ndim != 4 or not len(real):
        raise MetricError(
            f"SR images of the shape {tuple(generated.shape)} cannot be compared with a truth of "
            f"{tuple(real.shape)}; give the same cells as (N, C, H, W)."
        )
    if min(real.shape[2:]) < SMALLEST:
        raise MetricError(
            f"Images of {real.shape[2]} x {real.shape[3]} pixels are too small to be scored; at "
            f"least {SMALLEST} a side are needed."
        )
    for name, given in (("SR images", generated), ("true images", real)):
        bad = int((~given.flatten(1).isfinite().all(1)).sum())
        if bad:
            raise MetricError(
                f"{bad} of {len(given)} {name} have pixels that are not finite; leave them out."
            )
    return images


def _distances(
    judge: Judge, generated: Tensor, real: Tensor, counts: Floats, seed: int
) -> Iterator[Row]:
    if judge.features is None:
        return
    n = len(generated)
    if n < FEWEST:
        for metric in ("KID", "FID"):
            yield _row(metric, judge.variant, math.nan, (math.nan, math.nan), n, "lower")
        return
    blocks = list(zip(judge.features(real), judge.features(generated), strict=True))
    found = [distances(*block, seed=seed, named=judge.variant) for block in blocks]
    kid = float(np.mean([d.kid for d in found]))
    yield _row("KID", judge.variant, kid, kid_interval(blocks, counts), n, "lower")
    fid = float(np.mean([d.fid for d in found]))
    yield _row("FID", judge.variant, fid, fid_interval(fid, blocks, counts), n, "lower")


def _per_cell(
    judges: Sequence[Judge], generated: Tensor, real: Tensor, counts: Floats
) -> Iterator[Row]:
    height, width = real.shape[2:]
    found = [
        (judge.metric, judge.variant, judge.distance(generated, real), "lower")
        for judge in judges
        if judge.distance is not None
    ]
    found += [
        ("PSNR", "data range 2, mean over cells", psnr(generated, real), "higher"),
        ("MS-SSIM", ms_ssim_variant(height, width), ms_ssim(generated, real), "higher"),
    ]
    for metric, variant, tensor, better in found:
        values = tensor.double().numpy()
        interval = mean_interval(values, counts)
        yield _row(metric, variant, float(values.mean()), interval, len(values), better)


def _row(metric: str, variant: str, value: float, interval: Interval, n: int, better: str) -> Row:
    return dict(zip(COLUMNS, (metric, variant, value, *interval, n, better), strict=True))
