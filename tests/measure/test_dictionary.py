"""What columns are: as their table's record says, and by their names where none does."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_rls.measure.cells import MeasureSettings, column_names
from napari_rls.measure.columns import FIXED, SUMMARIES, Interval
from napari_rls.measure.dictionary import columns_of, dictionary, measured_columns, measurements
from napari_rls.measure.registry import BUILT_IN

RATIO, AREA = "Math_Ratio_NucleusCytoplasm_GFP", "Spots_AreaShape_Area_Mean"
NAMES = [f"{RATIO}{end}" for end in ("", "_sd", "_q05", "_q50", "_q95")]
SETTINGS = MeasureSettings(assay="translocation", dna="DNA", signal="GFP")


def table(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: [1.0] for name in names})


@pytest.mark.parametrize("assay", [assay.name for assay in BUILT_IN])
def test_what_is_stored_with_a_table_is_read_again(assay: str) -> None:
    settings = MeasureSettings(assay=assay, signal="GFP")
    names = [*FIXED, "Metadata_Batch"]
    for name in column_names(settings, micrometres=True):
        names += [name, *(f"{name}_{end}" for end in SUMMARIES)]
    known = dictionary(settings, names)
    record = {"columns": {name: column.stored() for name, column in known.items()}}
    assert list(known) == names
    assert columns_of(table(names), record) == known
    assert known["Metadata_Batch"].kind == "condition"
    assert known["Quality_PoorFit"].flag == "PoorFit"


@pytest.mark.parametrize(
    ("present", "intervals"),
    [
        (NAMES, (Interval(level=0.9, low=f"{RATIO}_q05", high=f"{RATIO}_q95"),)),
        (NAMES[:3], ()),
        (NAMES[:1], ()),
    ],
)
def test_a_measurement_has_the_intervals_that_its_table_has(
    present: list[str], intervals: tuple[Interval, ...]
) -> None:
    assert dictionary(SETTINGS, present)[RATIO].intervals == intervals
    # A table of which nothing is known is taken for the same.
    assert columns_of(table(present))[RATIO].intervals == intervals


def test_intervals_are_told_to_be_of_the_samples_wherever_a_column_is_explained() -> None:
    known = dictionary(SETTINGS, NAMES)
    for ending, where in (("q05", "can lie below"), ("q95", "can lie above")):
        assert "of the samples; the value of the SR image" in known[f"{RATIO}_{ending}"].meaning
        assert known[f"{RATIO}_{ending}"].meaning.endswith(f"{where}.")
    assert "not the value of the SR image" in known[f"{RATIO}_q50"].meaning
    how = FIXED["Metadata_Interval"].meaning
    # What the texts of the column are made of, see measurements.py.
    for text in ("uncorrected: no correction, as", "corrected (split-conformal", "not corrected"):
        assert f"'{text}'" in how
    assert "can lie outside" in how


def test_the_record_counts_and_not_the_name() -> None:
    record = {
        "columns": {
            "Quality_Score": {"title": "S", "unit": "nm", "meaning": "M.", "kind": "measurement"},
            "a_q05": {"title": "A", "unit": "", "meaning": "", "kind": "condition"},
        }
    }
    columns = columns_of(table(["a", "Quality_Score", "a_q05"]), record)
    assert [column.kind for column in columns.values()] == [
        "measurement", "measurement", "condition",
    ]  # fmt: skip
    assert columns["Quality_Score"].unit == "nm"
    assert columns["a"].intervals == ()


@pytest.mark.parametrize(
    "entry",
    [3, {}, {"unit": "none"}, {"kind": "other", "title": "", "unit": "", "meaning": ""}],
)
def test_what_a_record_says_too_little_of_is_told_by_its_name(entry: object) -> None:
    found = columns_of(table([RATIO]), {"columns": {RATIO: entry}})[RATIO]
    assert (found.kind, found.headline) == ("measurement", 1)
    assert found.meaning == "Mean of the nucleus over mean of the ring."
    assert columns_of(table([RATIO]), {"columns": 3})[RATIO] == found


def test_older_tables_keep_the_units_of_their_record() -> None:
    record = {"columns": {RATIO: {"unit": "percent", "meaning": "Its own."}}}
    found = columns_of(table([RATIO]), record)[RATIO]
    assert (found.unit, found.meaning, found.kind) == ("percent", "Its own.", "measurement")


def test_tables_of_others_are_told_by_names_and_types() -> None:
    others = pd.DataFrame(
        {
            "Metadata_Plate": [1],
            "Quality_Blurred": [True],
            "Quality_Focus": [0.5],
            "Name": ["a"],
            "Area_um2": [2.0],
            "Area_um2_q2.5": [1.0],
            "Area_um2_q97.5": [3.0],
        }
    )
    columns = columns_of(others)
    assert [column.kind for column in columns.values()] == [
        "condition", "flag", "quality", "identity", "measurement", "interval", "interval",
    ]  # fmt: skip
    assert columns["Area_um2"].intervals[0].level == 0.95
    assert columns["Area_um2_q2.5"].of == "Area_um2"


def test_what_the_assay_is_about_comes_first() -> None:
    names = ["Nuclei_AreaShape_Area", "Cells_Children_Spots_Count", f"{AREA}_um2", AREA, "x"]
    expected = [f"{AREA}_um2", AREA, "Cells_Children_Spots_Count", "Nuclei_AreaShape_Area", "x"]
    assert measurements(columns_of(table(names))) == expected


def test_every_headline_is_a_column() -> None:
    for assay in BUILT_IN:
        known = measured_columns(MeasureSettings(assay=assay.name), ())
        ranks = sorted({column.headline for column in known.values()})
        assert ranks == list(range(len(assay.headline) + 1))
