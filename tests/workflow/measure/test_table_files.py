"""Tables in files: what is read is what was written, in a layout that others can read."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from pyarrow import parquet
from tiny_job import full_disk

from napari_rls.errors import InputError
from napari_rls.files.csv_file import write_csv
from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.cells.simulated import SimulateSettings, simulate
from napari_rls.workflow.measure.image_sets import ImageSet
from napari_rls.workflow.measure.measurements import measure
from napari_rls.workflow.measure.table_files import read_table, table_paths, write_table

ENDINGS = ("csv", "parquet", "h5ad")

RECORD = {
    "generated": True,
    "settings": {"gap": 1.0, "names": ["µ", ""], "none": None},
    "columns": {"Math_Ratio": {"unit": "none", "meaning": "A ratio."}},
}


def awkward() -> pd.DataFrame:
    """Whatever a table can hold: odd text, numbers that need all their digits, none at all."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "Metadata_Image": ["LR", "SR", "GCOL", "é µ 細胞", "", "a,\"b\";'c'"],
            "Metadata_Cell": ["NA", "nan", "None", "x\ny", "x\r\ny\rz", " blank\t"],
            "Metadata_Well": ["1e5", "001", "True", "inf", "-", "1.0"],
            "Metadata_Dose": [0, 1e-9, np.nan, 0.1, 1 / 3, np.inf],
            "Nuclei_Nothing": [np.nan] * 6,
            "Math_Ratio": np.exp(rng.normal(0, 30, 6)),
            "Negative_{odd/name}": -rng.random(6),
            "Cells_Children_Spots_Count": np.arange(6) - 3,
            "Single": rng.random(6).astype(np.float32),
            "Quality_NoNucleus": [True, False] * 3,
            "Quality_Flags": [""] * 6,
        }
    )


@pytest.fixture(scope="module")
def measured() -> tuple[pd.DataFrame, dict[str, object]]:
    made = simulate(SimulateSettings(assay="golgi", cells=4, seed=1, size=96))
    samples = made.hr.data[None] + np.random.default_rng(0).normal(0, 5, (3, *made.hr.data.shape))
    sets = [ImageSet("SR", made.hr, samples.astype(np.float32)), ImageSet("GT", made.hr)]
    *_, last = measure(sets, MeasureSettings(assay="spots"))
    return last.result.table, last.result.record


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_measured_table_reads_back_equal(
    tmp_path: Path, measured: tuple[pd.DataFrame, dict[str, object]], ending: str
) -> None:
    path = tmp_path / "new" / f"table.{ending}"
    table, record = measured
    write_table(path, table, record)
    read, its_record = read_table(path)
    assert_frame_equal(read, table, check_exact=True)
    assert its_record == record
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(
        p.name for p in table_paths(path)
    )


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("rows", [6, 1, 0])
def test_an_awkward_table_reads_back_equal(tmp_path: Path, ending: str, rows: int) -> None:
    path = tmp_path / f"table.{ending}"
    table = awkward().iloc[:rows]
    write_table(path, table, RECORD)
    read, record = read_table(path)
    assert_frame_equal(read, table, check_exact=True, check_index_type=False)
    assert record == RECORD


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_older_file_is_replaced(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"table.{ending}"
    write_table(path, awkward(), RECORD)
    changed = awkward().drop(columns="Single").iloc[2:]
    write_table(path, changed, {})
    read, record = read_table(path)
    assert_frame_equal(read, changed.reset_index(drop=True))
    assert record == {}


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 elsewhere")
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_names_that_are_not_utf8(tmp_path: Path, ending: str) -> None:
    path = tmp_path / os.fsdecode(b"b\xff." + ending.encode())
    write_table(path, awkward(), RECORD)
    read, record = read_table(path)
    assert_frame_equal(read, awkward())
    assert record == RECORD


def test_csv_and_parquet_are_plain_to_others(tmp_path: Path) -> None:
    table = awkward()
    for ending in ("csv", "parquet"):
        write_table(tmp_path / f"table.{ending}", table, RECORD)
    plain = pd.read_csv(tmp_path / "table.csv")
    assert list(plain) == list(table)
    np.testing.assert_allclose(plain["Math_Ratio"], table["Math_Ratio"], rtol=1e-14)
    assert plain["Nuclei_Nothing"].isna().all()
    assert json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["record"] == RECORD
    assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), table)
    metadata = parquet.read_schema(tmp_path / "table.parquet").metadata
    assert json.loads(metadata[b"napari-rls"])["record"] == RECORD


