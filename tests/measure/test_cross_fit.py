"""Intervals judged by other cells: known coverage, whole groups, and no cell that judges itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from napari_rls.errors import TableError
from napari_rls.evaluation.held_out import CORRECTED, DRAWN, held_out, told_levels
from napari_rls.evaluation.reliability_plot import reliability_plot
from napari_rls.measure.cross_fit import FOLDS, RELIABILITY_KEY, crossed, folds_of, reliability
from napari_rls.measure.intervals import LEVELS, fit_correction, interval
from napari_rls.models.trust import Correction

CELLS = 2000


def normal(closeness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples (5, N) of N normal values, ``closeness`` times as far apart as the truth is."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=CELLS)
    return centre + closeness * rng.normal(size=(5, CELLS)), centre + rng.normal(size=CELLS)


FORTY = folds_of([f"well {k % 40}" for k in range(CELLS)], 0)


@pytest.mark.parametrize("closeness", [0.2, 1.0, 3.0])
def test_corrected_intervals_hold_what_they_say_whatever_the_samples(closeness: float) -> None:
    told = reliability(*normal(closeness), FORTY, "well")
    assert told is not None
    assert (told.cells, told.parts, told.of) == (CELLS, FOLDS, "well")
    # 99.9 % of binomial shares; the quantiles that were fitted scatter as well.
    for level, share in zip(LEVELS, told.held, strict=True):
        bound = 3.3 * np.sqrt(level * (1 - level) / CELLS)
        assert share == pytest.approx(level, abs=1.5 * bound)
    drawn = np.array(told.held_drawn) - LEVELS
    assert {0.2: (drawn < -0.2).all(), 1.0: (abs(drawn) < 0.04).all(), 3.0: (drawn > 0.04).all()}[
        closeness
    ]
    wider = np.array(told.width) / told.width_drawn
    assert (wider > 2).all() if closeness == 0.2 else (wider < 1.2).all()
    assert np.all(np.diff(told.width) > 0)


def test_no_cell_is_judged_by_a_correction_that_has_seen_it() -> None:
    draws, truth = normal(0.2)
    truth[FORTY == 3] += 100  # nobody else is like them
    told = reliability(draws, truth, FORTY, "well", levels=(0.9,))
    assert told is not None
    others = FORTY != 3
    # Corrections that saw them are as wide as they are off: they hold nearly all.
    assert told.held[0] <= others.mean()
    seen = fit_correction("", draws, truth, (0.9,))
    low, high = interval(draws, 0.9, seen)
    assert ((low <= truth) & (truth <= high))[~others].any()


def test_shares_and_widths_are_those_of_the_intervals_themselves() -> None:
    draws, truth = normal(0.5)
    draws, truth = draws[:, :100], truth[:100]
    truth[7], draws[:, 8] = np.nan, np.nan
    folds = np.arange(100) % 2
    told = reliability(draws, truth, folds, "cell", ends=(0, np.inf), levels=(0.8,))
    assert told is not None
    ends = np.full((2, 100), np.nan)
    for k in (0, 1):
        found = fit_correction("", draws[:, folds != k], truth[folds != k], (0.8,))
        ends[:, folds == k] = interval(draws[:, folds == k], 0.8, found)
    known = ~np.isin(np.arange(100), (7, 8))
    for (low, high), held, width in (
        (ends, told.held, told.width),
        (interval(draws, 0.8), told.held_drawn, told.width_drawn),
    ):
        least, most = np.maximum(low, 0)[known], np.maximum(high, 0)[known]
        assert held[0] == ((least <= truth[known]) & (truth[known] <= most)).mean()
        assert width[0] == pytest.approx(np.median(most - least))
    assert told.cells == 98


def test_too_few_cells_tell_nothing() -> None:
    draws, truth = normal(1)
    few = slice(0, 40)
    assert fit_correction("", draws[:, few], truth[few]) is not None
    assert reliability(draws[:, few], truth[few], FORTY[few], "well") is None


def test_parts_are_of_whole_groups_and_drawn_by_lot() -> None:
    groups = [f"well {k % 23}" for k in range(230)]
    folds = folds_of(groups, 0)
    assert {len({f for f, g in zip(folds, groups, strict=True) if g == one}) for one in groups} == {
        1
    }
    assert sorted(set(folds)) == list(range(FOLDS))
    assert (folds == folds_of(groups, 0)).all()
    assert (folds != folds_of(groups, 1)).any()
    assert set(folds_of(["a", "b", "a"], 0)) == {0, 1}
    low, high = crossed(np.array([0, 1, 0]), lambda *_: None)
    assert np.isnan([low, high]).all()


def correction(**changes: object) -> Correction:
    draws, truth = normal(0.2)
    fitted = fit_correction("x", draws, truth)
    assert fitted is not None
    told = reliability(draws, truth, FORTY, "well")
    stored = fitted.model_copy(update={"reliability": told}).model_dump(mode="json")
    stored["reliability"] |= changes
    return Correction.model_validate(stored)


def test_figures_are_one_per_level_and_older_corrections_have_none() -> None:
    found = correction()
    assert Correction.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(ValidationError, match="one figure per level"):
        correction(held=[0.5])
    with pytest.raises(ValidationError):
        correction(held=[0.5, 0.8, 0.9, 1.1])
    stored = found.model_dump(mode="json")
    del stored["reliability"]
    assert Correction.model_validate(stored).reliability is None


def test_the_plot_and_its_words_are_what_a_record_tells() -> None:
    entry = {
        "levels": [0.5, 0.9], "cells": 200, "of": "well", "parts": 10,
        "held": [0.52, 0.91], "width": [1.0, 2.44], "held_drawn": [0.2, 0.55],
        "width_drawn": [0.4, 0.812],
    }  # fmt: skip
    record = {"images": [{"kind": "GT"}, {"kind": "SR", RELIABILITY_KEY: {"x": entry}}]}
    table = pd.DataFrame({"Metadata_Interval": ["", "5 samples, corrected (by others)"]})
    held = held_out(table, record, "x")
    assert told_levels(held) == (
        "200 held-out cells, median widths (as drawn):",
        "50 % intervals held 52 % (20 %), width 1 (0.4)",
        "90 % intervals held 91 % (55 %), width 2.44 (0.812)",
    )
    figure = reliability_plot(held).figure
    for bars, kind in zip(figure.axes[0].containers, (CORRECTED, DRAWN), strict=True):
        line = bars.lines[0]
        np.testing.assert_allclose(line.get_xdata(), [0.5, 0.9])
        np.testing.assert_allclose(line.get_ydata(), held[kind]["observed"])
    # Wilson of 110 of 200.
    assert held[DRAWN]["observed_low"][1] == pytest.approx(0.4808, abs=1e-3)
    shown = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert {"corrected (90 %: 2.44 wide)", "as drawn (90 %: 0.812 wide)"} <= shown
    for told, record_, said in (
        ("", {}, "There are no intervals: they come from samples of SR images."),
        ("5 samples, uncorrected: no correction, as it is old", {"images": [{}]},
         "How often these intervals hold is not known: 5 samples, uncorrected: no correction, as "),
        ("5 samples, corrected (by others)", {"images": [{}]}, "Calibrate it anew"),
    ):  # fmt: skip
        with pytest.raises(TableError) as raised:
            held_out(pd.DataFrame({"Metadata_Interval": [told]}), record_, "x")
        assert said in str(raised.value)
    with pytest.raises(TableError, match="how often intervals of y held; it does of x"):
        held_out(table, record, "y")
