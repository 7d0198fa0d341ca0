"""How far SR cells can be trusted: measured on held-out cells, looked up for others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_rls.errors import InputError
from napari_rls.measure.assay import Measurement
from napari_rls.measure.cells import MeasureSettings, column_names, measure_cell
from napari_rls.measure.cross_fit import folds_of, reliability
from napari_rls.measure.domain import Evidence, Verdict, fit_domain, judge, look, residual_share
from napari_rls.measure.intervals import fit_correction, shares_left_open, unexplained
from napari_rls.measure.trust_mask import fit_mask
from napari_rls.models.manifest import Manifest
from napari_rls.models.trust import Correction, Domain, LeftOpen, Trust
from napari_rls.workflow.cells.groups import groups_of
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.image_sets import ImageSet, find_channels

SEARCH = (
    "method", "lambda_w", "lambda_c", "lambda_m", "reading", "steps", "learning_rate", "schedule",
    "patience", "start", "camera_noise", "operator",
)  # fmt: skip
"""Settings on which LR residuals, log-densities and what is measured depend."""

SAMPLING = ("samples", "posterior", "temperature", "sample_steps")
"""Settings on which, beside those, the width of intervals depends."""

BY_FLOW = ("method", "reading", "operator", "samples", "posterior")
"""Settings on which samples by flow matching depend: what is searched is nothing to them."""

LOT = 0
"""Seed by which held-out wells are dealt to parts that judge each other."""

_FIRST = {"method": "rls", "operator": "bicubic", "lambda_m": 0.0}
"""Settings that older bundles and records do not name, as they then were."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is known of the SR cells of a run.

    ``corrections`` are those of intervals by the measured column; without any, ``why_not``
    says why. ``data`` names the held-out crops; ``domain`` is None if nothing is known.
    """

    corrections: Mapping[str, Correction] = field(default_factory=dict)
    why_not: str = ""
    data: str = ""
    domain: Domain | None = None


def known_of(record: Mapping[str, Any], settings: MeasureSettings) -> Known:
    """Look up in the record of SR cells what their bundle knows of results like them.

    Parameters
    ----------
    record
        Provenance of the SR cells.
    settings
        How they are measured.
    """
    of_search, _ = trust_of(record, SEARCH)
    domain = None if of_search is None else of_search.domain
    by_flow = record.get("settings", {}).get("posterior") == "flow"
    trust, why_not = trust_of(record, BY_FLOW if by_flow else (*SEARCH, *SAMPLING))
    if trust is not None and not _measured_alike(trust.measurement, settings):
        why_not = "it holds for other settings of the measurement"
    data = next((one.data for one in (trust, of_search) if one is not None), "")
    if trust is None or why_not:
        return Known({}, why_not, data, domain)
    if not trust.corrections:
        return Known({}, "the bundle has none of these measurements", data, domain)
    by_column = {correction.column: correction for correction in trust.corrections}
    return Known(by_column, "", data, domain)


def interval_text(samples: int, known: Known, columns: Mapping[str, Measurement]) -> str:
    """Return how the intervals of a row were made; one sample makes none.

    The meaning of the column of these texts explains each.
    """
    if samples < 2:
        return ""
    drawn = f"{samples} samples"
    if not known.corrections:
        return f"{drawn}, uncorrected: no correction, as {known.why_not}"
    cells = max(correction.cells for correction in known.corrections.values())
    without = [
        name
        for name, column in columns.items()
        if not column.micrometres and name not in known.corrections
    ]
    left = f"; not corrected: {', '.join(without)}" if without else ""
    return f"{drawn}, corrected (split-conformal, {cells} cells of {known.data}){left}"


def trust_of(record: Mapping[str, Any], depends: Collection[str]) -> tuple[Trust | None, str]:
    """Return what the bundle of SR cells knows, or None and why it does not hold for them.

    Parameters
    ----------
    record
        Provenance of the SR cells.
    depends
        Settings on which what is asked for depends.
    """
    stored = record.get("bundle", {}).get("trust")
    if not stored:
        return None, "the bundle has none for this scale factor"
    try:
        trust = Trust.model_validate(stored)
    except ValidationError:
        return None, "that of the bundle cannot be read"
    trust = trust.model_copy(update={"settings": _FIRST | trust.settings})
    if other := trust.differences(_settings(record), depends):
        return None, f"it holds for other settings ({', '.join(other)})"
    return trust, ""


def evidence_of(sr: NDArray[np.generic], record: Mapping[str, Any]) -> Evidence:
    """Return what SR images (N, C, H, W) and their record say of how ordinary they are."""
    cells, intensity = record["cells"], record["intensity"]
    nothing = [np.nan] * len(intensity["low"])
    residual = np.array([cell["lr_residual"] or nothing for cell in cells], np.float64)
    density = np.array([cell["log_density"] for cell in cells], np.float64)
    low, high = intensity["low"], intensity["high"]
    return Evidence(
        residual_share(residual, low, high),
        density,
        look(sr, low, high, record["settings"]["factor"]),
    )


def judge_cells(
    sr: NDArray[np.generic], record: Mapping[str, Any], domain: Domain | None
) -> Verdict:
    """Compare SR images (N, C, H, W) with those that their bundle knows, if it is known."""
    if domain is None:
        return Verdict.of_nothing(len(sr))
    return judge(domain, evidence_of(sr, record))


def calibrate(
    manifest: Manifest,
    sr: CellStack,
    samples: NDArray[np.float32],
    record: Mapping[str, Any],
    gt: CellStack,
    settings: MeasureSettings,
    data: str,
) -> Trust:
    """Measure how far results can be trusted, on cells whose HR image is known.

    Parameters
    ----------
    manifest
        The bundle's.
    sr, samples, record
        SR cells of degraded held-out crops, their samples (S, N, C, H, W) and provenance.
    gt
        The held-out crops.
    settings
        What is measured, and how.
    data
        Names the held-out crops.

    Raises
    ------
    InputError
        If the SR cells are of another bundle, or the crops are not theirs.
    """
    if record["bundle"]["content_hash"] != manifest.content_hash:
        raise InputError(
            f"{sr.name} was not made with this bundle ({manifest.name}); super-resolve the "
            "held-out cells with it first."
        )
    if gt.data.shape != sr.data.shape:
        raise InputError(
            f"{gt.name} has the shape {gt.data.shape} but {sr.name} {sr.data.shape}; give the HR "
            "crops of the same cells, in the same order."
        )
    settings, _ = find_channels([ImageSet("GT", gt)], settings)
    truth = measured(gt.data, gt, settings)
    drawn = [measured(images, sr, settings) for images in samples]
    draws = {name: np.stack([values[name] for values in drawn]) for name in truth}
    own = _settings(record)
    return Trust(
        factor=own["factor"],
        data=data,
        settings={name: own[name] for name in (*SEARCH, *SAMPLING)},
        measurement=settings.stored(),
        domain=fit_domain(evidence_of(sr.data, record)),
        corrections=_corrections(draws, truth, gt, settings),
        pixels=fit_mask(
            sr.data, samples, gt.data, record["intensity"]["low"], record["intensity"]["high"]
        ),
        left_open=tuple(
            LeftOpen(column=name, by_samples=share, by_truth=told)
            for name, share in shares_left_open(draws).items()
            if (told := unexplained(draws[name], truth[name])) is not None
        ),
    )


def _corrections(
    draws: Mapping[str, Floats],
    truth: Mapping[str, Floats],
    gt: CellStack,
    settings: MeasureSettings,
) -> tuple[Correction, ...]:
    """Return the corrections of all columns that have one, and what such hold of other cells."""
    groups, of = groups_of(gt)
    if len(set(groups)) < 2:
        groups, of = [str(k) for k in range(len(gt))], "cell"
    folds = folds_of(groups, LOT)
    found = []
    for name, column in column_names(settings, micrometres=False).items():
        fitted = fit_correction(name, draws[name], truth[name])
        if fitted is None:
            continue
        ends = column.least, column.most
        told = reliability(draws[name], truth[name], folds, of, ends=ends, levels=fitted.levels)
        found.append(fitted.model_copy(update={"reliability": told}))
    return tuple(found)


def told_reliability(
    corrections: Mapping[str, Correction],
    columns: Mapping[str, Measurement],
    pixel_size_um: float | None,
) -> dict[str, dict[str, Any]]:
    """Return what is known of the intervals of a table, by column: plain numbers and texts.

    A column in micrometres follows that in pixels, and has its widths times the pixel's size.
    """
    found: dict[str, dict[str, Any]] = {}
    correction = None
    for name, column in columns.items():
        scale = (pixel_size_um or np.nan) ** column.power if column.micrometres else 1.0
        if not column.micrometres:
            correction = corrections.get(name)
        if correction is None or correction.reliability is None or not np.isfinite(scale):
            continue
        told = correction.reliability.model_dump(mode="json")
        widths = {key: [scale * width for width in told[key]] for key in ("width_drawn", "width")}
        found[name] = {"levels": list(correction.levels), **told, **widths}
    return found


def measured(
    images: NDArray[np.generic], stack: CellStack, settings: MeasureSettings
) -> dict[str, Floats]:
    """Return the values (N,) of every column of images (N, C, H, W), lengths in pixels."""
    settings, ((dna, signal),) = find_channels([ImageSet("GT", stack)], settings)
    cells = [measure_cell(image, dna, signal, settings).values for image in images]
    names = column_names(settings, micrometres=False)
    return {name: np.array([values[name] for values in cells]) for name in names}


def _settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run, ``start`` as it really was."""
    return {**_FIRST, **record.get("settings", {}), "start": record.get("start")}


def _measured_alike(stored: Mapping[str, Any], settings: MeasureSettings) -> bool:
    """Return whether a bundle's settings of a measurement are these; other assays do not count.

    Nor does the camera's offset: what is left without it is what the bundle knows.
    """
    own = settings.model_copy(update={"camera_offset": None})
    try:
        return MeasureSettings.model_validate(stored).stored() == own.stored()
    except ValidationError:
        return False
