"""The page that a run over fields ends with, for who reads its results."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from napari_rls.evaluation.tables import CELL, CONDITION, IMAGE, WELL
from napari_rls.measure.columns import FLAGS
from napari_rls.search.presets import PRESETS
from napari_rls.version import __version__
from napari_rls.workflow.cells.write import GENERATED
from napari_rls.workflow.fields.finished_fields import FinishedFields
from napari_rls.workflow.fields.page_pictures import pictures
from napari_rls.workflow.fields.page_plots import (
    controls,
    corrected_conditions,
    lr_against_sr,
    responses,
    wells,
)
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.report import html_page as html

MOST_LISTED = 100
"""Flagged cells that are named."""


def field_page(
    made: FinishedFields, resolver: FieldResolver, channels: tuple[str, ...] = ()
) -> str:
    """Return the page; everything is inside it.

    Parameters
    ----------
    made
        What the run has finished.
    resolver
        Its bundle and settings.
    channels
        Channels of the files in the bundle's order, as the run has them.
    """
    sections = [
        (
            "Doses, conditions and wells",
            corrected_conditions(made) + responses(made) + wells(made),
        ),
        ("Controls: Z'", controls(made)),
        ("LR against SR", lr_against_sr(made)),
        ("LR beside SR", pictures(made, resolver, channels)),
        ("What was flagged", _flagged(made)),
        ("What was left out, assumed or is in doubt", _doubts(made)),
    ]
    name = resolver.bundle.manifest.name
    return html.page(f"Fields super-resolved with {name}", _lead(made, resolver), sections)


def _lead(made: FinishedFields, resolver: FieldResolver) -> Markup:
    manifest, settings = resolver.bundle.manifest, resolver.resolver.settings
    table = made.table
    sr = table[table[IMAGE] == "SR"]
    named = sorted({well for well in table[WELL] if well})
    conditions = {condition for condition in table[CONDITION] if condition}
    column = made.columns[made.headline]
    plate = made.record.get("plate_map")
    offset = made.record.get("settings", {}).get("camera_offset")
    failed = len(made.left_out)
    origin = "given" if resolver.settings.noise else "estimated from the images"
    noise = made.shared.noise.numbers(manifest.channel_names)
    facts = (
        ("Made", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by napari-rls {__version__}"),
        ("Fields", f"{len(made.fields)}" + (f", and {failed} left out" if failed else "")),
        ("Wells", f"{len(named)}" if named else "not known"),
        ("Conditions", f"{len(conditions)}" if conditions else "not known"),
        ("Cells", f"{len(sr)}, of which {int((sr[FLAGS] != '').sum())} are flagged in SR"),
        ("Plate map", plate["name"] if plate else "none"),
        *_hr_cells(made),
        ("Bundle", f"{manifest.name}, content {manifest.content_hash[:12]}"),
        ("Its generator was trained on", manifest.training.data),
        (
            "Search",
            f"{PRESETS[settings.method].title}, {settings.steps} steps, {settings.samples} samples",
        ),
        ("Ratio of pixel sizes", _each(made, "ratio")),
        ("PSF", _psf(made)),
        ("Noise", f"{noise} ({origin})"),
        ("Measured", f"{made.headline}: {column.meaning} Unit: {column.unit}."),
        ("Subtracted before", "nothing" if offset is None else f"{offset:g} in the signal channel"),
        ("Attribution", manifest.attribution),
    )
    rows: list[html.Row] = [[name, html.Cell(text, wide=True)] for name, text in facts]
    return html.paragraph(
        f"SR images are {GENERATED}: the bundle's generator was searched for cells that agree with "
        "the LR images. What LR images cannot tell is what is usual for the cells that the "
        "generator has learned. LR rows are the same measurement on the interpolated LR image.",
        note=True,
    ) + html.table(("", ""), rows)


def _hr_cells(made: FinishedFields) -> list[tuple[str, str]]:
    if made.means is None:
        return []
    record = made.means.record["means"]
    given = sum(entry["cells"] for entry in record["hr_cells"])
    found = record["hr_cells_found"]["SR"]
    return [("HR cells", f"{given}, of which {found['cells']} are found in {found['wells']} wells")]


def _each(made: FinishedFields, name: str) -> str:
    """Return the values of a number that the records of the fields have."""
    values = dict.fromkeys(one.get(name) for one in made.microscopes)
    return ", ".join(f"{value:g}" for value in values if value is not None) or "not known"


def _psf(made: FinishedFields) -> str:
    kinds = {str(one.get("psf")) for one in made.microscopes}
    if kinds == {"gaussian"}:
        sigma = _each(made, "psf_sigma")
        return f"Gaussian, standard deviation {sigma} LR pixels, and pixels that integrate light"
    return ", ".join(sorted(kinds)) or "not known"


def _flagged(made: FinishedFields) -> Markup:
    table, columns = made.table, made.columns
    flags = [name for name, column in columns.items() if column.kind == "flag"]
    kinds = {kind: table[table[IMAGE] == kind] for kind in ("SR", "LR")}
    body: list[html.Row] = [
        [
            columns[name].flag,
            *(str(int(rows[name].sum())) for rows in kinds.values()),
            html.Cell(columns[name].meaning, wide=True),
        ]
        for name in flags
        if table[name].any()
    ]
    if not body:
        return html.paragraph("No cell is flagged.")
    found = html.table(
        ("flag", "cells, SR", "cells, LR", "what it means"),
        body,
        "Flagged cells are in all numbers and figures of this page; the table says which they are.",
    )
    rows = kinds["SR"][kinds["SR"][FLAGS] != ""]
    if rows.empty:
        return found
    listed: list[html.Row] = [
        [row[CELL], row[WELL] or "-", html.Cell(row[FLAGS].replace(";", ", "), wide=True)]
        for _, row in rows.head(MOST_LISTED).iterrows()
    ]
    rest = len(rows) - len(listed)
    caption = "Cells that are flagged in SR" + (
        f"; {rest} more are in cells.csv." if rest > 0 else "."
    )
    return found + html.table(("cell", "well", "flags"), listed, caption)


def _doubts(made: FinishedFields) -> Markup:
    parts = [
        html.paragraph(f"{name}: {sentence}" if name else sentence, note=True)
        for name, sentence in made.left_out
    ]
    if not parts:
        parts = [html.paragraph("No field was left out.")]
    return html.joined([*parts, *(html.paragraph(sentence) for sentence in made.doubts)])
