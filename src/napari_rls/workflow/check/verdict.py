"""What a bundle can be trusted with on some cells, by rules that are stated to the reader."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from napari_rls.measure.intervals import FEWEST_CELLS, TABLE_LEVEL
from napari_rls.workflow.check.found import Found, correlation_interval, share_interval

LEAST_CELLS: Final = 20
CELLS_R: Final = 0.9
CELLS_WITHIN: Final = 0.6
CELLS_HELD: Final = 0.8
MEANS_R: Final = 0.6
MOST_BIAS: Final = 0.25
MEASURED: Final = 0.9
"""Share of cells that could be measured below which it is told with the verdict."""

MOST_NEEDED: Final = 1000
"""Number of cells beyond which it is not told exactly how many would settle a verdict."""

Level = Literal["cells", "means", "nothing", "too few"]

WORDS: Final[dict[Level, str]] = {
    "cells": "trust single cells",
    "means": "trust means only",
    "nothing": "do not trust",
    "too few": "too few cells to say",
}

RULES: Final[dict[str, str]] = {
    "what is judged": "The middle of a cell's samples (the column that ends in _q50) with its "
    "90 % interval (_q05 to _q95), against the truth of the same cell.",
    WORDS["cells"]: f"r over cells is {CELLS_R} or more, inside wells or else conditions "
    f"(where there are several) {CELLS_WITHIN} or more, at least {100 * CELLS_HELD:.0f} % of the "
    "90 % intervals hold the truth, and means can be trusted.",
    WORDS["means"]: f"r is {MEANS_R} or more, and the mean error (bias) is at most {MOST_BIAS} "
    "standard deviations of the truth over cells. Means are those of many cells, as of a well.",
    WORDS["nothing"]: "All else.",
    WORDS["too few"]: f"Fewer than {LEAST_CELLS} cells could be measured, or all have one value.",
    "unsure": "Values inside the 95 % intervals of r, bias and the share of intervals would lead "
    "to another verdict; how many cells would settle it is told.",
}
"""The rules, for page and documents, by what they lead to."""


@dataclass(frozen=True)
class Verdict:
    """What one measurement can be trusted with at one scale factor.

    Parameters
    ----------
    level
        What the rules say.
    sentence
        The same and why, for people.
    sure
        Whether all values inside the 95 % intervals lead to the same.
    needed
        About how many cells would settle it; 0 if it is settled, or never would be.
    intervals
        What to do about intervals that do not hold what they say, or "".
    """

    level: Level
    sentence: str
    sure: bool
    needed: int = 0
    intervals: str = ""


def judge(found: Found) -> Verdict:
    """Apply the rules to what was found."""
    if found.cells < LEAST_CELLS:
        return Verdict(
            "too few",
            f"Too few cells to say: {found.cells} of {found.of} could be measured; give at least "
            f"{LEAST_CELLS}, better 100.",
            sure=False,
            needed=LEAST_CELLS,
        )
    if not math.isfinite(found.r):
        what = "truth is" if found.spread == 0 else "values are"
        return Verdict(
            "too few",
            f"Nothing can be said: the {what} the same for all cells; give cells that differ, as "
            "of all conditions.",
            sure=False,
        )
    level = _level(found, found.r, found.r_within, found.held, abs(found.bias))
    sure = _possible(found, found.cells) == {level}
    needed = 0 if sure else cells_needed(found)
    sentence = f"{WORDS[level].capitalize()}: {_reason(found, level)}."
    if found.cells < MEASURED * found.of:
        sentence += f" Of {found.of} cells, {found.cells} could be measured."
    if not sure:
        sentence += f" {_unsure(found, needed)}"
    return Verdict(level, sentence, sure, needed, _intervals(found))


def cells_needed(found: Found) -> int:
    """Return how many cells would make a verdict sure, if r and the share stay as they are.

    0 stands for more than :data:`MOST_NEEDED`.
    """
    for cells in range(found.cells + 1, MOST_NEEDED + 1):
        if len(_possible(found, cells)) == 1:
            return cells
    return 0


def _possible(found: Found, cells: int) -> set[Level]:
    """Return what the ends of the 95 % intervals of so many cells lead to, both low, both high."""
    ends = (
        correlation_interval(found.r, cells),
        correlation_interval(found.r_within, cells),
        share_interval(found.held, cells),
    )
    reach = found.bias_reach * math.sqrt(found.cells / cells)
    biases = (abs(found.bias) + reach, max(abs(found.bias) - reach, 0.0))
    return {_level(found, *(pair[k] for pair in (*ends, biases))) for k in (0, 1)}


def _level(found: Found, r: float, within: float, held: float, bias: float) -> Level:
    if not (r >= MEANS_R and bias <= MOST_BIAS * found.spread):
        return "nothing"
    # Without several wells nothing is known inside them.
    single = r >= CELLS_R and not within < CELLS_WITHIN and held >= CELLS_HELD
    return "cells" if single else "means"


def _reason(found: Found, level: Level) -> str:
    r = f"r is {found.r:.2f}"
    held = f"{100 * found.held:.0f} % of the 90 % intervals hold the truth"
    inside = f"inside wells {found.r_within:.2f}"
    if level == "cells":
        known = f" ({inside})" if math.isfinite(found.r_within) else ""
        return f"{r}{known}, and {held}"
    if level == "means":
        why = [r] if found.r < CELLS_R else []
        why += (
            [f"{r}, but {inside}"] if found.r >= CELLS_R and found.r_within < CELLS_WITHIN else []
        )
        why += [f"{held} only"] if found.held < CELLS_HELD else []
        return f"{' and '.join(why)}, too little for single cells"
    if found.r < MEANS_R:
        return f"{r}"
    return (
        f"{r}, but values are {'larger' if found.bias > 0 else 'smaller'} than the truth by "
        f"{abs(found.bias) / found.spread:.2f} standard deviations of it on average"
    )


def _unsure(found: Found, needed: int) -> str:
    low, high = correlation_interval(found.r_within, found.cells)
    within = f" (inside wells {low:.2f} to {high:.2f})" if math.isfinite(low) else ""
    off = ""
    if abs(abs(found.bias) - MOST_BIAS * found.spread) <= found.bias_reach:
        off = f", the bias {found.bias:.2g} \N{PLUS-MINUS SIGN} {found.bias_reach:.2g}"
    ends = (
        f"r may be {found.r_low:.2f} to {found.r_high:.2f}{within}, the share "
        f"{100 * found.held_low:.0f} to {100 * found.held_high:.0f} %{off}"
    )
    if needed:
        return f"Unsure: with {found.cells} cells {ends}; about {needed} cells would settle it."
    return f"Unsure: {ends}; more than {MOST_NEEDED} cells would be needed to settle it."


def _intervals(found: Found) -> str:
    if found.held_low <= TABLE_LEVEL <= found.held_high:
        return ""
    few = (
        ""
        if found.cells >= FEWEST_CELLS
        else f" It needs {FEWEST_CELLS} cells, and here are {found.cells}."
    )
    if not math.isfinite(found.wider):
        how = "have no width where it would be needed"
    else:
        how = f"would have to be {found.wider:.2g} times as wide to hold it in 90 %"
    often = "too rarely" if found.held < TABLE_LEVEL else "more often than they say"
    return (
        f"The 90 % intervals hold the truth {often} ({100 * found.held:.0f} % of {found.cells} "
        f"cells); on these cells they {how}. 'napari-rls bundles calibrate' fits that.{few}"
    )
