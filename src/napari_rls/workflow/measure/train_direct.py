"""From HR crops to a bundle with a network that tells measurements without any image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.intervals import FEWEST_CELLS, fit_widening
from napari_rls.models.direct_spec import (
    INTERVAL_LEVEL,
    LEVELS,
    DirectColumn,
    DirectSpec,
    Shrinkage,
)
from napari_rls.models.manifest import FORMAT_VERSION, Manifest
from napari_rls.training.direct_settings import DirectSettings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.image_sets import ImageSet, find_channels
from napari_rls.workflow.measure.trust_levels import measured
from napari_rls.workflow.train.network_job import (
    NetworkData,
    NetworkJob,
    NetworkUpdate,
    crops_of,
    network_training,
    trained,
)
from napari_rls.workflow.train.run_files import save_bundle
from napari_rls.workflow.train.stale_trust import without_stale_trust

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle
    from napari_rls.models.direct import Direct
    from napari_rls.training.fit_direct import Truth

DirectJob: TypeAlias = NetworkJob[DirectSettings]

Values: TypeAlias = Mapping[str, NDArray[np.float64]]


@network_training
def train_direct(job: DirectJob) -> Generator[NetworkUpdate, None, None]:
    """Cut and measure crops, train on their degraded images, write the bundle with the network.

    All else in the bundle stays as it is, bit for bit; a network of the same kind is replaced, and
    trust in searches that were held to what that told is left out.
    Closing the iteration or Ctrl-C keeps a checkpoint; the same job goes on with it.

    Raises
    ------
    InputError
        If the bundle suggests no measurement, no factor fits, or no measurement varies. What else
        is raised, see :func:`~napari_rls.workflow.train.network_job.network_training`.
    """
    from napari_rls.models.bundle import load_bundle
    from napari_rls.training.drawn_optics import middle
    from napari_rls.training.fit_direct import FARTHEST, train

    settings = job.settings
    bundle = load_bundle(job.bundle)
    manifest = bundle.manifest
    factors = settings.factors(manifest.hr_size)
    if not factors:
        raise InputError(
            f"No factor from {settings.factor_low} to {settings.factor_high} divides the "
            f"{manifest.hr_size} pixels of the bundle {manifest.name}; give others."
        )
    suggested = _measurement(manifest)
    data = yield from crops_of(job, manifest, settings.batch_size, settings.seed, FARTHEST)
    data = replace(data, held_out=middle(data.held_out, manifest.hr_size))
    training, held_out = (
        replace(part, data=middle(part.data, manifest.hr_size))
        for part in (data.cut.training, data.cut.validation)
    )
    suggested, _ = find_channels([ImageSet("GT", training)], suggested)
    yield NetworkUpdate("crops", f"Measuring {len(training) + len(held_out):,} crops.")
    own, apart = (_known(part, suggested) for part in (training, held_out))
    columns = _columns(own)
    if not columns:
        raise InputError("Nothing that is measured varies over the training crops; give others.")
    stored = suggested.stored()
    digest = hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()[:16]
    truth = _truth(columns, own, apart)
    steps = train(data.crops, data.held_out, truth, settings, job.folder, digest)
    network, report = yield from trained(steps)
    record = DirectSpec(
        **settings.model_dump(include={"width", "steps", "batch_size", "seed"}),
        factors=factors,
        measurement=stored,
        columns=_judged(network, columns, factors, data, apart),
        images=len(training),
        validation=len(held_out),
        files=len({crop.file for crop in held_out.crops}),
        data=job.data,
    )
    kept, left_out = without_stale_trust(bundle, lambda trust: bool(trust.settings.get("lambda_m")))
    save_bundle(with_direct(kept, network, record), job.out)
    yield NetworkUpdate(
        "done",
        f"Mean absolute error on {record.validation:,} held-out crops, in standard deviations of "
        f"a measurement: {report.held_out_l1:.3f}. {left_out}".rstrip(),
        bundle=job.out,
    )


def with_direct(bundle: Bundle, network: Direct, record: DirectSpec) -> Bundle:
    """Return the bundle with a network; one that it has is replaced."""
    manifest = bundle.manifest.model_copy(
        update={"format_version": FORMAT_VERSION, "direct": record}
    )
    return replace(bundle, manifest=manifest, direct=network.cpu().requires_grad_(False).eval())


def _measurement(manifest: Manifest) -> MeasureSettings:
    try:
        return MeasureSettings.model_validate(manifest.measurement)
    except ValidationError:
        raise InputError(
            f"The bundle {manifest.name} suggests no measurement that can be made; calibrate it "
            "first (bundles calibrate), which stores one."
        ) from None


def _known(stack: CellStack, settings: MeasureSettings) -> Values:
    return measured(stack.data, stack, settings)


def _columns(values: Values) -> list[DirectColumn]:
    """Return what varies of the measurements of training crops, not yet widened."""
    found = []
    for name, every in values.items():
        finite = every[np.isfinite(every)]
        if len(finite) and finite.std() > 0:
            centre, scale = float(finite.mean()), float(finite.std())
            found.append(DirectColumn(column=name, centre=centre, scale=scale, widening=()))
    return found


def _standardised(columns: list[DirectColumn], values: Values) -> NDArray[np.float32]:
    parts = [(values[c.column] - c.centre) / c.scale for c in columns]
    finite = np.stack(parts, 1)
    return np.where(np.isfinite(finite), finite, np.nan).astype(np.float32)


def _truth(columns: list[DirectColumn], own: Values, apart: Values) -> Truth:
    import torch

    from napari_rls.training.fit_direct import Truth

    both = (torch.from_numpy(_standardised(columns, values)) for values in (own, apart))
    return Truth(*both)


def _judged(
    network: Direct,
    columns: list[DirectColumn],
    factors: tuple[int, ...],
    data: NetworkData,
    apart: Values,
) -> tuple[DirectColumn, ...]:
    """Return the columns with what held-out crops say of what is told of them, by factor."""
    from napari_rls.training.fit_direct import told_of

    network.eval()
    told = [told_of(network, data.held_out, factor).double().numpy() for factor in factors]
    judged = []
    for k, column in enumerate(columns):
        truth = apart[column.column]
        quantiles = [column.centre + column.scale * one[:, k].T for one in told]
        widening = tuple(fit_widening(q[0], q[-1], truth, INTERVAL_LEVEL) for q in quantiles)
        shrinkage = tuple(fit_shrinkage(q[LEVELS.index(0.5)], truth) for q in quantiles)
        update = {"widening": widening, "shrinkage": shrinkage}
        judged.append(column.model_copy(update=update))
    return tuple(judged)


def fit_shrinkage(told: NDArray[np.float64], truth: NDArray[np.float64]) -> Shrinkage | None:
    """Return the line by which what is told (N,) follows the truth (N,), by least squares.

    None of fewer than :data:`~napari_rls.measure.intervals.FEWEST_CELLS` cells, or of cells that
    are all alike.

    Examples
    --------
    >>> truth = np.linspace(-1, 2, 50)
    >>> fit_shrinkage(0.2 + 0.5 * truth, truth)
    Shrinkage(offset=0.2, slope=0.5)
    """
    known = np.isfinite(told) & np.isfinite(truth)
    if known.sum() < FEWEST_CELLS or np.ptp(truth[known]) == 0:
        return None
    slope, offset = np.polyfit(truth[known], told[known], 1)
    return Shrinkage(offset=round(float(offset), 12), slope=round(float(slope), 12))
