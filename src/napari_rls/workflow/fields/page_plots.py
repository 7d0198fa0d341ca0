"""What a page of fields says of what was measured: doses, conditions, controls, LR against SR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from napari_rls.errors import TableError
from napari_rls.evaluation.agreement import agreement
from napari_rls.evaluation.controls import CONTROL_NAMES, control_pair, with_control
from napari_rls.evaluation.figure_style import Look
from napari_rls.evaluation.group_means import (
    CELLS,
    CORRECTED,
    HIGH,
    HR_CELLS,
    LOW,
    MEAN_OF,
    MEASURED,
    MEASUREMENT,
    means_of,
)
from napari_rls.evaluation.hill import dose_response
from napari_rls.evaluation.plots import agreement_plot, box_plot, dose_response_plot
from napari_rls.evaluation.statistics import compare_conditions
from napari_rls.evaluation.tables import (
    CELL,
    CONDITION,
    DOSE,
    IMAGE,
    WELL,
    by_drug,
    kinds_of,
    values_of,
    with_doses,
)
from napari_rls.workflow.cells.wells import listed
from napari_rls.workflow.fields.finished_fields import FinishedFields
from napari_rls.workflow.measure.plate_columns import dose_unit
from napari_rls.workflow.report import html_page as html
from napari_rls.workflow.report.kind_tables import NAMES, condition_table

MOST_BOXES = 24
"""Conditions, or wells, that are drawn in one figure."""

LOOK = Look(size=(9.5, 5.0))

NO_VALUE = "No cell has a value of {column}, so that there is nothing to draw."


def responses(made: FinishedFields) -> Markup:
    """Return the dose response of each drug, or else conditions or wells side by side."""
    table, column = made.table, made.headline
    if not _has_values(table, column):
        return html.paragraph(NO_VALUE.format(column=column), note=True)
    try:
        drugs = by_drug(table)
    except TableError:
        return _conditions(made)
    means, unit = _means(made, WELL), dose_unit(made.record)
    found = (_response(drug, rows, column, means, unit) for drug, rows in drugs.items())
    return html.joined(found)


def wells(made: FinishedFields) -> Markup:
    """Return a table of wells: cells, and the mean and the median of LR and SR images."""
    table, column = made.table, made.headline
    dosed = DOSE in table.columns
    told = _means(made, WELL)
    corrected = {} if told is None else dict(iter(told.groupby([IMAGE, WELL])))
    given = values_of(table, column)
    body: list[html.Row] = []
    for well, rows in given.groupby(WELL, sort=True):
        values = {kind: rows.loc[rows[IMAGE] == kind, "value"] for kind in ("LR", "SR")}
        doses = [html.number(float(rows[DOSE].iloc[0]))] if dosed else []
        body.append(
            [
                str(well) or "not known",
                *doses,
                html.Cell(str(rows[CONDITION].iloc[0]) or "-"),
                f"{values['SR'].notna().sum()} of {len(values['SR'])}",
                *(html.number(float(own.mean())) for own in values.values()),
                *(html.number(float(own.median())) for own in values.values()),
                *([] if told is None else _corrected(corrected, str(well))),
            ]
        )
    header = (
        "well",
        *(["dose"] if dosed else []),
        "condition",
        "cells measured in SR",
        "mean, LR",
        "mean, SR",
        "median, LR",
        "median, SR",
        *([] if told is None else _CORRECTED_HEADER),
    )
    caption = f"{column} of the cells of each well."
    if told is not None:
        caption += " Corrected: by HR cells, with 90 % intervals; all other columns: as measured."
    return html.table(header, body, caption)


def corrected_conditions(made: FinishedFields) -> Markup:
    """Return what was corrected by HR cells, and the means of conditions of several wells."""
    if made.means is None:
        return Markup()
    means, column = made.means.table, made.headline
    said = html.paragraph(_told_means(made))
    own = means[means[MEASUREMENT] == column]
    notes = [
        f"{kind}, {listed([*(rows[WELL].where(rows[WELL] != '', rows[CONDITION]))])}: {note}."
        for (kind, note), rows in own[own["Note"] != ""].groupby([IMAGE, "Note"], sort=False)
    ]
    said += html.joined(html.paragraph(note, note=True) for note in notes)
    rows = own[own[MEAN_OF] == "condition"]
    if rows.empty:
        return said
    body: list[html.Row] = [
        [
            str(row[CONDITION]),
            NAMES.get(str(row[IMAGE]), str(row[IMAGE])),
            str(row["Count_Wells"]),
            f"{row[HR_CELLS]} / {row[CELLS]}",
            html.number(row[MEASURED]),
            html.Cell(html.number(row[CORRECTED]), html.interval(row[LOW], row[HIGH])),
        ]
        for _, row in rows.iterrows()
    ]
    header = (
        "condition",
        "image",
        "wells",
        "HR cells / cells",
        "mean, measured",
        "mean, corrected",
    )
    return said + html.table(header, body, f"Means of {column} of conditions.")


def _told_means(made: FinishedFields) -> str:
    """Return in sentences what was done with HR cells."""
    assert made.means is not None
    record = made.means.record["means"]
    names = ", ".join(entry["name"] for entry in record["hr_cells"])
    found = record["hr_cells_found"]["SR"]
    wells = f"{found['wells']} well" + ("" if found["wells"] == 1 else "s")
    return (
        f"Means are corrected by the HR images of {found['cells']} of the cells, from {wells} "
        f"({names}): by what measurements on SR, and on LR, are off on average where the HR image "
        "is known (prediction-powered inference, Angelopoulos et al., Science 382, 2023), with "
        f"{100 * record['level']:.0f} % intervals. Curves and their EC50 are of corrected means "
        "where all wells have one; means as measured stand beside them. Single cells, medians and "
        "Z' are not corrected. cells_means.csv has the means of all measurements."
    )


_CORRECTED_HEADER = ("HR cells", "mean, LR corrected", "mean, SR corrected")


def _corrected(means: Mapping[Any, pd.DataFrame], well: str) -> list[html.Cell | str]:
    """Return the entries of a well: HR cells, and corrected means of LR and SR."""
    rows = [means.get((kind, well)) for kind in ("LR", "SR")]
    count = next((str(row[HR_CELLS].iloc[0]) for row in rows if row is not None), "-")
    return [
        count,
        *(
            "-"
            if row is None
            else html.Cell(
                html.number(float(row[CORRECTED].iloc[0])),
                html.interval(float(row[LOW].iloc[0]), float(row[HIGH].iloc[0])),
            )
            for row in rows
        ),
    ]


def _means(made: FinishedFields, level: str) -> pd.DataFrame | None:
    return None if made.means is None else means_of(made.means.table, made.headline, level)


def controls(made: FinishedFields) -> Markup:
    """Return Z' and what else tells the controls apart, or why there is none."""
    table, column = with_control(made.table), made.headline
    pair = control_pair([str(name) for name in table[CONDITION].unique()])
    if pair is None:
        return html.paragraph(
            "There is no Z', as negative and positive controls are not known. A plate map tells "
            "them in a column 'control' with the entries 'negative' and 'positive'.",
            note=True,
        )
    try:
        rows = compare_conditions(table, column, *pair)
    except TableError as error:
        return html.paragraph(f"There is no Z': {error}", note=True)
    how = (
        "as the plate map calls them"
        if pair in CONTROL_NAMES
        else "the only two conditions, of which the first is taken for the negative control"
    )
    return html.paragraph(
        f"Negative control: {pair[0]}; positive control: {pair[1]} ({how}). Z' = 1 - 3 (sd_p + "
        "sd_n) / |mean_p - mean_n|, over the means of wells (Zhang, Chung & Oldenburg, Journal of "
        "Biomolecular Screening 4, 1999, who call an assay with more than 0.5 excellent). It needs "
        "2 wells of each control, and is uncertain with few. AUC: the share of pairs of a negative "
        "and a positive cell in which the positive one has the larger value; its interval takes "
        "cells for independent, and so is somewhat too sure."
    ) + condition_table(rows, column, f"Controls told apart by {column}.")


