"""The pictures of a page of fields: LR beside SR, parts of fields and cells by chance."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from napari_rls.errors import InputError
from napari_rls.measure.columns import CONDITION, DOSE, IMAGE, WELL, X, Y
from napari_rls.text import for_terminal
from napari_rls.workflow.cells.contact_sheet import contact_sheet
from napari_rls.workflow.cells.read import read_stack
from napari_rls.workflow.cells.write import GENERATED
from napari_rls.workflow.fields.field_task import read_field
from napari_rls.workflow.fields.finished_fields import FinishedField, FinishedFields
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.fields.sr_field import SrField
from napari_rls.workflow.report import html_page as html

MOST_SHOWN = 6
"""Conditions, or fields where no condition is known, that are shown."""

CELLS = 6
"""Cells of each, drawn by chance."""

SIDE = 160
"""Side of the part of a field in HR pixels."""

_LETTERS, _LINES = 20, 6
"""Room of a label in the pictures."""


@dataclass(frozen=True)
class _Shown:
    """Images of one field: LR and SR of a part (2, C, y, x), and of cells (N, C, S, S) each."""

    label: str
    part: NDArray[np.float32]
    lr: NDArray[np.float32]
    sr: NDArray[np.float32]


def pictures(made: FinishedFields, resolver: FieldResolver, channels: tuple[str, ...]) -> Markup:
    """Return pictures of some fields and cells, LR beside SR; files are read one by one.

    Parameters
    ----------
    made
        What the run has finished.
    resolver
        Its bundle.
    channels
        Channels of the files in the bundle's order, as the run has them.
    """
    groups = _groups(made)
    places = np.unique(np.linspace(0, len(groups) - 1, MOST_SHOWN).round().astype(int))
    shown: list[_Shown] = []
    notes = []
    if len(groups) > len(places):
        notes.append(f"{len(places)} of {len(groups)} conditions, or fields, are shown.")
    for number, place in enumerate(places, 1):
        label, field = groups[place]
        try:
            # Numbered, as labels that are cut short may be alike.
            shown.append(_read(_label(f"{number}. {label}"), field, resolver, channels))
        except InputError as error:
            notes.append(f"{field.file.name} is not shown: {error}")
    said = html.joined(html.paragraph(note, note=True) for note in notes)
    if not shown:
        return said
    manifest = resolver.bundle.manifest
    colours = [channel.colour for channel in manifest.channels]
    drawn = ", ".join(f"{channel.name} ({channel.colour})" for channel in manifest.channels)
    contrast = f"Channels: {drawn}; one contrast for all images."
    title = f"Left: LR as recorded. Right: SR, {GENERATED}"
    parts = contact_sheet({one.label: one.part for one in shown}, colours, title, tile=2 * SIDE)
    rows: dict[str, NDArray[np.float32]] = {}
    for one in shown:
        rows |= {f"{one.label}\nLR": one.lr, f"{one.label}\nSR (generated)": one.sr}
    cells = contact_sheet(rows, colours, f"Cells, SR: {GENERATED}")
    return html.joined(
        [
            said,
            html.figure(
                parts,
                f"The middle of a field of each condition, {SIDE} HR pixels wide at most: the LR "
                f"image as recorded, and the SR field, in which cells are {GENERATED}, and the LR "
                f"image is interpolated between them. {contrast}",
            ),
            html.figure(
                cells,
                f"Cells of the same fields, drawn by chance: LR as recorded, black outside the "
                f"field, and SR, {GENERATED}. {contrast}",
            ),
        ]
    )


def _groups(made: FinishedFields) -> list[tuple[str, FinishedField]]:
    """Return the first field of each condition, by dose, or all fields if none is known."""
    found: dict[str, tuple[float, FinishedField, str]] = {}
    for field in made.fields:
        row = field.table.iloc[0]
        condition = str(row[CONDITION])
        dose = float(row.get(DOSE, np.nan))
        found.setdefault(condition, (dose, field, str(row[WELL])))
    if set(found) == {""}:
        return [(field.file.name, field) for field in made.fields]
    # NaN stands last, as sorting is to have an order.
    order = sorted(found.items(), key=lambda each: np.nan_to_num(each[1][0], nan=np.inf))
    return [
        (f"{well or field.file.name}: {condition or 'no condition'}", field)
        for condition, (_, field, well) in order
    ]


def _label(text: str) -> str:
    lines = textwrap.wrap(for_terminal(text), _LETTERS, max_lines=_LINES, placeholder=" ...")
    return "\n".join(lines)


def _read(
    label: str, field: FinishedField, resolver: FieldResolver, channels: tuple[str, ...]
) -> _Shown:
    lr = read_field(field.file, channels, resolver).data[0]
    cells = read_stack(field.paths.cells).data
    rows = field.table[field.table[IMAGE] == "SR"]
    ratio = field.paths.record().get("microscope", {}).get("ratio")
    if ratio is None or len(rows) != len(cells):
        raise InputError("its files have changed; make it again with --overwrite.")
    whole = SrField(lr, cells.astype(np.float32), rows[[Y, X]].to_numpy(np.float64), ratio)
    side = min(SIDE, *whole.shape[1:])
    middle = [slice((n - side) // 2, (n - side) // 2 + side) for n in whole.shape[1:]]
    part = np.stack([whole.recorded(*middle), whole.region(*middle)[0]])
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(cells))[:CELLS])
    size = cells.shape[-1]
    windows = [[slice(first, first + size) for first in whole.corners[k]] for k in chosen]
    return _Shown(
        label, part, np.stack([whole.recorded(*window) for window in windows]), whole.sr[chosen]
    )