@pytest.mark.parametrize("ending", ENDINGS)
def test_formulas_read_back_equal_and_are_none_in_csv(tmp_path: Path, ending: str) -> None:
    texts = ["=1+1", "+drug", "-", "@SUM(A1)", "\t=1", "'=1", "'dmso", "dmso"]
    table = pd.DataFrame({"Metadata_Condition": texts, "=B1": np.arange(8) - 4.5})
    path = tmp_path / f"table.{ending}"
    write_table(path, table, {})
    assert_frame_equal(read_table(path)[0], table)
    if ending == "csv":
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        assert first == "Metadata_Condition,'=B1"
        assert [line.rsplit(",", 1) for line in lines] == [
            [f"'{text}" if "dmso" not in text else text, str(k - 4.5)]
            for k, text in enumerate(texts)
        ]


def test_tables_of_benchmarks_and_simulations_are_guarded_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", pd.DataFrame({"condition": ["=1", "a"], "ratio": [-1.5, 2]}))
    text = (tmp_path / "table.csv").read_text(encoding="utf-8")
    assert text == "condition,ratio\n'=1,-1.5\na,2.0\n"


def test_anndata_files_have_the_layout_of_anndata(tmp_path: Path) -> None:
    """The listing is that of a file of anndata 0.12.19 with such a table."""
    table = pd.DataFrame(
        {
            "A": [1.0, 2.0],
            "Metadata_Cell": ["a", "b"],
            "B": [3.0, np.nan],
            "Location_Center_Y": [1.0, 2.0],
            "Quality_NoNucleus": [True, False],
            "Count": [1, 2],
        }
    )
    record = {"columns": {"A": {"unit": "pixels", "meaning": "A length."}}}
    path = tmp_path / "table.h5ad"
    write_table(path, table, record)
    nothing, array, text = ("dict", "0.1.0", None), ("array", "0.2.0"), ("string-array", "0.2.0")
    expected = {
        "/": ("anndata", "0.1.0", None),
        "X": (*array, "float64"),
        "obs": ("dataframe", "0.2.0", None),
        "obs/_index": (*text, "text"),
        "obs/Count": (*array, "int64"),
        "obs/Metadata_Cell": (*text, "text"),
        "obs/Location_Center_Y": (*array, "float64"),
        "obs/Quality_NoNucleus": (*array, "bool"),
        "uns": nothing,
        "uns/napari_rls": ("string", "0.2.0", "text"),
        "var": ("dataframe", "0.2.0", None),
        "var/_index": (*text, "text"),
        "var/meaning": (*text, "text"),
        "var/unit": (*text, "text"),
        **dict.fromkeys(("layers", "obsm", "obsp", "varm", "varp"), nothing),
    }
    with h5py.File(path) as file:
        found = {"/": _marks(file)}
        file.visititems(lambda name, item: found.update({name: _marks(item)}))
        assert found == expected
        np.testing.assert_array_equal(file["X"], table[["A", "B"]])
        assert list(file["var/_index"].asstr()) == ["A", "B"]
        assert list(file["var/unit"].asstr()) == ["pixels", ""]
        assert list(file["obs/_index"].asstr()) == ["0", "1"]
        assert file["obs"].attrs["_index"] == file["var"].attrs["_index"] == "_index"
        others = ["Metadata_Cell", "Location_Center_Y", "Quality_NoNucleus", "Count"]
        assert list(file["obs"].attrs["column-order"]) == others
        assert list(file["var"].attrs["column-order"]) == ["unit", "meaning"]


def _marks(item: h5py.Group | h5py.Dataset) -> tuple[str, str, str | None]:
    kind = None
    if isinstance(item, h5py.Dataset):
        kind = "text" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
    return item.attrs["encoding-type"], item.attrs["encoding-version"], kind


