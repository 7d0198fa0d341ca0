"""The page that a check ends with, and its tables."""

from __future__ import annotations

import math
import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from napari_rls.evaluation.plots import agreement_plot
from napari_rls.files.csv_file import write_csv
from napari_rls.files.whole_file import whole_file
from napari_rls.measure.cells import column_names
from napari_rls.version import __version__
from napari_rls.workflow.benchmark.plan import shown_cells
from napari_rls.workflow.cells.contact_sheet import contact_sheet
from napari_rls.workflow.cells.read import read_record, read_samples, read_stack
from napari_rls.workflow.cells.write import GENERATED
from napari_rls.workflow.check.found import Found, with_middle
from napari_rls.workflow.check.run_check import HR_FILE, Checked
from napari_rls.workflow.check.verdict import RULES, WORDS, Verdict
from napari_rls.workflow.report import html_page as html
from napari_rls.workflow.super_resolve.sr_files import samples_path

PAGE, TABLE, CELLS = "check.html", "check.csv", "cells.csv"

_SHOWN_SAMPLES = 2

HEADER = (
    "factor", "cells", "r", "r of SR", "error", "intervals hold, %", "width", "flagged, %",
    "verdict",
)  # fmt: skip
"""Columns of the short table of a measurement."""


def write_check(folder: Path, made: Checked) -> list[Path]:
    """Write page and tables, each file whole or not at all; return their paths.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = check_page(made, folder)
    write_csv(folder / TABLE, summary(made))
    write_csv(folder / CELLS, made.cells)
    with whole_file(folder / PAGE) as draft:
        draft.write_text(page, encoding="utf-8")
    return [folder / TABLE, folder / CELLS, folder / PAGE]


def summary(made: Checked) -> pd.DataFrame:
    """Return all that was found and the verdicts: a row per factor and main measurement."""
    return pd.DataFrame(
        [
            asdict(found)
            | {
                "verdict": WORDS[verdict.level],
                "sure": verdict.sure,
                "cells_needed": verdict.needed,
                "why": verdict.sentence,
                "intervals": verdict.intervals,
            }
            for found, verdict in made.found
        ]
    )


def short_row(found: Found, verdict: Verdict) -> tuple[str, ...]:
    """Return what was found in the columns of :data:`HEADER`."""
    return (
        f"{found.factor}x",
        f"{found.cells}/{found.of}",
        number(found.r),
        number(found.r_sr),
        f"{found.error:.3g}",
        f"{percent(found.held)} ({percent(found.held_low)}-{percent(found.held_high)})",
        number(found.width / found.span if found.span else math.nan),
        f"{percent(found.poor_fit)}, {percent(found.out_of_domain)}",
        WORDS[verdict.level] + ("" if verdict.sure or verdict.level == "too few" else " (unsure)"),
    )


def number(value: float) -> str:
    """Return a number with two decimals, or a dash where there is none."""
    return f"{value:.2f}" if math.isfinite(value) else "-"


def percent(share: float) -> str:
    """Return a share in percent, or a dash where there is none."""
    return f"{100 * share:.0f}" if math.isfinite(share) else "-"


def check_page(made: Checked, folder: Path) -> str:
    """Return the page; everything is inside it.

    Parameters
    ----------
    made
        What was found.
    folder
        Where its files are.
    """
    sections = [
        ("The numbers", _numbers(made)),
        ("The rules", _rules()),
        ("Intervals that hold what they say", _intervals(made, folder)),
        ("SR against the truth", _plots(made)),
        ("Some of the cells", _pictures(made)),
        ("What is assumed or in doubt", _doubts(made)),
        ("What was done", _facts(made)),
    ]
    return html.page(f"Can {made.manifest.name} be trusted on these cells?", _lead(made), sections)


def _lead(made: Checked) -> Markup:
    """Return what everyone should read: the verdicts, and what they hold for."""
    lead = html.paragraph(
        "Your HR cells were degraded to LR images, these were super-resolved with the bundle, and "
        "what is measured on the SR images was compared with the truth, the same measurement on "
        "your HR images. It holds for LR images like these, of cells like these: a microscope's "
        "noise and blur come on top, and cells among those that the generator was trained on look "
        "better than others."
    )
    if made.settings.max_steps:
        lead += html.paragraph(
            "A trial run: its search has fewer steps than the defaults, so that its verdicts are "
            "of no search that you would make.",
            note=True,
        )
    for column in _columns(made):
        lead += html.heading(column)
        lead += html.joined(
            html.paragraph(f"{found.factor}x. {verdict.sentence}", note=verdict.level != "cells")
            for found, verdict in made.found
            if found.column == column
        )
    return lead


def _facts(made: Checked) -> Markup:
    manifest, settings = made.manifest, made.settings
    files = list(dict.fromkeys(crop.file for crop in made.hr.crops))
    names = column_names(made.measurement, micrometres=False)
    search = settings.search
    facts = [
        ("Made", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by napari-rls {__version__}"),
        ("Cells", f"{len(made.hr)} of {made.pool}, chosen at random (seed {settings.seed})"),
        ("Files", ", ".join(files[:12]) + (f" and {len(files) - 12} more" if files[12:] else "")),
        ("Bundle", f"{manifest.name}, content {manifest.content_hash[:12]}"),
        ("Its generator was trained on", manifest.training.data),
        ("LR images", f"HR images, degraded by '{settings.operator}', without noise"),
        ("Search", f"{search.steps} steps and {search.samples} samples, all else as by default"),
        *((f"Measured: {name}", f"{names[name].meaning}") for name in _columns(made)),
        ("Attribution", manifest.attribution),
    ]
    rows: list[html.Row] = [[name, html.Cell(text, wide=True)] for name, text in facts]
    return html.table(("", ""), rows)


def _columns(made: Checked) -> list[str]:
    return list(dict.fromkeys(found.column for found, _ in made.found))


def _numbers(made: Checked) -> Markup:
    found = html.paragraph(
        "cells: those that could be measured, of all. r: correlation of the middle of the samples "
        "(_q50) with the truth over cells, and its 95 % interval; beside it that of what is left "
        "without the mean of each well or condition, that of the SR image's own value and "
        "of the LR image's, upsampled. error: median absolute error. held: share of "
        "the 90 % intervals that hold the truth, and its 95 % interval. width: median width of "
        "the intervals, and over the width that holds 90 % of the truths, which is 1 for an "
        "interval that tells nothing of its cell. flagged: cells whose SR does not fit LR, and "
        "cells that the bundle does not know; of cells that it knows, 5 % are. r is of the "
        "cells at hand: if they hardly differ, it is low whatever the errors are, and if they are "
        "of two very different conditions, it is high though cells of one condition may not be "
        "told apart, which r inside wells tells."
    )
    header = (
        "factor", "cells", "r", "r inside wells", "r, SR image", "r, LR image", "error", "bias",
        "held", "width", "flagged: poor fit, out of domain",
    )  # fmt: skip
    for column in _columns(made):
        own = [f for f, _ in made.found if f.column == column]
        rows: list[html.Row] = [_row(f) for f in own]
        caption = f"{column}; its standard deviation over cells is {html.number(own[0].spread)}."
        found += html.table(header, rows, caption)
    return found


def _row(f: Found) -> html.Row:
    held = f"{percent(f.held_low)} to {percent(f.held_high)} %"
    share = number(f.width / f.span if f.span else math.nan)
    flags = (f"{percent(share)} %" if math.isfinite(share) else "not known" for share in (
        f.poor_fit, f.out_of_domain
    ))  # fmt: skip
    return [
        f"{f.factor}x",
        f"{f.cells} of {f.of}",
        html.Cell(number(f.r), f"{number(f.r_low)} to {number(f.r_high)}"),
        number(f.r_within),
        number(f.r_sr),
        number(f.r_lr),
        html.Cell(html.number(f.error), f"SR image {html.number(f.error_sr)}"),
        html.Cell(html.number(f.bias), f"\N{PLUS-MINUS SIGN} {html.number(f.bias_reach)}"),
        html.Cell(f"{percent(f.held)} %", held),
        html.Cell(html.number(f.width), f"{share} of the truths' width"),
        ", ".join(flags),
    ]


def _rules() -> Markup:
    rows: list[html.Row] = [[name, html.Cell(text, wide=True)] for name, text in RULES.items()]
    return html.table(("", ""), rows)


def _intervals(made: Checked, folder: Path) -> Markup:
    said = [
        html.paragraph(f"{f.column}, {f.factor}x: {v.intervals}", note=True)
        for f, v in made.found
        if v.intervals
    ]
    if not said:
        said = [
            html.paragraph("No share of intervals that hold the truth differs surely from 90 %.")
        ]
    how = {f.factor: f.corrected for f, _ in made.found}
    told = html.joined(
        html.paragraph(f"Intervals at {factor}x are of {text}.") for factor, text in how.items()
    )
    files = [str(path) for path in made.files.values()]
    command = [
        "napari-rls", "bundles", "calibrate", made.settings.bundle, *files,
        "--gt", str(folder / HR_FILE), "--assay", made.measurement.assay,
        "--data", "my cells", "--out", "mine.rls.safetensors",
    ]  # fmt: skip
    return (
        html.joined(said)
        + told
        + html.paragraph(
            "To fit intervals and flags to cells like these, calibrate the bundle on them, and "
            f"then check what comes of it on other cells: {shlex.join(command)}"
        )
    )


def _plots(made: Checked) -> Markup:
    found = html.paragraph(
        "Each point is a cell: the middle of its samples with the 90 % interval, and the value on "
        "the LR image, upsampled, against the truth. On the dashed line both are the same."
    )
    for factor in made.factors:
        table = made.of(factor)
        found += html.heading(f"{factor}x")
        for column in _columns(made):
            plot = agreement_plot(with_middle(table, column), column)
            found += html.figure(plot.figure, f"{column} at {factor}x.")
    return found


def _pictures(made: Checked) -> Markup:
    cells = list(shown_cells(made.hr))
    colours = [channel.colour for channel in made.manifest.channels]
    channels = ", ".join(f"{c.name} ({c.colour})" for c in made.manifest.channels)
    found = Markup()
    for factor, path in made.files.items():
        sr = read_stack(path)
        samples = read_samples(samples_path(path), sr, read_record(path))
        small = read_stack(path.with_name(f"LR{factor}x.ome.tif"))
        rows = {"LR": small.data[cells], "SR": sr.data[cells]}
        rows |= {f"sample {k + 1}": x[cells] for k, x in enumerate(samples[:_SHOWN_SAMPLES])}
        rows["HR (true)"] = np.asarray(made.hr.data[cells], np.float32)
        title = f"{made.manifest.name}, {factor}x (SR: {GENERATED})"
        found += html.figure(
            contact_sheet(rows, colours, title),
            f"At {factor}x. Channels: {channels}; one contrast for all images. SR and samples: "
            f"{GENERATED}.",
        )
    return found


def _doubts(made: Checked) -> Markup:
    if not made.doubts:
        return html.paragraph("Nothing.")
    return html.joined(html.paragraph(sentence, note=True) for sentence in made.doubts)
