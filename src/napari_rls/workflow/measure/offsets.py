"""Whether ratios are measured on images that have a camera's offset, which nothing takes away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.measure.image_sets import ImageSet

LEAST = 0.02
"""Share of the range of intensities from which an offset changes a ratio by more than noise."""


def untold_offsets(
    sets: Sequence[ImageSet], channels: Sequence[tuple[int, int]], settings: MeasureSettings
) -> list[str]:
    """Return in sentences which offsets bring ratios near to 1, by the records of SR images.

    SR images are in the unit of their LR images, and so have their offset.

    Parameters
    ----------
    sets
        The images.
    channels
        Indices of the DNA and the signal channel, in every set.
    settings
        What is measured, and how.
    """
    # Assays without a background of this kind find their own.
    unmeasured = getattr(settings.own, "background_percentile", 0) is None
    if settings.camera_offset is not None or not unmeasured:
        return []
    said = []
    for one, (_, signal) in zip(sets, channels, strict=True):
        intensity = one.record.get("intensity")
        if not isinstance(intensity, Mapping) or intensity.get("mode") != "match":
            continue
        low, high = intensity["low"][signal], intensity["high"][signal]
        if abs(low) > LEAST * (high - low):
            said.append(
                f"The images of {one.stack.name} have an offset: {one.stack.channels[signal]} "
                f"without any light is about {low:.4g}, which brings ratios nearer to 1 than they "
                "are. Give the camera's offset, which is subtracted then, or a background."
            )
    return said
