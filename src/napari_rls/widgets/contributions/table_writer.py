"""Save tables: from a button, or by napari's own dialog, as labels layers carry them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_rls.errors import InputError
from napari_rls.widgets.cells.label_layers import TABLE_KEY
from napari_rls.workflow.cells.ome import PROVENANCE_KEY
from napari_rls.workflow.measure.table_files import table_paths, write_table

if TYPE_CHECKING:
    from napari_rls.widgets.cells.layer_data import LayerData


def write_labels_table(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write the table that labels layers carry; the name's ending tells the format.

    Parameters
    ----------
    path
        A file that ends in .csv, .parquet or .h5ad.
    layers
        Data, metadata and type of labels layers of one measurement.

    Returns
    -------
    list of str
        The files that were written.

    Raises
    ------
    InputError
        If the layers carry no table, or not the same.
    """
    tables = [options["metadata"].get(TABLE_KEY) for _, options, _ in layers]
    if any(table is None for table in tables):
        raise InputError(
            "These labels carry no table of measurements; save labels that Measure cells has made."
        )
    if any(not table.equals(tables[0]) for table in tables[1:]):
        raise InputError("These labels are of several measurements; save those of one.")
    record = layers[0][1]["metadata"][PROVENANCE_KEY]
    write_table(Path(path), tables[0], record)
    return [str(written) for written in table_paths(Path(path))]
