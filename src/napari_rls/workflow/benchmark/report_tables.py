"""The tables of a benchmark's report, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from markupsafe import Markup

from napari_rls.workflow.benchmark.benchmark_settings import DIRECT
from napari_rls.workflow.benchmark.compared_images import FACTOR, METHOD
from napari_rls.workflow.benchmark.directly import Told
from napari_rls.workflow.benchmark.measures import COLUMN
from napari_rls.workflow.benchmark.phenotypes import TESTED, TRAINED
from napari_rls.workflow.benchmark.run_benchmark import Benchmark
from napari_rls.workflow.report import html_page as html
from napari_rls.workflow.report.kind_tables import NAMES


def metric_table(made: Benchmark, factor: int) -> Markup:
    """Return Table 1 of one factor: a row per method, a column per metric and variant."""
    rows = made.tables["table1"]
    own = rows[rows[FACTOR] == factor]
    kinds = _kinds(own)
    body = _metric_rows(own, (METHOD,), kinds)
    body += [[method, html.Cell(problem, wide=True)] for method, problem in _not_run(made, factor)]
    if isinstance(made.outcome.told.get(factor), Told):
        body.append([DIRECT, html.Cell("no image: it tells measurements alone", wide=True)])
    n = sorted({int(count) for count in own["n"]})
    counted = " to ".join(map(str, n if len(n) < 2 else (n[0], n[-1])))
    return html.table(
        (f"{factor}x", *(_titled(own, kind) for kind in kinds)), body, f"{counted} cells."
    )


def variant_table(rows: pd.DataFrame, labels: Sequence[str], caption: str) -> Markup:
    """Return metrics of variants: a row for every value of the columns ``labels``."""
    kinds = _kinds(rows)
    header = (*labels, *(_titled(rows, kind) for kind in kinds))
    # Values of one degradation are compared with each other, as are those of other variants.
    blocks = (
        [own for _, own in rows.groupby(labels[0], sort=False)]
        if labels[0] == "degradation"
        else [rows]
    )
    body = [row for own in blocks for row in _metric_rows(own, labels, kinds)]
    return html.table(header, body, caption)


def error_table(made: Benchmark, factor: int, column: str) -> Markup:
    """Return how far a measurement is from that on the true images, per cell and well."""
    rows = made.tables["features"]
    own = rows[(rows[FACTOR] == factor) & (rows[COLUMN] == column)]
    methods = list(own[METHOD].unique())
    per = {kind: own[own["per"] == kind].set_index(METHOD) for kind in ("cell", "well")}
    columns = [
        (per["cell"], "median_absolute_error", "error per cell", "lower"),
        (per["well"], "median_absolute_error", "error per well", "lower"),
        (per["cell"], "pearson", "correlation per cell", "higher"),
        (per["cell"], "spearman", "rank correlation per cell", "higher"),
        (per["well"], "spearman", "rank correlation per well", "higher"),
    ]
    entries = [_ranked(table[name], methods, better) for table, name, _, better in columns]
    entries[0] = [
        replace(entry, small=html.interval(low, high))
        for entry, low, high in zip(
            entries[0],
            per["cell"]["error_low"],
            per["cell"]["error_high"],
            strict=True,
        )
    ]
    body: list[html.Row] = [
        [
            NAMES.get(method, method),
            *(entry[k] for entry in entries),
            f"{per['cell']['n'][method]} / {per['well']['n'][method]}",
            str(per["cell"]["dropped"][method]),
        ]
        for k, method in enumerate(methods)
    ]
    titles = [title for _, _, title, _ in columns]
    header = (column, *titles, "cells / wells", "cells not measurable")
    return html.table(header, body, f"Errors of {column} at {factor}x.")


def other_errors(made: Benchmark, factor: int, main: str) -> Markup:
    """Return the errors per cell of all other measurements: a column per measurement."""
    rows = made.tables["features"]
    own = rows[(rows[FACTOR] == factor) & (rows["per"] == "cell") & (rows[COLUMN] != main)]
    columns = list(own[COLUMN].unique())
    if not columns:
        return Markup()
    methods = list(own[METHOD].unique())
    entries = []
    for column in columns:
        values = own[own[COLUMN] == column].set_index(METHOD)["median_absolute_error"]
        entries.append(_ranked(values, methods, "lower"))
    body = [
        [NAMES.get(method, method), *(entry[k] for entry in entries)]
        for k, method in enumerate(methods)
    ]
    return html.table(
        ("error per cell", *columns), body, f"Median absolute errors per cell at {factor}x."
    )


def distribution_table(made: Benchmark, factor: int, column: str) -> Markup:
    """Return score, coverage and width of what methods tell of a measurement: a row of each."""
    rows = made.tables["distributions"]
    own = rows[(rows[FACTOR] == factor) & (rows[COLUMN] == column)]
    places = html.ranks([float(value) for value in own["crps"]], "lower")

    def share(row: pd.Series[Any], name: str) -> html.Cell:
        low, high = (float(row[f"{name}coverage_{end}"]) for end in ("low", "high"))
        return html.Cell(html.number(row[f"{name}coverage"]), html.interval(low, high))

    body: list[html.Row] = [
        [
            NAMES.get(str(row[METHOD]), str(row[METHOD])),
            str(row["of"]),
            html.number(row["error"]),
            html.number(row["pearson"]),
            html.Cell(
                html.number(row["crps"]), html.interval(row["crps_low"], row["crps_high"]), place
            ),
            share(row, ""),
            html.number(row["width"]),
            share(row, "fitted_"),
            html.number(row["fitted_width"]),
            f"{row['n']}",
        ]
        for (_, row), place in zip(own.iterrows(), places, strict=True)
    ]
    header = (
        column,
        "told of each cell",
        "error of the middle",
        "its correlation",
        "CRPS ↓",
        "in 90 % intervals",
        "their width",
        "corrected on other wells",
        "their width",
        "cells",
    )
    return html.table(header, body, f"What is told of {column} at {factor}x.")


def phenotype_table(made: Benchmark, factor: int) -> Markup:
    """Return Table 2 of one factor: a row per test."""
    rows = made.tables["table2"]
    own = rows[rows[FACTOR] == factor]
    body: list[html.Row] = [
        [
            NAMES.get(str(row[TRAINED]), str(row[TRAINED])),
            NAMES.get(str(row[TESTED]), str(row[TESTED])),
            html.Cell(html.number(row["accuracy"]), html.interval(row["low"], row["high"])),
            html.number(row["balanced"]),
            f"{row['n_negative']} / {row['n_positive']}",
        ]
        for _, row in own.iterrows()
    ]
    header = (
        "trained on",
        "tested on",
        "accuracy",
        "mean of both classes",
        "cells tested, negative / positive",
    )
    return html.table(header, body, f"Classifier at {factor}x.")


def time_table(made: Benchmark) -> Markup:
    """Return seconds a cell of every method of the main searches, and what failed."""
    rows = made.tables["runs"]
    body = []
    for _, row in rows[rows["part"] == "main"].iterrows():
        entries: list[html.Cell | str] = [str(row[METHOD]), f"{row[FACTOR]}x", f"{row['steps']}"]
        if row["problem"]:
            body.append([*entries, html.Cell(str(row["problem"]), wide=True)])
            continue
        body.append(
            [
                *entries,
                html.number(row["seconds_per_cell"]),
                html.number(row["seconds"]),
                str(row["cells"]),
                str(row["failed"]),
                f"{row['device']}, {row['threads'] or 'all'} threads",
            ]
        )
    header = ("method", "factor", "steps", "seconds a cell", "seconds", "cells", "failed", "on")
    return html.table(
        header,
        body,
        "Wall time of the searches, loading left out. Failed cells have no image, or one that "
        "the method itself counts as failed.",
    )


def _kinds(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(rows["metric"], rows["variant"], strict=True)))


def _titled(rows: pd.DataFrame, kind: tuple[str, str]) -> str:
    better = rows[(rows["metric"] == kind[0]) & (rows["variant"] == kind[1])]["better"].iloc[0]
    return f"{kind[0]} ({kind[1]}) {'↓' if better == 'lower' else '↑'}"


def _metric_rows(
    rows: pd.DataFrame, labels: Sequence[str], kinds: Sequence[tuple[str, str]]
) -> list[html.Row]:
    """Return a row per value of the columns ``labels``, with the best of each metric marked."""
    names = list(dict.fromkeys(zip(*(rows[label] for label in labels), strict=True)))
    columns: list[list[html.Cell]] = []
    for metric, variant in kinds:
        own = rows[(rows["metric"] == metric) & (rows["variant"] == variant)]
        found = {tuple(row[label] for label in labels): row for _, row in own.iterrows()}
        values = [float(found[n]["value"]) if n in found else float("nan") for n in names]
        places = html.ranks(values, str(own["better"].iloc[0]))
        columns.append(
            [
                html.Cell(
                    html.number(value),
                    html.interval(found[n]["low"], found[n]["high"]) if n in found else "",
                    place,
                )
                for n, value, place in zip(names, values, places, strict=True)
            ]
        )
    return [
        [*(_shown(part) for part in name), *(column[k] for column in columns)]
        for k, name in enumerate(names)
    ]


def _ranked(values: pd.Series[float], names: Sequence[str], better: str) -> list[html.Cell]:
    numbers = [float(values[name]) for name in names]
    places = html.ranks(numbers, better)
    return [
        html.Cell(html.number(value), rank=place)
        for value, place in zip(numbers, places, strict=True)
    ]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else NAMES.get(str(value), str(value))


def _not_run(made: Benchmark, factor: int) -> list[tuple[str, str]]:
    rows = made.tables["runs"]
    own = rows[(rows["part"] == "main") & (rows[FACTOR] == factor) & (rows["problem"] != "")]
    return [(str(row[METHOD]), str(row["problem"])) for _, row in own.iterrows()]
