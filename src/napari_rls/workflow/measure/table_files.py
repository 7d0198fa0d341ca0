"""Measurement tables in files: CSV with a record beside it, Parquet, AnnData."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.files.csv_file import read_csv, to_csv
from napari_rls.files.json_file import parse_json, read_json, shown
from napari_rls.files.whole_file import whole_file
from napari_rls.measure.foreign_columns import is_text
from napari_rls.workflow.cells.write import write_json
from napari_rls.workflow.measure.table_h5ad import read_h5ad, write_h5ad
from napari_rls.workflow.measure.table_record import TEXT, check_size, described

_KEY = b"napari-rls"
_SUFFIXES = (".csv", ".parquet", ".h5ad")


def write_table(path: Path, table: pd.DataFrame, record: Mapping[str, Any]) -> None:
    """Write a table and its record; :func:`read_table` returns both as they were.

    The name's ending tells the format: ``.csv`` (the record in a ``.json`` file beside it),
    ``.parquet`` (the record under the key ``napari-rls`` of the schema) or ``.h5ad``
    (AnnData: measured columns in X, the others in obs, the record in uns). The index is
    not kept. Files are written whole or not at all.

    Parameters
    ----------
    path
        The file to write.
    table
        Columns of text, numbers or booleans.
    record
        How it was made: plain numbers, strings, lists and dicts.

    Raises
    ------
    InputError
        If the ending is another one, or a column holds something else.
    OSError
        If a file cannot be written.
    """
    paths = table_paths(path)
    columns = {str(name): _type_of(table, k) for k, name in enumerate(table.columns)}
    if len(columns) < len(table.columns):
        raise InputError("Two columns of the table have the same name; rename one of them.")
    description = {"columns": columns, "record": dict(record)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write: Callable[[Path, pd.DataFrame, dict[str, Any]], None] = {
        ".csv": _write_csv,
        ".parquet": _write_parquet,
        ".h5ad": write_h5ad,
    }[path.suffix.lower()]
    with whole_file(path) as draft:
        write(draft, table, description)
        if len(paths) > 1:
            write_json(paths[1], description)


def read_table(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a table and its record that :func:`write_table` wrote.

    A CSV file without a record beside it is read too; its record is empty.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another format.
    """
    paths = table_paths(path)
    if not path.is_file():
        raise InputError(f"There is no table {path}.")
    try:
        if len(paths) > 1:
            columns, record = described(read_json(paths[1]) if paths[1].is_file() else {})
            return _read_csv(path, columns), record
        read = _read_parquet if path.suffix.lower() == ".parquet" else read_h5ad
        table, columns, record = read(path)
        types = {name: str if t == TEXT else t for name, t in columns.items()}
        return table.astype({n: t for n, t in types.items() if n in table}), record
    except Exception as error:  # noqa: BLE001  damaged files raise all sorts of errors
        reason = shown((str(error).splitlines() or [type(error).__name__])[0].rstrip("."))
        raise InputError(
            f"{path.name} cannot be read as a table of measurements ({reason}); measure again."
        ) from None


def table_paths(path: Path) -> list[Path]:
    """Return the files that a table of this name is written to.

    Raises
    ------
    InputError
        If the name's ending tells no format.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES or path.is_dir():
        raise InputError(f"The table {path} must be a file that ends in .csv, .parquet or .h5ad.")
    return [path, path.with_suffix(".json")] if suffix == ".csv" else [path]


def _type_of(table: pd.DataFrame, column: int) -> str:
    values = table.iloc[:, column]
    if getattr(values.dtype, "kind", "") in "biuf" and not pd.api.types.is_extension_array_dtype(
        values.dtype
    ):
        return str(values.dtype)
    if all(isinstance(value, str) for value in values):
        return TEXT
    raise InputError(
        f"Column {table.columns[column]!r} holds something else than text, numbers or yes and no, "
        "or lacks some text; change it to one of them."
    )


def _write_csv(path: Path, table: pd.DataFrame, _description: Mapping[str, Any]) -> None:
    to_csv(path, table)


def _read_csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    texts = read_csv(path)
    return texts.assign(**{str(n): _parsed(texts[n], columns.get(n)) for n in texts.columns})


def _parsed(texts: pd.Series[str], kind: str | None) -> pd.Series[Any] | NDArray[Any]:
    """Return a column of a type, or of the type that its name and entries suggest."""
    if kind is None:
        if is_text(str(texts.name)):
            return texts
        for guess in ("bool", "int64", "float64"):
            try:
                return _parsed(texts, guess)
            except ValueError:
                continue
    elif kind == "bool":
        if not texts.isin(["True", "False"]).all():
            raise ValueError(f"{texts.name} must be True or False")
        return texts == "True"
    elif kind != TEXT:
        try:
            # numpy reads the digits exactly; not every version of pandas does.
            return np.array([text or "nan" for text in texts], np.str_).astype(kind)
        except ValueError:
            raise ValueError(f"{texts.name} must be numbers") from None
    return texts


def _write_parquet(path: Path, table: pd.DataFrame, description: Mapping[str, Any]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    text = json.dumps(description, allow_nan=False)
    metadata = {**(arrow.schema.metadata or {}), _KEY: text.encode()}
    # Names of files need not be text, which pyarrow asks for.
    with path.open("wb") as file:
        parquet.write_table(arrow.replace_schema_metadata(metadata), file)


def _read_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, str], dict[str, Any]]:
    from pyarrow import parquet

    with path.open("rb") as opened, parquet.ParquetFile(opened) as file:
        metadata = file.schema_arrow.metadata or {}
        if _KEY not in metadata:
            raise ValueError("napari-rls did not write it")
        columns, record = described(parse_json(metadata[_KEY]))
        check_size(file.metadata.num_rows, file.metadata.num_columns)
        return file.read().to_pandas(ignore_metadata=True), columns, record
