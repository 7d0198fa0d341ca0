"""Figures of a tidy table of cells: conditions, doses, agreement with the truth, intervals.

Every function returns a :class:`Plot`: a matplotlib figure of its own, made without pyplot,
and which cell every point of it is, so that a view can select cells by their points.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_rls.errors import TableError
from napari_rls.evaluation.agreement import agreement, interval_columns
from napari_rls.evaluation.colours import (
    CHOSEN_COLOUR,
    colour_of,
)
from napari_rls.evaluation.figure_style import (
    PRINT,
    Look,
    explain,
    name_axes,
    name_places,
    start,
    use_other_fonts,
)
from napari_rls.evaluation.group_means import CORRECTED, HIGH, LOW, MEASURED, corrected_wells
from napari_rls.evaluation.hill import dose_response, hill
from napari_rls.evaluation.mean_marks import draw_means
from napari_rls.evaluation.statistics import compare_conditions
from napari_rls.evaluation.tables import (
    CELL,
    CONDITION,
    DOSE,
    IMAGE,
    WELL,
    in_condition,
    kinds_of,
    values_of,
    well_means,
    with_doses,
)
from napari_rls.files.whole_file import whole_file
from napari_rls.measure.columns import Column
from napari_rls.measure.intervals import TABLE_LEVEL

NAMES = {"SR": "SR (generated)", "LR": "LR, upsampled"}

GENERATED_NOTE = "SR: generated pixels, not measured"

FORMATS = (".png", ".svg")
DPI = 200

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure, and for every set of points in it the names of their cells, in order."""

    figure: Figure
    points: list[tuple[PathCollection, tuple[str, ...]]] = field(default_factory=list)

    def cell_at(self, x: float, y: float, reach: float = 6) -> str | None:
        """Return the cell whose point is nearest to a place in display pixels, if any is near.

        Parameters
        ----------
        x, y
            The place, from the lower left corner, as matplotlib's mouse events have it.
        reach
            Largest distance in pixels.
        """
        best, found = reach, None
        for artist, cells in self.points:
            places = artist.get_offset_transform().transform(np.asarray(artist.get_offsets()))
            distance = np.hypot(*(places - (x, y)).T)
            if len(cells) and np.nanmin(distance) <= best:
                nearest = int(np.nanargmin(distance))
                best, found = float(distance[nearest]), cells[nearest]
        return found


def box_plot(
    table: pd.DataFrame,
    column: str,
    conditions: Sequence[str] | None = None,
    highlight: Collection[str] = (),
    look: Look = PRINT,
    means: pd.DataFrame | None = None,
) -> Plot:
    """Draw a box per condition and kind of image, as Gheisari & Genovesio 2024, Fig. 5.

    Boxes go from the first to the third quartile with a line at the median; whiskers reach
    the last cell within 1.5 of that range. With two conditions, the first is the negative
    one and the area under the ROC curve of single cells (AUC) stands in the legend.

    Parameters
    ----------
    table
        A tidy table.
    column
        The measurement.
    conditions
        Conditions, in full or some of their parts; all of the table if not given.
    highlight
        Cells to draw on top.
    look
        Colours and size.
    means
        Means of the conditions that HR cells correct, drawn beside the boxes with those as
        measured (:func:`~napari_rls.evaluation.group_means.means_of`).

    Raises
    ------
    TableError
        If a column or condition is missing.
    """
    given = values_of(table, column, CONDITION, CELL)
    every = [str(name) for name in given[CONDITION].fillna("").unique()]
    groups = list(conditions) if conditions else every
    kinds = kinds_of(given)
    areas = _areas(table, column, groups)
    plot, axes = _start(look)
    rng = np.random.default_rng(0)
    step = 0.8 / len(kinds)
    for k, kind in enumerate(kinds):
        for g, group in enumerate(groups):
            mask = in_condition(given, group) if group else given[CONDITION].fillna("") == ""
            own = given[mask & (given[IMAGE] == kind) & given["value"].notna()]
            if own.empty:
                continue
            place = g + (k - (len(kinds) - 1) / 2) * step
            drawn = axes.boxplot(
                own["value"].to_numpy(),
                positions=[place],
                widths=0.7 * step,
                showfliers=False,
                manage_ticks=False,
            )
            for part in (artist for artists in drawn.values() for artist in artists):
                part.set_color(colour_of(kind, look))
            jitter = place + step * rng.uniform(-0.25, 0.25, len(own))
            text = _name(kind) + areas.get(kind, "") if g == 0 else None
            _scatter(plot, axes, look, jitter, own, kind, highlight, label=text, alpha=0.35)
        if means is not None:
            beside = (k - (len(kinds) - 1) / 2) * step + 0.42 * step
            own = means[(means[IMAGE] == kind) & means[CONDITION].isin(groups)]
            places = own[CONDITION].map(groups.index).to_numpy(np.float64) + beside
            draw_means(
                axes, look, places, own[[MEASURED, CORRECTED, LOW, HIGH]], kind, _name(kind), "D"
            )
    shared = _shared_part(groups)
    under = name_places(axes, look, [group.removeprefix(shared) for group in groups])
    name_axes(axes, look, x=shared.strip(" ;"), y=column, under=under)
    return _finished(plot, look)


