"""Nuclei in a DNA image: Otsu's threshold, then a distance-transform watershed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import scipy
import skimage
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from napari_rls.models.field_notes import PIXELS, SQUARE_PIXELS
from napari_rls.models.part import Checked

Reach = Annotated[
    float,
    PIXELS,
    Field(
        ge=0,
        le=1000,
        title="Reach",
        description="Largest distance of the cell's nucleus from the crop's centre.",
    ),
]
"""The setting of which nucleus is the cell's own, see :func:`central_nucleus`."""


class NucleusSettings(Checked):
    """How nuclei are found; lengths are in pixels.

    The defaults suit nuclei of about 15 pixels across, as in BBBC013.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    smoothing: Annotated[float, PIXELS] = Field(
        default=1.0,
        ge=0,
        le=50,
        title="Smoothing",
        description="Gaussian blur of the DNA image before the threshold.",
    )
    classes: Literal[2, 3] = Field(
        default=2,
        title="Otsu classes",
        description="2, or 3 with the middle class as background (for dim haze around nuclei).",
    )
    min_area: Annotated[int, SQUARE_PIXELS] = Field(
        default=40,
        ge=1,
        le=1_000_000,
        title="Smallest nucleus",
        description="Smaller objects are no nuclei.",
    )
    min_distance: Annotated[int, PIXELS] = Field(
        default=5,
        ge=1,
        le=1000,
        title="Nearest nuclei",
        description="Smallest distance between the centres of touching nuclei.",
    )


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei of one image.

    Parameters
    ----------
    labels
        Label image (H, W), int32: 0 is background, nuclei count from 1.
    centroids
        Their centres (K, 2), y and x in pixels, nucleus k + 1 in row k.
    """

    labels: NDArray[np.int32]
    centroids: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centroids)


def find_nuclei(dna: NDArray[np.generic], settings: NucleusSettings | None = None) -> Nuclei:
    """Find the nuclei of a DNA image (H, W) in any unit.

    The image is smoothed, divided by Otsu's threshold (with three classes, Liao,
    Chen & Chung 2001, by the upper one), holes are filled, and touching nuclei are
    divided by a watershed from the peaks of the smoothed distance transform. An
    image without contrast holds no nuclei; pixels that are not finite count as dark.
    """
    settings = settings or NucleusSettings()
    smooth = _smoothed(dna, settings.smoothing)
    mask = scipy.ndimage.binary_fill_holes(smooth > _threshold(smooth, settings.classes))
    # Ripples of an outline are of the order of a pixel: without smoothing each is a peak.
    depth = scipy.ndimage.gaussian_filter(scipy.ndimage.distance_transform_edt(mask), 2.0)
    peaks = skimage.feature.peak_local_max(
        depth,
        min_distance=settings.min_distance,
        labels=scipy.ndimage.label(mask)[0],
        exclude_border=False,
    )
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    parts = skimage.segmentation.watershed(-depth, markers, mask=mask)
    small = np.bincount(parts.ravel()) < settings.min_area
    parts[small[parts]] = 0
    labels = skimage.segmentation.relabel_sequential(parts)[0].astype(np.int32)
    count = int(labels.max())
    centroids = scipy.ndimage.center_of_mass(labels > 0, labels, range(1, count + 1))
    return Nuclei(labels, np.array(centroids, np.float64).reshape(count, 2))


def central_nucleus(labels: NDArray[np.int32], reach: float) -> int:
    """Return the label of the nucleus nearest to the centre of an image (H, W), or 0.

    A nucleus counts if its nearest pixel is at most ``reach`` pixels from the centre.
    """
    y, x = np.nonzero(labels)
    if y.size == 0:
        return 0
    height, width = labels.shape
    distance = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    nearest = int(distance.argmin())
    return int(labels[y[nearest], x[nearest]]) if distance[nearest] <= reach else 0


def _smoothed(dna: NDArray[np.generic], sigma: float) -> NDArray[np.float64]:
    image = np.asarray(dna, np.float64)
    finite = np.isfinite(image)
    if not finite.all():
        image = np.where(finite, image, image[finite].min() if finite.any() else 0.0)
    smooth: NDArray[np.float64] = scipy.ndimage.gaussian_filter(image, sigma)
    return smooth


def _threshold(smooth: NDArray[np.float64], classes: int) -> float:
    """Return the threshold, or infinity for an image that it cannot divide."""
    low, high = smooth.min(), smooth.max()
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return np.inf
    if classes == 2:
        return float(skimage.filters.threshold_otsu(smooth))
    try:
        return float(skimage.filters.threshold_multiotsu(smooth, classes=3)[-1])
    except ValueError:  # fewer than three grey levels
        return float(skimage.filters.threshold_otsu(smooth))
