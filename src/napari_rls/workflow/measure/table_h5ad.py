"""Measurement tables as AnnData files (.h5ad).

The layout is that of anndata's on-disk format: anndata 0.1.0, dataframe, array, string-array
and string 0.2.0 (https://anndata.readthedocs.io/en/stable/fileformat-prose.html). It is
written and read directly: anndata 0.12, the last for Python 3.11, refuses the texts of pandas 3
unless they are written in a way that older readers do not know, and no release bounds what a
hostile file may take.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.files.json_file import parse_json, shown
from napari_rls.measure.dictionary import columns_of
from napari_rls.workflow.measure.table_record import check_size, described

if TYPE_CHECKING:
    import h5py

_KEY = "napari_rls"
_RATIO = 1040
"""How many bytes one byte of deflate gives at most."""

_SMALL = 2**20

_HEAP = b"GCOL\1\0\0\0"
_OBJECT = 16
"""Bytes before the content of a heap, and of each object in it."""
_INDEX = "_index"


def write_h5ad(path: Path, table: pd.DataFrame, description: Mapping[str, Any]) -> None:
    """Write a table: measured float columns to X, all others to obs, the description to uns.

    Parameters
    ----------
    path
        The file to write.
    table
        Columns of text, numbers or booleans.
    description
        Types of the columns and the record, whose units and meanings become columns of var.

    Raises
    ------
    InputError
        If a column that is not measured has a name with a slash.
    """
    import h5py

    columns = columns_of(table, description["record"])
    measured = [
        name
        for name, kind in description["columns"].items()
        if kind == "float64" and columns[name].kind in {"measurement", "interval"}
    ]
    others = {name: table[name] for name in description["columns"] if name not in measured}
    for name in others:
        if "/" in name:
            raise InputError(f"AnnData files allow no '/' in names; rename the column {name!r}.")
    var = {
        "unit": [columns[name].unit for name in measured],
        "meaning": [columns[name].meaning for name in measured],
    }
    # In memory first: HDF5 ends the whole process where the disk is full.
    content = BytesIO()
    with h5py.File(content, "w") as file:
        _mark(file, "anndata", "0.1.0")
        _array(file, "X", table[measured].to_numpy(np.float64))
        _frame(file, "obs", [str(k) for k in range(len(table))], others)
        _frame(file, "var", measured, var)
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            _mark(file.create_group(name), "dict", "0.1.0")
        text = json.dumps(description, allow_nan=False)
        _mark(file["uns"].create_dataset(_KEY, data=text), "string", "0.2.0")
    path.write_bytes(content.getbuffer())


def read_h5ad(path: Path) -> tuple[pd.DataFrame, dict[str, str], dict[str, Any]]:
    """Read a table, the types of its columns and its record, also as anndata saves it again.

    Cells and columns that were taken out stay out.

    Raises
    ------
    ValueError
        If the file holds no table of ours.
    """
    import h5py

    _check_heaps(path)
    with h5py.File(path, "r") as file:
        if f"uns/{_KEY}" not in file:
            raise ValueError("napari-rls did not write it")
        columns, record = described(parse_json(_read(file, f"uns/{_KEY}")))
        measured = _values(file, f"var/{_index(file, 'var')}")
        found = dict(zip(measured, _read(file, "X").T, strict=True))
        found |= {name: _values(file, f"obs/{name}") for name in file["obs"]}
    return pd.DataFrame({n: found[n] for n in columns if n in found}), columns, record


def _check_heaps(path: Path) -> None:
    """Check the heaps of texts: on some that are damaged, the HDF5 library never ends.

    It walks the objects of a heap by their sizes, and a size of nothing keeps it in its place.
    The layout is that of "Global Heap" in the HDF5 file format specification, III.E.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(_HEAP)
        while start >= 0:
            head = data[start + 8 : start + _OBJECT]
            end = start + int.from_bytes(head, "little")
            place = start + _OBJECT
            while place + _OBJECT <= min(end, len(data)):
                number = int.from_bytes(data[place : place + 2], "little")
                size = int.from_bytes(data[place + 8 : place + _OBJECT], "little")
                # Free space is number 0, and its size is that of all of it.
                step = size if number == 0 else _OBJECT + -(-size // 8) * 8
                if not _OBJECT <= step <= end - place:
                    raise ValueError("its texts are damaged")
                place += step
            start = data.find(_HEAP, max(end, start + _OBJECT))


def _frame(
    file: h5py.File, name: str, index: Sequence[str], columns: Mapping[str, Sequence[Any]]
) -> None:
    import h5py

    group = file.create_group(name)
    _mark(group, "dataframe", "0.2.0")
    group.attrs[_INDEX] = _INDEX
    group.attrs["column-order"] = np.array(list(columns), h5py.string_dtype())
    for key, values in {_INDEX: index, **columns}.items():
        numbers = isinstance(values, pd.Series) and values.dtype.kind in "biuf"
        _array(group, key, np.array(values, None if numbers else object))


def _array(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    import h5py

    text = values.dtype.kind == "O"
    data = group.create_dataset(name, data=values, dtype=h5py.string_dtype() if text else None)
    _mark(data, "string-array" if text else "array", "0.2.0")


def _index(file: h5py.File, frame: str) -> str:
    name = file[frame].attrs[_INDEX]
    if not isinstance(name, str):
        raise ValueError(f"its {frame} has no index")  # noqa: TRY004  a file is wrong, not a type
    return name


def _values(file: h5py.File, place: str, depth: int = 0) -> NDArray[Any]:
    """Return the values of a column.

    anndata saves text that repeats as categories, and other text with a mask of what is
    missing.
    """
    kind = file[place].attrs["encoding-type"]
    if depth > 2:
        raise ValueError(f"its {shown(place)} has no end")
    if kind == "categorical":
        categories = _values(file, f"{place}/categories", depth + 1)
        found: NDArray[Any] = categories[_read(file, f"{place}/codes")]
    elif kind == "nullable-string-array":
        found = _values(file, f"{place}/values", depth + 1)
    else:
        found = _read(file, place, text=kind == "string-array")
    return found


def _read(file: h5py.File, place: str, *, text: bool = False) -> Any:
    """Read a dataset, if it is in this file and no larger than what is stored of it can be."""
    import h5py

    parts = place.split("/")
    for k in range(len(parts)):
        link = file.get("/".join(parts[: k + 1]), getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"its {shown(place)} lies in another place")  # noqa: TRY004
    data = file[place]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise ValueError(f"its {shown(place)} is no data of its own")
    check_size(data.size or 0, 1)
    if (data.nbytes or 0) > _RATIO * data.id.get_storage_size() + _SMALL:
        raise ValueError(f"its {shown(place)} is not all there")
    return (data.asstr() if text else data)[()]


def _mark(item: h5py.Group | h5py.Dataset, kind: str, version: str) -> None:
    item.attrs["encoding-type"], item.attrs["encoding-version"] = kind, version
