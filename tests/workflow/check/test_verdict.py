"""Which numbers lead to which verdict, and what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_rls.workflow.check.found import (
    Found,
    correlation_interval,
    needed_width,
    share_interval,
)
from napari_rls.workflow.check.verdict import (
    CELLS_HELD,
    CELLS_R,
    CELLS_WITHIN,
    LEAST_CELLS,
    MEANS_R,
    MOST_BIAS,
    RULES,
    WORDS,
    cells_needed,
    judge,
)

GOOD = Found(
    factor=8, column="Ratio", cells=400, of=400, r=0.95, r_low=0.94, r_high=0.96, r_within=0.92,
    r_sr=0.9, r_lr=0.5, error=0.1, error_sr=0.2, bias=0.0, bias_reach=0.01,
    spread=1.0, span=3.0, held=0.9,
    held_low=0.87, held_high=0.93, width=0.6, wider=1.0, corrected="5 samples", poor_fit=0.05,
    out_of_domain=0.0,
)  # fmt: skip


def found(**changes: float) -> Found:
    """Return what was found, with the intervals that go with it."""
    values = {"cells": GOOD.cells, "r": GOOD.r, "held": GOOD.held} | changes
    r = correlation_interval(values["r"], int(values["cells"]))
    held = share_interval(values["held"], int(values["cells"]))
    ends = {"r_low": r[0], "r_high": r[1], "held_low": held[0], "held_high": held[1]}
    return replace(GOOD, **{"of": values["cells"]} | ends | changes)


@pytest.mark.parametrize(
    ("numbers", "level"),
    [
        (GOOD, "cells"),
        (found(held=1.0), "cells"),
        (found(held=0.7), "means"),
        (found(r=0.85), "means"),
        (found(r_within=0.5), "means"),
        (found(r_within=0.7), "cells"),
        (found(r_within=np.nan), "cells"),
        (found(r=0.68), "means"),
        (found(r=0.5), "nothing"),
        (found(r=-0.95), "nothing"),
        (found(bias=0.3), "nothing"),
        (found(bias=-0.3), "nothing"),
        (found(bias=0.3, spread=2.0), "cells"),
        (found(cells=19), "too few"),
        (found(r=np.nan, spread=0.0), "too few"),
    ],
)
def test_rules(numbers: Found, level: str) -> None:
    assert judge(numbers).level == level
    if level != "too few":
        assert judge(numbers).sure


def test_why_is_told() -> None:
    assert judge(GOOD).sentence == (
        "Trust single cells: r is 0.95 (inside wells 0.92), and 90 % of the 90 % intervals hold "
        "the truth."
    )
    assert judge(found(held=0.7)).sentence == (
        "Trust means only: 70 % of the 90 % intervals hold the truth only, too little for single "
        "cells."
    )
    assert judge(found(bias=-0.5)).sentence == (
        "Do not trust: r is 0.95, but values are smaller than the truth by 0.50 standard "
        "deviations of it on average."
    )
    assert judge(found(cells=12, of=15)).sentence == (
        "Too few cells to say: 12 of 15 could be measured; give at least 20, better 100."
    )
    assert "the truth is the same for all cells" in judge(found(r=np.nan, spread=0.0)).sentence
    assert judge(found(r_within=0.4)).sentence == (
        "Trust means only: r is 0.95, but inside wells 0.40, too little for single cells."
    )
    assert "inside" not in judge(found(r_within=np.nan)).sentence
    assert "Of 400 cells, 300 could be measured." in judge(found(cells=300, of=400)).sentence


def test_a_verdict_that_chance_would_change_tells_how_many_cells_would_settle_it() -> None:
    low, high = correlation_interval(0.78, 30)
    assert (low, high) == pytest.approx((0.5838, 0.8901), abs=1e-4)
    unsure = judge(found(cells=30, r=0.82, r_within=np.nan))
    assert (unsure.level, unsure.sure, unsure.needed) == ("means", False, 42)
    assert "Unsure: with 30 cells r may be 0.65 to 0.91, the share 74 to 97 %" in unsure.sentence
    assert "about 42 cells would settle it." in unsure.sentence
    assert judge(found(cells=42, r=0.82, r_within=np.nan)).sure
    assert correlation_interval(0.82, 42)[1] < 0.9 < correlation_interval(0.82, 41)[1]


def test_only_what_changes_the_verdict_makes_it_unsure() -> None:
    # The share may be more than 80 % or less, but r inside wells is too low in any case.
    assert judge(found(cells=60, held=0.8, r_within=0.2)).sure
    unsure = judge(found(cells=60, r_within=0.65))
    assert (unsure.level, unsure.sure) == ("cells", False)
    assert "(inside wells 0.47 to 0.78)" in unsure.sentence
    assert correlation_interval(0.65, unsure.needed)[0] == pytest.approx(0.6, abs=1e-3)


def test_a_bias_may_be_chance() -> None:
    unsure = judge(found(bias=-0.28, bias_reach=0.1))
    assert (unsure.level, unsure.sure) == ("nothing", False)
    assert "the bias -0.28 ± 0.1" in unsure.sentence
    # Four times as many cells halve its reach; 0.03 must be left.
    assert unsure.needed == 0
    assert judge(found(cells=60, bias=-0.28, bias_reach=0.1)).needed in range(640, 680)
    assert "bias" not in judge(found(cells=30, r=0.82)).sentence


def test_what_lies_at_a_limit_is_never_settled() -> None:
    at = found(cells=50, r=0.9)
    assert cells_needed(at) == 0
    assert "more than 1000 cells would be needed to settle it" in judge(at).sentence


def test_intervals_that_do_not_hold_tell_how_wide_they_must_be() -> None:
    assert judge(GOOD).intervals == ""
    told = judge(found(held=0.6, wider=1.84)).intervals
    assert told.startswith("The 90 % intervals hold the truth too rarely (60 % of 400 cells)")
    assert "1.8 times as wide" in told
    assert "bundles calibrate" in told
    assert "It needs" not in told
    wide = judge(found(held=0.99, wider=0.6)).intervals
    assert "more often than they say" in wide
    assert "0.6 times as wide" in wide
    few = judge(found(cells=30, held=0.5, wider=np.inf)).intervals
    assert "have no width where it would be needed" in few
    assert few.endswith("It needs 40 cells, and here are 30.")


def test_the_page_of_the_documents_has_these_rules() -> None:
    text = (Path(__file__).parents[3] / "docs" / "check.md").read_text("utf-8")
    rows = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("|")}
    words = {
        "cells": (f"{CELLS_R} or more", f"{CELLS_WITHIN} or more", f"{100 * CELLS_HELD:.0f} %"),
        "means": (f"{MEANS_R} or more", f"{MOST_BIAS} standard deviations"),
        "nothing": ("else",),
        "too few": (f"fewer than {LEAST_CELLS} cells",),
    }
    assert set(words) == set(WORDS)
    for level, numbers in words.items():
        for number in numbers:
            assert number in rows[WORDS[level]]
            assert number.lower() in RULES[WORDS[level]].lower()


def test_needed_width_makes_intervals_hold() -> None:
    rng = np.random.default_rng(0)
    truth, middle, half = rng.normal(0, 3, 2000), np.zeros(2000), np.full(2000, 1.6449)
    wider = needed_width(truth, middle - half, middle, middle + half)
    assert wider == pytest.approx(3, abs=0.15)
    held = np.abs(truth) <= wider * half
    assert 0.9 <= held.mean() <= 0.902
    # Halves may differ, as those of corrected intervals do.
    assert needed_width(np.full(20, -1.0), middle[:20] - 0.5, middle[:20], middle[:20] + 5) == 2
    assert needed_width(truth[:8], middle[:8] - 1, middle[:8], middle[:8] + 1) == np.inf
    assert needed_width(np.ones(20), middle[:20], middle[:20], middle[:20]) == np.inf
