"""HR cells that are not those of the table are doubted; those that are, are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_rls.workflow.measure.hr_doubts import hr_doubts

COLUMNS = ["Nuclei_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_GFP"]


def cells(count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {COLUMNS[0]: rng.normal(200, 30, count), COLUMNS[1]: rng.gamma(4, 20, count)}
    )


def said(own: pd.DataFrame, hr: pd.DataFrame) -> list[str]:
    return hr_doubts(own, hr, [f"B{1 + k // 4:02}" for k in range(len(own))], COLUMNS, COLUMNS[1:])


@pytest.mark.parametrize("count", [8, 40, 300])
def test_the_same_cells_are_not_doubted(count: int) -> None:
    own = cells(count)
    rng = np.random.default_rng(1)
    noisy = own * rng.normal(1, 0.15, own.shape)
    # Nothing is to be seen of areas in LR images: one measurement that goes with it is enough.
    noisy[COLUMNS[0]] = rng.permutation(noisy[COLUMNS[0]])
    assert said(own, noisy) == []


@pytest.mark.parametrize("count", [8, 40, 300])
def test_other_cells_are_doubted(count: int) -> None:
    told = [said(cells(count, seed), cells(count, seed + 100)) for seed in range(50)]
    doubted = sum(bool(t and "hardly goes with" in t[0]) for t in told)
    assert doubted >= 45
    text = next(t for t in told if t)[0]
    assert f"What was measured on {count} HR cells hardly goes with" in text
    assert text.endswith("and that channels are not swapped.")


def test_cells_of_a_well_that_was_treated_alike_are_doubted() -> None:
    """Means of wells go together, cells in them do not."""
    own, hr = cells(48), cells(48, 1)
    dose = np.repeat(np.arange(12), 4)[:, None] * [300.0, 500.0]
    assert "hardly goes with" in said(own + dose, hr + dose)[0]
    # Of one cell in each well nothing else is known.
    assert said((own + dose)[::4], (hr + dose)[::4]) == []


def test_another_unit_is_told() -> None:
    own = cells(20)
    own["Cytoplasm"] = own[COLUMNS[1]] / 3
    for times, text in ((2.0, "2"), (0.25, "0.25")):
        hr = own.assign(**{COLUMNS[1]: own[COLUMNS[1]] * times, "Cytoplasm": own.Cytoplasm * times})
        (told,) = hr_doubts(own, hr, ["B01"] * 20, list(own), [COLUMNS[1], "Cytoplasm"])
        assert told.startswith(f"Intensities are {text} times as high in HR cells as in the cells")
    # A nucleus that is shown less full, or one that is fuller and a darker cytoplasm, are another
    # matter: that is what HR cells correct.
    for cytoplasm in (1.0, 0.5):
        hr = own.assign(**{COLUMNS[1]: own[COLUMNS[1]] * 2, "Cytoplasm": own.Cytoplasm * cytoplasm})
        assert hr_doubts(own, hr, ["B01"] * 20, list(own), [COLUMNS[1], "Cytoplasm"]) == []


def test_few_cells_and_cells_without_values_tell_nothing() -> None:
    assert said(cells(7), cells(7, 1)) == []
    own = cells(12)
    own.loc[3:, COLUMNS[1]] = np.nan
    own[COLUMNS[0]] = 5.0
    assert said(own, cells(12, 1) * 3) == []
