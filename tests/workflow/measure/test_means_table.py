"""Means of wells and conditions by a few HR cells: which cells those are, and what is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_rls.errors import InputError
from napari_rls.evaluation.corrected_means import corrected_means
from napari_rls.measure.cells import MeasureSettings
from napari_rls.measure.columns import CONDITION, DOSE, FILE, IMAGE, WELL, X_UM, Y_UM, X, Y
from napari_rls.workflow.measure.hr_cells import HrCells, matched
from napari_rls.workflow.measure.means_table import means_path, means_table
from napari_rls.workflow.measure.table_files import read_table, write_table

RATIO = "Math_Ratio_NucleusCytoplasm_GFP"
ORIGIN = ({"name": "hr.ome.tif", "sha256": "0", "cells": 0},)
WELLS = ("A01", "A02", "A03", "B01", "B02", "B03", "C01", "C02")


def plate(cells: int = 10) -> pd.DataFrame:
    """Return SR cells of wells, two or three per condition, at places of their own in files."""
    rng = np.random.default_rng(0)
    rows = [
        {
            IMAGE: "SR",
            FILE: f"{well}_LR8x.tif",
            WELL: well,
            CONDITION: f"dose={ord(well[0]) - 64}",
            DOSE: float(ord(well[0]) - 64),
            X: 30.0 * k,
            Y: 20.0 * (k % 3),
            "Metadata_PixelSize_um": 0.5,
            RATIO: ord(well[0]) - 64 + rng.normal(),
        }
        for well in WELLS
        for k in range(cells)
    ]
    return pd.DataFrame(rows)


def recorded(table: pd.DataFrame, rows: list[int], more: float = 0.5) -> HrCells:
    """Return some cells of a table as HR cells, in another order, with larger values."""
    chosen = table.iloc[rows[::-1]].copy()
    chosen[IMAGE] = "GT"
    chosen[FILE] = chosen[FILE].str.replace("_LR8x", "_HR")
    chosen[[X, Y]] += 1.5
    chosen[RATIO] += more
    return HrCells(chosen.drop(columns=[WELL, CONDITION, DOSE]).reset_index(drop=True), ORIGIN)


def test_hr_cells_are_found_by_file_and_place() -> None:
    table = plate()
    rows = [3, 14, 15, 40, 77]
    found = matched(table, recorded(table, rows))
    assert np.flatnonzero(found >= 0).tolist() == rows
    assert found[rows].tolist() == [4, 3, 2, 1, 0]


def test_every_kind_of_image_has_them() -> None:
    table = plate()
    both = pd.concat([table.assign(**{IMAGE: "LR"}), table], ignore_index=True)
    found = matched(both, recorded(table, [3, 14]))
    assert np.flatnonzero(found >= 0).tolist() == [3, 14, 83, 94]


def test_places_are_compared_in_micrometres_where_both_tell_them() -> None:
    table = plate()
    table[X_UM], table[Y_UM] = 8 * table[X], 8 * table[Y]
    hr = recorded(table, [3, 14, 15])
    # Pixels of the HR file are a sixteenth as wide as those of the LR file, 0.5 of 8.
    hr.table[[X, Y]] = 16 * (hr.table[[X, Y]] - 1.5 + 0.5) - 0.5 + 4
    hr.table[[X_UM, Y_UM]] = 0.5 * hr.table[[X, Y]]
    assert np.flatnonzero(matched(table, hr) >= 0).tolist() == [3, 14, 15]
    # HR places in HR pixels alone: the table's pixel sizes tell how many lie along its pixels.
    bare = HrCells(hr.table.drop(columns=[X_UM, Y_UM]), ORIGIN)
    assert np.flatnonzero(matched(table, bare) >= 0).tolist() == [3, 14, 15]
    with pytest.raises(InputError, match=r"Only 0 of the 3 HR cells of hr\.ome\.tif are found"):
        matched(table.drop(columns=[X_UM, Y_UM]), bare)


@pytest.mark.parametrize("ratio", [6.4, 16.0])
def test_places_of_fields_are_compared_by_the_ratio_of_their_run(ratio: float) -> None:
    table = plate()
    table["Metadata_PixelSize_um"] = np.nan
    table[FILE] = table[FILE].str.replace("LR8x", f"LR{ratio:g}x")
    table[[X, Y]] = 300 + 30 * table[[X, Y]]  # in HR pixels, as far as 570 of them
    hr = recorded(table, [3, 14, 15])
    hr.table[FILE] = hr.table[FILE].str.replace(f"_LR{ratio:g}x", "_HR")
    table[[X, Y]] = (table[[X, Y]] + 0.5) / ratio - 0.5
    assert np.flatnonzero(matched(table, hr, ratio) >= 0).tolist() == [3, 14, 15]
    with pytest.raises(InputError, match="Only 0 of the 3"):
        matched(table, hr, ratio * 1.1)
    record = {"images": [{"kind": "LR"}, {"kind": "SR", "ratio": ratio}] * 2}
    means, how = means_table(table, record, hr)
    assert means["Count_HRCells"].sum() > 0
    assert how["means"]["hr_cells_found"] == {"SR": {"cells": 3, "wells": 2}}
    # Where images of one table have several ratios, only their pixel sizes can tell.
    record["images"][-1]["ratio"] = 8.0
    with pytest.raises(InputError, match="Only 0 of the 3"):
        means_table(table, record, hr)


def test_each_is_the_nearest_of_the_other() -> None:
    table = plate(2)
    table.loc[1, [X, Y]] = [4.0, 0.0]
    hr = recorded(table, [0, 1])
    hr.table[X] = [3.9, 3.8]  # both nearest to the second cell, of which the first is nearer
    assert matched(table, hr)[:2].tolist() == [-1, 0]


def test_images_of_one_file_are_told_apart() -> None:
    table = plate(2)
    table[FILE], table["Metadata_Field"] = "all.tif", np.repeat(np.arange(1, 9), 2)
    hr = recorded(table, [2, 7])
    assert np.flatnonzero(matched(table, hr) >= 0).tolist() == [2, 7]
    hr.table["Metadata_Field"] = 9
    with pytest.raises(InputError, match="Only 0 of the 2"):
        matched(table, hr)


def test_hr_cells_whose_cell_has_no_value_are_not_counted() -> None:
    table = plate()
    hr = recorded(table, [0, 1, 2, 3, 14, 15, 40, 77])
    table.loc[table[WELL] == "A01", RATIO] = [np.nan] * 3 + [1.0] + [np.nan] * 6
    means, _ = means_table(table, {}, hr)
    first = means[(means["Mean_Of"] == "well") & (means[WELL] == "A01")].iloc[0]
    assert (first["Count_Cells"], first["Count_HRCells"]) == (1, 1)
    assert (means["Count_HRCells"] <= means["Count_Cells"]).all()


def test_files_of_one_cell_need_no_places() -> None:
    table = plate(1)
    table[[X, Y]] = np.nan
    assert np.flatnonzero(matched(table, recorded(table, [2, 5])) >= 0).tolist() == [2, 5]
    two = plate(2)
    two[[X, Y]] = np.nan
    with pytest.raises(InputError, match="Only 0 of the 2"):
        matched(two, recorded(two, [2, 5]))


def test_pixels_of_another_size_are_told() -> None:
    table = plate()
    hr = recorded(table, [2, 5])
    hr.table["Metadata_PixelSize_um"] = 0.25
    with pytest.raises(InputError, match=r"are 0\.25 µm wide and those of the SR cells 0\.5 µm"):
        matched(table, hr)


def test_means_of_wells_and_of_conditions(tmp_path: Path) -> None:
    table = plate()
    rows = [k for k in range(80) if k % 10 < 3]
    means, record = means_table(table, {"generated": True}, recorded(table, rows))
    assert means["Mean_Of"].tolist() == ["well"] * 8 + ["condition"] * 3
    wells, conditions = means.iloc[:8], means.iloc[8:]
    assert wells[WELL].tolist() == list(WELLS)
    assert conditions[CONDITION].tolist() == ["dose=1", "dose=2", "dose=3"]
    assert conditions[DOSE].tolist() == [1, 2, 3]
    assert conditions["Count_Wells"].tolist() == [3, 3, 2]
    assert conditions["Interval_By"].tolist() == ["wells", "wells", "cells"]
    assert means["Count_HRCells"].tolist() == [3] * 8 + [9, 9, 6]
    # What is always off by 0.5 is put right.
    np.testing.assert_allclose(wells["Mean_Corrected"], wells["Mean_Measured"] + 0.5, rtol=1e-6)
    np.testing.assert_allclose(wells["Mean_Measured"], table.groupby(WELL)[RATIO].mean().to_numpy())
    assert record["means"]["level"] == 0.9
    assert record["generated"] is True
    write_table(means_path(tmp_path / "cells.csv"), means, record)
    again, its = read_table(tmp_path / "cells_means.csv")
    pd.testing.assert_frame_equal(again, means)
    assert its == record


def test_it_is_what_the_cells_of_both_give() -> None:
    table = plate()
    rows = [k for k in range(80) if k % 10 < 4]
    rng = np.random.default_rng(1)
    hr = recorded(table, rows)
    hr.table[RATIO] += rng.normal(0, 0.3, len(rows))
    table.loc[[5, 17], RATIO] = np.nan
    means, _ = means_table(table, {}, hr)
    true = np.full(80, np.nan)
    true[rows] = hr.table[RATIO].to_numpy()[::-1]
    used = table[RATIO].notna().to_numpy()
    group = np.repeat(np.arange(8), 10)[used]
    expected = corrected_means(table.loc[used, RATIO].to_numpy(), true[used], group)
    np.testing.assert_allclose(means["Mean_Corrected"][:8], expected.corrected)
    np.testing.assert_allclose(means["Mean_Corrected_q05"][:8], expected.low)
    assert means["Count_Cells"][:2].tolist() == [9, 9]


def test_means_end_where_a_measurement_does() -> None:
    table = plate().assign(**{RATIO: 0.1})
    hr = recorded(table, [*range(0, 80, 2)])
    hr.table[RATIO] = 0.05 * np.random.default_rng(2).normal(size=40)
    settings = MeasureSettings(assay="translocation", dna="DNA", signal="GFP")
    free, _ = means_table(table, {}, hr)
    means, _ = means_table(table, {"settings": settings.stored()}, hr)
    assert (free["Mean_Corrected_q05"] < 0).any()
    assert (free["Mean_HRCells_q05"] < 0).any()
    assert (means["Mean_HRCells_q05"] >= 0).all()
    assert (means["Mean_Corrected_q05"] >= 0).all()
    assert (means["Mean_Corrected_q95"] == free["Mean_Corrected_q95"].clip(lower=0)).all()


def test_conditions_of_one_well_each_are_not_told_twice() -> None:
    table = plate()
    table[CONDITION] = table[WELL].map(lambda well: f"of {well}")
    means, _ = means_table(table, {}, recorded(table, [*range(0, 80, 2)]))
    assert set(means["Mean_Of"]) == {"well"}
    assert means[CONDITION].tolist() == [f"of {well}" for well in WELLS]


def test_what_cannot_be_corrected_says_why() -> None:
    table = plate()
    means, _ = means_table(table, {}, recorded(table, [*range(8)]))
    assert np.isfinite(means["Mean_Corrected"][:8]).tolist() == [True] + [False] * 7
    assert means["Note"][1] == "not corrected: no HR cell of it, and of fewer than 4 groups"
    few, record = means_table(table, {}, recorded(table, [0, 1, 2]))
    assert few["Note"][0] == "not corrected: fewer than 4 HR cells beyond one of each group"
    assert record["warnings"] == [
        "No mean is corrected: 3 HR cells are too few; give at least 4 more than there are wells."
    ]


def test_hr_cells_that_are_none_of_the_table_are_counted() -> None:
    table = plate()
    hr = recorded(table, [*range(0, 80, 2)])
    hr.table.loc[3, FILE] = "other.tif"
    _, record = means_table(table, {}, hr)
    assert record["warnings"] == [
        "1 of the 40 HR cells of hr.ome.tif are not among the SR cells, and left out."
    ]


def test_hr_cells_of_a_plate_correct_a_table_of_a_part_of_it() -> None:
    table = plate()
    hr = recorded(table, [*range(0, 80, 2)])
    part = table[table[WELL].isin(WELLS[:2])]
    means, record = means_table(part, {}, hr)
    assert means.Count_HRCells.tolist() == [5, 5, 10]
    assert record["warnings"][0] == (
        "30 of the 40 HR cells of hr.ome.tif are not among the SR cells, and left out."
    )
    # All cells of two images in HR, and a few of them in the table.
    some = table.iloc[[0, 1, 2, 10, 11]]
    assert (matched(some, recorded(table, [*range(20)])) >= 0).all()
    # Of those files at least half must be at the places of cells.
    hr.table.loc[hr.table[FILE].str.startswith("A01"), X] += 500
    hr.table.loc[hr.table[FILE].str.startswith("A02"), Y] += 500
    with pytest.raises(InputError, match=r"Only 0 of the 10 HR cells of \S+ that were cut"):
        means_table(part, {}, hr)
    with pytest.raises(InputError, match=r"Only 0 of the 40 HR cells of hr\.ome\.tif are found"):
        means_table(part.assign(**{FILE: "Z01.tif"}), {}, hr)


def test_a_table_that_lacks_columns_is_told() -> None:
    table = plate()
    hr = recorded(table, list(range(0, 80, 4)))
    for name in (IMAGE, WELL, FILE, "Metadata_PixelSize_um"):
        with pytest.raises(InputError, match=f"The table lacks {name}; give one of cells"):
            means_table(table.drop(columns=name), {}, hr)
    with pytest.raises(InputError, match="none of the measurements that its record tells"):
        means_table(table.rename(columns={RATIO: "Mine"}), {}, hr)


def test_a_column_of_the_user_s_own_has_no_means() -> None:
    table = plate()
    hr = recorded(table, list(range(0, 80, 4)))
    more, _ = means_table(table.assign(My_Score=1.5), {}, hr)
    pd.testing.assert_frame_equal(more, means_table(table, {}, hr)[0])


def test_means_of_nothing_are_told() -> None:
    table = plate()
    hr = recorded(table, [1, 2])
    with pytest.raises(InputError, match="No well or condition"):
        means_table(table.assign(**{WELL: "", CONDITION: ""}), {}, hr)
    with pytest.raises(InputError, match="All images are HR"):
        means_table(table.assign(**{IMAGE: "GT"}), {}, hr)
    with pytest.raises(InputError, match="No cell has a value"):
        means_table(table.assign(**{RATIO: np.nan}), {}, replace(hr))
