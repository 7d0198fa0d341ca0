"""SR images whose samples contradict them are told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.measure.outside_samples import outside_samples

SETTINGS = MeasureSettings(assay="translocation", dna="DNA", signal="GFP")
RATIO = "Math_Ratio_NucleusCytoplasm_GFP"


def table(outside: int, kind: str = "SR") -> pd.DataFrame:
    """Return ten cells, some of which have an SR value above or below their interval."""
    value = np.full(10, 2.0)
    value[:outside] = np.where(np.arange(outside) % 2, 0.5, 9.0)
    ends = {f"{RATIO}_q05": 1.0, f"{RATIO}_q50": 2.0, f"{RATIO}_q95": 3.0}
    return pd.DataFrame({"Metadata_Image": kind, RATIO: value, **ends})


def test_many_are_told_with_what_to_go_by() -> None:
    (said,) = outside_samples(table(3), SETTINGS)
    assert said.startswith(f"In 3 of 10 cells {RATIO} of the SR image lies outside its 90 %")
    assert said.endswith(f"go by the interval and its middle, {RATIO}_q50.")


@pytest.mark.parametrize("given", [table(2), table(9, "LR"), table(9).drop(columns=f"{RATIO}_q05")])
def test_few_or_without_samples_nothing_is_told(given: pd.DataFrame) -> None:
    assert outside_samples(given, SETTINGS) == []


def test_cells_without_a_value_or_an_interval_do_not_count() -> None:
    given = table(3)
    given.loc[:1, RATIO] = np.nan
    given.loc[5:, f"{RATIO}_q95"] = np.nan
    (said,) = outside_samples(given, SETTINGS)
    assert said.startswith("In 1 of 3 cells")
