"""What Python code calls beside the jobs: cells in files, and measuring at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_rls.errors import InputError
from napari_rls.measure.cells import MeasureSettings
from napari_rls.workflow.cells.read import read_record, read_samples, read_stack
from napari_rls.workflow.cells.stack import CellStack
from napari_rls.workflow.cells.write import write_stack
from napari_rls.workflow.measure.image_sets import ImageSet, Kind
from napari_rls.workflow.measure.measurements import Measurements, measure
from napari_rls.workflow.measure.table_files import read_table as read_table_file
from napari_rls.workflow.measure.table_files import write_table as write_table_file
from napari_rls.workflow.super_resolve.sr_files import samples_path
from napari_rls.workflow.super_resolve.sr_result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from napari_rls.workflow.cells.plate_map import PlateMap


def read_cells(path: Path | str) -> CellStack:
    """Read cells or fields from a TIFF or OME-TIFF file with all that the file says of them.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or its axes are not those of cells.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_rls import CellStack, read_cells, write_cells
    >>> cells = CellStack(np.ones((3, 2, 8, 8), np.uint8), ("DNA", "GFP"), pixel_size_um=0.5)
    >>> with TemporaryDirectory() as folder:
    ...     write_cells(Path(folder, "cells.ome.tif"), cells)
    ...     read_cells(Path(folder, "cells.ome.tif")).channels
    ('DNA', 'GFP')
    """
    return read_stack(path)


def write_cells(path: Path | str, cells: CellStack, description: str = "") -> None:
    """Write cells as an OME-TIFF, whole or not at all; :func:`read_cells` returns equal ones.

    Parameters
    ----------
    path
        The file, ``NAME.ome.tif``; one that exists is replaced.
    cells
        The cells; types that OME does not know are stored as float.
    description
        What the images are.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    See :func:`read_cells`.
    """
    write_stack(Path(path), cells, description=description)


def measure_cells(
    sr: Result | CellStack | Path | str | None = None,
    *,
    settings: MeasureSettings | None = None,
    lr: CellStack | Path | str | None = None,
    gt: CellStack | Path | str | None = None,
    hr: CellStack | Path | str | None = None,
    plate_map: PlateMap | None = None,
    factor: int | None = None,
) -> Measurements:
    """Measure the same cells in every kind of image that is given, into one table.

    Parameters
    ----------
    sr
        SR cells: what :meth:`~napari_rls.SuperResolver.run` returned, or a file that it saved,
        both with record and samples, which give intervals and flags; or a stack.
    settings
        What is measured, and how; None takes what the bundle of the SR cells suggests.
    lr, gt, hr
        LR, GT or HR images of the same cells in the same order: stacks or files.
    plate_map
        Conditions of the wells; without it, what the crops say.
    factor
        How much LR images are upsampled; without it, to the size of the other images.

    Returns
    -------
    Measurements
        ``table``, a row per cell and kind of image, ``labels`` and ``record``.

    Raises
    ------
    InputError
        If there are no images, they are not of the same cells, lack a channel, cannot be read,
        or nothing says what is to be measured.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_rls import Settings, SuperResolver, measure_cells
    >>> lr = np.random.default_rng(0).uniform(0, 255, (1, 2, 8, 8))
    >>> settings = Settings(factor=8, steps=2, samples=0)
    >>> result = SuperResolver("bbbc013-translocation-64", settings).run(lr)
    >>> measure_cells(result).table["Metadata_Image"].tolist()
    ['SR']
    """
    given: dict[Kind, Any] = {"LR": lr, "SR": sr, "HR": hr, "GT": gt}
    sets = [_image_set(kind, images) for kind, images in given.items() if images is not None]
    if not sets:
        raise InputError("There are no images; give some to measure.")
    settings = settings or _suggested(sets)
    *_, last = measure(sets, settings, plate_map=plate_map, factor=factor)
    assert last.result is not None
    return last.result


def write_table(path: Path | str, table: pd.DataFrame, record: Mapping[str, Any]) -> None:
    """Write a table of cells and its record; :func:`read_table` returns both as they were.

    Parameters
    ----------
    path
        The file: ``.csv`` (the record in a ``.json`` file beside it), ``.parquet`` or ``.h5ad``.
        One that exists is replaced.
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

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from napari_rls import read_table, write_table
    >>> table = pd.DataFrame({"Metadata_Cell": ["a", "b"], "Spots_Count": [3, 5]})
    >>> with TemporaryDirectory() as folder:
    ...     write_table(Path(folder, "cells.csv"), table, {"by": "hand"})
    ...     again, record = read_table(Path(folder, "cells.csv"))
    >>> again["Spots_Count"].tolist(), record
    ([3, 5], {'by': 'hand'})
    """
    write_table_file(Path(path), table, record)


def read_table(path: Path | str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a table of cells and its record that :func:`write_table` wrote.

    A CSV file without a record beside it is read too; its record is empty.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another format.

    Examples
    --------
    See :func:`write_table`.
    """
    return read_table_file(Path(path))


def _image_set(kind: Kind, given: Result | CellStack | Path | str) -> ImageSet:
    if isinstance(given, Result):
        return ImageSet(kind, given.cells, given.samples, given.record)
    if isinstance(given, CellStack):
        return ImageSet(kind, given)
    if not isinstance(given, (str, Path)):
        raise InputError(
            f"The {kind} images are a {type(given).__name__}; give a CellStack, made by "
            "cells_from_array, or a file."
        )
    path = Path(given)
    stack = read_stack(path)
    if kind != "SR":
        return ImageSet(kind, stack)
    record, beside = read_record(path), samples_path(path)
    samples = read_samples(beside, stack, record) if beside.is_file() else None
    return ImageSet(kind, stack, samples, record)


def _suggested(sets: list[ImageSet]) -> MeasureSettings:
    for one in sets:
        suggested = one.record.get("bundle", {}).get("measurement")
        if suggested:
            return MeasureSettings.model_validate(suggested)
    raise InputError(
        "Nothing says what is to be measured; give settings, as in "
        "MeasureSettings(assay='translocation')."
    )
