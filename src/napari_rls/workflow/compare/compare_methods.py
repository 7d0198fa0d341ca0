"""Run several methods on the same cells and score them: the job behind "Compare methods"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import BundleError, InputError, SettingsError
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.search.settings import Settings
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.upsample import upsample
from napari_rls.workflow.compare.method_results import BICUBIC, CompareUpdate, MethodResult
from napari_rls.workflow.compare.score_images import score_images
from napari_rls.workflow.super_resolve.intensities import intensity_map, operator_for
from napari_rls.workflow.super_resolve.resolver import SuperResolver
from napari_rls.workflow.super_resolve.result import Collector
from napari_rls.workflow.super_resolve.updates import Update


def compare(
    lr: CellStack,
    bundle: Bundle | str,
    settings: Sequence[Settings],
    truth: NDArray[np.generic] | None = None,
) -> Generator[CompareUpdate, None, None]:
    """Upsample cells bicubically, then search them with every method, one after another.

    The first result is that of :data:`~napari_rls.workflow.compare.method_results.BICUBIC`.
    A method that cannot run has a result that says why, and the others go on. Metrics of a
    method are of the cells that have an image.

    Parameters
    ----------
    lr
        LR cells, with the bundle's channels in the bundle's order.
    bundle
        A loaded bundle, or what :func:`load_bundle` takes.
    settings
        Of each method, see :func:`~napari_rls.workflow.compare.method_results.settings_of`; all of
        one scale factor.
    truth
        HR images (N, C, H, W) of the same cells in the unit of ``lr``, or None; without them
        there are no metrics.

    Raises
    ------
    InputError
        If the scale factors differ, or the truth does not fit the cells; at the call.
    BundleError
        If the bundle cannot be loaded; once the bicubic images are begun, as that takes a while.
    """
    factors = {own.factor for own in settings}
    if len(factors) != 1:
        raise InputError("Give methods to compare, all with the same scale factor.")
    (factor,) = factors
    hr_shape = (*lr.data.shape[:2], *(side * factor for side in lr.data.shape[2:]))
    if truth is not None and truth.shape != hr_shape:
        raise InputError(
            f"The GT images have the shape {truth.shape}; those of {lr.name} must have {hr_shape}."
        )
    return _compared(lr, bundle, settings, truth)


def _compared(
    lr: CellStack,
    bundle: Bundle | str,
    settings: Sequence[Settings],
    truth: NDArray[np.generic] | None,
) -> Generator[CompareUpdate, None, None]:
    yield CompareUpdate(BICUBIC, 0.0, 0.0)
    loaded = load_bundle(bundle) if isinstance(bundle, str) else bundle
    resolver = SuperResolver(loaded)
    judge = _Judge(lr, truth, loaded, settings[0])
    yield CompareUpdate(BICUBIC, 1.0, 0.0, result=judge.baseline())
    total = sum(own.search_steps for own in settings)
    before = 0
    for own in settings:
        yield CompareUpdate(own.method, 0.0, before / total)
        collector = Collector(lr, loaded.manifest.hr_size)
        result = None
        try:
            for update in resolver.with_settings(own).stream(lr):
                collector.add(update)
                share = _share(update)
                whole = (before + share * own.search_steps) / total
                yield CompareUpdate(own.method, share, whole, update)
        except (InputError, SettingsError, BundleError) as error:
            result = MethodResult(own.method, note=str(error))
        before += own.search_steps
        result = result or judge.result(own.method, collector)
        yield CompareUpdate(own.method, 1.0, before / total, result=result)


def _share(update: Update) -> float:
    """Return the share of a run's work that is done."""
    batch = 0.0 if update.finished else len(update.cells) * update.step / update.steps
    return (update.cells_done + batch) / (update.run.cells - len(update.run.skipped))


class _Judge:
    """Scores images of the cells by the truth, if there is one."""

    def __init__(
        self, lr: CellStack, truth: NDArray[np.generic] | None, bundle: Bundle, shared: Settings
    ) -> None:
        self.lr = lr
        self.truth = truth
        self.factor = shared.factor
        self.operator = operator_for(shared, bundle.manifest, lr.pixel_size_um)
        # That of the searches: HR images have brighter pixels, which must not change the unit.
        self.intensity = intensity_map(lr.data, bundle, shared, self.operator)

    def baseline(self) -> MethodResult:
        """Return the LR images, upsampled."""
        sr = upsample(self.lr.data, self.factor)
        # An image with a pixel that is no number is none.
        sr[~np.isfinite(sr).all((1, 2, 3))] = np.nan
        scores, note = self._scores(sr)
        residual = self._residual(sr)
        return MethodResult(BICUBIC, sr, scores, residual, note=_joined(self._doubt(), note))

    def result(self, method: str, collector: Collector) -> MethodResult:
        """Return what a search that is over gave."""
        scores, note = self._scores(collector.sr)
        cells = collector.cells
        searched = sum(cell.status != "skipped" for cell in cells)
        residuals = [np.mean(cell.lr_residual) for cell in cells if cell.lr_residual]
        failures = Counter(cell.reason for cell in cells if cell.reason)
        failed = [f"{n} of {len(cells)} cells: {why}." for why, n in failures.items()]
        return MethodResult(
            method,
            collector.sr,
            scores,
            float(np.mean(residuals)) if residuals else np.nan,
            collector.seconds / max(searched, 1),
            _joined(*failed, note),
            collector.provenance(),
        )

    def _scores(self, sr: NDArray[np.float32]) -> tuple[pd.DataFrame, str]:
        if self.truth is None:
            return pd.DataFrame(), ""
        scores, problem = score_images(sr, self.truth, self.intensity)
        return scores, f"No metrics: {problem}" if problem else ""

    def _doubt(self) -> str:
        """Return a sentence if the truth can hardly be that of the LR images."""
        if self.truth is None:
            return ""
        off, spread = self._residual(self.truth), float(np.nanstd(self.lr.data.astype(np.float32)))
        if not off > spread:
            return ""
        return (
            f"The GT, degraded, is {off:.3g} off the LR image, whose pixels vary by {spread:.3g}: "
            "see that it shows the same cells in the same unit."
        )

    def _residual(self, hr: NDArray[Any]) -> float:
        """Return how far HR images, degraded, are from the LR images, over cells that can be."""
        usable = np.isfinite(hr).all((1, 2, 3))
        if not usable.any():
            return np.nan
        degraded = degrade(hr[usable], self.factor, operator=self.operator)
        difference = degraded - self.lr.data[usable].astype(np.float32)
        return float(np.abs(difference).mean())


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))
