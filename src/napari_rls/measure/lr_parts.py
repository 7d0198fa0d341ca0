"""Nuclei of a sharpened LR image: what is bright is divided at its peaks."""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy
import skimage
from numpy.typing import NDArray

from napari_rls.measure.lr_blobs import Blobs, is_top
from napari_rls.measure.lr_image import Image

Points = NDArray[np.float64]

_PEAKED: Final = 0.8
"""Blur of the blobs before peaks are looked for, as a share of a nucleus' deviation."""


def parts_of(
    sharp: Image, blobs: Blobs, threshold: float, *, spacing: float, min_area: float
) -> Points:
    """Return the centres (K, 2) of the nuclei of a sharpened window, in its LR pixels.

    Parameters
    ----------
    sharp
        The window, on the fine grid.
    blobs
        How nuclei look in it.
    threshold
        What is brighter is nucleus.
    spacing
        Smallest distance between the peaks of two nuclei in points of the fine grid.
    min_area
        Of a nucleus, in such points.
    """
    smooth = blobs.smooth(sharp)
    mask = smooth > threshold
    peaked = scipy.ndimage.gaussian_filter(sharp, _PEAKED * blobs.fine)
    # A nucleus of two bright lobes has one middle, touching ones have two.
    depth = scipy.ndimage.distance_transform_edt(mask)
    depth = scipy.ndimage.gaussian_filter(depth, blobs.fine / 2).astype(np.float32)
    peaked *= np.sqrt(np.maximum(depth, 1e-3))
    peaks = _apart(np.argwhere(is_top(peaked) & mask), peaked, spacing)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    parts = skimage.segmentation.watershed(-peaked, markers, mask=mask)
    areas = np.bincount(parts.ravel(), minlength=len(peaks) + 1)[1:]
    big = np.flatnonzero(areas >= min_area) + 1
    middles = scipy.ndimage.center_of_mass(smooth - threshold, parts, big) if big.size else []
    fine = np.array(middles, np.float64).reshape(-1, 2)
    return (fine + 0.5) / blobs.points - 1.5


def _apart(peaks: NDArray[np.intp], image: Image, distance: float) -> NDArray[np.intp]:
    """Return the peaks (K, 2) that have no brighter one of them within a distance."""
    peaks = peaks[np.argsort(-image[tuple(peaks.T)], kind="stable")]
    if len(peaks) < 2:
        return peaks
    keep = np.ones(len(peaks), bool)
    for one, near in enumerate(scipy.spatial.cKDTree(peaks).query_ball_point(peaks, distance)):
        if keep[one]:
            keep[[other for other in near if other > one]] = False
    return peaks[keep]