def test_text_as_anndata_saves_it_again_reads_back(tmp_path: Path) -> None:
    """anndata 0.12 and 0.13 save text as categories where it repeats, 0.13 all else masked."""
    path = tmp_path / "table.h5ad"
    table = awkward()
    write_table(path, table, RECORD)
    with h5py.File(path, "a") as file:
        for place in ("obs/Metadata_Image", "obs/Metadata_Cell", "var/_index"):
            values = list(file[place].asstr()[()])
            del file[place]
            group = file.create_group(place)
            categories = sorted(set(values))
            if place == "obs/Metadata_Image":
                group.attrs["encoding-type"] = "categorical"
                group["codes"] = np.array([categories.index(v) for v in values], np.int8)
                text = group.create_dataset("categories", data=categories)
            else:
                group.attrs["encoding-type"] = "nullable-string-array"
                group["mask"] = np.zeros(len(values), np.bool_)
                text = group.create_dataset("values", data=values)
            text.attrs["encoding-type"] = "string-array"
    assert_frame_equal(read_table(path)[0], table)


def test_a_csv_without_its_record_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    table = awkward().drop(columns="Single")
    write_table(path, table, RECORD)
    (tmp_path / "table.json").unlink()
    read, record = read_table(path)
    assert record == {}
    assert_frame_equal(read, table)


def test_columns_added_by_hand_are_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, pd.DataFrame({"Metadata_Cell": ["a", "b"], "Math_Ratio": [1.0, 2.0]}), {})
    path.write_text("Metadata_Cell,Mine,Math_Ratio\na,3,1\nb,4,\n", encoding="utf-8")
    expected = pd.DataFrame(
        {"Metadata_Cell": ["a", "b"], "Mine": [3, 4], "Math_Ratio": [1.0, np.nan]}
    )
    assert_frame_equal(read_table(path)[0], expected)


