"""Measure on held-out cells how far to trust a bundle, at every scale factor that files are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.models.manifest import FORMAT_VERSION
from napari_rls.models.trust import Trust
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.read import read_record, read_samples, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.no_cells import search_without_cells
from napari_rls.workflow.measure.trust_levels import calibrate
from napari_rls.workflow.super_resolve.sr_files import samples_path

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle


@dataclass(frozen=True, eq=False)
class CalibrateUpdate:
    """How far a calibration is.

    Parameters
    ----------
    file
        The SR file that is measured now; None at the end.
    bundle
        The bundle with what was found, at the end.
    """

    file: Path | None = None
    bundle: Bundle | None = None


def calibrate_bundle(
    bundle: Bundle, files: Sequence[Path], truth: CellStack, settings: MeasureSettings, data: str
) -> Iterator[CalibrateUpdate]:
    """Return the updates of a calibration; the last one has the bundle, not yet written.

    Parameters
    ----------
    bundle
        The bundle that made the SR files.
    files
        SR cells of degraded held-out crops with their samples beside them, a file for each
        factor.
    truth
        The held-out HR crops.
    settings
        What is measured, and how.
    data
        Name of the held-out crops, for the bundle's manifest.

    Raises
    ------
    InputError
        If a file holds no SR cells, has no samples beside it, was made by another bundle,
        or is of a factor that another one is of.
    """
    found: dict[int, Trust] = {}
    for file in files:
        stack, record = read_stack(file), read_record(file)
        if not record.get("generated"):
            raise InputError(f"{file.name} holds no SR cells; give what super-resolve wrote.")
        beside = samples_path(file)
        if not beside.is_file():
            raise InputError(
                f"There are no samples {beside.name} beside {file.name}; super-resolve with "
                "--samples 5."
            )
        samples = read_samples(beside, stack, record)
        yield CalibrateUpdate(file)
        trust = calibrate(bundle.manifest, stack, samples, record, truth, settings, data)
        if trust.factor in found:
            raise InputError(f"Two SR files are of {trust.factor}x; give one of each factor.")
        own = Settings.model_validate(record["settings"])
        tried = search_without_cells(bundle, own, settings, trust.domain)
        trust = trust.model_copy(update={"no_cells": tried})
        found[trust.factor] = trust
    manifest = bundle.manifest.model_copy(
        update={
            "format_version": FORMAT_VERSION,
            "trust": tuple(found[factor] for factor in sorted(found)),
            "measurement": found[min(found)].measurement,
        }
    )
    yield CalibrateUpdate(bundle=replace(bundle, manifest=manifest))