def lr_against_sr(made: FinishedFields) -> Markup:
    """Return the measurement of cells in SR over that of the same cells in LR."""
    table, column = made.table, made.headline
    given = values_of(table, column)
    both = given.pivot_table(index=CELL, columns=IMAGE, values="value").dropna()
    if not {"LR", "SR"} <= set(both.columns) or both.empty:
        return html.paragraph(
            f"No cell has a value of {column} both in LR and in SR, so that they cannot be "
            "compared.",
            note=True,
        )
    rows = agreement(table, column, "LR")
    body: list[html.Row] = [
        [
            f"per {row['per']}",
            str(row["n"]),
            *(html.number(row[name]) for name in ("pearson", "spearman", "median_absolute_error")),
        ]
        for _, row in rows.iterrows()
    ]
    return html.figure(
        agreement_plot(table, column, "LR", look=LOOK, columns=made.columns).figure,
        f"{column} of each cell, measured alike in the interpolated LR image and in SR"
        " (generated); vertical lines: 90 % intervals by samples, where there are. On the dashed "
        "line both are the same. Neither is the truth: blur brings LR values together, and SR "
        "rests on what the generator has learned.",
    ) + html.table(
        ("SR against LR", "n", "r", "rank correlation", "median absolute difference"), body
    )


def _response(
    drug: str, rows: pd.DataFrame, column: str, means: pd.DataFrame | None, unit: str
) -> Markup:
    title = html.heading(drug) if drug else Markup()
    dosed = with_doses(values_of(rows, column))
    used = dosed["value"].notna() & (dosed[DOSE] > 0) & (dosed[WELL] != "")
    if not used.any():
        return title + html.paragraph(
            "There is no dose response: no cell of a known well has a dose above 0 and a value of "
            f"{column}.",
            note=True,
        )
    fits = dose_response(rows, column).assign(of="")
    shown = ""
    if means is not None:
        again = dose_response(rows, column, means=means).assign(of=", corrected")
        # A kind of image that is not corrected has the same fit again.
        fits = pd.concat([again[again["corrected"]], fits.assign(of=", measured")])
        shown = " Filled, with 90 % intervals: corrected by HR cells, rings: as measured."
    body: list[html.Row] = [
        [
            NAMES.get(str(fit[IMAGE]), str(fit[IMAGE])) + fit["of"],
            html.Cell(html.number(fit["ec50"]), html.interval(fit["ec50_low"], fit["ec50_high"])),
            *(html.number(fit[name]) for name in ("slope", "bottom", "top", "r2")),
            f"{fit['wells']} / {fit['doses']}",
            str(fit["dropped"]),
            html.Cell(fit["problem"] or "-"),
        ]
        for _, fit in fits.iterrows()
    ]
    header = (
        "Hill fit",
        f"EC50 ({unit})" if unit else "EC50",
        "slope",
        "bottom",
        "top",
        "R2",
        "wells / doses",
        "cells left out",
        "in doubt",
    )
    return (
        title
        + html.figure(
            dose_response_plot(rows, column, look=LOOK, means=means, unit=unit).figure,
            f"Means of wells of {column} against the dose of the plate map, in "
            f"{unit or 'its unit, which it does not tell'}. Curve: "
            "bottom + (top - bottom) / (1 + (EC50 / dose)^slope), fitted to them where it can be; "
            f"dotted: EC50, shaded: its 95 % interval.{shown}",
        )
        + html.table(header, body, "Small print: 95 % interval by profile likelihood.")
    )


