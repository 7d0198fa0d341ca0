"""How far a bundle's results can be trusted at a scale factor, as seen on held-out crops.

It is measured once, with cells whose HR image is known, and stored in the manifest:
what LR residuals and log-densities are usual, and how wide intervals must be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from napari_rls.models.part import BOUNDED, LARGEST, Line, Number, Part, PlainSettings, Text

_Numbers = Annotated[tuple[Number, ...], Field(max_length=10_000)]


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

    @model_validator(mode="after")
    def _one_of_each(self) -> Correction:
        if not len(self.levels) == len(self.below) == len(self.above):
            raise ValueError("a correction needs one lower and one upper factor per level")
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

    def differences(self, settings: Mapping[str, Any], names: Collection[str]) -> tuple[str, ...]:
        """Return which of the named settings are not those of the held-out crops."""
        return tuple(n for n in names if settings.get(n) != self.settings.get(n))
