"""The dictionary of the columns of a table of cells: what each one is, holds and is called.

Tables, their files, their views, their plots and the documentation ask nobody else. The
columns of every table stand here; those that an assay measures it brings itself
(:mod:`napari_rls.measure.assay`). :mod:`napari_rls.measure.dictionary` puts both together.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_rls.measure.intervals import TABLE_LEVEL

IMAGE_UNIT: Final = "image unit"
"""Unit of intensities."""

IMAGE, CELL, WELL = "Metadata_Image", "Metadata_Cell", "Metadata_Well"
CONDITION, DOSE = "Metadata_Condition", "Metadata_Dose"
FILE, FIELD = "Metadata_File", "Metadata_Field"
TIME, PLANE = "Metadata_T", "Metadata_Z"
X, Y = "Location_Center_X", "Location_Center_Y"
X_UM, Y_UM = f"{X}_um", f"{Y}_um"
PIXEL_SIZE, INTERVAL = "Metadata_PixelSize_um", "Metadata_Interval"

NO_NUCLEUS = "Quality_NoNucleus"
TOUCHES_BORDER = "Quality_TouchesBorder"
SATURATED = "Quality_Saturated"
NOT_FINITE = "Quality_NotFinite"
UNFINISHED, SEARCH_FAILED = "Quality_Unfinished", "Quality_SearchFailed"
UNUSUAL_INTENSITY = "Quality_UnusualIntensity"
LR_RESIDUAL, LOG_DENSITY = "Quality_LRResidual", "Quality_LogDensity"
RESIDUAL_PERCENTILE = "Quality_LRResidualPercentile"
DENSITY_PERCENTILE = "Quality_LogDensityPercentile"
LOOK_PERCENTILE = "Quality_LookPercentile"
POOR_FIT, OUT_OF_DOMAIN = "Quality_PoorFit", "Quality_OutOfDomain"
FLAGS = "Quality_Flags"

TEXT: Final = "text"
"""Unit of columns of text."""

YES_OR_NO: Final = "yes or no"
"""Unit of columns of flags."""

ColumnKind = Literal["identity", "condition", "measurement", "interval", "flag", "quality"]


class Interval(BaseModel):
    """The two columns between which the true value is with a probability, its level."""

    model_config = ConfigDict(frozen=True)

    level: float = Field(gt=0, lt=1)
    low: str
    high: str


class Column(BaseModel):
    """What is known of a column.

    Parameters
    ----------
    name
        Its name in the table.
    title
        What it is called where room is scarce: words with a blank between them.
    unit, meaning
        What it holds; a unit may be :data:`TEXT` or :data:`YES_OR_NO`.
    kind
        What it is for: ``identity`` tells which cell of which image a row is of, ``condition``
        what was done to it, ``measurement`` what was measured, ``interval`` what is known of
        the spread of a measurement, ``flag`` that a row is not to be trusted, and ``quality``
        how far it is.
    of
        The measurement that an interval is of.
    intervals
        The intervals that the table has of a measurement.
    headline
        1 for the measurement that its assay is about, 2 and more for those that come next,
        0 for all others.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    unit: str
    meaning: str
    kind: ColumnKind
    of: str = ""
    intervals: tuple[Interval, ...] = ()
    headline: int = Field(default=0, ge=0)

    @property
    def flag(self) -> str:
        """Its title as one word, as the column of flags names it."""
        return self.title.replace(" ", "")

    def stored(self) -> dict[str, Any]:
        """Return what a table's record says of it, under its name."""
        return self.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)


def _identity(name: str, title: str, unit: str, meaning: str) -> Column:
    return Column(name=name, title=title, unit=unit, meaning=meaning, kind="identity")


def _condition(name: str, title: str, unit: str, meaning: str) -> Column:
    return Column(name=name, title=title, unit=unit, meaning=meaning, kind="condition")


def _flag(name: str, title: str, meaning: str) -> Column:
    return Column(name=name, title=title, unit=YES_OR_NO, meaning=meaning, kind="flag")


def _quality(name: str, title: str, unit: str, meaning: str) -> Column:
    return Column(name=name, title=title, unit=unit, meaning=meaning, kind="quality")


