"""What a bundle makes of LR crops that hold no cell: of noise, and of empty background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_rls.measure.cells import MeasureSettings, measure_cell
from napari_rls.measure.columns import NO_NUCLEUS
from napari_rls.models.bundle import Bundle
from napari_rls.models.trust import Domain, NoCells
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.measure.image_sets import ImageSet, find_channels
from napari_rls.workflow.measure.trust_levels import judge_cells
from napari_rls.workflow.super_resolve.intensities import operator_for, typical_levels
from napari_rls.workflow.super_resolve.resolver import SuperResolver

CROPS = 10
"""Crops of each kind."""

GRAIN = 0.01
"""Standard deviation of the noise on empty background, as a share of the intensity range."""

Kind = Literal["noise", "background"]


def crops_without_cells(
    bundle: Bundle, settings: Settings, kind: Kind, crops: int = CROPS
) -> CellStack:
    """Return LR crops that hold no cell, in the bundle's unit; the same ones each time.

    Parameters
    ----------
    bundle
        The bundle.
    settings
        Of the search; factor and operator count.
    kind
        ``noise``: every pixel is drawn at random, evenly from the bundle's intensity range.
        ``background``: the dark level of the bundle's cells, with little noise.
    crops
        How many.
    """
    manifest = bundle.manifest
    low, span = manifest.intensity.low, manifest.intensity.high - manifest.intensity.low
    side = manifest.hr_size // settings.factor
    shape = (crops, len(manifest.channels), side, side)
    rng = np.random.default_rng(0)
    make: dict[Kind, Callable[[], NDArray[np.float64]]] = {
        "noise": lambda: low + span * rng.uniform(size=shape),
        "background": lambda: (
            np.array(typical_levels(bundle, operator_for(settings, manifest)).dark)[:, None, None]
            + GRAIN * span * rng.standard_normal(shape)
        ),
    }
    return CellStack(make[kind]().astype(np.float32), manifest.channel_names, name=kind)


def search_without_cells(
    bundle: Bundle,
    settings: Settings,
    measurement: MeasureSettings,
    domain: Domain,
    crops: int = CROPS,
) -> tuple[NoCells, ...]:
    """Super-resolve crops that hold no cell, and count what is found and what is flagged.

    A generator makes cells of everything; so ``found`` may be high, but ``flagged`` should be
    as high.

    Parameters
    ----------
    bundle
        The bundle.
    settings
        Of the search; samples are not drawn, and intensities are the bundle's.
    measurement
        How nuclei are looked for.
    domain
        What is ordinary for the bundle.
    crops
        How many of each kind.
    """
    changes = {"samples": 0, "intensity": "bundle", "camera_offset": None}
    resolver = SuperResolver(bundle, settings.model_copy(update=changes))
    counts = []
    kinds: tuple[Kind, ...] = ("noise", "background")
    for kind in kinds:
        result = resolver.run(crops_without_cells(bundle, settings, kind, crops))
        verdict = judge_cells(result.sr, result.record, domain)
        chosen, ((dna, signal),) = find_channels([ImageSet("GT", result.cells)], measurement)
        cells = [measure_cell(image, dna, signal, chosen) for image in result.sr]
        found = sum(not cell.flags[NO_NUCLEUS] for cell in cells)
        counts.append(
            NoCells(kind=kind, crops=crops, found=found, flagged=int(verdict.out_of_domain.sum()))
        )
    return tuple(counts)