def _conditions(made: FinishedFields) -> Markup:
    table, column = made.table, made.headline
    why = html.paragraph(
        "There is no dose response: no cell has a dose. A plate map tells doses in a column 'dose' "
        "of numbers without a unit, and what was given in a column 'drug'."
    )
    what, by = "condition", CONDITION
    if not table[CONDITION].ne("").any():
        what, by = ("well", WELL) if table[WELL].ne("").any() else ("field", "Metadata_File")
    names = [str(name) for name in table[by].unique()]
    if len(names) > MOST_BOXES:
        return why + html.paragraph(
            f"{len(names)} {what}s are too many for a figure; the table of wells has them all.",
            note=True,
        )
    drawn = table.assign(**{CONDITION: table[by]})
    kinds = " and ".join(NAMES.get(kind, kind) for kind in kinds_of(table))
    means = None if by not in (WELL, CONDITION) else _means(made, by)
    shown = ""
    if means is not None:
        means = means.assign(**{CONDITION: means[by]})
        shown = (
            " Diamonds are means: filled, with 90 % intervals, as corrected by HR cells, rings as "
            "measured."
        )
    return why + html.figure(
        box_plot(drawn, column, look=LOOK, means=means).figure,
        f"{column} of the cells of each {what}, {kinds}: a point is a cell, boxes are quartiles "
        f"and median.{shown}",
    )


def _has_values(table: pd.DataFrame, column: str) -> bool:
    return bool(values_of(table, column)["value"].notna().any())
