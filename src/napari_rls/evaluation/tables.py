"""Read the tidy table of an assay: a row per cell and kind of image.

Columns are ``Metadata_Image`` (GT, HR, SR, LR, ...), ``Metadata_Cell``,
``Metadata_Well``, ``Metadata_Condition``, where known ``Metadata_Dose``, and measurements
named as CellProfiler names them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_rls.errors import TableError
from napari_rls.measure.columns import CELL, CONDITION, DOSE, IMAGE, WELL
from napari_rls.measure.dictionary import columns_of, measurements

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CELL",
    "CONDITION",
    "DOSE",
    "IMAGE",
    "KINDS",
    "WELL",
    "by_drug",
    "dose_of",
    "in_condition",
    "kinds_of",
    "parts_of",
    "told",
    "values_of",
    "well_means",
    "with_doses",
]

KINDS = ("GT", "HR", "SR", "LR")
"""Order of the kinds of image in results and figures; others follow as they come."""


def parts_of(condition: object) -> dict[str, str]:
    """Return the entries of a condition such as ``drug=wortmannin; dose=3``.

    Names are lower case; a part without ``=`` is its own name, with "" as its value.
    """
    entries = (part.partition("=") for part in str(condition).split(";") if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in entries}


def dose_of(condition: object) -> float:
    """Return the dose of a condition such as ``drug=wortmannin; dose=3``, in its own unit.

    NaN where no part is called ``dose``, or where it is not a finite number of 0 or more.
    A number with a unit behind it is none, since units could differ between wells.
    """
    try:
        dose = float(parts_of(condition).get("dose", "nan"))
    except ValueError:
        return math.nan
    return dose if math.isfinite(dose) and dose >= 0 else math.nan


def told(table: pd.DataFrame, name: str) -> pd.Series[str]:
    """Return what is told of each row under a name such as ``drug`` or ``control``, "" if nothing.

    It stands in the condition, as in ``drug=wortmannin; dose=3``, or in a column of the plate map
    beside the condition, ``Metadata_Drug``.
    """
    import pandas as pd

    found: pd.Series[str] = pd.Series("", table.index, dtype=object)
    if CONDITION in table.columns:
        found = table[CONDITION].map(lambda condition: parts_of(condition).get(name, ""))
    column = f"Metadata_{name.capitalize()}"
    if column in table.columns:
        found = found.where(found != "", table[column].fillna("").astype(str).str.strip())
    return found


def kinds_of(table: pd.DataFrame) -> list[str]:
    """Return the kinds of image of a table, in the order of :data:`KINDS`."""
    found = [str(kind) for kind in table[IMAGE].dropna().unique()]
    return [k for k in KINDS if k in found] + [k for k in found if k not in KINDS]


def values_of(table: pd.DataFrame, column: str, *needed: str) -> pd.DataFrame:
    """Return a table with a float column ``value`` of a measurement, NaN where not finite.

    Parameters
    ----------
    table
        A tidy table.
    column
        The measurement.
    needed
        Other columns that have to be there; ``Metadata_Image`` always has.

    Raises
    ------
    TableError
        If a column is missing, the measurement holds no numbers, or there are no rows.
    """
    for name in (IMAGE, *needed, column):
        if name not in table.columns:
            measured = measurements(columns_of(table))
            raise TableError(
                f"The table has no column {name!r}; its measurements are "
                f"{', '.join(measured) or 'none'}."
            )
    if table.empty:
        raise TableError("The table has no rows; measure some cells first.")
    try:
        values = table[column].astype(np.float64)
    except (TypeError, ValueError):
        raise TableError(
            f"Column {column!r} holds something else than numbers; choose a measurement."
        ) from None
    return table.assign(value=values.where(np.isfinite(values)))


def in_condition(table: pd.DataFrame, condition: str) -> pd.Series[bool]:
    """Return which rows are of a condition.

    They are those with all of its parts, so that ``control=negative`` stands for
    ``drug=wortmannin; control=negative`` too.

    Raises
    ------
    TableError
        If there are none.
    """
    wanted = parts_of(condition).items()
    names = table[CONDITION].fillna("").astype(str)
    # A name of blanks or semicolons has no parts, and stands for itself.
    matching = [
        name
        for name in names.unique()
        if name == condition or (wanted and wanted <= parts_of(name).items())
    ]
    if not matching:
        raise TableError(
            f"There is no condition {condition!r}; the table has "
            f"{', '.join(repr(name) for name in names.unique()[:12])}."
        )
    return names.isin(matching)


def with_doses(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose ``Metadata_Dose`` is a finite number of 0 or more, or NaN.

    What ``Metadata_Dose`` does not tell is read from ``Metadata_Condition`` by
    :func:`dose_of`.

    Raises
    ------
    TableError
        If no row has a dose, or doses are of more than one drug (:func:`told`); dose 0 may
        bear any drug's name.
    """
    dosed = _with_doses(table)
    drugs = _drugs(dosed)
    if len(drugs) > 1:
        raise TableError(
            f"The doses are of more than one drug ({', '.join(drugs)}); give the rows of one."
        )
    return dosed


def by_drug(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each drug (:func:`told`), "" where drugs are not told apart.

    Rows with dose 0 of what is given in no other dose, such as a solvent, are of every drug.

    Raises
    ------
    TableError
        If no row has a dose.
    """
    dosed = _with_doses(table)
    drugs, own = _drugs(dosed), told(dosed, "drug")
    solvent = (dosed[DOSE] == 0) & ~own.isin(drugs)
    # A table of controls alone has doses, but nothing that was given.
    return {drug: table[(own == drug) | solvent] for drug in drugs or [""]}


def _drugs(dosed: pd.DataFrame) -> list[str]:
    return sorted(set(told(dosed, "drug")[dosed[DOSE] > 0]))


def _with_doses(table: pd.DataFrame) -> pd.DataFrame:
    # Widgets take this module's names without waiting for pandas.
    import pandas as pd

    doses: pd.Series[float] = pd.Series(np.nan, table.index, dtype=float)
    if DOSE in table.columns:
        doses = pd.to_numeric(table[DOSE], errors="coerce").astype(float)
        doses = doses.where(np.isfinite(doses) & (doses >= 0))
    if CONDITION in table.columns:
        doses = doses.fillna(table[CONDITION].map(dose_of).astype(float))
    if doses.isna().all():
        raise TableError(
            "No cell has a dose; the table needs numbers in 'Metadata_Dose' or conditions such "
            "as 'dose=3', without a unit."
        )
    return table.assign(**{DOSE: doses})


def well_means(table: pd.DataFrame, *by: str) -> pd.DataFrame:
    """Return the mean ``value`` of each kind of image, well and ``by``.

    Cells without a value or without a well have no part in it.
    """
    used = table[table["value"].notna() & table[WELL].notna() & (table[WELL] != "")]
    return used.groupby([IMAGE, *by, WELL])["value"].mean().reset_index()