@pytest.mark.parametrize("name", ["table.xlsx", "table", "table.csv.gz"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    message = f"The table {tmp_path / name} must be a file that ends in .csv, .parquet or .h5ad."
    for call in (
        lambda: write_table(tmp_path / name, awkward(), {}),
        lambda: read_table(tmp_path / name),
    ):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ENDINGS)
def test_missing_and_damaged_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"table.{ending}"
    with pytest.raises(InputError, match=f"^There is no table {re.escape(str(path))}\\.$"):
        read_table(path)
    write_table(path, awkward(), RECORD)
    path.write_bytes(b"\x93\xff\x00" + path.read_bytes()[100:])
    with pytest.raises(InputError, match=rf"^table\.{ending} cannot be read as a table of .*again"):
        read_table(path)


@pytest.mark.parametrize("size", [0, 8, 2**64 - 16, 2**63])
def test_texts_of_a_damaged_anndata_file_do_not_hold_the_reader_up(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "table.h5ad"
    write_table(path, awkward(), RECORD)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    place, end = heap + 16, heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
    while content[place : place + 2] != b"\0\0":
        place += 16 + -(-int.from_bytes(content[place + 8 : place + 16], "little") // 8) * 8
    assert place < end
    content[place + 8 : place + 16] = size.to_bytes(8, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"\(its texts are damaged\); measure again\.$"):
        read_table(path)


def test_tables_of_others_are_no_measurements(tmp_path: Path) -> None:
    awkward().to_parquet(tmp_path / "other.parquet")
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["X"] = np.zeros(3)
    for ending in ("parquet", "h5ad"):
        with pytest.raises(InputError, match=r"\(napari-rls did not write it\); measure again\.$"):
            read_table(tmp_path / f"other.{ending}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Quality_NoNucleus,Math_Ratio\nmaybe,1\n", "Quality_NoNucleus must be True or False)"),
        ("Quality_NoNucleus,Math_Ratio\nTrue,one\n", "Math_Ratio must be numbers)"),
    ],
)
def test_entries_changed_to_something_else(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.csv"
    write_table(path, pd.DataFrame({"Quality_NoNucleus": [True], "Math_Ratio": [1.0]}), {})
    path.write_text(text, encoding="utf-8")
    expected = f"table.csv cannot be read as a table of measurements ({message}"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}"):
        read_table(path)


@pytest.mark.parametrize("kind", ["U99999999", "S9", "O", "datetime64[s]", "c16", "", 3, None])
def test_types_that_no_table_has_are_refused(tmp_path: Path, kind: object) -> None:
    path = tmp_path / "table.csv"
    write_table(path, pd.DataFrame({"a": [1.0]}), {})
    (tmp_path / "table.json").write_text(json.dumps({"columns": {"a": kind}}), encoding="utf-8")
    with pytest.raises(InputError, match=r"\(the type of its column a is not known\); measure"):
        read_table(path)


@pytest.mark.parametrize("record", ["null", "[]", "3", '{"columns": []}', '{"record": null}'])
def test_records_that_are_none(tmp_path: Path, record: str) -> None:
    path = tmp_path / "table.csv"
    write_table(path, pd.DataFrame({"a": [1.0]}), {})
    (tmp_path / "table.json").write_text(record, encoding="utf-8")
    with pytest.raises(InputError, match=r"\(its record is damaged\); measure again\.$"):
        read_table(path)


def test_rows_with_too_many_entries_are_not_shifted(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("Metadata_Cell,Math_Ratio\na,1,2\nb,3,4\n")
    with pytest.raises(InputError, match=r"\(its rows have more entries than there are columns\)"):
        read_table(tmp_path / "table.csv")


def _linked(file: h5py.File) -> None:
    del file["X"]
    file["X"] = h5py.ExternalLink("other.h5", "/X")


def _virtual(file: h5py.File) -> None:
    del file["X"]
    layout = h5py.VirtualLayout((2, 1), np.float64)
    layout[:] = h5py.VirtualSource("other.h5", "X", (2, 1))
    file.create_virtual_dataset("X", layout)


def _elsewhere(file: h5py.File) -> None:
    del file["X"]
    file.create_dataset("X", (2, 1), np.float64, external=[("other", 0, 16)])


def _unwritten(file: h5py.File) -> None:
    del file["X"]
    file.create_dataset("X", (10**8, 1), np.float64, chunks=(1000, 1), compression="gzip")


def _endless(file: h5py.File) -> None:
    del file["X"]
    file.create_dataset("X", (10**12, 1), np.float64, chunks=(1000, 1), compression="gzip")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_linked, "its X lies in another place"),
        (_virtual, "its X is no data of its own"),
        (_elsewhere, "its X is no data of its own"),
        (_unwritten, "its X is not all there"),
        (_endless, "it says that it holds 1,000,000,000,000 rows of 1 columns"),
    ],
)
def test_anndata_files_hold_what_they_say(
    tmp_path: Path, change: Callable[[h5py.File], None], reason: str
) -> None:
    path = tmp_path / "table.h5ad"
    write_table(path, pd.DataFrame({"Math_Ratio": [1.0, 2.0]}), {})
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(InputError, match=rf"\({re.escape(reason)}\); measure again"):
        read_table(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("column", "values"),
    [("mixed", ["a", 1]), ("missing", ["a", None]), ("time", pd.to_datetime(["2020", "2021"]))],
)
def test_columns_that_cannot_be_kept(
    tmp_path: Path, ending: str, column: str, values: object
) -> None:
    message = f"Column {column!r} holds something else than text, numbers or yes and no, or lacks"
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        write_table(tmp_path / f"table.{ending}", pd.DataFrame({column: values}), {})
    assert not list(tmp_path.iterdir())


def test_names_that_cannot_be_kept(tmp_path: Path) -> None:
    twice = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises(InputError, match=r"^Two columns of the table have the same name; rename"):
        write_table(tmp_path / "table.csv", twice, {})
    slash = pd.DataFrame({"Metadata_a/b": ["x"]})
    with pytest.raises(InputError, match=r"^AnnData files allow no '/' in names; rename the"):
        write_table(tmp_path / "table.h5ad", slash, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_fails_leaves_the_older_table(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"table.{ending}"
    write_table(path, awkward(), RECORD)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_table(path, awkward().iloc[:2], {"number": np.nan})
    assert_frame_equal(read_table(path)[0], awkward())
    assert len(list(tmp_path.iterdir())) == len(table_paths(path))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_is_an_error_and_leaves_the_older_table(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"table.{ending}"
    write_table(path, awkward(), RECORD)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        write_table(path, awkward().iloc[:2], RECORD)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
