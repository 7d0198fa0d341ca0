"""What a page of fields says of what was measured: doses, conditions, controls, LR against SR."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from napari_rls.errors import TableError
from napari_rls.evaluation.agreement import agreement
from napari_rls.evaluation.controls import CONTROL_NAMES, control_pair, with_control
from napari_rls.evaluation.figure_style import Look
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
        return _conditions(table, column)
    unit = dose_unit(made.record)
    return html.joined(_response(drug, rows, column, unit) for drug, rows in drugs.items())


def wells(made: FinishedFields) -> Markup:
    """Return a table of wells: cells, and the mean and the median of LR and SR images."""
    table, column = made.table, made.headline
    dosed = DOSE in table.columns
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
    )
    return html.table(header, body, f"{column} of the cells of each well.")


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


def _response(drug: str, rows: pd.DataFrame, column: str, unit: str) -> Markup:
    title = html.heading(drug) if drug else Markup()
    dosed = with_doses(values_of(rows, column))
    used = dosed["value"].notna() & (dosed[DOSE] > 0) & (dosed[WELL] != "")
    if not used.any():
        return title + html.paragraph(
            "There is no dose response: no cell of a known well has a dose above 0 and a value of "
            f"{column}.",
            note=True,
        )
    fits = dose_response(rows, column)
    body: list[html.Row] = [
        [
            NAMES.get(str(fit[IMAGE]), str(fit[IMAGE])),
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
            dose_response_plot(rows, column, look=LOOK, unit=unit).figure,
            f"Means of wells of {column} against the dose of the plate map, in "
            f"{unit or 'its unit, which it does not tell'}. Curve: "
            "bottom + (top - bottom) / (1 + (EC50 / dose)^slope), fitted to them where it can be; "
            "dotted: EC50, shaded: its 95 % interval.",
        )
        + html.table(header, body, "Small print: 95 % interval by profile likelihood.")
    )


def _conditions(table: pd.DataFrame, column: str) -> Markup:
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
    return why + html.figure(
        box_plot(drawn, column, look=LOOK).figure,
        f"{column} of the cells of each {what}, {kinds}: a point is a cell, boxes are quartiles "
        "and median.",
    )


def _has_values(table: pd.DataFrame, column: str) -> bool:
    return bool(values_of(table, column)["value"].notna().any())
