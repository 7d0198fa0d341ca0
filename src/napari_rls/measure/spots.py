"""Bright objects (spots) of the cell in the centre of a crop, such as pieces of the Golgi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy
import skimage
from numpy.typing import NDArray
from pydantic import Field

from napari_rls.measure.assay import (
    NUCLEUS,
    NUCLEUS_AREA,
    Assay,
    AssaySettings,
    Measured,
    Measurement,
    Overlay,
)
from napari_rls.measure.nuclei import NucleusSettings, Reach, central_nucleus, find_nuclei
from napari_rls.models.field_notes import PIXELS, SQUARE_PIXELS

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


class SpotSettings(AssaySettings):
    """How spots are found; lengths are in pixels.

    The defaults suit 128 x 128 crops at 0.325 um a pixel.
    """

    nucleus: NucleusSettings = NucleusSettings(smoothing=2.0, min_area=400, min_distance=12)
    reach: Reach = 12.0
    cell_radius: Annotated[float, PIXELS] = Field(
        default=60.0,
        gt=0,
        le=1000,
        title="Cell radius",
        description="Spots farther from the nucleus than this belong to no cell.",
    )
    smoothing: Annotated[float, PIXELS] = Field(
        default=0.7,
        ge=0,
        le=50,
        title="Smoothing",
        description="Gaussian blur of the signal before the top-hat.",
    )
    radius: Annotated[float, PIXELS] = Field(
        default=8.0,
        ge=1,
        le=200,
        title="Top-hat radius",
        description="Half the width of the widest object that is a spot.",
    )
    deviations: float = Field(
        default=6.0,
        ge=0,
        le=1000,
        title="Deviations",
        description="A spot is brighter than this many robust deviations of the cell's "
        "background, and than Otsu's threshold in the cell.",
    )
    min_area: Annotated[int, SQUARE_PIXELS] = Field(
        default=4,
        ge=1,
        le=1_000_000,
        title="Smallest spot",
        description="Smaller objects are no spots.",
    )


@dataclass(frozen=True, eq=False)
class Spots:
    """Spots of one cell.

    Parameters
    ----------
    labels
        Label image (H, W), int32: 0 is no spot, spots count from 1.
    areas
        Their areas (K,), in square pixels.
    distances
        Distances (K,) of their centres from the nucleus's border, in pixels; 0 above it.
    share
        Share of the cell's light that is in spots, both above the cell's background (the
        median outside spots); NaN without a cell.
    nucleus_mask
        Where the cell's nucleus is (H, W); nowhere without one.
    """

    labels: NDArray[np.int32]
    areas: NDArray[np.float64]
    distances: NDArray[np.float64]
    share: float
    nucleus_mask: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.areas)

    @property
    def found(self) -> bool:
        """Whether there is a nucleus in the centre, and so a cell to look for spots in."""
        return bool(self.nucleus_mask.any())

    @property
    def nucleus_area(self) -> float:
        """Area of the nucleus in square pixels; NaN without a cell."""
        return float(self.nucleus_mask.sum()) if self.found else np.nan

    @property
    def count(self) -> float:
        """Number of spots; NaN without a cell."""
        return float(len(self)) if self.found else np.nan

    @property
    def mean_distance(self) -> float:
        """Mean distance from the nucleus in pixels; NaN without spots."""
        return float(self.distances.mean()) if len(self) else np.nan

    @property
    def mean_area(self) -> float:
        """Mean area in square pixels; NaN without spots."""
        return float(self.areas.mean()) if len(self) else np.nan

    @property
    def median_area(self) -> float:
        """Median area in square pixels; NaN without spots."""
        return float(np.median(self.areas)) if len(self) else np.nan

    @property
    def total_area(self) -> float:
        """Total area in square pixels; NaN without a cell."""
        return float(self.areas.sum()) if self.found else np.nan

    @property
    def largest_share(self) -> float:
        """Share of the total area that is in the largest spot; NaN without spots."""
        return float(self.areas.max() / self.areas.sum()) if len(self) else np.nan


def find_spots(
    image: NDArray[np.generic],
    dna: int = 0,
    signal: int = 1,
    settings: SpotSettings | None = None,
) -> Spots:
    """Find the spots of a crop's centre cell.

    The signal is smoothed and its white top-hat taken (what is narrower than the
    radius and brighter than its surroundings). A spot is a connected part above a
    threshold within the cell: Otsu's, which lies about half way between spots and
    background, but at least ``deviations`` robust deviations (median absolute
    deviation) above the median, so that a cell without spots has none. A pixel belongs
    to the cell whose nucleus is nearest.

    Parameters
    ----------
    image
        A crop (C, H, W) in any unit, a nucleus in its centre.
    dna, signal
        Indices of the channel that shows nuclei and of that with the spots.
    settings
        Definition of nucleus, cell and spots.

    Returns
    -------
    Spots
        Without spots and with NaN where no nucleus lies in the centre or pixels are not
        finite.
    """
    settings = settings or SpotSettings()
    values = np.asarray(image[signal], np.float64)
    nuclei = find_nuclei(image[dna], settings.nucleus).labels
    own = central_nucleus(nuclei, settings.reach)
    if own == 0 or not np.isfinite(values).all():
        nowhere = np.zeros(values.shape, np.bool_)
        return Spots(nowhere.astype(np.int32), np.empty(0), np.empty(0), np.nan, nowhere)
    away, nearest = scipy.ndimage.distance_transform_edt(nuclei == 0, return_indices=True)
    cell = (nuclei[tuple(nearest)] == own) & (away <= settings.cell_radius)
    smooth = scipy.ndimage.gaussian_filter(values, settings.smoothing)
    bright = skimage.morphology.white_tophat(smooth, skimage.morphology.disk(settings.radius))
    found, count = scipy.ndimage.label(
        cell & (bright > _threshold(bright[cell], settings.deviations))
    )
    sizes = np.bincount(found.ravel(), minlength=count + 1)
    kept = np.flatnonzero(sizes >= settings.min_area)
    kept = kept[kept > 0]
    renamed = np.zeros(count + 1, np.int32)
    renamed[kept] = np.arange(1, len(kept) + 1)
    labels = renamed[found]
    numbers = range(1, len(kept) + 1)
    return Spots(
        labels,
        sizes[kept].astype(np.float64),
        np.asarray(scipy.ndimage.mean(away, labels, numbers), np.float64).reshape(len(kept)),
        _share(values, cell, labels > 0),
        nuclei == own,
    )


def _threshold(bright: NDArray[np.float64], deviations: float) -> float:
    middle = float(np.median(bright))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(bright - middle)))
    floor = middle + deviations * spread
    return (
        floor if np.ptp(bright) == 0 else max(floor, float(skimage.filters.threshold_otsu(bright)))
    )


def _share(values: NDArray[np.float64], cell: NDArray[np.bool_], spots: NDArray[np.bool_]) -> float:
    """Return the share of the light above background; 0 where there is none at all."""
    dark = cell & ~spots
    light = values - (np.median(values[dark]) if dark.any() else 0.0)
    total = float(np.maximum(light[cell], 0).sum())
    return float(np.maximum(light[cell & spots], 0).sum()) / total if total > 0 else 0.0


def _measured(
    image: NDArray[np.generic], settings: SpotSettings, *, dna: int, signal: int
) -> Measured:
    found = find_spots(image, dna, signal, settings)
    return Measured.of(found, ASSAY, nucleus=found.nucleus_mask, spots=found.labels)


ASSAY = Assay(
    name="spots",
    title="Spots",
    settings=SpotSettings,
    measure=_measured,
    measurements=(
        NUCLEUS_AREA,
        Measurement(
            "count",
            "Cells_Children_Spots_Count",
            "Cells Spots Count",
            "none",
            "Number of spots in the cell.",
            least=0,
        ),
        Measurement(
            "mean_area",
            "Spots_AreaShape_Area_Mean",
            "Spots Area Mean",
            "square pixels",
            "Mean area of a spot.",
            2,
            least=0,
        ),
        Measurement(
            "median_area",
            "Spots_AreaShape_Area_Median",
            "Spots Area Median",
            "square pixels",
            "Median area of a spot.",
            2,
            least=0,
        ),
        Measurement(
            "total_area",
            "Spots_AreaShape_Area_Total",
            "Spots Area Total",
            "square pixels",
            "Area of all spots of the cell.",
            2,
            least=0,
        ),
        Measurement(
            "share",
            "Spots_Intensity_Share_{signal}",
            "Spots Share {signal}",
            "none",
            "Share of the cell's signal that is in spots, both above its background.",
            least=0,
            most=1,
        ),
        Measurement(
            "mean_distance",
            "Spots_Distance_Nuclei_Mean",
            "Spots Distance Nuclei Mean",
            "pixels",
            "Mean distance of the spots from the nucleus's border; 0 above the nucleus.",
            1,
            least=0,
        ),
    ),
    headline=("mean_area", "count", "median_area", "total_area"),
    overlays=(NUCLEUS, Overlay("spots", "spots", "#ff66cc")),
)
"""Number, sizes and places of spots."""
