"""Gather the updates of a run into one result with its record, finished or not."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_rls.search.operators import OPERATORS
from napari_rls.search.presets import PRESETS
from napari_rls.workflow.cells.stack import CellStack, content_digest

if TYPE_CHECKING:
    from napari_rls.search.settings import Settings
    from napari_rls.workflow.super_resolve.updates import Run, Update


UNFINISHED_STATUS = ("waiting", "searching", "sampling")
"""What :attr:`CellRecord.status` is while something of a cell is still to be done."""

FAILED_STATUS = ("failed", "skipped")
"""What it is at the end of a cell without a result that can be relied on."""

_SOFTWARE = ("napari-rls", "torch", "numpy", "nflows")


@dataclass(frozen=True)
class CellRecord:
    """What the search reached for one cell.

    ``status`` is ``waiting``, ``searching``, ``sampling``, ``done``, ``failed`` (numbers
    stopped being finite, or the method, PULSE, demands a smaller LR error; the last good
    image is kept) or ``skipped``, with the ``reason``.
    ``lr_residual`` is the mean absolute difference between the degraded SR image and the
    LR image per channel, in the LR image's unit; ``log_density`` is P_w in nats.
    """

    status: str = "waiting"
    reason: str = ""
    steps: int = 0
    objective: float | None = None
    log_density: float | None = None
    lr_residual: tuple[float, ...] = ()


class Collector:
    """The result of a run so far: add every update, read the SR images at any time.

    Parameters
    ----------
    lr
        The LR cells that are super-resolved.
    hr_size
        Side of the SR images in pixels.

    Attributes
    ----------
    sr
        SR images (N, C, H, W), float32, in the LR image's unit; NaN for cells not reached.
    cells
        One record per cell.
    samples
        Samples of the posterior (S, N, C, H, W), float32, NaN for cells not reached; None
        as long as there are none.
    latents
        W+ latents (N, L, d) of the SR images, NaN for cells not reached, among them those that
        an earlier start has finished; L = 0 for a method without any. None before an update.
    """

    def __init__(self, lr: CellStack, hr_size: int) -> None:
        self.lr = lr
        shape = (len(lr), len(lr.channels), hr_size, hr_size)
        self.sr: NDArray[np.float32] = np.full(shape, np.nan, np.float32)
        self.cells = [CellRecord() for _ in range(len(lr))]
        self.samples: NDArray[np.float32] | None = None
        self.latents: NDArray[np.float32] | None = None
        self.run: Run | None = None
        self.seconds = 0.0
        self.started = datetime.now(UTC)
        self._before = 0.0

    def begin(self, run: Run) -> None:
        """Take over what holds for the whole run."""
        if self.run is None:
            for cell, reason in run.skipped.items():
                self.cells[cell] = CellRecord("skipped", reason)
        self.run = run

    def add(self, update: Update) -> None:
        """Take over an update."""
        self.begin(update.run)
        self.seconds = self._before + update.seconds
        self._take(update.cells, update.sr, update.samples)
        if self.latents is None:
            shape = (len(self.sr), *update.latents.shape[1:])
            self.latents = np.full(shape, np.nan, np.float32)
        self.latents[update.cells] = update.latents
        for k, cell in enumerate(update.cells):
            self.cells[cell] = _record(update, k, self.cells[cell].steps)

    def restore(
        self,
        cells: NDArray[np.intp],
        sr: NDArray[np.float32],
        samples: NDArray[np.float32] | None,
        records: Sequence[CellRecord],
    ) -> None:
        """Take over cells (n,) that an earlier start of the same run has finished."""
        self._take(cells, sr, samples)
        for cell, record in zip(cells, records, strict=True):
            self.cells[cell] = record

    def go_on(self, started: datetime, seconds: float) -> None:
        """Take over when the run was first started and how long it has run since."""
        self.started, self._before, self.seconds = started, seconds, seconds

    def _take(
        self,
        cells: NDArray[np.intp],
        sr: NDArray[np.float32],
        samples: NDArray[np.float32] | None,
    ) -> None:
        self.sr[cells] = sr
        if samples is not None:
            if self.samples is None:
                shape = (len(samples), *self.sr.shape)
                self.samples = np.full(shape, np.nan, np.float32)
            self.samples[:, cells] = samples

    @property
    def complete(self) -> bool:
        """Whether no cell is left to search."""
        return not any(cell.status in UNFINISHED_STATUS for cell in self.cells)

    @property
    def reached(self) -> int:
        """Number of cells that have an image."""
        return sum(cell.status not in ("waiting", "skipped") for cell in self.cells)

    @property
    def finished(self) -> int:
        """Number of cells whose search is over."""
        return sum(cell.status in ("done", "failed") for cell in self.cells)

    def provenance(self) -> dict[str, Any]:
        """Return the record of the run: plain numbers, strings, lists and dicts."""
        record: dict[str, Any] = {
            "generated": True,
            "warning": "SR pixels are generated by a model from the LR image; they are not "
            "measured. Compare with the LR image before drawing conclusions.",
            "software": {name: version(name) for name in _SOFTWARE}
            | {"python": platform.python_version(), "platform": platform.platform()},
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "complete": self.complete,
            "input": {
                "name": self.lr.name,
                "sha256": content_digest(self.lr.data),
                "shape": list(self.lr.data.shape),
                "dtype": str(self.lr.data.dtype),
                "channels": list(self.lr.channels),
                "pixel_size_um": self.lr.pixel_size_um,
                "read": self.lr.reading.record(),
            },
            "cells": [_plain(cell) for cell in map(asdict, self.cells)],
            "crops": [asdict(crop) for crop in self.lr.crops],
        }
        if self.run is None:
            return record
        record["software"] |= _extensions(self.run.settings)
        return record | _run_record(self.run)


def _record(update: Update, k: int, steps: int) -> CellRecord:
    searching = update.step <= update.run.settings.search_steps
    reason = "the search left the range of finite numbers" if update.failed[k] else ""
    if update.unreached[k]:
        reason = "the search never came as near to the LR image as the method demands"
    reached = "done" if update.finished else "sampling" if update.found else "searching"
    return CellRecord(
        status="failed" if reason else reached,
        reason=reason,
        steps=update.step if searching else steps,
        objective=_finite(update.objective[k]),
        log_density=_finite(update.log_density[k]),
        lr_residual=tuple(float(r) for r in update.lr_residual[k]),
    )


def _extensions(settings: Settings) -> dict[str, str]:
    """Return the versions of the packages that method and operator are of, if of others."""
    method, operator = settings.method, settings.operator
    return PRESETS.origin(method) | (OPERATORS.origin(operator) if operator in OPERATORS else {})


def _finite(value: np.float32) -> float | None:
    return float(value) if np.isfinite(value) else None


def _run_record(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    trust = manifest.trust_at(run.settings.factor)
    return {
        "method": PRESETS[run.settings.method].title,
        "bundle": {
            "name": manifest.name,
            "content_hash": manifest.content_hash,
            "licence": manifest.licence,
            "attribution": manifest.attribution,
            "channels": list(manifest.channel_names),
            "measurement": manifest.measurement,
            "trust": trust.model_dump(mode="json") if trust else None,
        },
        "settings": run.settings.model_dump(),
        "operator": dict(run.operator),
        "device": run.device,
        "precision": run.precision,
        "start": run.start,
        "noise": run.noise.record() if run.noise else None,
        "held": run.held,
        "intensity": {
            "mode": run.intensity.mode,
            "low": list(run.intensity.low),
            "high": list(run.intensity.high),
            "unusual": {str(cell): reason for cell, reason in run.unusual.items()},
            "doubt": run.doubt,
        },
    }


def _plain(cell: dict[str, Any]) -> dict[str, Any]:
    return cell | {"lr_residual": list(cell["lr_residual"])}
