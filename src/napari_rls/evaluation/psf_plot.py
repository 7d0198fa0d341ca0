"""The width of a PSF as cells tell it: a curve, and the interval that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_rls.evaluation.colours import colour_of
from napari_rls.evaluation.figure_style import PRINT, Look, explain, name_axes, start

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_rls.search.psf import PsfEstimate

_HIGHEST = 6.0
"""Negative log-likelihood up to which the curve is drawn; the interval ends at 1.35."""


def psf_plot(estimate: PsfEstimate, look: Look = PRINT) -> Figure:
    """Draw the curve of an estimate, with its minimum and the interval.

    Parameters
    ----------
    estimate
        The estimate.
    look
        Colours and size.
    """
    figure, axes = start(look)
    low, high = estimate.interval
    colour = colour_of("SR", look)
    axes.axvspan(low, high, color=colour, alpha=0.25, lw=0, label="90 % interval")
    axes.plot(estimate.grid, estimate.curve, color=look.ink)
    axes.axvline(estimate.sigma, color=colour, label=f"{estimate.sigma:.2f} LR pixels")
    axes.set_ylim(0, _HIGHEST)
    axes.set_xlim(estimate.grid[0], estimate.grid[-1])
    name_axes(axes, look, x="PSF width (LR pixels)", y="-log likelihood")
    explain(figure, look)
    return figure
