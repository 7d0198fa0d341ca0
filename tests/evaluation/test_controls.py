"""Which rows are controls, and which are of which drug."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_rls.errors import TableError
from napari_rls.evaluation.controls import control_pair, with_control
from napari_rls.evaluation.tables import by_drug, told, with_doses


def table(*rows: tuple[str, float], **more: list[str]) -> pd.DataFrame:
    names, doses = zip(*rows, strict=True)
    return pd.DataFrame({"Metadata_Condition": names, "Metadata_Dose": doses, **more})


@pytest.mark.parametrize(
    ("conditions", "pair"),
    [
        (["dose=1", "a; control=negative", "a; control=positive"], 0),
        (["x", "Positive control", "negative control", "y"], 1),
        (["negative", "dose=3", "positive"], 2),
    ],
)
def test_controls_are_known_by_their_names(conditions: list[str], pair: int) -> None:
    from napari_rls.evaluation.controls import CONTROL_NAMES

    assert control_pair(conditions) == CONTROL_NAMES[pair]


def test_the_only_two_conditions_are_controls_and_others_are_not() -> None:
    assert control_pair(["dmso", "", "drug", "dmso"]) == ("dmso", "drug")
    assert control_pair(["a", "b", "c"]) is None
    assert control_pair(["", "a"]) is None


def test_a_column_of_controls_beside_the_condition_counts() -> None:
    given = table(
        ("dmso", 0), ("drug", 3), ("drug", 9), Metadata_Control=["negative", "", "positive"]
    )
    named = with_control(given)["Metadata_Condition"].tolist()
    assert named == ["dmso; control=negative", "drug", "drug; control=positive"]
    assert control_pair(named) == ("control=negative", "control=positive")
    # What the condition tells already is not told twice.
    again = with_control(given.assign(Metadata_Condition=named))["Metadata_Condition"].tolist()
    assert again == named


def test_rows_of_each_drug_with_what_is_given_in_dose_0_alone() -> None:
    given = table(
        ("drug=a; dose=0", 0),
        ("drug=a; dose=1", 1),
        ("drug=b; dose=2", 2),
        ("drug=dmso; dose=0", 0),
        ("none", float("nan")),
    )
    assert {drug: list(rows.index) for drug, rows in by_drug(given).items()} == {
        "a": [0, 1, 3],
        "b": [2, 3],
    }
    assert list(by_drug(given[given.index != 2])["a"].index) == [0, 1, 3]


def test_drugs_in_a_column_of_their_own_are_not_taken_for_one() -> None:
    given = table(("x", 1), ("y", 2), Metadata_Drug=["a", "b"])
    assert told(given, "drug").tolist() == ["a", "b"]
    with pytest.raises(TableError, match=r"more than one drug \(a, b\)"):
        with_doses(given)
    assert list(by_drug(given)) == ["a", "b"]
    assert list(by_drug(table(("x", 1), ("y", 0)))) == [""]
