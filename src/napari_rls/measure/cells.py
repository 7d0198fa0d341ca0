"""All that is measured of one cell: values by column, quality flags, and where they come from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from napari_rls.measure.spots import Spots, SpotSettings, find_spots
from napari_rls.measure.translocation import (
    Translocation,
    TranslocationSettings,
    measure_translocation,
)
from napari_rls.models.part import Checked

AssayName = Literal["translocation", "spots"]

NO_NUCLEUS = "Quality_NoNucleus"
TOUCHES_BORDER = "Quality_TouchesBorder"
SATURATED = "Quality_Saturated"
NOT_FINITE = "Quality_NotFinite"


class MeasureSettings(Checked):
    """What is measured, and how: the same for every kind of image of a cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    assay: AssayName = Field(title="Assay", description="What is measured.")
    dna: str = Field(
        default="",
        title="DNA channel",
        description="Channel that shows nuclei, by index from 0 or by name; without it the one "
        "named after a stain of DNA, else the first.",
    )
    signal: str = Field(
        default="",
        title="Signal channel",
        description="Channel that is measured, by index from 0 or by name; without it the other of "
        "two, else the second.",
    )
    translocation: TranslocationSettings = TranslocationSettings()
    spots: SpotSettings = SpotSettings()
    saturation: float | None = Field(
        default=None,
        allow_inf_nan=False,
        title="Saturation",
        description="Level at and above which a pixel is saturated, in the image's unit; "
        "saturation is not looked for without it.",
    )


@dataclass(frozen=True)
class Column:
    """A measured column.

    Parameters
    ----------
    name
        Its name after CellProfiler's fashion, with ``{dna}`` and ``{signal}`` for the names
        of the channels.
    unit, meaning
        What it holds.
    source
        Attribute of what was measured.
    power
        Power of the pixel size in it. If not 0, and the pixel size is known, there is a
        second column in micrometres, or square micrometres.
    micrometres
        Whether this is that second column.
    least, most
        What it can be; intervals end there.
    """

    name: str
    unit: str
    meaning: str
    source: str
    power: Literal[0, 1, 2] = 0
    micrometres: bool = False
    least: float = -np.inf
    most: float = np.inf


_NUCLEUS_AREA = Column(
    "Nuclei_AreaShape_Area",
    "square pixels",
    "Area of the nucleus.",
    "nucleus_area",
    2,
    least=0,
)

COLUMNS: dict[AssayName, tuple[Column, ...]] = {
    "translocation": (
        _NUCLEUS_AREA,
        Column(
            "Nuclei_Intensity_MeanIntensity_{signal}",
            "image unit",
            "Mean signal in the nucleus, above the background.",
            "nucleus",
        ),
        Column(
            "Cytoplasm_Intensity_MeanIntensity_{signal}",
            "image unit",
            "Mean signal in the ring around the nucleus, above the background.",
            "cytoplasm",
        ),
        Column(
            "Math_Ratio_NucleusCytoplasm_{signal}",
            "none",
            "Mean of the nucleus over mean of the ring.",
            "ratio",
            least=0,
        ),
        Column(
            "Math_Log2Ratio_NucleusCytoplasm_{signal}",
            "none",
            "Logarithm of the ratio to base 2.",
            "log2_ratio",
        ),
        Column(
            "Nuclei_Correlation_Correlation_{dna}_{signal}",
            "none",
            "Pearson's correlation of the two channels over the nucleus's pixels.",
            "correlation",
            least=-1,
            most=1,
        ),
    ),
    "spots": (
        _NUCLEUS_AREA,
        Column(
            "Cells_Children_Spots_Count", "none", "Number of spots in the cell.", "count", least=0
        ),
        Column(
            "Spots_AreaShape_Area_Mean",
            "square pixels",
            "Mean area of a spot.",
            "mean_area",
            2,
            least=0,
        ),
        Column(
            "Spots_AreaShape_Area_Median",
            "square pixels",
            "Median area of a spot.",
            "median_area",
            2,
            least=0,
        ),
        Column(
            "Spots_AreaShape_Area_Total",
            "square pixels",
            "Area of all spots of the cell.",
            "total_area",
            2,
            least=0,
        ),
        Column(
            "Spots_Intensity_Share_{signal}",
            "none",
            "Share of the cell's signal that is in spots, both above its background.",
            "share",
            least=0,
            most=1,
        ),
        Column(
            "Spots_Distance_Nuclei_Mean",
            "pixels",
            "Mean distance of the spots from the nucleus's border; 0 above the nucleus.",
            "mean_distance",
            1,
            least=0,
        ),
    ),
}

