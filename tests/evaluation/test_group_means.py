"""Corrected means of wells in place of those as measured: which, and where not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plate_bench import RATIO, plate

from napari_rls.evaluation.group_means import corrected_wells, means_of
from napari_rls.evaluation.hill import dose_response
from napari_rls.evaluation.tables import DOSE, WELL, values_of, well_means, with_doses


def means(table: pd.DataFrame, more: float = 1.0) -> pd.DataFrame:
    """Return means of the wells of a table, all corrected by as much."""
    wells = well_means(values_of(table, RATIO), "Metadata_Condition")
    value = wells.pop("value")
    return wells.assign(
        Mean_Of="well",
        Measurement=RATIO,
        Mean_Measured=value,
        Mean_Corrected=value + more,
        Mean_Corrected_q05=value + more - 0.1,
        Mean_Corrected_q95=value + more + 0.2,
    ).sample(frac=1, random_state=0)


def test_wells_get_their_corrected_means_by_name() -> None:
    table = plate()
    wells = well_means(with_doses(values_of(table, RATIO)), DOSE)
    told = corrected_wells(wells, means(table))
    np.testing.assert_allclose(told["value"], wells["value"] + 1)
    np.testing.assert_allclose(told["measured"], wells["value"])
    np.testing.assert_allclose(told["high"] - told["low"], 0.3)


def test_a_kind_of_image_is_corrected_whole_or_not_at_all() -> None:
    table = pd.concat([plate(), plate().assign(Metadata_Image="LR")])
    wells = well_means(with_doses(values_of(table, RATIO)), DOSE)
    some = means(table)
    first = (some["Metadata_Image"] == "LR").to_numpy().argmax()
    some.iloc[first, some.columns.get_loc("Mean_Corrected")] = np.nan
    told = corrected_wells(wells, some)
    sr = told["Metadata_Image"] == "SR"
    np.testing.assert_allclose(told["value"] - told["measured"], np.where(sr, 1.0, 0.0))
    assert told["low"].notna().eq(sr).all()
    # A well of two doses has one mean for both, which is of neither.
    twice = pd.concat([wells, wells[sr.to_numpy()].iloc[:1].assign(**{DOSE: 7.0})])
    assert not corrected_wells(twice, some)["low"].notna().any()


def test_the_curve_is_fitted_to_corrected_means() -> None:
    table = plate(noise=0.01)
    measured, moved = dose_response(table, RATIO), dose_response(table, RATIO, means=means(table))
    assert [measured["corrected"][0], moved["corrected"][0]] == [False, True]
    assert moved["ec50"][0] == pytest.approx(measured["ec50"][0], rel=1e-3)
    assert moved["bottom"][0] == pytest.approx(measured["bottom"][0] + 1, rel=1e-3)


def test_conditions_of_one_well_each_have_the_means_of_wells() -> None:
    table = plate(wells=1)
    own = means_of(means(table), RATIO, "Metadata_Condition")
    assert len(own) == 8
    several = means(plate(wells=2))
    assert means_of(several, RATIO, "Metadata_Condition").empty
    both = pd.concat([several, several.iloc[:1].assign(Mean_Of="condition")])
    assert len(means_of(both, RATIO, "Metadata_Condition")) == 1
    assert len(means_of(both, RATIO, WELL)) == 16
