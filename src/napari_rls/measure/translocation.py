"""Nucleus to cytoplasm ratio of the cell in the centre of a crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy
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
from napari_rls.measure.columns import IMAGE_UNIT
from napari_rls.measure.nuclei import NucleusSettings, Reach, central_nucleus, find_nuclei
from napari_rls.models.field_notes import PIXELS

MIN_PIXELS = 10
"""Fewer pixels than this are too few for a mean of the ring."""


class TranslocationSettings(AssaySettings):
    """How translocation is measured; lengths are in pixels.

    The defaults suit nuclei of about 15 pixels across, as in BBBC013.
    """

    nucleus: NucleusSettings = NucleusSettings()
    gap: Annotated[float, PIXELS] = Field(
        default=1.0,
        ge=0,
        le=100,
        title="Gap",
        description="Width around every nucleus that belongs to no cytoplasm.",
    )
    width: Annotated[float, PIXELS] = Field(
        default=3.0,
        gt=0,
        le=100,
        title="Ring width",
        description="Width of the cytoplasm ring outside the gap.",
    )
    reach: Reach = 6.0
    background_percentile: float | None = Field(
        default=None,
        ge=0,
        le=100,
        title="Background",
        description=(
            "Percentile of the crop's signal that is subtracted from both means; "
            "nothing is subtracted without it."
        ),
    )


@dataclass(frozen=True, eq=False)
class Translocation:
    """Measurements of one cell; NaN where there is no nucleus or no ring.

    Parameters
    ----------
    nucleus_mask, ring_mask
        Where nucleus and ring are (H, W); nowhere without them.
    nucleus, cytoplasm
        Mean intensities of the signal channel, in its own unit, after the background was
        subtracted.
    nucleus_area
        Area of the nucleus in square pixels.
    correlation
        Pearson's correlation of the two channels in the nucleus; NaN where one of them is
        constant.
    """

    nucleus_mask: NDArray[np.bool_]
    ring_mask: NDArray[np.bool_]
    nucleus: float = np.nan
    cytoplasm: float = np.nan
    nucleus_area: float = np.nan
    correlation: float = np.nan

    @property
    def ratio(self) -> float:
        """``nucleus / cytoplasm``; NaN unless the cytoplasm is brighter than 0."""
        return self.nucleus / self.cytoplasm if self.cytoplasm > 0 else np.nan

    @property
    def log2_ratio(self) -> float:
        """Logarithm of the ratio to base 2; NaN unless both means are brighter than 0."""
        return float(np.log2(self.ratio)) if self.ratio > 0 else np.nan


def measure_translocation(
    image: NDArray[np.generic],
    dna: int = 0,
    signal: int = 1,
    settings: TranslocationSettings | None = None,
) -> Translocation:
    """Measure how much of a signal is in the nucleus of the crop's centre cell.

    Mean intensity of the nucleus over the mean intensity of a ring of fixed
    distance around it, as CellProfiler's translocation pipelines define it: the
    ring does not depend on the signal, and so not on the treatment. The ring
    leaves out a gap around every nucleus, and other nuclei.

    Parameters
    ----------
    image
        A crop (C, H, W) in any unit, a nucleus in its centre.
    dna, signal
        Indices of the channel that shows nuclei and of the measured one.
    settings
        Definition of nucleus, ring and background.

    Returns
    -------
    Translocation
        Of NaN where no nucleus lies in the centre or pixels are not finite.
    """
    settings = settings or TranslocationSettings()
    values = np.asarray(image[signal], np.float64)
    nowhere = np.zeros(values.shape, np.bool_)
    nucleus, ring = nucleus_and_ring(image[dna], settings)
    if not nucleus.any() or not np.isfinite(values).all():
        return Translocation(nowhere, nowhere)
    area = float(nucleus.sum())
    correlation = _correlation(np.asarray(image[dna], np.float64)[nucleus], values[nucleus])
    if ring.sum() < MIN_PIXELS:
        return Translocation(nucleus, nowhere, nucleus_area=area, correlation=correlation)
    dark = settings.background_percentile
    background = 0.0 if dark is None else float(np.percentile(values, dark))
    return Translocation(
        nucleus,
        ring,
        float(values[nucleus].mean()) - background,
        float(values[ring].mean()) - background,
        area,
        correlation,
    )


def nucleus_and_ring(
    dna: NDArray[np.generic], settings: TranslocationSettings
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where nucleus and ring of the cell in the centre of a DNA image (H, W) are.

    Both are nowhere without a nucleus there.
    """
    labels = find_nuclei(dna, settings.nucleus).labels
    own = central_nucleus(labels, settings.reach)
    if own == 0:
        nowhere = np.zeros(labels.shape, np.bool_)
        return nowhere, nowhere
    return labels == own, _ring(labels, own, settings)


