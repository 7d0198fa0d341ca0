"""The report of a benchmark: what the paper's tables and figures show, as one HTML page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from napari_rls.evaluation.benchmark_plots import gaussianisation_plot, sensitivity_plot, trace_plot
from napari_rls.evaluation.plots import box_plot
from napari_rls.evaluation.tables import CONDITION
from napari_rls.search.settings import Settings
from napari_rls.workflow.benchmark.benchmark_settings import RLS
from napari_rls.workflow.benchmark.compared_images import FACTOR, METHOD
from napari_rls.workflow.benchmark.measures import COLUMN
from napari_rls.workflow.benchmark.pictures import (
    ablation_picture,
    montage,
    noise_picture,
    samples_picture,
)
from napari_rls.workflow.benchmark.report_tables import (
    distribution_table,
    error_table,
    metric_table,
    other_errors,
    phenotype_table,
    time_table,
    variant_table,
)
from napari_rls.workflow.benchmark.run_benchmark import Benchmark
from napari_rls.workflow.cells.write import GENERATED
from napari_rls.workflow.report import html_page as html
from napari_rls.workflow.report.kind_tables import condition_table

PAPER = "Gheisari & Genovesio 2024"


def report(made: Benchmark) -> str:
    """Return the page; everything is inside it."""
    name = made.outcome.manifest.name
    parts: Sequence[tuple[str, Callable[[Benchmark], Markup]]] = (
        ("Table 1: realism and fidelity", _table1),
        ("Fig. 1: Gaussianisation", _figure1),
        ("Fig. 2: what the methods make of the same cells", _figure2),
        ("Fig. 5: measurements on SR images", _figure5),
        ("What methods know of what they do not know", _known),
        ("Table 2: phenotypes told apart by a classifier", _table2),
        ("Fig. 6: noise and blur on top of downscaling", _figure6),
        ("Fig. 7: ablation", _figure7),
        ("Fig. 8: uncertainty", _figure8),
        ("Time", _time),
        ("Sensitivity to lambda_w and lambda_c", _sensitivity),
    )
    sections = [(title, make(made)) for title, make in parts]
    return html.page(f"Benchmark of super-resolution with {name}", _lead(made), sections)


def _lead(made: Benchmark) -> Markup:
    outcome = made.outcome
    cells, manifest, settings = outcome.cells, outcome.manifest, outcome.settings
    wells = sorted({crop.well for crop in cells.hr.crops if crop.well})
    facts = (
        ("Bundle", f"{manifest.name}, content {manifest.content_hash[:12]}"),
        ("Its generator was trained on", manifest.training.data),
        (
            "Cells",
            f"{len(cells.hr)} of {len(cells.pool)}, {settings.cells} at most of a well",
        ),
        ("Wells", ", ".join(wells) or "not known"),
        ("Conditions compared", " and ".join(made.pair) if made.pair else "none"),
        ("Scale factors", ", ".join(map(str, settings.factors))),
        ("Figures of one factor", f"{settings.detail_factor}x"),
        ("LR images", "antialiased bicubic downscaling of the HR images, without noise"),
        ("Searches", f"{len(outcome.jobs)}, of which {made.reused} were read from the folder"),
        ("Attribution", manifest.attribution),
    )
    rows: list[html.Row] = [[name, html.Cell(text, wide=True)] for name, text in facts]
    lead = html.paragraph(
        f"Every method super-resolves the same cells; what {PAPER} report is reported here. SR "
        f"images are {GENERATED}. Numbers in small print are 95 % intervals, which take cells "
        "for independent; the best of a column is bold, the second best italic."
    )
    if settings.quick or settings.max_steps:
        lead += html.paragraph(
            "A trial run: few cells or fewer steps than the methods ask for. Its numbers do not "
            "tell which method is better.",
            note=True,
        )
    notes = html.joined(html.paragraph(note, note=True) for note in made.notes)
    return lead + html.table(("", ""), rows) + notes


def _table1(made: Benchmark) -> Markup:
    if "table1" not in made.tables:
        return _absent(made, "table1")
    return html.paragraph(
        "KID and FID compare the features of all SR images with those of all HR images, the "
        "other metrics each SR image with its own. KID leads: FID grows with every image that is "
        "missing. PSNR and MS-SSIM reward blur. The network behind a number, or the window, "
        "stands in the column's title; numbers of different ones cannot be compared. LR is the LR "
        "image, upsampled bicubically."
    ) + html.joined(metric_table(made, factor) for factor in made.outcome.settings.factors)


def _figure1(made: Benchmark) -> Markup:
    table = made.tables["gaussianisation"]
    dimensions = int(table["dimensions"].iloc[0])
    rows: list[html.Row] = [
        [
            str(row["vectors"]),
            *(html.number(row[name]) for name in ("mean", "deviation", "ks_distance")),
        ]
        for _, row in table.iterrows()
    ]
    return html.figure(
        gaussianisation_plot(made.norms, dimensions),
        f"Squared norms of {int(table['n'].iloc[0])} latent vectors over the chi-squared density "
        f"of {dimensions} degrees of freedom: z, w as it is, PULSE's u, and F(w) of the bundle's "
        "flow. The nearer to the curve, the more normal.",
    ) + html.table(
        ("vectors", "mean", "deviation", "distance from chi-squared (Kolmogorov-Smirnov)"),
        rows,
        f"The law itself has the mean {dimensions} and the deviation "
        f"{html.number((2 * dimensions) ** 0.5)}.",
    )


def _figure2(made: Benchmark) -> Markup:
    return html.joined(
        html.figure(*montage(made.outcome, factor)) for factor in made.outcome.settings.factors
    )


def _figure5(made: Benchmark) -> Markup:
    if "cells" not in made.tables:
        return _absent(made, "cells")
    table, errors = made.tables["cells"], made.tables["features"]
    main = str(errors["measurement"].iloc[0])
    found = html.paragraph(
        f"{main}, measured alike on true images (GT), on LR images, upsampled, and on SR images. "
        "Errors are absolute differences from GT of the same cell, or of the means of the same "
        "well, and their median is given."
    )
    if made.pair is None:
        found += _absent(made, "conditions")
    for factor, own in table.groupby(FACTOR, sort=False):
        conditions = made.pair
        shown = own if conditions else own.assign(**{CONDITION: "all cells"})
        figure = box_plot(shown, main, conditions).figure
        figure.set_size_inches(10.5, 5.2)
        found += html.heading(f"{factor}x")
        found += html.figure(
            figure,
            f"{main} at {factor}x"
            + (f": {conditions[0]} (left) and {conditions[1]} (right)." if conditions else "."),
        )
        found += error_table(made, int(str(factor)), main)
        if made.pair:
            found += _conditions(made, int(str(factor)), main)
        found += other_errors(made, int(str(factor)), main)
    return found


def _known(made: Benchmark) -> Markup:
    if "distributions" not in made.tables:
        return _absent(made, "distributions")
    main = str(made.tables["features"][COLUMN].iloc[0])
    return html.paragraph(
        "A method may tell more of a measurement than a value: samples of the image that are "
        "measured each, or quantiles. The middle is the value, the mean of the samples or the "
        "median. CRPS is the mean continuous ranked probability score, in the measurement's unit: "
        "of samples by the fair estimator, of quantiles twice the mean pinball loss at the middles "
        "of tenths, of a single value its absolute error. Intervals are of 90 %: as they are told, "
        "and with a correction that was fitted on cells of other wells of this benchmark. "
        "distributions.csv has all measurements."
    ) + html.joined(
        distribution_table(made, factor, main) for factor in made.outcome.settings.factors
    )


def _conditions(made: Benchmark, factor: int, column: str) -> Markup:
    rows = made.tables["conditions"]
    own = rows[(rows[FACTOR] == factor) & (rows[COLUMN] == column)]
    caption = f"Conditions told apart by {column} at {factor}x."
    return condition_table(own, column, caption, METHOD)


def _table2(made: Benchmark) -> Markup:
    if "table2" not in made.tables:
        return _absent(made, "table2")
    return html.paragraph(
        "A logistic regression on standardised features (napari-rls features v1) tells the two "
        "conditions apart. It is trained on HR cells and tested on GT and SR images of other "
        "cells; another one is trained and tested on LR images, upsampled bicubically."
    ) + html.joined(phenotype_table(made, factor) for factor in made.outcome.settings.factors)


def _figure6(made: Benchmark) -> Markup:
    outcome = made.outcome
    if not outcome.of("degraded"):
        return html.paragraph("None of the chosen methods ran on noisy images.", note=True)
    found = html.figure(*noise_picture(outcome))
    if "degradations" not in made.tables:
        return found + _absent(made, "degradations")
    table = made.tables["degradations"]
    return found + variant_table(
        table,
        ("degradation", "method"),
        f"Metrics on the {outcome.settings.subset} cells or fewer of the trial at "
        f"{outcome.settings.detail_factor}x.",
    )


def _figure7(made: Benchmark) -> Markup:
    picture = ablation_picture(made.outcome)
    found = html.figure(*picture) if picture else Markup()
    if "ablation" not in made.tables:
        return found + _absent(made, "ablation")
    return found + variant_table(
        made.tables["ablation"], ("method",), "The same numbers as in Table 1."
    )


def _figure8(made: Benchmark) -> Markup:
    picture = samples_picture(made.outcome)
    if picture is None:
        return html.paragraph("No samples were drawn.", note=True)
    return html.figure(*picture)


def _time(made: Benchmark) -> Markup:
    unit = made.outcome.manifest.intensity.unit
    found = time_table(made)
    for factor, own in made.tables["traces"].groupby(FACTOR, sort=False):
        found += html.figure(
            trace_plot(own, unit),
            f"At {factor}x: mean absolute error of the degraded SR image from the LR image, and "
            "the method's objective, against seconds a cell. The refinement of rls-plus has "
            "another objective than its search, so that its curve jumps.",
        )
    return found


def _sensitivity(made: Benchmark) -> Markup:
    if "sensitivity" not in made.tables:
        return _absent(made, "sensitivity")
    table = made.tables["sensitivity"]
    usual = Settings.model_validate({"method": RLS})
    values: Mapping[str, float] = {"lambda_w": usual.lambda_w, "lambda_c": usual.lambda_c}
    return html.figure(
        sensitivity_plot(table, values),
        "Metrics of RLS against one lambda, the other at its usual value (dotted line), over the "
        f"ranges that {PAPER} call good.",
    ) + variant_table(table, ("lambda_w", "lambda_c"), "The numbers of the figure.")


def _absent(made: Benchmark, name: str) -> Markup:
    return html.paragraph(made.missing[name], note=True)