_SUFFIXES = {1: "_um", 2: "_um2"}


@dataclass(frozen=True, eq=False)
class MeasuredCell:
    """What was measured of a cell.

    Parameters
    ----------
    values
        A number for every column of :func:`column_names`; NaN where it cannot be measured.
    flags
        ``Quality_NoNucleus`` (none near the crop's centre), ``Quality_TouchesBorder`` (the
        nucleus reaches the crop's border), ``Quality_Saturated`` (a pixel of the labelled
        parts is), ``Quality_NotFinite`` (a pixel of the two channels is not).
    labels
        Label images (H, W), int32, of what was measured: ``nucleus`` and ``cytoplasm``,
        1 where they are, or ``nucleus`` and ``spots``, counted from 1.
    """

    values: dict[str, float]
    flags: dict[str, bool]
    labels: dict[str, NDArray[np.int32]]


def measure_cell(
    image: NDArray[np.generic],
    dna: int,
    signal: int,
    settings: MeasureSettings,
    pixel_size_um: float | None = None,
) -> MeasuredCell:
    """Measure the cell in the centre of a crop.

    Parameters
    ----------
    image
        A crop (C, H, W) in any unit, a nucleus in its centre.
    dna, signal
        Indices of the channel that shows nuclei and of the measured one.
    settings
        What is measured, and how. Its channel names stand in the columns' names.
    pixel_size_um
        Side of a pixel in micrometres; without it nothing is in micrometres.
    """
    measured: Translocation | Spots
    if settings.assay == "translocation":
        measured = measure_translocation(image, dna, signal, settings.translocation)
        labels = {"cytoplasm": measured.ring_mask.astype(np.int32)}
    else:
        measured = find_spots(image, dna, signal, settings.spots)
        labels = {"spots": measured.labels}
    nucleus = measured.nucleus_mask
    labels = {"nucleus": nucleus.astype(np.int32), **labels}
    planes = np.stack([image[dna], image[signal]])
    finite = bool(np.isfinite(planes).all())
    level = settings.saturation
    used = np.any(list(labels.values()), axis=0)
    return MeasuredCell(
        _values(measured, settings, pixel_size_um),
        {
            NO_NUCLEUS: finite and not nucleus.any(),
            TOUCHES_BORDER: bool(nucleus[[0, -1]].any() or nucleus[:, [0, -1]].any()),
            SATURATED: level is not None and bool((planes[:, used] >= level).any()),
            NOT_FINITE: not finite,
        },
        labels,
    )


def column_names(settings: MeasureSettings, *, micrometres: bool) -> dict[str, Column]:
    """Return the columns of an assay by their names, in the table's order.

    A column in micrometres follows the one in pixels.

    Parameters
    ----------
    settings
        The assay and the names of its channels; without a name, ``DNA`` and ``Signal``.
    micrometres
        Whether to add those in micrometres and square micrometres.
    """
    channels = {"dna": _label(settings.dna, "DNA"), "signal": _label(settings.signal, "Signal")}
    names = {}
    for column in COLUMNS[settings.assay]:
        name = column.name.format_map(channels)
        names[name] = column
        if micrometres and column.power:
            unit = column.unit.replace("pixels", "micrometres")
            second = replace(column, unit=unit, micrometres=True)
            names[name + _SUFFIXES[column.power]] = second
    return names


def _values(
    measured: Translocation | Spots, settings: MeasureSettings, pixel_size_um: float | None
) -> dict[str, float]:
    values = {}
    for name, column in column_names(settings, micrometres=pixel_size_um is not None).items():
        value = float(getattr(measured, column.source))
        size = pixel_size_um if column.micrometres and pixel_size_um is not None else 1.0
        values[name] = value * size**column.power
    return values


def _label(channel: str, otherwise: str) -> str:
    """Return a channel's name without what CellProfiler's names of channels never hold."""
    return re.sub(r"\W", "", channel) or otherwise