def translocation_ratio(
    image: NDArray[np.generic],
    dna: int = 0,
    signal: int = 1,
    settings: TranslocationSettings | None = None,
) -> float:
    """Return the nucleus to cytoplasm ratio of a crop's centre cell, or NaN.

    See :func:`measure_translocation`.
    """
    return measure_translocation(image, dna, signal, settings).ratio


def _ring(
    labels: NDArray[np.int32], own: int, settings: TranslocationSettings
) -> NDArray[np.bool_]:
    """Return the ring around a nucleus, without other nuclei and the gap around them."""
    nucleus = labels == own
    distance = scipy.ndimage.distance_transform_edt(~nucleus)
    ring: NDArray[np.bool_] = (distance > settings.gap) & (
        distance <= settings.gap + settings.width
    )
    others = (labels > 0) & ~nucleus
    if others.any():
        ring &= scipy.ndimage.distance_transform_edt(~others) > settings.gap
    return ring


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


def _measured(
    image: NDArray[np.generic], settings: TranslocationSettings, *, dna: int, signal: int
) -> Measured:
    found = measure_translocation(image, dna, signal, settings)
    return Measured.of(found, ASSAY, nucleus=found.nucleus_mask, cytoplasm=found.ring_mask)


ASSAY = Assay(
    name="translocation",
    title="Translocation",
    settings=TranslocationSettings,
    measure=_measured,
    measurements=(
        NUCLEUS_AREA,
        Measurement(
            "nucleus",
            "Nuclei_Intensity_MeanIntensity_{signal}",
            "Nuclei Mean Intensity {signal}",
            IMAGE_UNIT,
            "Mean signal in the nucleus, above the background.",
        ),
        Measurement(
            "cytoplasm",
            "Cytoplasm_Intensity_MeanIntensity_{signal}",
            "Cytoplasm Mean Intensity {signal}",
            IMAGE_UNIT,
            "Mean signal in the ring around the nucleus, above the background.",
        ),
        Measurement(
            "ratio",
            "Math_Ratio_NucleusCytoplasm_{signal}",
            "Ratio Nucleus Cytoplasm {signal}",
            "none",
            "Mean of the nucleus over mean of the ring.",
            least=0,
        ),
        Measurement(
            "log2_ratio",
            "Math_Log2Ratio_NucleusCytoplasm_{signal}",
            "Log2 Ratio Nucleus Cytoplasm {signal}",
            "none",
            "Logarithm of the ratio to base 2.",
        ),
        Measurement(
            "correlation",
            "Nuclei_Correlation_Correlation_{dna}_{signal}",
            "Nuclei Correlation {dna} {signal}",
            "none",
            "Pearson's correlation of the two channels over the nucleus's pixels.",
            least=-1,
            most=1,
        ),
    ),
    headline=("ratio",),
    overlays=(NUCLEUS, Overlay("cytoplasm", "cytoplasm rings", "#56b4e9")),
)
"""Nucleus to cytoplasm ratio."""
