"""The record of a measurement: settings, versions, and the images that were measured."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from napari_rls.measure.assay import Assay, Role
from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.cells.plate_map import PlateMap
from napari_rls.workflow.cells.stack import content_digest
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.plate_columns import MAP_KEY

GENERATED_WARNING = (
    "Rows of the kind SR are measured on pixels that a model has generated, not on recorded ones."
)

LEFT_OPEN_KEY = "left_open"
"""Key of the shares of variance that LR images leave open, in the entry of SR images."""

RATIO_KEY = "ratio"
"""Key of how many HR pixels lie along a pixel that places are in, in the entry of SR images."""

_SOFTWARE = ("napari-rls", "numpy", "scipy", "scikit-image", "pandas")
_RUN = ("method", "started", "complete", "input", "bundle", "settings", "start", "intensity")
"""What of the record of SR images is kept in that of the table."""


def table_record(
    sets: Sequence[ImageSet],
    settings: MeasureSettings,
    channels: Sequence[tuple[int, int]],
    plate_map: PlateMap | None,
    factor: int | None,
) -> dict[str, Any]:
    """Return how cells were measured: plain numbers, strings, lists and dicts."""
    generated = any(s.kind == "SR" for s in sets)
    return {
        "generated": generated,
        **({"warning": GENERATED_WARNING} if generated else {}),
        "software": {name: version(name) for name in _SOFTWARE}
        | {"python": platform.python_version(), "platform": platform.platform()},
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings.stored(),
        "lr_factor": factor,
        MAP_KEY: plate_map.origin if plate_map else None,
        "images": [
            _source(s, {"dna": dna, "signal": signal}, settings.of)
            for s, (dna, signal) in zip(sets, channels, strict=True)
        ],
    }


def _source(images: ImageSet, places: Mapping[Role, int], assay: Assay) -> dict[str, Any]:
    """Return what the record says of one set of images, and of the run that made SR ones."""
    stack, samples = images.stack, images.samples
    entry: dict[str, Any] = {
        "kind": images.kind,
        "generated": images.kind == "SR",
        "name": stack.name,
        "sha256": content_digest(stack.data),
        "shape": list(stack.data.shape),
        "dtype": str(stack.data.dtype),
        "channels": list(stack.channels),
        "measured_channels": {role: places[role] for role in assay.channels},
        "pixel_size_um": stack.pixel_size_um,
        "samples": 0 if samples is None else len(samples),
    }
    if samples is not None:
        entry["samples_sha256"] = content_digest(samples)
    seen = images.record.get("microscope", images.record)
    if (ratio := seen.get(RATIO_KEY)) is not None:
        entry[RATIO_KEY] = ratio
    made = {name: images.record[name] for name in _RUN if name in images.record}
    return entry | ({"run": made} if made else {})
