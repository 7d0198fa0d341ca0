"""Assay statistics against brute force, against sums by hand and against known curves."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from plate_bench import DOSES, RATIO, cells, plate

from napari_rls.errors import TableError
from napari_rls.evaluation import hill
from napari_rls.evaluation.agreement import agreement, coverage, interval_columns
from napari_rls.evaluation.hill import dose_response
from napari_rls.evaluation.statistics import auc, cohens_d, compare_conditions, v_factor, z_prime
from napari_rls.evaluation.tables import dose_of


def brute_auc(negative: np.ndarray, positive: np.ndarray) -> float:
    wins = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return float(np.mean(wins))


@pytest.mark.parametrize("decimals", [8, 1])
def test_auc_is_the_share_of_pairs_and_its_variance_delongs(decimals: int) -> None:
    rng = np.random.default_rng(1)
    negative = rng.normal(0, 1, 23).round(decimals)
    positive = rng.normal(0.9, 1, 31).round(decimals)
    area, low, high = auc(negative, positive)
    assert area == pytest.approx(brute_auc(negative, positive), abs=1e-12)
    # DeLong's variance from its definition, cell by cell; the interval is even in the logit.
    by_positive = [brute_auc(negative, np.array([p])) for p in positive]
    by_negative = [brute_auc(np.array([n]), positive) for n in negative]
    error = math.sqrt(np.var(by_positive, ddof=1) / 31 + np.var(by_negative, ddof=1) / 23)
    width = 1.959964 * error / (area * (1 - area))
    logits = [math.log(x / (1 - x)) for x in (low, area, high)]
    assert logits[1] - logits[0] == pytest.approx(width, rel=1e-5)
    assert logits[2] - logits[1] == pytest.approx(width, rel=1e-5)


def test_auc_interval_holds_the_true_area_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    true = 0.8413447  # of two normal distributions sqrt(2) apart
    inside = 0
    for _ in range(400):
        _, low, high = auc(rng.normal(0, 1, 25), rng.normal(math.sqrt(2), 1, 25))
        inside += low <= true <= high
    assert 0.92 <= inside / 400 <= 0.985


def test_auc_of_cells_that_do_not_overlap_still_has_a_width() -> None:
    area, low, high = auc(np.arange(10.0), np.arange(10.0) + 20)
    assert (area, high) == (1, 1)
    assert 0.7 < low < 0.95
    area, low, high = auc(np.arange(10.0) + 20, np.arange(10.0))
    assert (area, low) == (0, 0)
    assert 0.05 < high < 0.3
    more = auc(np.arange(100.0), np.arange(100.0) + 200)[1]
    assert 0.97 < more < 1


def test_auc_of_nothing_is_not_a_number() -> None:
    assert all(map(math.isnan, auc(np.array([]), np.array([1.0]))))


def test_cohens_d_by_hand() -> None:
    # Means 2 and 5, variances 1 and 4, pooled (2 * 1 + 2 * 4) / 4 = 2.5
    d = cohens_d(np.array([1.0, 2.0, 3.0]), np.array([3.0, 5.0, 7.0]))
    assert d == pytest.approx(3 / math.sqrt(2.5))
    assert math.isnan(cohens_d(np.array([1.0]), np.array([3.0, 5.0])))
    assert math.isnan(cohens_d(np.array([1.0, 1.0]), np.array([3.0, 3.0])))


def test_z_prime_by_hand() -> None:
    # sd 1 and 2, means 2 and 32
    value, problem = z_prime(np.array([1.0, 2.0, 3.0]), np.array([30.0, 32.0, 34.0]))
    assert value == pytest.approx(1 - 3 * (1 + 2) / 30)
    assert problem == ""
    value, problem = z_prime(np.array([1.0, 3.0]), np.array([1.5, 2.5]))
    assert math.isnan(value)
    assert "the same" in problem


def two_conditions() -> pd.DataFrame:
    negative = {"A01": [1.0, 1.2, np.nan], "A02": [1.4, 1.6]}
    positive = {"H01": [2.0, 2.4], "H02": [3.0, np.inf], "H03": [2.8]}
    return pd.concat(
        [
            cells(negative, "drug=DMSO; control=negative"),
            cells(positive, "drug=TNF; control=positive"),
            cells({"A01": [1.0]}, "drug=DMSO; control=negative", "HR"),
            cells({"H01": [2.0, 3.0], "H02": [2.5]}, "drug=TNF; control=positive", "HR"),
        ],
        ignore_index=True,
    )


def test_conditions_are_compared_per_kind_of_image() -> None:
    result = compare_conditions(two_conditions(), RATIO, "control=negative", "drug=TNF")
    assert list(result["Metadata_Image"]) == ["HR", "SR"]
    sr = result.set_index("Metadata_Image").loc["SR"]
    assert (sr.n_negative, sr.dropped_negative, sr.wells_negative) == (4, 1, 2)
    assert (sr.n_positive, sr.dropped_positive, sr.wells_positive) == (4, 1, 3)
    assert sr.median_negative == pytest.approx(1.3)
    assert sr.median_positive == pytest.approx(2.6)
    assert sr.auc == 1
    # The exact two-sided p of full separation, 4 against 4: 2 / (8 choose 4)
    assert sr.p_value == pytest.approx(2 / 70)
    wells = (np.array([1.1, 1.5]), np.array([2.2, 3.0, 2.8]))
    by_hand = 1 - 3 * (wells[0].std(ddof=1) + wells[1].std(ddof=1)) / (wells[1].mean() - 1.3)
    assert sr.z_prime == pytest.approx(by_hand)
    assert sr.z_prime_problem == ""


def test_one_well_gives_no_z_prime() -> None:
    result = compare_conditions(two_conditions(), RATIO, "control=negative", "drug=TNF")
    hr = result.set_index("Metadata_Image").loc["HR"]
    assert math.isnan(hr.z_prime)
    assert hr.z_prime_problem == "1 negative well, needs 2"
    assert hr.auc == pytest.approx(1)
    assert math.isnan(hr.cohens_d)


def test_cells_without_a_well_count_as_cells_only() -> None:
    table = two_conditions()
    table.loc[table["Metadata_Well"] == "A02", "Metadata_Well"] = ""
    sr = compare_conditions(table, RATIO, "drug=DMSO", "drug=TNF").set_index("Metadata_Image")
    assert (sr.n_negative["SR"], sr.wells_negative["SR"]) == (4, 1)


def test_a_kind_without_any_value_has_a_row_of_nothing() -> None:
    table = two_conditions()
    table.loc[table["Metadata_Image"] == "HR", RATIO] = np.nan
    hr = compare_conditions(table, RATIO, "drug=DMSO", "drug=TNF").iloc[0]
    assert (hr.n_negative, hr.dropped_negative) == (0, 1)
    assert all(math.isnan(hr[name]) for name in ("auc", "auc_low", "cohens_d", "p_value"))


@pytest.mark.parametrize(
    ("column", "negative", "says"),
    [
        (RATIO, "drug=none", "no condition 'drug=none'.*'drug=DMSO; control=negative'"),
        (RATIO, "drug=TNF; control=positive", "in common"),
        ("Area", "drug=DMSO", f"no column 'Area'; its measurements are {RATIO}"),
        ("Metadata_Well", "drug=DMSO", "something else than numbers"),
    ],
)
def test_what_cannot_be_compared_is_said(column: str, negative: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        compare_conditions(two_conditions(), column, negative, "drug=TNF")


def test_an_empty_table_is_said() -> None:
    with pytest.raises(TableError, match="no rows"):
        compare_conditions(two_conditions().iloc[:0], RATIO, "a", "b")


@pytest.mark.parametrize(
    ("condition", "dose"),
    [
        ("drug=wortmannin; dose=3", 3),
        ("Dose = 1e-2 ;drug=x", 0.01),
        ("dose=0", 0),
        ("control", math.nan),
        ("drug=x; dose=", math.nan),
        ("dose=3 nM", math.nan),
        ("dose=-1", math.nan),
        ("dose=inf", math.nan),
        ("dose_index=3", math.nan),
        (math.nan, math.nan),
    ],
)
def test_dose_of_a_condition(condition: str, dose: float) -> None:
    assert dose_of(condition) == pytest.approx(dose, nan_ok=True)


def test_v_factor_by_hand_leaves_single_wells_without_deviation() -> None:
    table = pd.concat(
        [
            cells({"A": [1.0], "B": [3.0]}, "dose=0"),  # mean 2, sd sqrt 2
            cells({"C": [20.0]}, "dose=1"),
            cells({"D": [41.0], "E": [43.0]}, "dose=2"),  # mean 42, sd sqrt 2
        ]
    )
    row = v_factor(table, RATIO).iloc[0]
    assert row.v_factor == pytest.approx(1 - 6 * math.sqrt(2) / 40)
    assert (row.wells, row.doses, row.single, row.problem) == (5, 3, 1, "")


def test_v_factor_of_single_wells_is_refused_in_words() -> None:
    single = pd.concat([cells({"A": [1.0]}, "dose=0"), cells({"B": [2.0]}, "dose=1")])
    assert v_factor(single, RATIO).iloc[0].problem == "no dose has 2 wells"
    assert math.isnan(v_factor(single, RATIO).iloc[0].v_factor)
    assert v_factor(single.iloc[:1], RATIO).iloc[0].problem == "fewer than 2 doses"


@pytest.mark.parametrize("top", [2.0, 0.4])
def test_a_clean_curve_is_recovered(top: float) -> None:
    row = dose_response(plate(noise=0, top=top), RATIO).iloc[0]
    found = [row.ec50, row.slope, row.bottom, row.top, row.r2]
    assert found == pytest.approx([3, 1.5, 1, top, 1], rel=1e-4)
    assert row.problem == ""
    assert row.ec50_low == pytest.approx(3, rel=1e-3)
    assert row.ec50_high == pytest.approx(3, rel=1e-3)


def test_the_interval_holds_the_true_ec50_about_as_often_as_it_says() -> None:
    inside, near = 0, 0
    for seed in range(60):
        row = dose_response(plate(noise=0.08, seed=seed, wells=2), RATIO).iloc[0]
        inside += row.ec50_low <= 3 <= row.ec50_high
        near += 2 < row.ec50 < 4.5
    assert 54 <= inside <= 60
    assert near >= 54


def test_the_fit_agrees_with_curve_fit_from_the_true_parameters() -> None:
    from scipy.optimize import curve_fit

    table = plate(noise=0.1, seed=5)
    wells = table.groupby(["Metadata_Condition", "Metadata_Well"], as_index=False)[RATIO].mean()
    doses = wells["Metadata_Condition"].map(dose_of).to_numpy()
    values = wells[RATIO].to_numpy()
    row = dose_response(table, RATIO).iloc[0]

    def curve(x: np.ndarray, bottom: float, top: float, log: float, slope: float) -> np.ndarray:
        return bottom + (top - bottom) * x**slope / (x**slope + 10 ** (log * slope))

    best, _ = curve_fit(curve, doses, values, p0=[1, 2, math.log10(3), 1.5])
    expected = [best[0], best[1], 10 ** best[2], best[3]]
    assert [row.bottom, row.top, row.ec50, row.slope] == pytest.approx(expected, rel=1e-3)
    residuals = values - hill.hill(doses, row.bottom, row.top, row.ec50, row.slope)
    r2 = 1 - (residuals**2).sum() / ((values - values.mean()) ** 2).sum()
    assert row.r2 == pytest.approx(r2)


def test_the_interval_narrows_with_the_noise() -> None:
    widths = []
    for noise in (0.02, 0.1):
        row = dose_response(plate(noise=noise, seed=3), RATIO).iloc[0]
        widths.append(math.log10(row.ec50_high / row.ec50_low))
    assert 0 < widths[0] < widths[1] / 2


def test_dose_zero_is_the_bottom() -> None:
    assert hill.hill([0.0, 3.0, 1e9], 1.0, 2.0, 3.0, 1.5) == pytest.approx([1, 1.5, 2])


@pytest.mark.parametrize(
    ("table", "says", "has_ec50"),
    [
        (plate(ec50=60, slope=1, noise=0.01), "no plateau at high doses", True),
        (plate(ec50=0.2, slope=1, noise=0.01, doses=DOSES[1:]), "no plateau at low doses", True),
        (plate(ec50=500, slope=1, noise=0.001), r"EC50 above the highest dose \(100\)", False),
        (plate(ec50=0.02, slope=2, noise=0.0005), r"EC50 below the lowest dose \(0.1\)", False),
        (plate(top=1.0, noise=0.1), "no response to the dose", False),
        (plate(noise=0.15, doses=DOSES[:5], wells=1), "too few wells to tell a response", False),
        (plate(top=1.0, noise=0.0), "no response to the dose", False),
        (plate(doses=(0, 1, 10)), "fewer than 4 doses", False),
        (plate(doses=(0, 1, 3, 10), wells=1), "fewer than 5 wells", False),
        (plate(ec50=1.7, slope=30, noise=0.001), "slope not determined", True),
    ],
)
def test_poor_data_are_told_in_words(table: pd.DataFrame, says: str, has_ec50: bool) -> None:
    row = dose_response(table, RATIO)
    assert row["problem"].str.contains(says).all(), row["problem"].tolist()
    assert math.isfinite(row["ec50"].iloc[0]) == has_ec50


def test_no_poor_data_make_the_fit_fail() -> None:
    rng = np.random.default_rng(0)
    for seed in range(30):
        table = plate(noise=float(rng.choice([0, 1, 1e-9, 1e9])), seed=seed, wells=seed % 2 + 1)
        table[RATIO] = table[RATIO].mask(rng.random(len(table)) < 0.5)
        row = dose_response(table, RATIO).iloc[0]
        assert math.isfinite(row.ec50) or row.problem
        assert row.dropped == table[RATIO].isna().sum()


def test_a_dose_column_comes_before_the_condition() -> None:
    table = plate(noise=0)
    table["Metadata_Dose"] = table["Metadata_Condition"].map(dose_of) * 10
    assert dose_response(table, RATIO).iloc[0].ec50 == pytest.approx(30, rel=1e-3)


def test_doses_of_two_drugs_are_not_mixed() -> None:
    other = plate()
    other["Metadata_Condition"] = other["Metadata_Condition"].str.replace("wortmannin", "LY294002")
    both = pd.concat([plate(), other], ignore_index=True)
    with pytest.raises(TableError, match=r"more than one drug \(LY294002, wortmannin\)"):
        dose_response(both, RATIO)
    # The untreated wells may be of anything.
    untreated = both[(both["Metadata_Condition"].map(dose_of) == 0) | (both.index < len(plate()))]
    assert dose_response(untreated, RATIO).iloc[0].problem == ""


def test_a_table_without_doses_is_said() -> None:
    with pytest.raises(TableError, match="No cell has a dose"):
        dose_response(cells({"A": [1.0]}, "control"), RATIO)


def both_kinds() -> pd.DataFrame:
    truth = cells({"A": [1.0, 2.0], "B": [4.0, 8.0, 5.0]}, "x", "GT")
    measured = cells({"A": [1.5, 1.0], "B": [4.0, 10.0, np.nan]}, "x", "SR")
    return pd.concat([measured, truth], ignore_index=True)


def test_agreement_by_hand() -> None:
    result = agreement(both_kinds(), RATIO).set_index("per")
    cell, well = result.loc["cell"], result.loc["well"]
    assert (cell.n, cell.dropped, well.n) == (4, 1, 2)
    # Errors .5, 1, 0, 2 of 1, 2, 4, 8
    assert cell.median_absolute_error == pytest.approx(0.75)
    assert cell.median_relative_error == pytest.approx((0.25 + 0.5) / 2)
    pearson = np.corrcoef([1.5, 1, 4, 10], [1, 2, 4, 8])[0, 1]
    assert cell.pearson == pytest.approx(pearson)
    assert cell.spearman == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    # Means over the cells that both have: 1.25 for 1.5, 7 for 6
    assert well.median_absolute_error == pytest.approx((0.25 + 1) / 2)
    assert math.isnan(well.pearson)


def test_agreement_needs_the_reference_and_names_of_cells() -> None:
    with pytest.raises(TableError, match=r"no image 'HR'.*it has GT, SR"):
        agreement(both_kinds(), RATIO, "HR")
    with pytest.raises(TableError, match=r"'A-0' is in the table twice"):
        agreement(pd.concat([both_kinds(), both_kinds().iloc[:1]]), RATIO)
    with pytest.raises(TableError, match="beside 'GT'"):
        agreement(both_kinds().iloc[5:], RATIO)


def with_intervals(n: int = 200) -> pd.DataFrame:
    """Return cells whose intervals are those of a normal distribution about their estimates."""
    rng = np.random.default_rng(3)
    truth = rng.normal(5, 1, n)
    estimate = truth + 0.5 * rng.normal(size=n)
    gt = cells({"A": list(truth)}, "x", "GT")
    sr = cells({"A": list(estimate)}, "x", "SR")
    for quantile, z in (("05", -1.644854), ("50", 0), ("95", 1.644854), ("25", -0.67449)):
        sr[f"{RATIO}_q{quantile}"] = estimate + 0.5 * z
    sr[f"{RATIO}_q75"] = estimate + 0.5 * 0.67449
    return pd.concat([gt, sr], ignore_index=True)


def test_coverage_counts_true_values_inside() -> None:
    table = with_intervals()
    table.loc[table.index[-1], f"{RATIO}_q05"] = np.nan
    result = coverage(table, RATIO)
    assert list(result["Metadata_Image"]) == ["SR", "SR"]
    assert list(result["nominal"]) == [0.5, 0.9]
    truth = table[RATIO].to_numpy()[:199]
    sr = table.iloc[200:399]
    inside = ((sr[f"{RATIO}_q05"] <= truth) & (truth <= sr[f"{RATIO}_q95"])).sum()
    row = result.iloc[1]
    assert (row.n, row.dropped) == (199, 1)
    assert row.observed == pytest.approx(inside / 199)
    assert row.observed + row.below + row.above == pytest.approx(1)
    # Wilson's interval from its formula
    z, p, n = 1.959964, inside / 199, 199
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    ends = [row.observed_low, row.observed_high]
    assert ends == pytest.approx([middle - reach, middle + reach], rel=1e-5)
    for _, each in result.iterrows():
        assert each.observed_low < each.nominal < each.observed_high


def test_coverage_takes_a_column_as_truth_and_named_intervals() -> None:
    sr = pd.DataFrame(
        {"Metadata_Image": "SR", "truth": [1, 2, 3, 4], "low": [0, 3, 3, 0], "up": [1, 4, 5, 2]}
    )
    row = coverage(sr, "Area", truth="truth", intervals={0.8: ("low", "up")}).iloc[0]
    assert (row.observed, row.below, row.above) == (0.5, 0.25, 0.25)


def test_interval_columns_are_found_in_pairs() -> None:
    names = ["A_q05", "A_q50", "A_q95", "A_q2.5", "A_q97.5", "A_q10", "B_q25", "B_q75"]
    table = pd.DataFrame(columns=names)
    assert interval_columns(table, "A") == {0.9: ("A_q05", "A_q95"), 0.95: ("A_q2.5", "A_q97.5")}


def test_a_table_without_intervals_is_said() -> None:
    with pytest.raises(TableError, match=f"'{RATIO}_q05' and '{RATIO}_q95'"):
        coverage(both_kinds(), RATIO)