def dose_response_plot(
    table: pd.DataFrame,
    column: str,
    highlight: Collection[str] = (),
    look: Look = PRINT,
    means: pd.DataFrame | None = None,
    unit: str = "",
) -> Plot:
    """Draw cells and wells against dose, with the Hill curve and its EC50.

    A dose of 0 stands a decade left of the lowest other one. Cells are not drawn but for
    those of ``highlight``; for the rest see :func:`box_plot`. Of ``means``, which the curve is
    then fitted to (:func:`~napari_rls.evaluation.hill.dose_response`), intervals are drawn too,
    and those as measured as rings. ``unit`` is that of doses.

    Raises
    ------
    TableError
        If a column or doses are missing.
    """
    given = with_doses(values_of(table, column, WELL, CELL))
    fits = dose_response(table, column, means=means)
    wells = corrected_wells(well_means(given, DOSE), means)
    positive = wells.loc[wells[DOSE] > 0, DOSE]
    nothing = float(positive.min()) / 10
    plot, axes = _start(look)
    for k, fit in enumerate(fits.to_dict("records")):
        kind = str(fit[IMAGE])
        own = wells[wells[IMAGE] == kind]
        doses = own[DOSE].where(own[DOSE] > 0, nothing).to_numpy(np.float64)
        if own["low"].notna().any():
            # Side by side, or intervals would hide each other.
            doses = doses * 1.05 ** (k - (len(fits) - 1) / 2)
            drawn = own[["measured", "value", "low", "high"]]
            draw_means(axes, look, doses, drawn, kind, _name(kind), "o", _ec50(fit))
        else:
            text = f"{_name(kind)}: {_ec50(fit)}"
            axes.plot(doses, own["value"], "o", color=colour_of(kind, look), label=text)
        if np.isfinite(fit["ec50"]):
            along = np.geomspace(nothing, positive.max(), 200)
            curve = hill(along, fit["bottom"], fit["top"], fit["ec50"], fit["slope"])
            axes.plot(along, curve, color=colour_of(kind, look))
            ends = np.clip([fit["ec50_low"], fit["ec50_high"]], nothing, positive.max())
            axes.axvspan(*ends, color=colour_of(kind, look), alpha=0.1)
            axes.axvline(fit["ec50"], color=colour_of(kind, look), linestyle=":")
        chosen = given[(given[IMAGE] == kind) & given[CELL].isin(list(highlight))]
        chosen = chosen[chosen["value"].notna() & chosen[DOSE].notna()]
        places = chosen[DOSE].where(chosen[DOSE] > 0, nothing).to_numpy()
        _scatter(plot, axes, look, places, chosen, kind, highlight)
    axes.set_xscale("log")
    said = f"dose ({unit or 'no unit given'}; 0 drawn at {nothing:g})"
    name_axes(axes, look, x=said, y=f"{column}, mean of wells")
    return _finished(plot, look)


