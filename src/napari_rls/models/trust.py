"""How far a bundle's results can be trusted at a scale factor, as seen on held-out crops.

It is measured once, with cells whose HR image is known, and stored in the manifest:
what LR residuals and log-densities are usual, and how wide intervals must be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from napari_rls.models.part import (
    BOUNDED,
    LARGEST,
    Count,
    Line,
    NotNegative,
    Number,
    Part,
    PlainSettings,
    Text,
)

_Share = Annotated[float, Field(ge=0, le=1)]
_Numbers = Annotated[tuple[Number, ...], Field(max_length=10_000)]
_Shares = Annotated[tuple[_Share, ...], Field(max_length=10_000)]
_Widths = Annotated[tuple[NotNegative, ...], Field(max_length=10_000)]


class Reliability(Part):
    """How often intervals of a measurement held the true value on held-out cells, by level.

    ``held`` and ``width`` are of corrected intervals: the cells were dealt to ``parts`` parts
    of whole wells, files or single cells (``of``), and no cell is judged by a correction that
    was fitted on its part. ``held_drawn`` and ``width_drawn`` are of the same cells' intervals
    as they were drawn. Widths are medians.
    """

    cells: int = Field(ge=1, description="Cells that were judged.")
    of: Literal["well", "file", "cell"] = Field(description="What was not torn apart.")
    parts: int = Field(ge=1)
    held_drawn: _Shares
    width_drawn: _Widths
    held: _Shares
    width: _Widths


class Correction(Part):
    """Split-conformal correction of the intervals of one measurement (Lei et al. 2018).

    With m the mean and sd the standard deviation of a cell's values over its samples, the
    interval of the k-th level is m + ``below[k]`` s to m + ``above[k]`` s, where
    s = sqrt(sd^2 + ``floor``^2): the two are quantiles of (truth - m) / s on ``cells``
    cells that the generator was not trained on.
    """

    column: Line
    cells: int = Field(ge=1, description="Cells on which it was fitted.")
    floor: float = Field(
        ge=0, le=LARGEST, description="Least spread of a cell, in the column's unit."
    )
    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        description="Shares of cells whose true value the intervals hold."
    )
    below: _Numbers
    above: _Numbers
    median: Number = Field(description="Median of the same quotients.")
    reliability: Reliability | None = Field(
        default=None, description="What such intervals held of cells that they were not fitted on."
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Correction:
        if not len(self.levels) == len(self.below) == len(self.above):
            raise ValueError("a correction needs one lower and one upper factor per level")
        if (told := self.reliability) is not None:
            figures = (told.held_drawn, told.width_drawn, told.held, told.width)
            if {*map(len, figures)} != {len(self.levels)}:
                raise ValueError("a correction's reliability needs one figure per level")
        return self


class Domain(Part):
    """Usual LR residuals, log-densities and looks: quantiles at equal steps from 0 to 1.

    A cell is out of the ordinary if the share of held-out cells with a larger residual, a
    lower log-density, or a stranger look is below ``threshold``; together the three rules
    flag the share ``false_alarms`` of the held-out cells. How strange a look is is its
    Mahalanobis distance: ``centre`` and ``precision`` are mean and inverse covariance of
    :func:`~napari_rls.measure.domain.look` over the held-out cells.
    """

    cells: int = Field(ge=1, description="Cells on which it was measured.")
    lr_residual: _Numbers = Field(
        min_length=2, description="Mean over channels, as a share of the intensity range."
    )
    log_density: _Numbers = Field(min_length=2, description="P_w in nats.")
    distance: _Numbers = Field(min_length=2, description="Mahalanobis distance.")
    centre: _Numbers
    precision: Annotated[tuple[_Numbers, ...], Field(max_length=10_000)]
    threshold: float = Field(ge=0, le=1)
    false_alarms: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _square(self) -> Domain:
        if {len(self.centre)} != {len(self.precision), *map(len, self.precision)}:
            raise ValueError("the inverse covariance needs a row and a column for each feature")
        return self


class PixelTrust(Part):
    """Up to which spread of its samples a pixel is trusted (conformal risk control).

    The largest error among the pixels of a cell whose spread is at most ``limits`` is below
    ``alpha`` in the mean over cells, as ``cells`` cells tell that the generator was not
    trained on. Both are shares of the intensity range; the spread is the deviation over the
    samples, smoothed, and errors are of blurred images.
    """

    cells: int = Field(ge=1, description="Cells on which it was fitted.")
    alpha: float = Field(gt=0, lt=1)
    smoothing: float = Field(ge=0, le=256, description="Of the spread, in HR pixels.")
    blur: float = Field(ge=0, le=256, description="Of the compared images, in HR pixels.")
    limits: Annotated[tuple[NotNegative | None, ...], Field(max_length=16)] = Field(
        description="Of each channel; None: no pixel of it can be trusted."
    )
    shares: Annotated[tuple[_Share, ...], Field(max_length=16)] = Field(
        description="Share of the held-out cells' pixels that are within, by channel."
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> PixelTrust:
        if not len(self.limits) == len(self.shares):
            raise ValueError("a trust mask needs one limit and one share per channel")
        return self


class LeftOpen(Part):
    """Share of the variance of a measurement over cells that LR images leave open.

    ``by_samples`` is what the samples say, as of cells without a known HR image; ``by_truth``
    is the mean squared error of the samples' mean over the variance of the true values.
    Samples that lie too near together say too little.
    """

    column: Line
    by_samples: _Share
    by_truth: _Share


class NoCells(Part):
    """What becomes of LR crops that hold no cell; there are ``crops`` of each kind."""

    kind: Literal["noise", "background"]
    crops: int = Field(ge=1)
    found: Count = Field(description="Crops in whose SR image a nucleus is found.")
    flagged: Count = Field(description="Crops that Quality_OutOfDomain marks.")


class Trust(Part):
    """What was measured for one scale factor, with which settings and on which crops."""

    factor: int = Field(ge=2, le=256)
    data: Text = Field(description="The held-out crops.")
    settings: Annotated[dict[str, str | int | float | bool], BOUNDED] = Field(
        description="Settings of the search and of the samples."
    )
    measurement: PlainSettings = Field(
        default={}, description="Settings of the measurements that were corrected."
    )
    domain: Domain
    corrections: tuple[Correction, ...] = ()
    pixels: PixelTrust | None = Field(default=None, description="Limits of the trust mask.")
    left_open: Annotated[tuple[LeftOpen, ...], Field(max_length=10_000)] = Field(
        default=(), description="What of the measurements LR images leave open."
    )
    no_cells: Annotated[tuple[NoCells, ...], Field(max_length=2)] = Field(
        default=(), description="What became of noise and of empty background."
    )

    def differences(self, settings: Mapping[str, Any], names: Collection[str]) -> tuple[str, ...]:
        """Return which of the named settings are not those of the held-out crops."""
        return tuple(n for n in names if settings.get(n) != self.settings.get(n))
