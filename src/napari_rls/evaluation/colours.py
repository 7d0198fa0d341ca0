"""Colours of kinds of image and of methods in figures, on white and on a dark background."""

from __future__ import annotations

from napari_rls.evaluation.figure_style import PRINT, Look

COLOURS = {"GT": "#000000", "HR": "#000000", "SR": "#0072b2", "LR": "#e69f00"}
"""Colours of the kinds of image, told apart with any colour vision (Okabe and Ito)."""

DARK_COLOURS = {"SR": "#56b4e9", "LR": "#e69f00"}
"""The same on a dark background, where recorded images have the colour of the text."""

METHOD_COLOURS = {
    "rls": "#0072b2",
    "rls-paper": "#56b4e9",
    "rls-authors-code": "#8fbfff",
    "rls-plus": "#004b76",
    "pulse": "#d55e00",
    "brgm": "#009e73",
    "unregularised": "#cc79a7",
    "rls-without-pw": "#8a5a83",
    "rls-without-pcross": "#b0a000",
    "rls-without-told": "#7a9a3c",
    "flow": "#a65628",
    "pix2pix": "#888888",
    "direct": "#f0a0c0",
}
"""Colours of methods, where SR images of several are in one figure."""

OTHER_COLOUR = "#009e73"
CHOSEN_COLOUR = "#d55e00"

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
DARK_SERIES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7")
"""Colours of lines that are no kind of image, on white and on a dark background."""


def colour_of(kind: str, look: Look = PRINT) -> str:
    """Return the colour of a kind of image or of a method."""
    if look.dark and kind in COLOURS:
        return DARK_COLOURS.get(kind, look.ink)
    return COLOURS.get(kind) or METHOD_COLOURS.get(kind, OTHER_COLOUR)