def agreement_plot(
    table: pd.DataFrame,
    column: str,
    reference: str = "GT",
    highlight: Collection[str] = (),
    look: Look = PRINT,
    columns: Mapping[str, Column] | None = None,
) -> Plot:
    """Draw each kind of image against the same cells of another, with intervals where there are.

    Parameters
    ----------
    table
        A tidy table.
    column
        The measurement.
    reference
        Kind of image that the others are drawn against.
    highlight
        Cells to draw on top.
    look
        Colours and size.
    columns
        What the columns are, see :func:`~napari_rls.evaluation.agreement.interval_columns`.

    Raises
    ------
    TableError
        If a column or the reference is missing, or a cell is there twice.
    """
    rows = agreement(table, column, reference).query("per == 'cell'").set_index(IMAGE)
    given = values_of(table, column, WELL, CELL)
    truth = given[given[IMAGE] == reference].set_index(CELL)["value"]
    ends = interval_columns(table, column, columns).get(TABLE_LEVEL)
    plot, axes = _start(look)
    for kind in (kind for kind in kinds_of(given) if kind != reference):
        own = given[given[IMAGE] == kind].assign(truth=lambda t: t[CELL].map(truth))
        own = own[own["value"].notna() & own["truth"].notna()]
        if ends and own[ends[0]].notna().any():
            low, high = (own[end].to_numpy(np.float64) for end in ends)
            said, colour = f"{100 * TABLE_LEVEL:.0f} % interval of samples", colour_of(kind, look)
            axes.vlines(own["truth"], low, high, colour, alpha=0.15, lw=0.7, label=said)
        linear, ranks = (rows[how][kind] for how in ("pearson", "spearman"))
        text = f"{_name(kind)}: r {linear:.2f}, rho {ranks:.2f}"
        places = own["truth"].to_numpy(np.float64)
        _scatter(plot, axes, look, places, own, kind, highlight, label=text, alpha=0.5)
    values = truth[np.isfinite(truth)]
    axes.axline((float(values.median()),) * 2, slope=1, color="#888888", linestyle="--")
    name_axes(axes, look, x=f"{column}, {_name(reference)}", y=column)
    return _finished(plot, look)


def save_figure(path: Path, figure: Figure, record: Mapping[str, Any]) -> None:
    """Write a figure as PNG or SVG with its provenance, whole or not at all.

    Parameters
    ----------
    path
        A file that ends in .png or .svg.
    figure
        The figure.
    record
        What goes into the file's metadata.

    Raises
    ------
    TableError
        If the file is of another kind.
    OSError
        If it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise TableError(f"{path.name} must end in .png or .svg; other formats are not written.")
    text = f"{GENERATED_NOTE}. {record}" if record.get("generated") else str(record)
    key = "Description"
    with whole_file(path) as draft:
        figure.savefig(draft, format=suffix[1:], dpi=DPI, metadata={key: text})


def _start(look: Look) -> tuple[Plot, Axes]:
    figure, axes = start(look)
    return Plot(figure), axes


def _finished(plot: Plot, look: Look) -> Plot:
    explain(plot.figure, look)
    use_other_fonts(plot.figure)
    return plot


def _shared_part(groups: Sequence[str]) -> str:
    """Return the parts that all of several conditions begin with, as in ``drug=wortmannin; ``."""
    if len(groups) < 2:
        return ""
    shared = 0
    for parts in zip(*(group.split("; ") for group in groups), strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    # Something is left of every name.
    shared = min(shared, *(group.count("; ") for group in groups))
    return "".join(f"{part}; " for part in groups[0].split("; ")[:shared])


def _areas(table: pd.DataFrame, column: str, groups: Sequence[str]) -> dict[str, str]:
    """Return what a legend says of the AUC of each kind of image, if there are two conditions."""
    if len(groups) != 2 or not all(groups) or WELL not in table.columns:
        return {}
    rows = compare_conditions(table, column, groups[0], groups[1])
    return {row[IMAGE]: f", AUC {row['auc']:.3f}" for _, row in rows.iterrows()}


def _scatter(
    plot: Plot,
    axes: Axes,
    look: Look,
    x: Floats,
    cells: pd.DataFrame,
    kind: str,
    highlight: Collection[str],
    *,
    label: str | None = None,
    alpha: float = 1.0,
) -> None:
    """Draw a point per cell, those of ``highlight`` again and larger."""
    names = tuple(map(str, cells[CELL]))
    y = cells["value"].to_numpy(np.float64)
    colour = colour_of(kind, look)
    points = axes.scatter(x, y, s=10, color=colour, alpha=alpha, linewidths=0, label=label)
    plot.points.append((points, names))
    chosen = np.isin(names, list(highlight)) if highlight else np.zeros(len(names), np.bool_)
    if chosen.any():
        axes.scatter(
            x[chosen],
            y[chosen],
            s=60,
            facecolors="none",
            edgecolors=CHOSEN_COLOUR,
            linewidths=1.5,
            zorder=5,
        )


def _ec50(fit: Mapping[Any, Any]) -> str:
    if not np.isfinite(fit["ec50"]):
        return str(fit["problem"])
    found = f"EC50 {fit['ec50']:.3g} ({fit['ec50_low']:.3g} to {fit['ec50_high']:.3g})"
    return f"{found}, {fit['problem']}" if fit["problem"] else found


def _name(kind: str) -> str:
    return NAMES.get(kind, kind)