_CELL = (
    _identity(
        IMAGE,
        "Image",
        TEXT,
        "Kind of image: LR (upsampled bicubically), SR (generated), HR or GT (recorded).",
    ),
    _identity(
        CELL,
        "Cell",
        TEXT,
        "Name of the cell: its file, which image of it, and its number there; the same in every "
        "kind.",
    ),
    _identity(FILE, "File", TEXT, "File that the crop was cut from, else the file of the images."),
    _identity(WELL, "Well", TEXT, "Well, from the crop, the plate map or the file's name."),
    _identity(FIELD, "Field", "none", "Which field of its file, from 1; only if one has several."),
    _identity(
        TIME, "Time", "none", "Which time point of its file, from 1; only if one has several."
    ),
    _identity(PLANE, "Plane", "none", "Which plane of its file, from 1; only if one has several."),
    _condition(CONDITION, "Condition", TEXT, "Condition, from the plate map or the crop."),
    _condition(DOSE, "Dose", "the plate map's", "Dose; only with a plate map that has doses."),
    _identity(
        X,
        "X",
        "pixels",
        "Column of the crop's centre in its file, from the centre of the first pixel: of cells in "
        "LR fields in LR pixels, whatever kind of image the row is of.",
    ),
    _identity(Y, "Y", "pixels", "Row of it."),
    _identity(X_UM, "X um", "micrometres", "The column; only if the file's pixel size is known."),
    _identity(Y_UM, "Y um", "micrometres", "The row; only if the file's pixel size is known."),
    _identity(PIXEL_SIZE, "Pixel Size um", "micrometres", "Side of a pixel of the measured image."),
    _identity(
        INTERVAL,
        "Interval",
        TEXT,
        "How the intervals of the row were made, of how many samples. 'uncorrected: no correction, "
        "as' and a reason: they are as wide as the samples spread, and hold the true value less "
        "often than they say. 'corrected (split-conformal' and cells: they were moved and widened "
        "until they held the true values of so many held-out cells as often as they say; 'not "
        "corrected' names measurements of which the bundle has none. Empty without any interval: "
        "of LR and recorded images, and with fewer than two samples. Intervals are of the "
        "samples, with X_q50 in their middle: the value X, of the SR image, can lie outside.",
    ),
)

_TRUST = (
    _flag(NO_NUCLEUS, "No Nucleus", "No nucleus is near enough to the crop's centre."),
    _flag(TOUCHES_BORDER, "Touches Border", "The nucleus reaches the crop's border."),
    _flag(
        SATURATED,
        "Saturated",
        "A pixel of nucleus, ring or spots reaches the level of saturation; no if none is set. Of "
        "cells in fields: a pixel of the LR window does, or has the most that its type or camera "
        "tells.",
    ),
    _flag(
        NOT_FINITE,
        "Not Finite",
        "A pixel of the two channels is no number, as where SR failed.",
    ),
    _flag(
        UNFINISHED,
        "Unfinished",
        "The run was interrupted before the search of the cell, or the drawing of its samples, "
        "was done: its image and interval are not the result; SR only.",
    ),
    _flag(
        SEARCH_FAILED,
        "Search Failed",
        "The search of the cell failed or left it out; the record of the run says why; SR only.",
    ),
    _flag(
        UNUSUAL_INTENSITY,
        "Unusual Intensity",
        "The LR image has pixels far outside the intensities that the bundle knows; SR only.",
    ),
    _quality(
        LR_RESIDUAL,
        "LR Residual",
        IMAGE_UNIT,
        "Mean absolute difference between the degraded SR image and the LR image; SR only.",
    ),
    _quality(
        RESIDUAL_PERCENTILE,
        "LR Residual Percentile",
        "percent",
        "Share of the bundle's held-out cells with a smaller LR residual, each as a share of the "
        "intensity range; SR of a calibrated bundle only.",
    ),
    _quality(
        LOG_DENSITY, "Log Density", "nats", "Log-density of the latent vectors, P_w; SR only."
    ),
    _quality(
        DENSITY_PERCENTILE,
        "Log Density Percentile",
        "percent",
        "Share of the bundle's held-out cells with a lower log-density; SR of a calibrated bundle "
        "only.",
    ),
    _quality(
        LOOK_PERCENTILE,
        "Look Percentile",
        "percent",
        "Share of the bundle's held-out cells with a less strange look at the LR scale "
        "(brightness, contrast, centre, correlation of channels); SR of a calibrated bundle only.",
    ),
    _flag(
        POOR_FIT,
        "Poor Fit",
        "The LR residual is larger than that of nearly all held-out cells: SR does not fit LR.",
    ),
    _flag(
        OUT_OF_DOMAIN,
        "Out Of Domain",
        "The log-density is lower, or the look stranger, than that of nearly all held-out cells: "
        "the bundle has not seen such cells. With the rule before, 5 % of the held-out cells are "
        "flagged.",
    ),
    _quality(
        FLAGS,
        "Flags",
        TEXT,
        "Names of the columns above that are yes, without 'Quality_', joined by ;",
    ),
)

IDENTITY: Final[dict[str, Column]] = {column.name: column for column in _CELL}
"""The columns that tell which cell and image a row is of, and what was done to it."""

QUALITY: Final[dict[str, Column]] = {column.name: column for column in _TRUST}
"""The columns that tell how far to trust a row."""

FIXED: Final[dict[str, Column]] = IDENTITY | QUALITY
"""The columns that do not depend on what is measured."""

SUMMARIES: Final[dict[str, str]] = {
    "sd": "standard deviation over the samples",
    "q05": "lower end of the 90 % interval of the samples; the value of the SR image, the column "
    "without an ending, can lie below",
    "q50": "middle of the interval of the samples, not the value of the SR image; nearer to the "
    "truth of a single cell than that",
    "q95": "upper end of the 90 % interval of the samples; the value of the SR image, the column "
    "without an ending, can lie above",
}
"""What the columns with these endings hold of a measured column; SR with samples only."""

ENDS: Final[dict[float, tuple[str, str]]] = {TABLE_LEVEL: ("q05", "q95")}
"""Endings of the columns of both ends of an interval, by its level."""


def summary_columns(name: str) -> dict[str, str]:
    """Return the names of the columns of the spread of a measured column, by ending."""
    return {ending: f"{name}_{ending}" for ending in SUMMARIES}
