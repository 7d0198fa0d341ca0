"""Tables of reports with a row per kind of image or method."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from napari_rls.evaluation.tables import IMAGE
from napari_rls.workflow.report import html_page as html

NAMES = {"GT": "GT (true HR images)", "LR": "LR, upsampled"}
"""What stands for kinds of image that are no method."""


def condition_table(rows: pd.DataFrame, column: str, caption: str, kind: str = IMAGE) -> Markup:
    """Return how well a measurement tells two conditions apart.

    Parameters
    ----------
    rows
        As :func:`~napari_rls.evaluation.statistics.compare_conditions` returns them.
    column
        The measurement.
    caption
        What stands above the table.
    kind
        Column that names the rows.
    """
    body: list[html.Row] = [
        [
            NAMES.get(str(row[kind]), str(row[kind])),
            html.number(row["median_negative"]),
            html.number(row["median_positive"]),
            html.Cell(html.number(row["auc"]), html.interval(row["auc_low"], row["auc_high"])),
            html.number(row["cohens_d"]),
            html.Cell(html.number(row["z_prime"]), str(row["z_prime_problem"])),
            f"{row['n_negative']} / {row['n_positive']}",
        ]
        for _, row in rows.iterrows()
    ]
    header = (
        column,
        "median, negative",
        "median, positive",
        "AUC of single cells",
        "Cohen's d",
        "Z' of wells",
        "cells, negative / positive",
    )
    return html.table(header, body, caption)
