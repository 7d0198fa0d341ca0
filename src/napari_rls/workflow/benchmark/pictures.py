"""The pictures of a benchmark's report: the same cells, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_rls.workflow.benchmark.benchmark_settings import ABLATIONS, RIVALS
from napari_rls.workflow.benchmark.compared_images import Outcome
from napari_rls.workflow.benchmark.plan import CLEAN, Job, shown_cells
from napari_rls.workflow.benchmark.searches import lr_cells
from napari_rls.workflow.cells.contact_sheet import contact_sheet
from napari_rls.workflow.cells.write import GENERATED

Picture = tuple[Image.Image, str]

GT = "GT (true)"

_NOISY = 4
"""Cells in the picture of degradations, which has many rows."""


def montage(outcome: Outcome, factor: int) -> Picture:
    """Draw LR, every method's SR and the true images of some cells, as in Fig. 2."""
    cells = shown_cells(outcome.cells.hr)
    rows = _clean(outcome, factor, cells, outcome.settings.methods)
    return _sheet(outcome, rows, cells, f"{factor}x")


def ablation_picture(outcome: Outcome) -> Picture | None:
    """Draw RLS with and without its priors, as in Fig. 7; None if none but one of them ran."""
    factor = outcome.settings.detail_factor
    cells = shown_cells(outcome.cells.hr)
    rows = _clean(outcome, factor, cells, ABLATIONS)
    return _sheet(outcome, rows, cells, f"{factor}x") if len(rows) > 3 else None


def noise_picture(outcome: Outcome) -> Picture:
    """Draw LR images, degraded in every way, and what methods make of them, as in Fig. 6."""
    noisy = outcome.of("degraded")
    subset = noisy[0][0].cells
    places = np.unique(np.linspace(0, len(subset) - 1, _NOISY).round().astype(int))
    cells = tuple(subset[k] for k in places)
    factor = outcome.settings.detail_factor
    rows: dict[str, NDArray[Any]] = {}
    for job, result in outcome.of("main", factor=factor):
        if job.settings.method in RIVALS:
            _noise_rows(rows, outcome, job, result.sr, list(cells))
    for job, result in noisy:
        _noise_rows(rows, outcome, job, result.sr, [job.cells.index(k) for k in cells])
    rows[GT] = outcome.truth(cells)
    return _sheet(outcome, rows, cells, f"{factor}x, LR images degraded further")


def samples_picture(outcome: Outcome) -> Picture | None:
    """Draw LR, best and sampled SR, and true images, as in Fig. 8; None without samples."""
    found = outcome.of("samples", factor=outcome.settings.detail_factor)
    if not found or found[0][1].samples is None:
        return None
    (job, result), *_ = found
    cells = list(shown_cells(outcome.cells.hr))
    lr = lr_cells(outcome.cells.hr, job).data[cells]
    rows: dict[str, NDArray[Any]] = {"LR": lr, "SR": result.sr[cells]}
    assert result.samples is not None
    rows |= {f"SR{k}": sample[cells] for k, sample in enumerate(result.samples, 1)}
    rows[GT] = outcome.truth(cells)
    title = f"{job.settings.factor}x, {job.settings.method}, samples of the posterior"
    return _sheet(outcome, rows, cells, title)


def _clean(
    outcome: Outcome, factor: int, cells: tuple[int, ...], methods: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return LR, SR and true images of cells by what they are."""
    rows: dict[str, NDArray[Any]] = {}
    for job, result in outcome.of("main", factor=factor):
        rows.setdefault("LR", lr_cells(outcome.cells.hr, job).data[list(cells)])
        if job.settings.method in methods:
            rows[job.settings.method] = result.sr[list(cells)]
    rows[GT] = outcome.truth(cells)
    return rows


def _noise_rows(
    rows: dict[str, NDArray[Any]],
    outcome: Outcome,
    job: Job,
    sr: NDArray[np.float32],
    places: list[int],
) -> None:
    name = "" if job.degradation == CLEAN else f"\n{job.degradation}"
    lr = f"LR{name}"
    if lr not in rows:
        rows[lr] = lr_cells(outcome.cells.hr, job).data[places]
    rows[f"{job.settings.method}{name}"] = sr[places]


def _sheet(
    outcome: Outcome, rows: dict[str, NDArray[Any]], cells: Sequence[int], title: str
) -> Picture:
    manifest = outcome.manifest
    colours = [channel.colour for channel in manifest.channels]
    crops = [outcome.cells.hr.crops[k] for k in cells]
    named = [", ".join(filter(None, (crop.well, crop.condition))) or "unknown" for crop in crops]
    caption = (
        f"At {title}. From left to right, cells of: {'; '.join(named)}. Channels: "
        f"{', '.join(f'{c.name} ({c.colour})' for c in manifest.channels)}; one contrast for all "
        f"images. SR: {GENERATED}."
    )
    heading = f"{manifest.name}, {title} (SR: {GENERATED})"
    return contact_sheet(rows, colours, heading), caption
