"""The dictionary of the columns of a measurement table: what each holds, in which unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from napari_rls.evaluation.tables import CELL, CONDITION, DOSE, IMAGE, WELL
from napari_rls.measure.cells import (
    NO_NUCLEUS,
    NOT_FINITE,
    SATURATED,
    TOUCHES_BORDER,
    MeasureSettings,
    column_names,
)

FILE, Y, X = "Metadata_File", "Metadata_Y", "Metadata_X"
PIXEL_SIZE, INTERVAL = "Metadata_PixelSize_um", "Metadata_Interval"
LR_RESIDUAL, LOG_DENSITY = "Quality_LRResidual", "Quality_LogDensity"
RESIDUAL_PERCENTILE = "Quality_LRResidualPercentile"
DENSITY_PERCENTILE = "Quality_LogDensityPercentile"
LOOK_PERCENTILE = "Quality_LookPercentile"
UNFINISHED, SEARCH_FAILED = "Quality_Unfinished", "Quality_SearchFailed"
UNUSUAL_INTENSITY = "Quality_UnusualIntensity"
POOR_FIT, OUT_OF_DOMAIN = "Quality_PoorFit", "Quality_OutOfDomain"
FLAGS = "Quality_Flags"

IDENTITY: dict[str, tuple[str, str]] = {
    IMAGE: (
        "text",
        "Kind of image: LR (upsampled bicubically), SR (generated), HR or GT (recorded).",
    ),
    CELL: ("text", "Name of the cell: its file and its number there; the same in every kind."),
    FILE: ("text", "File that the crop was cut from, else the file of the images."),
    WELL: ("text", "Well, from the crop, the plate map or the file's name."),
    CONDITION: ("text", "Condition, from the plate map or the crop."),
    DOSE: ("the plate map's", "Dose; only with a plate map that has doses."),
    Y: ("pixels", "Centre of the crop in its file, from the centre of the first pixel."),
    X: ("pixels", "The same, across."),
    PIXEL_SIZE: ("micrometres", "Side of a pixel of the measured image."),
    INTERVAL: ("text", "How the intervals of the row were made; empty without any."),
}
"""Unit and meaning of the columns that tell which cell and image a row is of."""

QUALITY: dict[str, tuple[str, str]] = {
    NO_NUCLEUS: ("yes or no", "No nucleus is near enough to the crop's centre."),
    TOUCHES_BORDER: ("yes or no", "The nucleus reaches the crop's border."),
    SATURATED: (
        "yes or no",
        "A pixel of nucleus, ring or spots reaches the level of saturation; no if none is set.",
    ),
    NOT_FINITE: ("yes or no", "A pixel of the two channels is no number, as where SR failed."),
    UNFINISHED: (
        "yes or no",
        (
            "The run was interrupted before the search of the cell, or the drawing of its samples, "
            "was done: its image and interval are not the result; SR only."
        ),
    ),
    SEARCH_FAILED: (
        "yes or no",
        "The search of the cell failed or left it out; the record of the run says why; SR only.",
    ),
    UNUSUAL_INTENSITY: (
        "yes or no",
        "The LR image has pixels far outside the intensities that the bundle knows; SR only.",
    ),
    LR_RESIDUAL: (
        "image unit",
        "Mean absolute difference between the degraded SR image and the LR image; SR only.",
    ),
    RESIDUAL_PERCENTILE: (
        "percent",
        (
            "Share of the bundle's held-out cells with a smaller LR residual, each as a share of "
            "the intensity range; SR of a calibrated bundle only."
        ),
    ),
    LOG_DENSITY: ("nats", "Log-density of the latent vectors, P_w; SR only."),
    DENSITY_PERCENTILE: (
        "percent",
        (
            "Share of the bundle's held-out cells with a lower log-density; SR of a calibrated "
            "bundle only."
        ),
    ),
    LOOK_PERCENTILE: (
        "percent",
        (
            "Share of the bundle's held-out cells with a less strange look at the LR scale "
            "(brightness, contrast, centre, correlation of channels); SR of a calibrated bundle "
            "only."
        ),
    ),
    POOR_FIT: (
        "yes or no",
        "The LR residual is larger than that of nearly all held-out cells: SR does not fit LR.",
    ),
    OUT_OF_DOMAIN: (
        "yes or no",
        (
            "The log-density is lower, or the look stranger, than that of nearly all held-out "
            "cells: the bundle has not seen such cells. With the rule before, 5 % of the held-out "
            "cells are flagged."
        ),
    ),
    FLAGS: ("text", "Names of the columns above that are yes, without 'Quality_', joined by ;"),
}
"""Unit and meaning of the columns that tell how far to trust a row."""

SUMMARIES: dict[str, str] = {
    "sd": "standard deviation over the samples",
    "q05": "lower end of the 90 % interval",
    "q50": "middle of the interval",
    "q95": "upper end of the 90 % interval",
}
"""What the columns with these endings hold of a measured column; SR with samples only."""


def interval_columns(name: str) -> dict[str, str]:
    """Return the names of the interval columns of a measured column, by ending."""
    return {ending: f"{name}_{ending}" for ending in SUMMARIES}


def dictionary(settings: MeasureSettings, present: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return unit and meaning of the columns of a table.

    Parameters
    ----------
    settings
        The assay and the names of its channels.
    present
        Names of the table's columns; those that a plate map has added are said to be.
    """
    known: dict[str, tuple[str, str]] = {**IDENTITY, **QUALITY}
    for name, column in column_names(settings, micrometres=True).items():
        known[name] = (column.unit, column.meaning)
        for ending, other in interval_columns(name).items():
            known[other] = (column.unit, f"{column.meaning[:-1]}: {SUMMARIES[ending]}.")
    otherwise = ("text", "From the plate map.")
    return {name: _entry(known, name, otherwise) for name in present}


def _entry(
    known: Mapping[str, tuple[str, str]], name: str, otherwise: tuple[str, str]
) -> dict[str, str]:
    unit, meaning = known.get(name, otherwise)
    return {"unit": unit, "meaning": meaning}
