"""Statistics in words: the numbers are those of the statistics, and why there are none."""

from __future__ import annotations

import pandas as pd
import pytest
from plate_bench import RATIO, cells, plate

from napari_rls.errors import TableError
from napari_rls.evaluation.hill import dose_response
from napari_rls.evaluation.statistics import compare_conditions
from napari_rls.evaluation.summary import summarise_conditions, summarise_doses


def test_conditions_are_told_in_a_line_per_kind() -> None:
    table = plate()
    both = pd.concat([table, table.assign(Metadata_Image="GT")], ignore_index=True)
    lines = summarise_conditions(both, RATIO, "dose=0", "dose=100")
    row = compare_conditions(table, RATIO, "dose=0", "dose=100").iloc[0]
    assert [line.split(":")[0] for line in lines] == ["GT", "SR"]
    assert lines[1] == (
        f"SR: 12 and 12 cells, AUC 1.000 ({row['auc_low']:.3f} to 1.000), "
        f"Cohen's d {row['cohens_d']:.2f}, p {row['p_value']:.2g} (Mann-Whitney), "
        f"Z prime {row['z_prime']:.2f}"
    )


def test_a_single_well_has_no_z_prime_and_says_so() -> None:
    table = pd.concat([cells({"A1": [1.0, 2.0]}, "a"), cells({"B1": [3.0, 4.0]}, "b")])
    (line,) = summarise_conditions(table, RATIO, "a", "b")
    assert line.endswith("no Z prime (1 negative well, needs 2)")


def test_doses_are_told_with_ec50_and_v_factor() -> None:
    table = plate()
    (line,) = summarise_doses(table, RATIO)
    fit = dose_response(table, RATIO).iloc[0]
    assert line.startswith(f"SR: EC50 {fit['ec50']:.3g} ({fit['ec50_low']:.3g} to ")
    assert "V factor 0." in line
    with pytest.raises(TableError, match="dose"):
        summarise_doses(cells({"A1": [1.0]}, "control"), RATIO)
